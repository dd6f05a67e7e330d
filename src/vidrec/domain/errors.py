"""Every error that vidrec raises on purpose. Adapters map vendor errors to these; the API and the CLI map these
to answers, each in one place.

VidrecError
├── InvalidInput            the caller sent something wrong: `field` names it            (HTTP 422, exit 2)
│   ├── InvalidModel        an ONNX file or checkpoint that is not what was expected
│   ├── TooLarge            more bytes than are taken                                    (HTTP 413)
│   └── InvalidCursor
├── Unauthorized            no key was shown, or one that is not (any more) valid        (HTTP 401)
├── Forbidden               a right that the caller lacks; a signed address that is altered or has expired (HTTP 403)
├── NotFound                no such video, recommendation, user, model                   (HTTP 404, exit 2)
├── Conflict                the state forbids it                                         (HTTP 409, exit 2)
│   ├── AlreadyThere        the object was written before and stays as it is             (HTTP 412)
│   ├── ModelVersionMismatch  an encoder holds another model version than was named
│   └── LeaseLost           another worker holds this job now, or it was cancelled
├── Unavailable             a dependency does not answer; `retry_after_s` says when      (HTTP 503, exit 1)
│   ├── Overloaded          it answers, but it is full                                   (HTTP 429)
│   ├── IndexUnavailable    the vector index
│   ├── StoreUnavailable    SQL or the media store
│   │   └── SchemaOutdated  the SQL schema is older than what this code needs
│   └── EncoderUnavailable  the encoder
└── UnusableMedia           this video can never be indexed as it is: `reason` says why  (video: failed)
"""

from __future__ import annotations

from enum import StrEnum


class VidrecError(Exception):
    """Base of all errors raised on purpose; its text is one sentence that a user can act on."""


class InvalidInput(VidrecError):
    """Input that is refused. `field` names the parameter, column or file; `index` the item of a batch, from 0."""

    def __init__(self, message: str, *, field: str | None = None, index: int | None = None) -> None:
        super().__init__(message)
        self.field = field
        self.index = index


class InvalidModel(InvalidInput):
    """A model file that does not meet the encoder contract."""


class InvalidCursor(InvalidInput):
    """A page cursor that was not issued by this service, or whose recommendation is gone."""

    def __init__(self, message: str = "cursor is not one that was answered by this service, or it has expired") -> None:
        super().__init__(message, field="cursor")


class TooLarge(InvalidInput):
    """More bytes than are taken."""


class Unauthorized(VidrecError):
    """Nobody knows who asks. `shown`: whether a key, token or session was shown, which is not valid."""

    def __init__(self, message: str, *, shown: bool = False) -> None:
        super().__init__(message)
        self.shown = shown


class Forbidden(VidrecError):
    """What was asked needs a right that was not shown."""


class NotFound(VidrecError):
    """The named thing does not exist (or is deleted)."""


class Conflict(VidrecError):
    """The present state does not allow what was asked."""


class AlreadyThere(Conflict):
    """An object that can be written once was written before."""


class ModelVersionMismatch(Conflict):
    """The encoder does not hold the model version that was named."""


class LeaseLost(Conflict):
    """The job's lease is held by another worker, or the job was cancelled."""


class Unavailable(VidrecError):
    """A dependency does not answer now; trying again later can succeed."""

    def __init__(self, message: str, *, retry_after_s: float = 1.0) -> None:
        super().__init__(message)
        self.retry_after_s = retry_after_s


class Overloaded(Unavailable):
    """A dependency answers that it is full."""


class IndexUnavailable(Unavailable):
    """The vector index does not answer."""


class StoreUnavailable(Unavailable):
    """SQL or the media store does not answer."""


class SchemaOutdated(StoreUnavailable):
    """The SQL schema is older than this code needs, or there is none; somebody must run `vidrec migrate`."""


class EncoderUnavailable(Unavailable):
    """The encoder does not answer."""


class FailureReason(StrEnum):
    """Why a video cannot be indexed. Stored and answered by the API: values never change their meaning."""

    EMPTY = "empty"
    NOT_A_VIDEO = "not_a_video"
    NO_VIDEO_STREAM = "no_video_stream"
    NO_DECODABLE_FRAME = "no_decodable_frame"
    TOO_LARGE = "too_large"
    DECODE_LIMIT = "decode_limit"
    MISSING = "missing"
    UNREADABLE = "unreadable"
    GAVE_UP = "gave_up"
    OTHER_BYTES = "other_bytes"


class UnusableMedia(VidrecError):
    """The file can never be indexed as it is; trying again does not help."""

    def __init__(self, reason: FailureReason, message: str) -> None:
        super().__init__(message)
        self.reason = reason
