"""What stores send, as their documentation shows it."""

from __future__ import annotations

import json
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from vidrec.api.notification_bodies import Confirmation, Created, Malformed, parse


def record(key: str, name: str = "ObjectCreated:Put", bucket: str = "videos") -> dict[str, Any]:
    return {
        "eventVersion": "2.1",
        "eventSource": "aws:s3",
        "eventName": name,
        "s3": {
            "s3SchemaVersion": "1.0",
            "bucket": {"name": bucket, "arn": f"arn:aws:s3:::{bucket}"},
            "object": {"key": key, "size": 1024, "eTag": "d41d8cd98f00b204e9800998ecf8427e", "sequencer": "0055"},
        },
    }


def objects(document: Any) -> list[Created]:
    told = parse(json.dumps(document).encode())
    assert not isinstance(told, Confirmation)
    return list(told)


def test_many_records_of_aws_in_their_order_each_once() -> None:
    made = [record("originals/2/original.webm"), record("originals/1/original.webm", "ObjectCreated:Copy")]
    removed = record("originals/3/original.webm", "ObjectRemoved:Delete")
    assert objects({"Records": [*made, removed, made[0]]}) == [
        Created("videos", "originals/2/original.webm"),
        Created("videos", "originals/1/original.webm"),
    ]


@pytest.mark.parametrize(
    ("encoded", "key"),
    [
        ("a+b.webm", "a b.webm"),
        ("a%2Bb.webm", "a+b.webm"),
        ("%EB%96%A1+%F0%9F%8D%B2.webm", "떡 🍲.webm"),
        ("100%25", "100%"),
    ],
)
def test_keys_are_decoded_once(encoded: str, key: str) -> None:
    assert objects({"Records": [record(encoded)]}) == [Created("videos", key)]
    assert objects({"EventName": "s3:ObjectCreated:Put", "Key": f"videos/{encoded}"}) == [Created("videos", key)]


def test_sns_holds_the_same_as_a_text() -> None:
    message = json.dumps({"Records": [record("a+b.webm")]})
    assert objects({"Type": "Notification", "TopicArn": "arn:aws:sns:eu-west-1:1:t", "Message": message}) == [
        Created("videos", "a b.webm")
    ]


def test_keys_of_eventbridge_are_as_they_are() -> None:
    event = {
        "version": "0",
        "detail-type": "Object Created",
        "source": "aws.s3",
        "detail": {"bucket": {"name": "videos"}, "object": {"key": "a+b%20c.webm", "size": 5}},
    }
    assert objects(event) == [Created("videos", "a+b%20c.webm")]
    assert objects([event, event]) == [Created("videos", "a+b%20c.webm")]
    assert objects({**event, "detail-type": "Object Deleted"}) == []


def test_webhooks_as_minio_sends_them() -> None:
    sent = {
        "EventName": "s3:ObjectCreated:Put",
        "Key": "videos/a%2Fb.webm",
        "Records": [record("a%2Fb.webm", "s3:ObjectCreated:Put")],
    }
    assert objects(sent) == [Created("videos", "a/b.webm")]
    assert objects({"EventName": "s3:ObjectAccessed:Get", "Key": "videos/a"}) == []


def test_a_test_event_tells_of_nothing() -> None:
    assert objects({"Service": "Amazon S3", "Event": "s3:TestEvent", "Bucket": "videos"}) == []


@pytest.mark.parametrize(
    ("url", "amazons"),
    [
        ("https://sns.eu-west-1.amazonaws.com/?Action=ConfirmSubscription&Token=x", True),
        ("https://sns.cn-north-1.amazonaws.com.cn/?Token=x", True),
        ("http://sns.eu-west-1.amazonaws.com/", False),
        ("https://sns.eu-west-1.amazonaws.com.evil.example/", False),
        ("https://sns.evil.example/?x=.amazonaws.com", False),
        ("https://evil.amazonaws.com/", False),
        ("https://user@sns.eu-west-1.amazonaws.com/", False),
        ("https://sns.eu-west-1.amazonaws.com:8443/", False),
        ("https://169.254.169.254/", False),
    ],
)
def test_subscriptions_are_confirmed_at_amazon_alone(url: str, amazons: bool) -> None:
    told = parse(json.dumps({"Type": "SubscriptionConfirmation", "TopicArn": "arn:t", "SubscribeURL": url}).encode())
    assert told == Confirmation("arn:t", url)
    assert told.is_amazons == amazons


MALFORMED: list[Any] = [
    *(b"", b"{", b"[", b"null", b"5", b'"text"', b"{}", b"\xff\xfe", b"[" * 100_000),
    *({"Records": {}}, {"Records": [5]}, {"Records": [{}]}, {"Records": [{"eventName": "ObjectCreated:Put"}]}),
    {"Records": [{"eventName": "ObjectCreated:Put", "s3": {"bucket": {}, "object": {"key": "k"}}}]},
    {"Records": [{"eventName": "ObjectCreated:Put", "s3": {"bucket": {"name": "b"}, "object": {"key": 5}}}]},
    *({"Type": "Notification"}, {"Type": "Notification", "Message": "no JSON"}, {"Type": "SubscriptionConfirmation"}),
    *(
        {"detail-type": "Object Created"},
        {"EventName": "s3:ObjectCreated:Put"},
        {"EventName": "s3:ObjectCreated:Put", "Key": "b"},
    ),
]


@pytest.mark.parametrize("body", MALFORMED, ids=range(len(MALFORMED)))
def test_what_is_none_is_malformed(body: Any) -> None:
    with pytest.raises(Malformed):
        parse(body if isinstance(body, bytes) else json.dumps(body).encode())


_json = st.recursive(
    st.none() | st.booleans() | st.integers() | st.text(max_size=5),
    lambda inner: (
        st.lists(inner, max_size=3)
        | st.dictionaries(
            st.sampled_from(
                ["Records", "s3", "bucket", "object", "key", "name", "eventName", "Type", "Message", "detail"]
            ),
            inner,
            max_size=4,
        )
    ),
    max_leaves=12,
)


@given(_json)
def test_nothing_else_comes_of_any_body(document: Any) -> None:
    try:
        parse(json.dumps(document).encode())
    except Malformed:
        return
