"""What object stores send when an object was made, whichever way it comes: AWS S3 itself, through SNS or EventBridge,
and what MinIO and others that speak S3 send as a webhook."""

from __future__ import annotations

import json
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass
from typing import Any
from urllib.parse import unquote_plus, urlsplit

_CREATED = ("ObjectCreated:", "s3:ObjectCreated:")
_EVENTBRIDGE_CREATED = "Object Created"
_SNS_HOSTS = (".amazonaws.com", ".amazonaws.com.cn")


class Malformed(ValueError):
    """A body that is none of these; its text says what was expected where."""


@dataclass(frozen=True, slots=True)
class Created:
    """An object of which a store says that it is there."""

    bucket: str
    key: str


@dataclass(frozen=True, slots=True)
class Confirmation:
    """SNS asks whether its messages are wanted here; a GET of the address says so."""

    topic: str
    url: str

    @property
    def is_amazons(self) -> bool:
        """Whether the address is one of SNS."""
        parts = urlsplit(self.url)
        host = parts.hostname or ""
        return (
            parts.scheme == "https"
            and parts.port in (None, 443)
            and parts.username is None
            and host.startswith("sns.")
            and host.endswith(_SNS_HOSTS)
        )


def parse(body: bytes) -> Confirmation | Sequence[Created]:
    """The objects that a notification tells of, each once, in its order; events of other kinds are left out. Malformed
    where it is no notification."""
    document = _json(body)
    if isinstance(document, Mapping) and document.get("Type") == "SubscriptionConfirmation":
        return Confirmation(_text(document, "TopicArn"), _text(document, "SubscribeURL"))
    return list(dict.fromkeys(_created(document)))


def _created(document: Any) -> Iterator[Created]:
    if isinstance(document, list):
        for one in document:
            yield from _created(one)
        return
    if not isinstance(document, Mapping):
        raise Malformed("expected an object")
    if document.get("Type") == "Notification":
        yield from _created(_json(_text(document, "Message")))
    elif "detail-type" in document:
        yield from _from_eventbridge(document)
    elif "Records" in document:
        records = document["Records"]
        if not isinstance(records, list):
            raise Malformed("Records: expected a list")
        for record in records:
            yield from _from_record(record)
    elif "EventName" in document:
        yield from _from_webhook(document)
    elif document.get("Event") != "s3:TestEvent" and document.get("Type") != "UnsubscribeConfirmation":
        raise Malformed("expected Records, EventName, detail-type or Type: this is no notification of an object store")


def _from_record(record: Any) -> Iterator[Created]:
    if not _text(record, "eventName").startswith(_CREATED):
        return
    about = _member(record, "s3")
    # A space is a plus there, as in forms.
    key = unquote_plus(_text(_member(about, "object"), "key"))
    yield Created(_text(_member(about, "bucket"), "name"), key)


def _from_eventbridge(document: Mapping[str, Any]) -> Iterator[Created]:
    if document["detail-type"] != _EVENTBRIDGE_CREATED:
        return
    detail = _member(document, "detail")
    # Here alone keys are as they are.
    yield Created(_text(_member(detail, "bucket"), "name"), _text(_member(detail, "object"), "key"))


def _from_webhook(document: Mapping[str, Any]) -> Iterator[Created]:
    """Without records there is `bucket/key` alone."""
    if not _text(document, "EventName").startswith(_CREATED):
        return
    bucket, slash, key = _text(document, "Key").partition("/")
    if not slash:
        raise Malformed("Key: expected bucket/key")
    yield Created(bucket, unquote_plus(key))


def _json(text: bytes | str) -> Any:
    try:
        return json.loads(text)
    except (ValueError, RecursionError) as error:
        raise Malformed(f"expected JSON ({error})") from None


def _member(document: Any, name: str) -> Any:
    if not isinstance(document, Mapping) or not isinstance(document.get(name), Mapping):
        raise Malformed(f"{name}: expected an object")
    return document[name]


def _text(document: Any, name: str) -> str:
    value = document.get(name) if isinstance(document, Mapping) else None
    if not isinstance(value, str) or not value or "\0" in value:
        raise Malformed(f"{name}: expected a text")
    return value
