"""What the interactions do."""

from __future__ import annotations

from datetime import datetime, timedelta
from typing import Any

import pytest

from tests.contract.sql import add_indexed
from vidrec.adapters.sql import SqlDatabase
from vidrec.domain.models import Interaction, InteractionType, new_id, utc_now

NOW = utc_now()


def event(video_id: str, kind: InteractionType = InteractionType.VIEW, *, user: str = "u", **more: Any) -> Interaction:
    return Interaction(**{"user_id": user, "video_id": video_id, "type": kind, "ts": NOW, "event_id": new_id(), **more})


def append(database: SqlDatabase, *events: Interaction) -> int:
    with database.transaction() as uow:
        return uow.interactions.append(events)


@pytest.fixture
def ids(database: SqlDatabase) -> list[str]:
    return [add_indexed(database).id for _ in range(4)]


def test_repeats_are_told_by_user_and_event(database: SqlDatabase, ids: list[str]) -> None:
    one = event(ids[0])
    same_id_of_another_user = event(ids[0], user="v", event_id=one.event_id)
    assert append(database, one) == 1
    assert append(database, one, same_id_of_another_user, event(ids[1])) == 2
    assert append(database, one, one) == 0
    assert append(database) == 0


def test_the_first_of_two_with_one_id_counts(database: SqlDatabase, ids: list[str]) -> None:
    assert append(database, event(ids[0], event_id="e"), event(ids[1], event_id="e")) == 1
    assert append(database, event(ids[2], event_id="e")) == 0
    with database.snapshot() as uow:
        assert list(uow.interactions.seen("u")) == [ids[0]]


def test_thousands_at_once(database: SqlDatabase, ids: list[str]) -> None:
    events = [event(ids[i % 4], event_id=str(i)) for i in range(5000)]
    assert append(database, *events) == 5000
    assert append(database, *events) == 0


def test_the_cutoff_grows_with_new_events_alone(database: SqlDatabase, ids: list[str]) -> None:
    def cutoff(user: str) -> int:
        with database.snapshot() as uow:
            return uow.interactions.cutoff(user)

    assert cutoff("u") == 0
    first = event(ids[0])
    append(database, first)
    after_one = cutoff("u")
    assert after_one > 0
    append(database, first, event(ids[0], user="v"))
    assert cutoff("u") == after_one
    append(database, event(ids[1]))
    assert cutoff("u") > after_one


def test_history_folds_by_video_most_recent_first(database: SqlDatabase, ids: list[str]) -> None:
    def at(minutes: int) -> datetime:
        return NOW + timedelta(minutes=minutes)

    append(
        database,
        event(ids[0], InteractionType.WATCH, ts=at(1), fraction=0.5, position_s=30.25),
        event(ids[1], InteractionType.LIKE, ts=at(2)),
        event(ids[2], InteractionType.IMPRESSION, ts=at(3)),
        event(ids[0], InteractionType.LIKE, ts=at(4)),
        event(ids[3], InteractionType.HIDE, ts=at(5)),
        event(ids[1], user="v", ts=at(6)),
    )
    with database.snapshot() as uow:
        rows = uow.interactions.history("u")
        assert [row.video_id for row in rows] == [ids[3], ids[0], ids[1]]
        assert [row.weight for row in rows] == pytest.approx([-2.0, 2.5, 2.0])
        assert rows[1].last_at == at(4)
        assert rows[1].position_s == 30.25
        assert uow.interactions.history("u", limit=2) == rows[:2]
        assert uow.interactions.history("nobody") == []


def test_seen_is_all_but_impressions(database: SqlDatabase) -> None:
    videos = {kind: add_indexed(database) for kind in InteractionType}
    append(database, *(event(video.id, kind) for kind, video in videos.items()))
    del videos[InteractionType.IMPRESSION]
    with database.snapshot() as uow:
        assert uow.interactions.seen("u") == {v.id: v.content_sha256 for v in videos.values()}
        assert uow.interactions.seen("nobody") == {}


def test_users_of_any_name(database: SqlDatabase, ids: list[str]) -> None:
    for user in ("", "ünï 漢字 🎬", "' OR 1=1 --", "x" * 10_000, "U", "u"):
        assert append(database, event(ids[0], user=user)) == 1
        with database.snapshot() as uow:
            assert list(uow.interactions.seen(user)) == [ids[0]]


def test_erasing_a_user_leaves_the_others(database: SqlDatabase, ids: list[str]) -> None:
    append(database, event(ids[0]), event(ids[1]), event(ids[0], user="v"))
    with database.transaction() as uow:
        assert uow.interactions.erase_user("u") == 2
        assert uow.interactions.erase_user("u") == 0
    with database.snapshot() as uow:
        assert uow.interactions.history("u") == []
        assert uow.interactions.cutoff("u") == 0
        assert len(uow.interactions.history("v")) == 1


def test_sequence_numbers_are_never_used_again(database: SqlDatabase, ids: list[str]) -> None:
    """Else a profile of before an erasure would pass for one of after it."""
    append(database, event(ids[0]))
    with database.transaction() as uow:
        before = uow.interactions.cutoff("u")
        uow.interactions.erase_user("u")
    append(database, event(ids[0]))
    with database.snapshot() as uow:
        assert uow.interactions.cutoff("u") > before


def test_erasing_a_video_leaves_the_others(database: SqlDatabase, ids: list[str]) -> None:
    append(database, event(ids[0]), event(ids[1]), event(ids[0], user="v"))
    with database.transaction() as uow:
        assert uow.interactions.erase_video(ids[0]) == 2
    with database.snapshot() as uow:
        assert [row.video_id for row in uow.interactions.history("u")] == [ids[1]]
        assert uow.interactions.history("v") == []
        assert [v.id for v in uow.catalogue.popular(10)] == [ids[1]]


def test_a_removed_interest_is_something_that_the_user_did_and_no_watching(
    database: SqlDatabase, ids: list[str]
) -> None:
    append(database, event(ids[0]), event(ids[1], user="v"))
    with database.snapshot() as uow:
        before = uow.interactions.cutoff("u")
    with database.transaction() as uow:
        uow.interactions.remove_interest("u", {ids[0], ids[2]})
        uow.interactions.remove_interest("u", {ids[3]})
    with database.snapshot() as uow:
        assert uow.interactions.removed_interests("u") == [{ids[0], ids[2]}, {ids[3]}]
        assert uow.interactions.removed_interests("v") == []
        assert uow.interactions.cutoff("u") > before
        assert [row.video_id for row in uow.interactions.history("u")] == [ids[0]]
        assert set(uow.interactions.seen("u")) == {ids[0]}
    with database.transaction() as uow:
        uow.interactions.erase_video(ids[2])
        assert uow.interactions.removed_interests("u") == [{ids[0]}, {ids[3]}]
        uow.interactions.erase_user("u")
        assert uow.interactions.removed_interests("u") == []


def test_all_interactions_are_read_in_order(database: SqlDatabase, ids: list[str]) -> None:
    events = [event(ids[i % 4], user=f"u{i % 3}", fraction=0.5, session_id="s") for i in range(7)]
    append(database, *events)
    read: list[Interaction] = []
    after = 0
    with database.snapshot() as uow:
        while page := uow.interactions.after(after, limit=3):
            assert [number for number, _ in page] == sorted(number for number, _ in page)
            assert page[0][0] > after
            after = page[-1][0]
            read += [interaction for _, interaction in page]
    assert sorted(i.event_id for i in read) == sorted(e.event_id for e in events)
    assert {i.event_id: i for i in read} == {e.event_id: e for e in events}
