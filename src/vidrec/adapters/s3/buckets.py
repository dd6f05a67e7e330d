"""What buckets must allow and may tidy by themselves: shown, compared, set."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import TYPE_CHECKING, Any

from botocore.exceptions import ClientError

from vidrec.adapters.s3.client import code, is_unknown, translated
from vidrec.domain.errors import Unavailable

if TYPE_CHECKING:
    from vidrec.adapters.s3.client import S3

_RULE = "vidrec"
_METHODS = ("GET", "HEAD", "PUT")
_NO_RULES = frozenset({"NoSuchCORSConfiguration", "NoSuchLifecycleConfiguration", "NoSuchKey"})
_MAX_AGE_S = 3600
_ABANDONED_DAYS = 7

Rule = Mapping[str, Any]


class NotKnown(Unavailable):
    """The store has no such thing as rules of this kind."""


def wanted_cors(origins: Sequence[str]) -> Rule:
    """What browsers need for uploads into a bucket and for playing from it, on pages of these origins."""
    return {
        "ID": _RULE,
        "AllowedMethods": list(_METHODS),
        "AllowedOrigins": list(origins),
        "AllowedHeaders": ["*"],
        "ExposeHeaders": ["ETag"],
        "MaxAgeSeconds": _MAX_AGE_S,
    }


def cors(s3: S3, bucket: str) -> Sequence[Rule]:
    """The rules that a bucket has now. NotKnown; StoreUnavailable."""
    return _rules(lambda: s3.client.get_bucket_cors(Bucket=bucket)["CORSRules"], "CORS")


def set_cors(s3: S3, bucket: str, rule: Rule) -> None:
    """Adds this rule, in the place of an earlier one of ours; the others stay. NotKnown; StoreUnavailable."""
    rules: Any = [*(r for r in cors(s3, bucket) if r.get("ID") != _RULE), rule]
    with translated():
        s3.client.put_bucket_cors(Bucket=bucket, CORSConfiguration={"CORSRules": rules})


def allows(rules: Sequence[Rule], origin: str | None) -> bool:
    """Whether pages of this origin (None: of some) can upload into a bucket of these rules, and play from it."""
    return any(
        set(_METHODS) <= set(rule.get("AllowedMethods", ()))
        and (origin is None or not {"*", origin}.isdisjoint(rule.get("AllowedOrigins", ())))
        and "etag" in {name.lower() for name in rule.get("ExposeHeaders", ())}
        for rule in rules
    )


def wanted_lifecycle() -> Rule:
    """Parts of uploads that nobody completed are removed by the store."""
    return {
        "ID": _RULE,
        "Status": "Enabled",
        "Filter": {"Prefix": ""},
        "AbortIncompleteMultipartUpload": {"DaysAfterInitiation": _ABANDONED_DAYS},
    }


def lifecycle(s3: S3, bucket: str) -> Sequence[Rule]:
    """The rules that a bucket has now. NotKnown; StoreUnavailable."""
    return _rules(lambda: s3.client.get_bucket_lifecycle_configuration(Bucket=bucket)["Rules"], "a lifecycle")


def set_lifecycle(s3: S3, bucket: str, rule: Rule) -> None:
    """As `set_cors`."""
    rules: Any = [*(r for r in lifecycle(s3, bucket) if r.get("ID") != _RULE), rule]
    try:
        with translated():
            s3.client.put_bucket_lifecycle_configuration(Bucket=bucket, LifecycleConfiguration={"Rules": rules})
    except Unavailable as error:
        if isinstance(error.__cause__, ClientError) and is_unknown(error.__cause__):
            raise NotKnown("this object store has no lifecycle for buckets") from error
        raise


def tidies(rules: Sequence[Rule]) -> bool:
    """Whether abandoned uploads are removed by one of these rules."""
    return any(r.get("Status") == "Enabled" and r.get("AbortIncompleteMultipartUpload") for r in rules)


def _rules(ask: Any, what: str) -> Sequence[Rule]:
    with translated():
        try:
            found: Sequence[Rule] = ask()
        except ClientError as error:
            if code(error) in _NO_RULES:
                return []
            if is_unknown(error):
                raise NotKnown(f"this object store has no {what.removeprefix('a ')} for buckets") from error
            raise
    return found
