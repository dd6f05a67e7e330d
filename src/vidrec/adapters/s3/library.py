"""The objects of a library that is in a bucket."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from typing import TYPE_CHECKING

from vidrec.adapters.s3.client import etag_of, translated
from vidrec.adapters.s3.locations import Located, bucket_and_prefix
from vidrec.application.ports import ListedObject

if TYPE_CHECKING:
    from vidrec.adapters.s3.client import S3


class S3Library:
    """Implements the ObjectLibrary port. What is below `own`, (bucket, prefix), is vidrec's and left out."""

    def __init__(self, s3: S3, *, own: Sequence[tuple[str, str]] = ()) -> None:
        self._s3 = s3
        self._own = own

    def list(self, url: str) -> Iterator[ListedObject]:
        bucket, prefix = bucket_and_prefix(url, field="PATH")
        left_out = tuple(own for name, own in self._own if name == bucket)
        with translated():
            for page in self._s3.client.get_paginator("list_objects_v2").paginate(Bucket=bucket, Prefix=prefix):
                for one in page.get("Contents", []):
                    if not one["Key"].startswith(left_out):
                        place = Located(bucket, one["Key"], etag_of(one))
                        yield ListedObject(location=str(place), key=one["Key"], size=one["Size"])
