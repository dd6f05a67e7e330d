"""The media store as buckets."""

from __future__ import annotations

import io
from collections.abc import Iterator, Sequence
from contextlib import AbstractContextManager, contextmanager
from datetime import datetime
from pathlib import Path
from typing import IO

from boto3.exceptions import S3UploadFailedError
from boto3.s3.transfer import TransferConfig
from botocore.exceptions import ClientError

from vidrec.adapters.keys import check_key, check_prefix
from vidrec.adapters.local_store import LocalStore
from vidrec.adapters.s3.client import S3, translated
from vidrec.adapters.s3.locations import SCHEME, Located, located
from vidrec.adapters.s3.partial import RemoteFile, ranges_of
from vidrec.adapters.s3.removal import count, remove
from vidrec.application.ports import Original, Presentation
from vidrec.domain.errors import StoreUnavailable

_KEPT = "media:///"
_KINDS = {"jpg": "image/jpeg", "webp": "image/webp", "mp4": "video/mp4", "webm": "video/webm"}
_PART = 16 << 20


class S3Store:
    """Implements the MediaStore port. What it keeps (`media:///key`) is below `prefix` in `bucket`; uploads arrive in
    `upload_buckets`. `scratch` is a folder for what is read of an object, of which at most `max_scratch_bytes` are held
    at a time. `file:` locations are read as everywhere. Thread-safe."""

    def __init__(
        self,
        s3: S3,
        bucket: str,
        prefix: str = "",
        *,
        upload_buckets: Sequence[str] = (),
        scratch: Path,
        max_scratch_bytes: int = 1 << 30,
    ) -> None:
        self._s3 = s3
        self._bucket = bucket
        self._prefix = f"{prefix.strip('/')}/" if prefix.strip("/") else ""
        self._upload_buckets = upload_buckets
        self._scratch = scratch
        self._max_scratch_bytes = max_scratch_bytes
        self._files = LocalStore(scratch)
        self._transfer = TransferConfig(multipart_threshold=_PART, multipart_chunksize=_PART, use_threads=False)

    def put(self, key: str, data: bytes) -> str:
        return self.put_file(key, io.BytesIO(data))

    def put_file(self, key: str, file: IO[bytes]) -> str:
        check_key(key)
        kind = _KINDS.get(key.rpartition(".")[2], "application/octet-stream")
        file.seek(0)
        with translated():
            try:
                # s3transfer closes what it is given.
                self._s3.client.upload_fileobj(
                    _Unclosed(file),  # type: ignore[arg-type]  # reads and seeks, as is needed
                    self._bucket,
                    f"{self._prefix}{key}",
                    ExtraArgs={"ContentType": kind},
                    Config=self._transfer,
                )
            except S3UploadFailedError as error:
                if isinstance(error.__context__, ClientError):
                    raise error.__context__ from error
                raise StoreUnavailable(f"the object store does not take {key}: {error}") from error
        return f"{_KEPT}{key}"

    def read(self, location: str) -> bytes:
        place = self._remote(location)
        if place is None:
            return self._files.read(location)
        with translated():
            return self._s3.client.get_object(**place.bound)["Body"].read()

    def size(self, location: str) -> int:
        place = self._remote(location)
        return self._files.size(location) if place is None else self._size(place)

    @contextmanager
    def local(self, location: str) -> Iterator[Path]:
        with self.original(location) as original:
            if isinstance(original, RemoteFile):
                original.fill_all()
            yield original if isinstance(original, Path) else original.path

    def original(self, location: str) -> AbstractContextManager[Original]:
        place = self._remote(location)
        return self._files.original(location) if place is None else self._partial(place)

    def link(self, location: str, presentation: Presentation, *, method: str, lifetime_s: float) -> str | None:
        place = self._remote(location)
        if place is None:
            return None
        self._size(place)  # a browser would be told in XML that nothing is there
        if method == "HEAD":
            return self._s3.sign("head_object", place.named, lifetime_s=lifetime_s)
        shown = {
            "ResponseContentType": presentation.content_type,
            "ResponseContentDisposition": presentation.disposition,
        }
        return self._s3.sign("get_object", {**place.named, **shown}, lifetime_s=lifetime_s)

    def delete(self, prefix: str) -> int:
        return sum(remove(self._s3.client, bucket, key) for bucket, key in self._everywhere(prefix))

    def count(self, prefix: str) -> int:
        return sum(count(self._s3.client, bucket, key) for bucket, key in self._everywhere(prefix))

    def _everywhere(self, prefix: str) -> list[tuple[str, str]]:
        """(bucket, prefix there) of all places that may hold such an object."""
        check_prefix(prefix)
        places = {(self._bucket, self._prefix), *((bucket, "") for bucket in self._upload_buckets)}
        return [(bucket, f"{before}{prefix}") for bucket, before in sorted(places)]

    def sweep(self, before: datetime) -> int:
        return 0  # parts are aborted with those of uploads, and files that are held have no name

    @contextmanager
    def _partial(self, place: Located) -> Iterator[RemoteFile]:
        size = self._size(place)
        file = RemoteFile(ranges_of(self._s3, place), size, scratch=self._scratch, max_bytes=self._max_scratch_bytes)
        try:
            yield file
        finally:
            file.close()

    def _size(self, place: Located) -> int:
        with translated():
            return self._s3.client.head_object(**place.bound)["ContentLength"]

    def _remote(self, location: str) -> Located | None:
        """Where in the buckets it is; None for files."""
        if location.startswith(_KEPT):
            key = location.removeprefix(_KEPT)
            check_key(key)
            return Located(self._bucket, f"{self._prefix}{key}")
        return located(location) if location.startswith(SCHEME) else None


class _Unclosed(io.RawIOBase):
    """A file of which closing is its owner's."""

    def __init__(self, file: IO[bytes]) -> None:
        self._file = file

    def readable(self) -> bool:
        return True

    def seekable(self) -> bool:
        return True

    def read(self, size: int = -1) -> bytes:
        return self._file.read(size)

    def seek(self, offset: int, whence: int = 0) -> int:
        return self._file.seek(offset, whence)

    def tell(self) -> int:
        return self._file.tell()
