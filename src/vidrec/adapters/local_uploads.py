"""Uploads into the folder that LocalStore keeps: addresses are signed here and answered by the API.

What is not whole yet is below `~uploads`, a name that no key has:

~uploads/DIGEST-RANDOM            a single PUT that is coming in; DIGEST is that of bucket and key
~uploads/ID/NNNNN-ETAG            a part that is there
~uploads/ID/~NNNNN-RANDOM         a part that is coming in, or the whole that is being made of all
"""

from __future__ import annotations

import hashlib
import os
import re
import secrets
import shutil
import time
from collections.abc import Callable, Iterator, Mapping, Sequence
from contextlib import suppress
from datetime import UTC, datetime
from functools import partial
from pathlib import Path
from urllib.parse import urlencode

from vidrec.adapters.incoming import (
    IncomingFile,
    already_there,
    empty,
    ended,
    etag,
    place,
    place_part,
    too_large,
    translated,
)
from vidrec.adapters.local_store import path_of_key
from vidrec.adapters.signing import SIGNATURE, Signer
from vidrec.application.ports import ArrivedObject, ArrivedPart, Conditions, Incoming, SignedRequest
from vidrec.domain.errors import AlreadyThere, Forbidden, InvalidInput, NotFound
from vidrec.domain.models import new_id, utc_now

PATH = "/upload"
"""Where the API answers what is signed here."""
IDLE_S = 3600.0
"""A file that was not written to for so long is nobody's any more."""
_METHOD = "PUT"
_PENDING = "~uploads"
_UNFINISHED = "~"
_COPY = 1 << 20
_NO_LIMIT = 1 << 62
_PART = re.compile(r"(\d{5})-([0-9a-f]{32})")
_ID = re.compile(r"[0-9a-f-]{36}")


class LocalUploads:
    """Implements the UploadStore and UploadReceiver ports. `root` is LocalStore's; `secret` is what signs, or its
    file. Any number of processes may share both. Thread-safe."""

    def __init__(self, root: Path, secret: Path | str, *, clock: Callable[[], datetime] = utc_now) -> None:
        self._root = root.absolute()
        self._pending = self._root / _PENDING
        self._signer = Signer(secret)
        self._clock = clock

    # ------------------------------------------------------------------------------------ signed addresses

    def location(self, bucket: str, key: str, found: ArrivedObject | None = None) -> str:
        return f"media:///{key}"

    def sign_put(self, bucket: str, key: str, conditions: Conditions, *, lifetime_s: float) -> SignedRequest:
        bound = {"size": conditions.size, "type": conditions.content_type, "sha256": conditions.sha256}
        headers = {} if conditions.content_type is None else {"Content-Type": conditions.content_type}
        return self._sign(bucket, key, bound, headers, lifetime_s)

    def sign_part(
        self, bucket: str, key: str, store_id: str, number: int, *, size: int, lifetime_s: float
    ) -> SignedRequest:
        return self._sign(bucket, key, {"upload": store_id, "part": number, "size": size}, {}, lifetime_s)

    def receive(
        self,
        bucket: str,
        key: str,
        signed: Mapping[str, str],
        *,
        content_type: str | None,
        content_length: int | None,
        limit: int,
    ) -> Incoming:
        self._verify(bucket, key, signed)
        size = int(signed["size"]) if "size" in signed else None
        _check_declared(signed, size, content_type, content_length, limit)
        random = secrets.token_hex(8)
        if "part" in signed:
            number = int(signed["part"])
            file = self._folder(signed["upload"]) / f"{_UNFINISHED}{number:05d}-{random}"
            return IncomingFile(file, partial(place_part, number), limit=limit, size=size)
        path = path_of_key(self._root, key)
        if path.exists():
            raise already_there()
        file = self._pending / f"{_digest(bucket, key)}-{random}"
        return IncomingFile(file, partial(place, path), limit=limit, size=size, sha256=signed.get("sha256"))

    def _sign(
        self, bucket: str, key: str, bound: Mapping[str, object], headers: Mapping[str, str], lifetime_s: float
    ) -> SignedRequest:
        path_of_key(self._root, key)
        path = f"{PATH}/{bucket}/{key}"
        expires = int(self._clock().timestamp() + lifetime_s)
        parameters = {name: str(value) for name, value in bound.items() if value is not None}
        parameters["expires"] = str(expires)
        parameters[SIGNATURE] = self._signer.sign(_METHOD, path, parameters)
        return SignedRequest(
            url=f"{path}?{urlencode(parameters)}",
            method=_METHOD,
            headers=headers,
            expires_at=datetime.fromtimestamp(expires, UTC),
        )

    def _verify(self, bucket: str, key: str, signed: Mapping[str, str]) -> None:
        if not self._signer.verify(_METHOD, f"{PATH}/{bucket}/{key}", signed):
            raise Forbidden("the address is not one that was signed here: it was altered or cut short")
        if int(signed["expires"]) <= self._clock().timestamp():
            raise Forbidden("the address has expired: ask for a new one")

    # --------------------------------------------------------------------------------- uploads in parts

    def begin(self, bucket: str, key: str) -> str:
        store_id = new_id()
        with translated():
            (self._pending / store_id).mkdir(parents=True)
        return store_id

    def parts(self, bucket: str, key: str, store_id: str) -> Sequence[ArrivedPart]:
        return [part for part, _ in self._parts(store_id)]

    def complete(
        self, bucket: str, key: str, store_id: str, parts: Sequence[ArrivedPart], *, sha256: str | None = None
    ) -> ArrivedObject:
        path = path_of_key(self._root, key)
        try:
            done = self._assemble(path, store_id, parts, sha256)
        except (NotFound, AlreadyThere):  # where somebody else completed it, that is the answer
            found = self.stat(bucket, key)
            if found is None:
                raise
            done = found
        self.abort(bucket, key, store_id)
        return done

    def abort(self, bucket: str, key: str, store_id: str) -> None:
        if _ID.fullmatch(store_id):
            shutil.rmtree(self._pending / store_id, ignore_errors=True)

    def _assemble(self, path: Path, store_id: str, parts: Sequence[ArrivedPart], sha256: str | None) -> ArrivedObject:
        if path.exists():
            raise already_there()
        there = {(part.number, part.etag): file for part, file in self._parts(store_id)}
        if missing := [part.number for part in parts if (part.number, part.etag) not in there]:
            raise NotFound(f"part {missing[0]} is not there")
        whole = IncomingFile(
            self._folder(store_id) / f"{_UNFINISHED}whole-{secrets.token_hex(8)}",
            partial(place, path),
            limit=_NO_LIMIT,
            size=sum(part.size for part in parts),
            sha256=sha256,
        )
        try:
            for part in sorted(parts, key=lambda part: part.number):
                for data in _read(there[part.number, part.etag]):
                    whole.write(data)
            return whole.finish()
        finally:
            whole.discard()

    def _parts(self, store_id: str) -> list[tuple[ArrivedPart, Path]]:
        """Each part and its file, by number; of one that was sent twice the last."""
        found: dict[int, tuple[int, ArrivedPart, Path]] = {}
        with translated():
            for entry in os.scandir(self._folder(store_id)):
                match = _PART.fullmatch(entry.name)
                if match is None:
                    continue
                with suppress(FileNotFoundError):  # replaced meanwhile
                    status = entry.stat()
                    number = int(match[1])
                    if number not in found or found[number][0] < status.st_mtime_ns:
                        part = ArrivedPart(number=number, size=status.st_size, etag=match[2])
                        found[number] = (status.st_mtime_ns, part, Path(entry.path))
        return [(found[number][1], found[number][2]) for number in sorted(found)]

    def _folder(self, store_id: str) -> Path:
        folder = self._pending / store_id
        if not _ID.fullmatch(store_id) or not folder.is_dir():
            raise ended()
        return folder

    # -------------------------------------------------------------------------------------- what is there

    def stat(self, bucket: str, key: str) -> ArrivedObject | None:
        path = path_of_key(self._root, key)
        with translated():
            try:
                status = path.stat()
            except FileNotFoundError:
                return None
        return ArrivedObject(size=status.st_size, etag=etag(status), sha256=None)

    def find(self, bucket: str, keys: Sequence[str]) -> Mapping[str, ArrivedObject]:
        there = {key: self.stat(bucket, key) for key in keys}
        return {key: found for key, found in there.items() if found is not None}

    def receiving(self, bucket: str, key: str) -> bool:
        fresh = time.time() - IDLE_S
        return any(_touched(file) > fresh for file in self._pending.glob(f"{_digest(bucket, key)}-*"))

    def delete(self, bucket: str, key: str) -> None:
        path = path_of_key(self._root, key)
        with translated():
            path.unlink(missing_ok=True)
        with suppress(OSError):  # others are in it
            path.parent.rmdir()

    def sweep(self, before: datetime) -> int:
        gone = 0
        idle = time.time() - IDLE_S
        for path in list(self._pending.glob("*")):
            if path.is_dir():
                if max(map(_touched, [path, *path.glob("*")])) < before.timestamp():
                    shutil.rmtree(path, ignore_errors=True)
                    gone += 1
            elif _touched(path) < idle:
                path.unlink(missing_ok=True)
                gone += 1
        return gone


def _check_declared(
    signed: Mapping[str, str], size: int | None, content_type: str | None, content_length: int | None, limit: int
) -> None:
    if "type" in signed and (content_type or "").strip().lower() != signed["type"].strip().lower():
        raise InvalidInput(
            f"Content-Type: the address is signed for {signed['type']}, the request has {content_type or 'none'}",
            field="Content-Type",
        )
    if content_length == 0:
        raise empty()
    if size is not None and content_length not in (None, size):
        raise InvalidInput(
            f"Content-Length: the address is signed for {size} bytes, the request has {content_length}",
            field="Content-Length",
        )
    if (content_length or 0) > limit:
        raise too_large(limit)


def _digest(bucket: str, key: str) -> str:
    return hashlib.sha256(f"{bucket}/{key}".encode()).hexdigest()[:32]


def _touched(path: Path) -> float:
    try:
        return path.stat().st_mtime
    except OSError:  # gone meanwhile
        return 0.0


def _read(path: Path) -> Iterator[bytes]:
    try:
        with path.open("rb", buffering=0) as file:
            while data := file.read(_COPY):
                yield data
    except FileNotFoundError:
        raise ended() from None
