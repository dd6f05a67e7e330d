"""Locations of objects in buckets: `s3://bucket/key`, the key percent-encoded, with `?etag=` or `?versionId=` where it
is one object alone that is meant."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any
from urllib.parse import parse_qs, quote, unquote, urlencode

from vidrec.domain.errors import InvalidInput

SCHEME = "s3://"
_SAFE = "/-_.~!*'()"


@dataclass(frozen=True, slots=True)
class Located:
    """An object, or one of those that were under a key."""

    bucket: str
    key: str
    etag: str = ""
    version: str = ""

    def __str__(self) -> str:
        bound = {"versionId": self.version} if self.version else {"etag": self.etag} if self.etag else {}
        return f"{SCHEME}{self.bucket}/{quote(self.key, safe=_SAFE)}" + (f"?{urlencode(bound)}" if bound else "")

    @property
    def named(self) -> dict[str, Any]:
        """Parameters of a request that names it, bound to nothing where the store keeps no versions."""
        version = {"VersionId": self.version} if self.version else {}
        return {"Bucket": self.bucket, "Key": self.key, **version}

    @property
    def bound(self) -> dict[str, Any]:
        """Parameters of a request that is refused where another object is there."""
        match = {"IfMatch": f'"{self.etag}"'} if self.etag and not self.version else {}
        return {**self.named, **match}


def located(location: str) -> Located:
    """What a location says; InvalidInput."""
    path, _, query = location.removeprefix(SCHEME).partition("?")
    bucket, _, key = path.partition("/")
    if not location.startswith(SCHEME) or not bucket or not key or "#" in path:
        raise InvalidInput(f"{location!r} is not a location: s3://bucket/key", field="location")
    bound = parse_qs(query)
    if (query and not bound.keys() <= {"etag", "versionId"}) or len(bound) != bool(query):
        raise InvalidInput(f"{location!r} is not a location: only ?etag= or ?versionId= may follow", field="location")
    return Located(bucket, unquote(key), bound.get("etag", [""])[0], bound.get("versionId", [""])[0])


def bucket_and_prefix(url: str, *, field: str) -> tuple[str, str]:
    """(bucket, prefix) of `s3://bucket[/prefix]` as people write it: nothing in it is encoded. InvalidInput names the
    field."""
    bucket, _, prefix = url.removeprefix(SCHEME).partition("/")
    if not url.startswith(SCHEME) or not bucket:
        raise InvalidInput(f"{field}: {url!r} is not s3://bucket/prefix", field=field)
    return bucket, prefix
