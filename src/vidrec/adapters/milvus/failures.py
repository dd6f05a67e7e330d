"""What goes wrong with Milvus, in vidrec's words: what a moment's wait may cure, and what a person has to."""

from __future__ import annotations

from collections.abc import Iterator
from typing import Any

from vidrec.adapters.milvus.light import import_pymilvus
from vidrec.domain.errors import IndexUnavailable

NOT_LOADED = 101
DATABASE_NOT_FOUND = 800
_COLLECTION_NOT_FOUND = 100
# Those that Milvus itself calls retriable (pkg/util/merr): service not ready, unavailable or asked too often; a
# collection, segment, channel or node that is being moved to another node.
_PASSING = frozenset({1, 2, 4, 8, 103, 106, 401, 500, 502, 503, 600, 601, 901, 902, 905})
_LONGEST_REASON = 300


def vendor_errors() -> tuple[type[Exception], ...]:
    """What pymilvus raises: some calls let gRPC's own errors through."""
    import grpc

    return (import_pymilvus().MilvusException, grpc.RpcError)


def code_of(error: Exception) -> int | None:
    """Milvus's own number of the error; None where it is none of Milvus's."""
    code = getattr(error, "code", None)
    return code if isinstance(code, int) else None


def is_passing(error: Exception) -> bool:
    """Whether the same call may well succeed in a moment."""
    import grpc

    status = _grpc_status(error)
    return status is grpc.StatusCode.UNAVAILABLE if status is not None else code_of(error) in _PASSING


def is_late(error: Exception) -> bool:
    """Whether no answer came in time."""
    import grpc

    return _grpc_status(error) is grpc.StatusCode.DEADLINE_EXCEEDED


def is_forbidden(error: Exception) -> bool:
    """Whether the server knows us but does not let us do that."""
    import grpc

    return _grpc_status(error) is grpc.StatusCode.PERMISSION_DENIED


def translated(error: Exception, uri: str) -> IndexUnavailable:
    """The error to raise instead."""
    import grpc

    status, where = _grpc_status(error), f"the vector index at {uri}"
    if status is grpc.StatusCode.UNAUTHENTICATED:
        return IndexUnavailable(
            f"{where} refuses the user or the password (VIDREC_MILVUS_USER, ..._PASSWORD, ..._TOKEN)"
        )
    if status is grpc.StatusCode.PERMISSION_DENIED:
        return IndexUnavailable(f"{where} does not let this user do that: {_reason(error)}")
    missing = {_COLLECTION_NOT_FOUND: "collection", DATABASE_NOT_FOUND: "database"}.get(code_of(error) or 0)
    if missing:
        return IndexUnavailable(f"{where} lacks a {missing}: {_reason(error)}")
    return IndexUnavailable(f"{where} does not answer: {_reason(error)}")


def _chain(error: BaseException | None) -> Iterator[BaseException]:
    """The error and what it came from. pymilvus names errors as their own causes (`raise e from e`)."""
    told: list[BaseException] = []
    while error is not None and error not in told:
        yield error
        told.append(error)
        error = error.__context__ if error.__cause__ in (None, error) else error.__cause__


def _grpc_status(error: Exception) -> Any:
    """The gRPC status behind the error: pymilvus wraps a refused connection in an error of its own."""
    import grpc

    for each in _chain(error):
        code = getattr(each, "code", None)
        found = code() if callable(code) else code
        if isinstance(found, grpc.StatusCode):
            return found
    return None


def _reason(error: Exception) -> str:
    """A MilvusException has a message, a gRPC error has details, which are the better ones where it lies below."""
    text = ""
    for each in _chain(error):
        details = getattr(each, "details", None)
        text = str((details() if callable(details) else "") or text or getattr(each, "message", ""))
    words = " ".join((text or str(error)).split()) or type(error).__name__
    # Milvus puts its stack trace first and the cause last.
    return words if len(words) <= _LONGEST_REASON else f"...{words[-_LONGEST_REASON:]}"
