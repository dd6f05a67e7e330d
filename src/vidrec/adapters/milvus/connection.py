"""One connection to Milvus: made at the first call, healed after a restart of the server, errors translated."""

from __future__ import annotations

import threading
import time
from collections.abc import Callable
from typing import Any, TypeVar
from urllib.parse import urlsplit

from vidrec.adapters.milvus.light import import_pymilvus
from vidrec.domain.errors import IndexUnavailable, InvalidInput

T = TypeVar("T")
Client = Any
"""pymilvus.MilvusClient, which carries no types."""

_LONGEST_REASON = 300
_NOT_LOADED = 101
_COLLECTION_NOT_FOUND = 100
PATIENT_S = 60.0
"""Timeout of calls that nobody waits for at a screen."""

_CHANNEL = {
    # gRPC waits up to two minutes between attempts to reconnect unless told otherwise.
    "grpc.initial_reconnect_backoff_ms": 100,
    "grpc.min_reconnect_backoff_ms": 100,
    "grpc.max_reconnect_backoff_ms": 500,
    # Milvus Lite's server takes pymilvus's pings on an idle connection for an attack and hangs up.
    "grpc.keepalive_permit_without_calls": 0,
    "grpc.keepalive_time_ms": 30_000,
}


class MilvusConnection:
    """Thread-safe. A refused connection fails within milliseconds, a silent server after `timeout_s`; a server that is
    back is used again by the next call. InvalidInput where the URI is not an address of a server."""

    def __init__(self, uri: str, *, token: str, timeout_s: float) -> None:
        _check(uri)
        self._uri = uri
        self._token = token
        self._timeout_s = timeout_s
        self.is_lite = False
        """Known once connected."""
        self._client: Client | None = None
        self._connecting = threading.Lock()
        self._failed_at = -1.0
        self._failure = ""

    def call(self, method: str, collection: str, *args: Any, timeout: float | None = None, **options: Any) -> Any:
        """What the client's method answers about a collection, within `timeout` seconds (else the connection's own). A
        restarted server may have to be told to load the collection again. IndexUnavailable."""
        options["timeout"] = timeout or self._timeout_s
        return self.run(lambda client: getattr(client, method)(collection, *args, **options), loads=collection)

    def run(self, operation: Callable[[Client], T], *, loads: str | None = None) -> T:
        """What `operation` answers, given the client; once more with the collection `loads` loaded where that is what
        was missing. IndexUnavailable."""
        client = self._connected()
        try:
            return operation(client)
        except _vendor_errors() as error:
            if loads is None or getattr(error, "code", None) != _NOT_LOADED:
                raise self._translated(error) from error
        try:
            self.load(client, loads, timeout_s=self._timeout_s)
            return operation(client)
        except _vendor_errors() as error:
            raise self._translated(error) from error

    def ping(self) -> None:
        """Returns where the server answers; IndexUnavailable."""
        self.run(lambda client: client.get_server_version(timeout=self._timeout_s))

    def load(self, client: Client, collection: str, *, timeout_s: float) -> None:
        """Makes a collection searchable."""
        deadline = time.monotonic() + timeout_s
        if self.is_lite:
            # What the server recovered from its log is only indexed, and fast to search, once flushed.
            client.flush(collection, timeout=timeout_s)
        client.load_collection(collection, timeout=max(deadline - time.monotonic(), 0.1))

    def close(self) -> None:
        with self._connecting:
            client, self._client = self._client, None
        if client is not None:
            client.close()

    def _connected(self) -> Client:
        asked_at = time.monotonic()
        if self._client is not None:
            return self._client
        with self._connecting:
            if self._client is None:
                if self._failed_at >= asked_at:
                    # Found out while this thread waited: else each of many threads would wait a whole timeout in turn.
                    raise IndexUnavailable(self._failure)
                self._client = self._connect()
            return self._client

    def _connect(self) -> Client:
        pymilvus = import_pymilvus()
        client: Client | None = None
        try:
            client = pymilvus.MilvusClient(
                self._uri, token=self._token, timeout=self._timeout_s, dedicated=True, grpc_options=_CHANNEL
            )
            self.is_lite = "lite" in client.get_server_version(timeout=self._timeout_s)
        except _vendor_errors() as error:
            if client is not None:
                client.close()
            translated = self._translated(error)
            self._failed_at, self._failure = time.monotonic(), str(translated)
            raise translated from error
        return client

    def _translated(self, error: Exception) -> IndexUnavailable:
        if getattr(error, "code", None) == _COLLECTION_NOT_FOUND:
            return IndexUnavailable(f"the vector index at {self._uri} lacks a collection: {_reason(error)}")
        return IndexUnavailable(f"the vector index at {self._uri} does not answer: {_reason(error)}")


def _check(uri: str) -> None:
    try:
        parts = urlsplit(uri)
        usable = parts.scheme in ("http", "https") and bool(parts.hostname) and parts.port != 0
    except ValueError:  # a port beyond 65535, half an IPv6 address
        usable = False
    if not usable:
        # A path would make pymilvus open Milvus Lite inside of this process, where no other process can reach it.
        raise InvalidInput(f"VIDREC_MILVUS_URI must be http://host:port, not {uri!r}", field="VIDREC_MILVUS_URI")


def _vendor_errors() -> tuple[type[Exception], ...]:
    import grpc

    # Some calls let gRPC's own errors through.
    return (import_pymilvus().MilvusException, grpc.RpcError)


def _reason(error: Exception) -> str:
    # A MilvusException has a message, a gRPC error has details.
    details = getattr(error, "details", None)
    text = str(getattr(error, "message", "") or (details() if callable(details) else "") or error)
    words = " ".join(text.split()) or type(error).__name__
    # Milvus puts its stack trace first and the cause last.
    return words if len(words) <= _LONGEST_REASON else f"...{words[-_LONGEST_REASON:]}"
