"""Uploads straight into buckets: the store answers the addresses that are signed here."""

from __future__ import annotations

import base64
import time
from collections.abc import Callable, Mapping, Sequence
from datetime import datetime, timedelta
from typing import TYPE_CHECKING, Any

from botocore.exceptions import ClientError

from vidrec.adapters.s3.client import S3, etag_of, is_absent, is_precondition, is_unknown, translated
from vidrec.adapters.s3.locations import Located
from vidrec.adapters.s3.removal import remove_one
from vidrec.application.ports import ArrivedObject, ArrivedPart, Conditions, SignedRequest
from vidrec.domain.errors import NotFound
from vidrec.domain.models import utc_now

if TYPE_CHECKING:
    from types_boto3_s3.type_defs import HeadObjectOutputTypeDef

_METHOD = "PUT"
_NO_VERSION = "null"
"""What stores answer for an object that came before versions were kept, and some where none are."""


class S3Uploads:
    """Implements the UploadStore port. `places` are the (bucket, prefix) below which this service begins uploads in
    parts; `sweep_every_s` how often these are looked through at most, since each look is a request to pay for.
    Thread-safe."""

    def __init__(self, s3: S3, *, places: Sequence[tuple[str, str]] = (), sweep_every_s: float = 0.0) -> None:
        self._s3 = s3
        self._client = s3.client
        self._places = places
        self._sweep_every_s = sweep_every_s
        self._swept: float | None = None

    def location(self, bucket: str, key: str, found: ArrivedObject | None = None) -> str:
        if found is None:
            return str(Located(bucket, key))
        return str(Located(bucket, key, found.etag, found.version or ""))

    # ------------------------------------------------------------------------------------ signed addresses

    def sign_put(self, bucket: str, key: str, conditions: Conditions, *, lifetime_s: float) -> SignedRequest:
        bound: dict[str, Any] = {}
        headers: dict[str, str] = {}
        if conditions.size is not None:
            bound["ContentLength"], headers["Content-Length"] = conditions.size, str(conditions.size)
        if conditions.content_type is not None:
            bound["ContentType"] = headers["Content-Type"] = conditions.content_type
        if conditions.sha256 is not None:
            digest = base64.b64encode(bytes.fromhex(conditions.sha256)).decode()
            bound["ChecksumSHA256"] = headers["x-amz-checksum-sha256"] = digest
        if conditions.if_none_match:
            bound["IfNoneMatch"] = headers["If-None-Match"] = "*"
        return self._sign("put_object", {"Bucket": bucket, "Key": key, **bound}, headers, lifetime_s)

    def sign_part(
        self, bucket: str, key: str, store_id: str, number: int, *, size: int, lifetime_s: float
    ) -> SignedRequest:
        part = {"Bucket": bucket, "Key": key, "UploadId": store_id, "PartNumber": number, "ContentLength": size}
        return self._sign("upload_part", part, {"Content-Length": str(size)}, lifetime_s)

    def _sign(
        self, operation: str, parameters: dict[str, Any], headers: Mapping[str, str], lifetime_s: float
    ) -> SignedRequest:
        expires_at = utc_now() + timedelta(seconds=lifetime_s)
        url = self._s3.sign(operation, parameters, lifetime_s=lifetime_s)
        return SignedRequest(url=url, method=_METHOD, headers=headers, expires_at=expires_at)

    # --------------------------------------------------------------------------------- uploads in parts

    def begin(self, bucket: str, key: str) -> str:
        with translated():
            return self._client.create_multipart_upload(Bucket=bucket, Key=key)["UploadId"]

    def parts(self, bucket: str, key: str, store_id: str) -> Sequence[ArrivedPart]:
        pages = self._client.get_paginator("list_parts")
        with translated():
            return [
                ArrivedPart(number=part["PartNumber"], size=part["Size"], etag=etag_of(part))
                for page in pages.paginate(Bucket=bucket, Key=key, UploadId=store_id)
                for part in page.get("Parts", [])
            ]

    def complete(
        self, bucket: str, key: str, store_id: str, parts: Sequence[ArrivedPart], *, sha256: str | None = None
    ) -> ArrivedObject:
        named = sorted(parts, key=lambda part: part.number)
        whole: dict[str, Any] = {
            "Bucket": bucket,
            "Key": key,
            "UploadId": store_id,
            "MultipartUpload": {"Parts": [{"PartNumber": p.number, "ETag": f'"{p.etag}"'} for p in named]},
        }
        with translated():
            try:
                self._finish(whole)
            except ClientError as error:
                if not (is_absent(error) or is_precondition(error)):
                    raise
                # Somebody else completed it, or it was aborted.
                found = self.stat(bucket, key)
                if found is None:
                    raise
                self.abort(bucket, key, store_id)
                return found
        found = self.stat(bucket, key)
        if found is None:
            raise NotFound("the upload was completed and its object removed")
        return found

    def _finish(self, whole: dict[str, Any]) -> None:
        try:
            self._client.complete_multipart_upload(**whole, IfNoneMatch="*")
        except ClientError as error:
            if not is_unknown(error):
                raise
            self._client.complete_multipart_upload(**whole)

    def abort(self, bucket: str, key: str, store_id: str) -> None:
        with translated():
            try:
                self._client.abort_multipart_upload(Bucket=bucket, Key=key, UploadId=store_id)
            except ClientError as error:
                if not is_absent(error):
                    raise

    # -------------------------------------------------------------------------------------- what is there

    def stat(self, bucket: str, key: str) -> ArrivedObject | None:
        try:
            with translated():
                found = self._client.head_object(Bucket=bucket, Key=key, ChecksumMode="ENABLED")
        except NotFound:
            return None
        return _arrived(found)

    def find(self, bucket: str, keys: Sequence[str]) -> Mapping[str, ArrivedObject]:
        there = {key: self.stat(bucket, key) for key in self._listed(bucket, sorted(keys))}
        return {key: found for key, found in there.items() if found is not None}

    def _listed(self, bucket: str, keys: Sequence[str]) -> list[str]:
        """Those of these sorted keys that are there. Each call lists what follows the first one in question and settles
        all up to the last that was listed, so there are never more calls than keys."""
        found: list[str] = []
        left = list(keys)
        while left:
            with translated():
                page = self._client.list_objects_v2(Bucket=bucket, StartAfter=left[0][:-1])
            listed = {one["Key"] for one in page.get("Contents", [])}
            found += [key for key in left if key in listed]
            more = listed and page.get("IsTruncated")
            left = [key for key in left if key > max(listed)] if more else []
        return found

    def receiving(self, bucket: str, key: str) -> bool:
        return False

    def delete(self, bucket: str, key: str) -> None:
        remove_one(self._client, bucket, key)

    def sweep(self, before: datetime) -> int:
        now = time.monotonic()
        if self._swept is not None and now - self._swept < self._sweep_every_s:
            return 0
        self._swept = now
        return sum(
            self._abort_abandoned(bucket, prefix, lambda begun: begun < before) for bucket, prefix in self._places
        )

    def _abort_abandoned(self, bucket: str, prefix: str, abandoned: Callable[[datetime], bool]) -> int:
        pages = self._client.get_paginator("list_multipart_uploads")
        try:
            with translated():
                found = [
                    (upload["Key"], upload["UploadId"])
                    for page in pages.paginate(Bucket=bucket, Prefix=prefix)
                    for upload in page.get("Uploads", [])
                    if abandoned(upload["Initiated"])
                ]
        except NotFound:  # what some stores say where there are none
            return 0
        for key, store_id in found:
            self.abort(bucket, key, store_id)
        return len(found)


def _arrived(found: HeadObjectOutputTypeDef) -> ArrivedObject:
    version = found.get("VersionId")
    digest = found.get("ChecksumSHA256", "")
    # That of an upload in parts is a digest of digests.
    whole = digest and "-" not in digest and found.get("ChecksumType", "FULL_OBJECT") == "FULL_OBJECT"
    return ArrivedObject(
        size=found["ContentLength"],
        etag=etag_of(found),
        sha256=base64.b64decode(digest).hex() if whole else None,
        version=version if version and version != _NO_VERSION else None,
    )
