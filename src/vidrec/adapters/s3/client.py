"""The two boto3 clients of one store, and its errors as ours.

The host is part of a signature. This process may reach the store at another address than browsers do, so that there is
a client for its own calls and one that only ever signs.
"""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any
from urllib.parse import urlsplit

import boto3
from botocore.config import Config
from botocore.exceptions import BotoCoreError, ClientError, HTTPClientError, NoCredentialsError, PartialCredentialsError

from vidrec.domain.errors import NotFound, StoreUnavailable

if TYPE_CHECKING:
    from types_boto3_s3 import S3Client

_CONNECT_S, _READ_S = 5.0, 30.0
_ATTEMPTS = 4
_CONNECTIONS = 64
_ABSENT = frozenset({"404", "NoSuchKey", "NoSuchVersion", "NoSuchUpload", "NotFound"})
_OTHER = frozenset({"412", "PreconditionFailed"})
_UNKNOWN = frozenset({"NotImplemented", "MethodNotAllowed", "501", "405"})


@dataclass(frozen=True, slots=True, kw_only=True)
class S3Options:
    """Where the store is. Credentials come from the usual chain of AWS clients alone."""

    endpoint: str = ""
    """Empty: Amazon's own."""
    public_endpoint: str = ""
    """Where clients reach it; empty: at the same address."""
    region: str = ""
    """Empty: as the usual chain says, else us-east-1."""
    path_style: bool = False
    """The bucket in the path rather than in the host's name."""


class S3:
    """One store. Thread-safe; connects at the first call."""

    def __init__(self, options: S3Options) -> None:
        session = boto3.session.Session()
        region = options.region or session.region_name or "us-east-1"
        # Checksums that not every store knows are sent and expected only where they are asked for.
        config = Config(
            signature_version="s3v4",
            s3={"addressing_style": "path" if options.path_style else "auto"},
            connect_timeout=_CONNECT_S,
            read_timeout=_READ_S,
            retries={"total_max_attempts": _ATTEMPTS, "mode": "standard"},
            max_pool_connections=_CONNECTIONS,
            request_checksum_calculation="when_required",
            response_checksum_validation="when_required",
        )

        def client(endpoint: str) -> S3Client:
            made: S3Client = session.client("s3", region_name=region, endpoint_url=endpoint or None, config=config)
            return made

        self._path_style = options.path_style
        self.client = client(options.endpoint)
        self._public = client(options.public_endpoint) if options.public_endpoint else self.client

    def sign(self, operation: str, parameters: dict[str, Any], *, lifetime_s: float) -> str:
        """The public address of one request to the store, for that time."""
        with translated():
            return self._public.generate_presigned_url(
                operation, Params=parameters, ExpiresIn=max(1, round(lifetime_s))
            )

    def origins(self) -> tuple[str, ...]:
        """The origins of public addresses, as a Content-Security-Policy names them: a bucket may be part of the
        host."""
        parts = urlsplit(self._public.meta.endpoint_url)
        origin = f"{parts.scheme}://{parts.netloc}"
        if self._path_style or not (parts.hostname or "").strip("0123456789.:"):
            return (origin,)
        return origin, f"{parts.scheme}://*.{parts.netloc}"

    def close(self) -> None:
        """Ends idle connections."""
        self.client.close()
        self._public.close()


@contextmanager
def translated() -> Iterator[None]:
    """The store's errors as ours: NotFound where the object, or the one that was asked for, is not there;
    StoreUnavailable for all else."""
    try:
        yield
    except ClientError as error:
        name, status = code(error), error.response.get("ResponseMetadata", {}).get("HTTPStatusCode")
        if name in _ABSENT or name in _OTHER or (status == 404 and name != "NoSuchBucket"):
            raise NotFound(f"the object store has no such object ({name})") from error
        said = error.response.get("Error", {}).get("Message") or "no more is said"
        raise StoreUnavailable(f"the object store refuses {error.operation_name}: {name}: {said}") from error
    except (NoCredentialsError, PartialCredentialsError) as error:
        raise StoreUnavailable(
            "there are no credentials for the object store: set AWS_ACCESS_KEY_ID and AWS_SECRET_ACCESS_KEY, "
            "or another source that AWS clients read"
        ) from error
    except (BotoCoreError, HTTPClientError) as error:
        raise StoreUnavailable(f"the object store does not answer: {error}") from error


def code(error: ClientError) -> str:
    """The store's word for what went wrong."""
    return str(error.response.get("Error", {}).get("Code", "unknown"))


def is_absent(error: ClientError) -> bool:
    """Whether it is that something is not there."""
    return code(error) in _ABSENT


def is_precondition(error: ClientError) -> bool:
    """Whether it is that another object is there than the request was bound to."""
    return code(error) in _OTHER


def is_unknown(error: ClientError) -> bool:
    """Whether the store does not know such a request."""
    return code(error) in _UNKNOWN


def etag_of(answer: Any) -> str:
    """The ETag of an answer or a listed object, without quotes."""
    return str(answer.get("ETag", "")).strip('"')
