"""A store for uploads in memory."""

from __future__ import annotations

import hashlib
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from datetime import datetime, timedelta
from urllib.parse import urlencode

from vidrec.application.ports import ArrivedObject, ArrivedPart, Conditions, SignedRequest
from vidrec.domain.errors import AlreadyThere, Forbidden, InvalidInput, NotFound, TooLarge
from vidrec.domain.models import new_id, utc_now


@dataclass
class _Begun:
    at: datetime
    parts: dict[int, bytes]


class FakeUploads:
    """Implements the UploadStore and UploadReceiver ports. `objects` maps keys to bytes; `pending` the names of uploads
    in parts to what is there of them."""

    def __init__(self, *, clock: Callable[[], datetime] = utc_now) -> None:
        self.objects: dict[str, bytes] = {}
        self.pending: dict[str, _Begun] = {}
        self._signed: dict[str, tuple[str, dict[str, str]]] = {}
        self._clock = clock

    def location(self, bucket: str, key: str, found: ArrivedObject | None = None) -> str:
        return f"media:///{key}"

    def sign_put(self, bucket: str, key: str, conditions: Conditions, *, lifetime_s: float) -> SignedRequest:
        bound = {"size": conditions.size, "type": conditions.content_type, "sha256": conditions.sha256}
        headers = {"Content-Type": conditions.content_type} if conditions.content_type else {}
        return self._sign(bucket, key, bound, headers, lifetime_s)

    def begin(self, bucket: str, key: str) -> str:
        store_id = new_id()
        self.pending[store_id] = _Begun(utc_now(), {})
        return store_id

    def sign_part(
        self, bucket: str, key: str, store_id: str, number: int, *, size: int, lifetime_s: float
    ) -> SignedRequest:
        return self._sign(bucket, key, {"upload": store_id, "part": number, "size": size}, {}, lifetime_s)

    def parts(self, bucket: str, key: str, store_id: str) -> Sequence[ArrivedPart]:
        held = sorted(self._begun(store_id).parts.items())
        return [ArrivedPart(number=number, size=len(data), etag=_digest(data)[:32]) for number, data in held]

    def complete(
        self, bucket: str, key: str, store_id: str, parts: Sequence[ArrivedPart], *, sha256: str | None = None
    ) -> ArrivedObject:
        if key not in self.objects:
            held = self._begun(store_id).parts
            data = b"".join(held[part.number] for part in parts)
            if sha256 not in (None, _digest(data)):
                raise InvalidInput("sha256: other bytes", field="sha256")
            self.objects[key] = data
        self.abort(bucket, key, store_id)
        return _found(self.objects[key])

    def abort(self, bucket: str, key: str, store_id: str) -> None:
        self.pending.pop(store_id, None)

    def stat(self, bucket: str, key: str) -> ArrivedObject | None:
        return _found(self.objects[key]) if key in self.objects else None

    def find(self, bucket: str, keys: Sequence[str]) -> Mapping[str, ArrivedObject]:
        there = {key: self.stat(bucket, key) for key in keys}
        return {key: found for key, found in there.items() if found is not None}

    def receiving(self, bucket: str, key: str) -> bool:
        return False

    def delete(self, bucket: str, key: str) -> None:
        self.objects.pop(key, None)

    def sweep(self, before: datetime) -> int:
        gone = [store_id for store_id, begun in self.pending.items() if begun.at < before]
        for store_id in gone:
            del self.pending[store_id]
        return len(gone)

    def receive(
        self,
        bucket: str,
        key: str,
        signed: Mapping[str, str],
        *,
        content_type: str | None,
        content_length: int | None,
        limit: int,
    ) -> _Incoming:
        given = dict(signed)
        path, bound = self._signed.get(given.pop("signature", ""), ("", {}))
        if (path, bound) != (f"{bucket}/{key}", given) or self._clock().timestamp() >= float(given["expires"]):
            raise Forbidden("altered or expired")
        if "type" in bound and content_type != bound["type"]:
            raise InvalidInput("Content-Type: another one", field="Content-Type")
        if "part" in bound:
            self._begun(bound["upload"])
        elif key in self.objects:
            raise AlreadyThere("there already")
        return _Incoming(self, key, bound, limit)

    def _sign(
        self, bucket: str, key: str, bound: Mapping[str, object], headers: Mapping[str, str], lifetime_s: float
    ) -> SignedRequest:
        expires = self._clock() + timedelta(seconds=lifetime_s)
        parameters = {name: str(value) for name, value in bound.items() if value is not None}
        parameters["expires"] = str(int(expires.timestamp()))
        signature = new_id()
        self._signed[signature] = (f"{bucket}/{key}", parameters)
        url = f"/upload/{bucket}/{key}?{urlencode({**parameters, 'signature': signature})}"
        return SignedRequest(url=url, method="PUT", headers=headers, expires_at=expires)

    def _begun(self, store_id: str) -> _Begun:
        if store_id not in self.pending:
            raise NotFound("no such upload")
        return self.pending[store_id]


class _Incoming:
    def __init__(self, store: FakeUploads, key: str, bound: Mapping[str, str], limit: int) -> None:
        self._store = store
        self._key = key
        self._bound = bound
        self._limit = limit
        self._data = b""

    def write(self, data: bytes) -> None:
        self._data += data
        if len(self._data) > self._limit:
            raise TooLarge("too large", field="body")

    def finish(self) -> ArrivedObject | ArrivedPart:
        if not self._data or self._bound.get("size", str(len(self._data))) != str(len(self._data)):
            raise InvalidInput("another length", field="body")
        if self._bound.get("sha256", _digest(self._data)) != _digest(self._data):
            raise InvalidInput("sha256: other bytes", field="sha256")
        if "part" in self._bound:
            number = int(self._bound["part"])
            self._store.pending[self._bound["upload"]].parts[number] = self._data
            return ArrivedPart(number=number, size=len(self._data), etag=_digest(self._data)[:32])
        if self._key in self._store.objects:
            raise AlreadyThere("there already")
        self._store.objects[self._key] = self._data
        return _found(self._data)

    def discard(self) -> None:
        self._data = b""


def _digest(data: bytes) -> str:
    return hashlib.sha256(data).hexdigest()


def _found(data: bytes) -> ArrivedObject:
    return ArrivedObject(size=len(data), etag=_digest(data)[:32], sha256=_digest(data))
