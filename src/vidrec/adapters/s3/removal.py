"""Removing objects for good: in a bucket that keeps versions, all of them."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from itertools import islice
from typing import TYPE_CHECKING

from botocore.exceptions import ClientError

from vidrec.adapters.s3.client import code, is_unknown, translated
from vidrec.domain.errors import StoreUnavailable

if TYPE_CHECKING:
    from types_boto3_s3 import S3Client
    from types_boto3_s3.type_defs import ObjectIdentifierTypeDef

_AT_ONCE = 1000


def remove(client: S3Client, bucket: str, prefix: str, *, only: Callable[[str], bool] = lambda _: True) -> int:
    """Removes every version of the objects whose keys begin so and that `only` takes; answers how many objects.
    StoreUnavailable."""
    keys: set[str] = set()
    with translated():
        objects = _objects(client, bucket, prefix, only)
        while batch := list(islice(objects, _AT_ONCE)):
            keys.update(one["Key"] for one in batch)
            done = client.delete_objects(Bucket=bucket, Delete={"Objects": batch, "Quiet": True})
            if errors := done.get("Errors"):
                first = errors[0]
                raise StoreUnavailable(f"the object store does not delete {first.get('Key')}: {first.get('Message')}")
    return len(keys)


def count(client: S3Client, bucket: str, prefix: str) -> int:
    """How many objects `remove` would find, versions that are hidden by a delete marker too. StoreUnavailable."""
    with translated():
        return len({one["Key"] for one in _objects(client, bucket, prefix, lambda _: True)})


def remove_one(client: S3Client, bucket: str, key: str) -> None:
    """Removes every version of one object; nothing where it is not there."""
    remove(client, bucket, key, only=lambda found: found == key)


def _objects(
    client: S3Client, bucket: str, prefix: str, only: Callable[[str], bool]
) -> Iterator[ObjectIdentifierTypeDef]:
    try:
        yield from _versions(client, bucket, prefix, only)
    except ClientError as error:  # no right to list versions, or no such thing there
        if not is_unknown(error) and code(error) != "AccessDenied":
            raise
        yield from _present(client, bucket, prefix, only)


def _versions(
    client: S3Client, bucket: str, prefix: str, only: Callable[[str], bool]
) -> Iterator[ObjectIdentifierTypeDef]:
    for page in client.get_paginator("list_object_versions").paginate(Bucket=bucket, Prefix=prefix):
        for one in (*page.get("Versions", []), *page.get("DeleteMarkers", [])):
            if only(one["Key"]):
                version = one.get("VersionId")
                yield {"Key": one["Key"], "VersionId": version} if version else {"Key": one["Key"]}


def _present(
    client: S3Client, bucket: str, prefix: str, only: Callable[[str], bool]
) -> Iterator[ObjectIdentifierTypeDef]:
    for page in client.get_paginator("list_objects_v2").paginate(Bucket=bucket, Prefix=prefix):
        for one in page.get("Contents", []):
            if only(one["Key"]):
                yield {"Key": one["Key"]}
