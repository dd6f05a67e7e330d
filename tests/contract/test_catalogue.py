"""What the catalogue does."""

from __future__ import annotations

from dataclasses import replace
from datetime import timedelta
from typing import Any

import pytest
from sqlalchemy import select

from tests.contract.sql import MEDIA, add, add_indexed, new_video
from vidrec.adapters.sql import SqlDatabase
from vidrec.adapters.sql.schema import videos
from vidrec.application.ports import VideoChanges
from vidrec.domain.errors import Conflict, FailureReason, NotFound
from vidrec.domain.filters import VideoFilter
from vidrec.domain.models import Interaction, InteractionType, Playback, Video, VideoStatus, new_id, utc_now


def got(database: SqlDatabase, video_id: str) -> Video | None:
    with database.snapshot() as uow:
        return uow.catalogue.get([video_id]).get(video_id)


def page(database: SqlDatabase, **wanted: Any) -> list[str]:
    wanted = {"query": None, "category": None, "status": None, "after": None, "limit": 100, **wanted}
    with database.snapshot() as uow:
        return [v.id for v in uow.catalogue.page(**wanted)]


def test_a_new_video_is_queued_with_what_is_known_of_it(database: SqlDatabase) -> None:
    before = utc_now()
    new = new_video(
        filename="Ünï film.final.mp4", external_id="X-1", category="c", tags=("b", "a"), url="u", source_mtime_ns=2**61
    )
    with database.transaction() as uow:
        added = uow.catalogue.add(new)
    assert added == got(database, added.id)
    assert added.title == "Ünï film.final"
    assert (added.status, added.available, added.segment_count, added.media) == (VideoStatus.QUEUED, True, 0, None)
    assert (added.external_id, added.category, added.tags, added.url) == ("X-1", "c", ("b", "a"), "u")
    assert (added.location, added.size_bytes, added.source_mtime_ns) == (new.location, new.size_bytes, 2**61)
    assert before <= added.created_at <= utc_now()
    assert added.created_at.utcoffset() == timedelta(0)
    assert (added.failure_reason, added.indexed_at, added.deleted_at) == (None, None, None)


def test_a_given_title_wins_over_the_file_name(database: SqlDatabase) -> None:
    assert add(database, title="The title").title == "The title"
    assert add(database, filename=".mp4").title == ".mp4"


def test_an_external_id_is_taken_once_until_its_video_is_deleted(database: SqlDatabase) -> None:
    first = add(database, external_id="X")
    with database.transaction() as uow:
        with pytest.raises(Conflict, match="'X'"):
            uow.catalogue.add(new_video(external_id="X"))
        kept = uow.catalogue.add(new_video(external_id="Y"))  # the refusal does not spoil the transaction
    assert got(database, kept.id) is not None
    with database.transaction() as uow:
        uow.catalogue.tombstone(first.id)
        again = uow.catalogue.add(new_video(external_id="X"))
    with database.snapshot() as uow:
        assert uow.catalogue.resolve(["X", "Y", "Z"]) == {"X": again.id, "Y": kept.id}


def test_videos_without_an_external_id_do_not_collide(database: SqlDatabase) -> None:
    assert add(database).id != add(database).id


def test_a_deleted_video_is_still_resolved_and_nothing_else(database: SqlDatabase) -> None:
    video = add_indexed(database, external_id="X")
    with database.transaction() as uow:
        assert uow.catalogue.tombstone(video.id) == video
        uow.catalogue.tombstone(video.id)
    with database.snapshot() as uow:
        catalogue = uow.catalogue
        assert catalogue.resolve(["X"]) == {"X": video.id}
        assert catalogue.deleted([video.id, new_id()]) == {video.id}
        assert catalogue.get([video.id]) == {}
        assert catalogue.recommendable([video.id]) == {}
        assert catalogue.find_by_sha256([video.content_sha256]) == {}
        assert catalogue.find_by_location([video.location]) == {}
        assert catalogue.recent(10) == []
        assert catalogue.indexed_ids() == []
        assert sum(catalogue.counts().values()) == 0
    assert page(database) == []


def test_nothing_can_be_done_to_a_deleted_video(database: SqlDatabase) -> None:
    video = add(database)
    with database.transaction() as uow:
        uow.catalogue.tombstone(video.id)
        assert uow.catalogue.mark_indexed(video.id, model_version="m", media=MEDIA, segment_count=1) is False
        uow.catalogue.mark_processing(video.id)
        uow.catalogue.mark_failed(video.id, FailureReason.EMPTY, "empty")
        uow.catalogue.requeue([video.id])
        with pytest.raises(NotFound):
            uow.catalogue.change(video.id, VideoChanges(title="x"))
    assert got(database, video.id) is None


def test_scrubbing_removes_what_a_tombstone_tells(database: SqlDatabase) -> None:
    video = add(database, title="Secret", category="c", tags=("t",), url="u")
    with database.transaction() as uow:
        uow.catalogue.tombstone(video.id)
        uow.catalogue.scrub(video.id)
        scrubbed = uow.catalogue.tombstone(video.id)
    assert (scrubbed.title, scrubbed.filename, scrubbed.location, scrubbed.tags) == ("", "", "", ())
    assert (scrubbed.category, scrubbed.url, scrubbed.media) == (None, None, None)


def test_scrubbing_leaves_a_live_video_alone(database: SqlDatabase) -> None:
    video = add(database)
    with database.transaction() as uow:
        uow.catalogue.scrub(video.id)
    assert got(database, video.id) == video


def test_unknown_videos(database: SqlDatabase) -> None:
    unknown = new_id()
    with database.transaction() as uow:
        assert uow.catalogue.get([unknown, "x' OR '1'='1", ""]) == {}
        assert uow.catalogue.get([]) == {}
        assert uow.catalogue.mark_indexed(unknown, model_version="m", media=MEDIA, segment_count=1) is False
        with pytest.raises(NotFound, match=unknown):
            uow.catalogue.change(unknown, VideoChanges())
        with pytest.raises(NotFound, match=unknown):
            uow.catalogue.tombstone(unknown)


def test_many_ids_are_looked_up_at_once(database: SqlDatabase) -> None:
    video = add(database)
    with database.snapshot() as uow:
        assert list(uow.catalogue.get([*(new_id() for _ in range(70_000)), video.id])) == [video.id]


def test_from_queued_to_indexed(database: SqlDatabase) -> None:
    video = add(database)
    with database.transaction() as uow:
        uow.catalogue.mark_processing(video.id)
        assert uow.catalogue.get([video.id])[video.id].status is VideoStatus.PROCESSING
        assert uow.catalogue.mark_indexed(video.id, model_version="m1", media=MEDIA, segment_count=7) is True
    indexed = got(database, video.id)
    assert indexed is not None
    assert (indexed.status, indexed.indexed_model, indexed.segment_count) == (VideoStatus.INDEXED, "m1", 7)
    assert indexed.media == MEDIA
    assert indexed.indexed_at is not None


def test_a_failure_is_kept_until_the_next_try_or_success(database: SqlDatabase) -> None:
    video = add(database)
    with database.transaction() as uow:
        uow.catalogue.mark_failed(video.id, FailureReason.NOT_A_VIDEO, "It is a text file.")
    failed = got(database, video.id)
    assert failed is not None
    assert (failed.status, failed.failure_reason) == (VideoStatus.FAILED, FailureReason.NOT_A_VIDEO)
    assert failed.failure_message == "It is a text file."
    with database.transaction() as uow:
        uow.catalogue.requeue([video.id])
    again = got(database, video.id)
    assert again == video
    with database.transaction() as uow:
        uow.catalogue.mark_failed(video.id, FailureReason.EMPTY, "x")
        uow.catalogue.mark_indexed(video.id, model_version="m1", media=MEDIA, segment_count=1)
    indexed = got(database, video.id)
    assert indexed is not None
    assert (indexed.failure_reason, indexed.failure_message) == (None, None)


def test_recommendable_are_indexed_available_and_not_deleted(database: SqlDatabase) -> None:
    shown, hidden, gone = (add_indexed(database) for _ in range(3))
    queued = add(database)
    with database.transaction() as uow:
        uow.catalogue.change(hidden.id, VideoChanges(available=False))
        uow.catalogue.tombstone(gone.id)
        ids = [v.id for v in (shown, hidden, gone, queued)]
        assert uow.catalogue.recommendable([*ids, new_id()]) == {shown.id: shown.content_sha256}
        assert [v.id for v in uow.catalogue.recent(10)] == [shown.id]
        uow.catalogue.change(hidden.id, VideoChanges(available=True))
        assert set(uow.catalogue.recommendable(ids)) == {shown.id, hidden.id}


def test_changes_leave_the_rest_alone(database: SqlDatabase) -> None:
    video = add(database, title="old", category="c", tags=("a",))
    with database.transaction() as uow:
        assert uow.catalogue.change(video.id, VideoChanges()) == video
        changed = uow.catalogue.change(video.id, VideoChanges(title="NEW", tags=()))
    assert (changed.title, changed.tags, changed.category, changed.available) == ("NEW", (), "c", True)
    assert got(database, video.id) == changed
    assert page(database, query="new") == [video.id]
    assert page(database, query="old") == []


def test_an_external_id_can_be_given_later_but_not_taken(database: SqlDatabase) -> None:
    add(database, external_id="taken")
    video = add(database)
    with database.transaction() as uow:
        assert uow.catalogue.change(video.id, VideoChanges(external_id="X")).external_id == "X"
        with pytest.raises(Conflict, match="'taken'"):
            uow.catalogue.change(video.id, VideoChanges(external_id="taken"))
        assert uow.catalogue.resolve(["X"]) == {"X": video.id}


def test_a_moved_original_is_found_where_it_is(database: SqlDatabase) -> None:
    video = add(database)
    with database.transaction() as uow:
        uow.catalogue.relocate(video.id, location="file:///new/place.mp4", filename="place.mp4", source_mtime_ns=7)
        found = uow.catalogue.find_by_location(["file:///new/place.mp4", video.location])
    assert [v.id for v in found.values()] == [video.id]
    assert (found["file:///new/place.mp4"].filename, found["file:///new/place.mp4"].source_mtime_ns) == ("place.mp4", 7)
    assert found["file:///new/place.mp4"].title == video.title


def test_found_by_bytes_and_by_place(database: SqlDatabase) -> None:
    oldest, newer = (add(database, content_sha256="a" * 64) for _ in range(2))
    with database.snapshot() as uow:
        assert uow.catalogue.find_by_sha256(["a" * 64, "b" * 64]) == {"a" * 64: oldest}
        assert uow.catalogue.find_by_location([newer.location, "file:///x"]) == {newer.location: newer}


def test_pages_are_newest_first_and_complete(database: SqlDatabase) -> None:
    ids = sorted((add(database).id for _ in range(7)), reverse=True)
    first = page(database, limit=3)
    second = page(database, limit=3, after=first[-1])
    third = page(database, limit=3, after=second[-1])
    assert first + second + third == ids
    assert page(database, limit=3, after=third[-1]) == []


@pytest.mark.parametrize(
    ("title", "query", "found"),
    [
        ("Grüße aus ÖSTERREICH", "österreich", True),
        ("Grüße aus ÖSTERREICH", "GRÜSSE", True),  # ß folds to ss
        ("100% wool", "0%", True),
        ("100 wool", "0%", False),
        ("snake_case", "e_c", True),
        ("snakeXcase", "e_c", False),
        ("back\\slash", "k\\s", True),
        ("a 'quote'", "'quote'", True),
        ("anything", "", True),
    ],
)
def test_titles_are_searched_case_insensitively_and_literally(
    database: SqlDatabase, title: str, query: str, found: bool
) -> None:
    video = add(database, title=title)
    assert page(database, query=query) == ([video.id] if found else [])


def test_pages_filter(database: SqlDatabase) -> None:
    one = add(database, category="a", title="film one")
    two = add_indexed(database, category="a", title="film two")
    add(database, category="b", title="film three")
    add(database, title="film four")
    assert page(database, category="a") == [two.id, one.id]
    assert page(database, category="a", status=VideoStatus.INDEXED) == [two.id]
    assert page(database, category="a", query="ONE") == [one.id]
    with database.snapshot() as uow:
        assert uow.catalogue.counts() == {VideoStatus.QUEUED: 3, VideoStatus.INDEXED: 1}
        assert uow.catalogue.indexed_ids() == [two.id]


def test_recent_is_the_last_indexed_first(database: SqlDatabase) -> None:
    one, two, three = (add(database, category=c) for c in ("a", "b", "a"))
    with database.transaction() as uow:
        for video in (three, one, two):
            uow.catalogue.mark_indexed(video.id, model_version="m1", media=MEDIA, segment_count=1)
    with database.snapshot() as uow:
        assert [v.id for v in uow.catalogue.recent(10)] == [two.id, one.id, three.id]
        assert [v.id for v in uow.catalogue.recent(2)] == [two.id, one.id]
        assert [v.id for v in uow.catalogue.recent(10, only=VideoFilter(category="a"))] == [one.id, three.id]


def test_what_is_played_is_known_once_it_is_told(database: SqlDatabase) -> None:
    queued, one, two, gone = add(database), add_indexed(database), add_indexed(database), add_indexed(database)
    assert (one.playback, one.rendition) == (None, None)
    with database.transaction() as uow:
        uow.catalogue.tombstone(gone.id)
        assert list(uow.catalogue.without_playback(10)) == [one.id, two.id]
        assert list(uow.catalogue.without_playback(1)) == [one.id]
        assert uow.catalogue.set_playback(one.id, Playback.RENDITION, "media:///renditions/one.mp4")
        assert uow.catalogue.set_playback(two.id, Playback.ORIGINAL)
        assert not uow.catalogue.set_playback(gone.id, Playback.ORIGINAL)
        assert list(uow.catalogue.without_playback(10)) == []
        found = uow.catalogue.get([queued.id, one.id, two.id])
    assert (found[one.id].playback, found[one.id].rendition) == (Playback.RENDITION, "media:///renditions/one.mp4")
    assert (found[two.id].playback, found[two.id].rendition) == (Playback.ORIGINAL, None)
    assert found[queued.id].playback is None
    with database.transaction() as uow:
        uow.catalogue.set_playback(one.id, Playback.FAILED)
        assert uow.catalogue.get([one.id])[one.id].rendition is None


def test_what_only_probing_tells_is_not_kept(database: SqlDatabase) -> None:
    """A release that does not know them reads what is kept."""
    video = add(database)
    media = replace(MEDIA, profile="High", pixel_format="yuv420p", hdr="smpte2084")
    with database.transaction() as uow:
        uow.catalogue.mark_indexed(video.id, model_version="m1", media=media, segment_count=1)
        assert uow.catalogue.get([video.id])[video.id].media == MEDIA
        kept = uow.connection.execute(select(videos.c.media).where(videos.c.id == video.id)).scalar()
    assert set(kept) == {"container", "video_codec", "audio_codec", "width", "height", "duration_s"}


def watched(video: Video, *, days_ago: float = 0.0, kind: InteractionType = InteractionType.LIKE) -> Interaction:
    ts = utc_now() - timedelta(days=days_ago)
    return Interaction(user_id=new_id(), video_id=video.id, type=kind, ts=ts, event_id=new_id())


def popular(database: SqlDatabase, *, category: str | None = None) -> list[str]:
    with database.snapshot() as uow:
        return [v.id for v in uow.catalogue.popular(10, only=VideoFilter(category=category))]


def test_popular_counts_and_fades(database: SqlDatabase) -> None:
    hit, classic, niche, unseen = (add_indexed(database, category=c) for c in ("a", "b", "a", "a"))
    with database.transaction() as uow:
        uow.interactions.append([watched(hit) for _ in range(3)])
        uow.interactions.append([watched(classic, days_ago=60) for _ in range(50)])
        uow.interactions.append([watched(niche)])
    assert popular(database) == [hit.id, niche.id, classic.id]
    assert popular(database, category="a") == [hit.id, niche.id]
    with database.transaction() as uow:
        uow.catalogue.tombstone(hit.id)
        uow.catalogue.change(niche.id, VideoChanges(available=False))
    assert popular(database) == [classic.id]
    assert unseen.id not in popular(database)


def test_repeated_events_do_not_make_popular(database: SqlDatabase) -> None:
    once, often = add_indexed(database), add_indexed(database)
    event = watched(often)
    with database.transaction() as uow:
        uow.interactions.append([watched(once), watched(once)])
        for _ in range(5):
            uow.interactions.append([event, event])
    assert popular(database) == [once.id, often.id]


def test_a_watch_of_nothing_is_not_half_a_watch(database: SqlDatabase) -> None:
    barely, half = add_indexed(database), add_indexed(database)
    moment = utc_now()

    def watch(video: Video, fraction: float) -> Interaction:
        return Interaction(
            user_id="u",
            video_id=video.id,
            type=InteractionType.WATCH,
            ts=moment,
            event_id=new_id(),
            fraction=fraction,
        )

    with database.transaction() as uow:
        uow.interactions.append([watch(barely, 0.0), watch(barely, 0.0), watch(half, 0.5)])
    assert popular(database)[0] == half.id


def test_an_announced_video_is_received_once(database: SqlDatabase) -> None:
    with database.transaction() as uow:
        announced = uow.catalogue.add(
            new_video(content_sha256="", size_bytes=0), video_id=new_id(), status=VideoStatus.UPLOADING
        )
        assert announced.status is VideoStatus.UPLOADING
        taken = {"location": "s3://b/k?etag=e", "size_bytes": 5, "content_sha256": "a" * 64}
        assert [uow.catalogue.receive(announced.id, **taken) for _ in range(2)] == [True, False]  # type: ignore[arg-type]
        found = uow.catalogue.get([announced.id])[announced.id]
        assert (found.status, found.size_bytes, found.content_sha256) == (VideoStatus.QUEUED, 5, "a" * 64)
        assert found.location == "s3://b/k?etag=e"
        uow.catalogue.set_sha256(announced.id, "b" * 64)
        assert uow.catalogue.get([announced.id])[announced.id].content_sha256 == "b" * 64
        uow.catalogue.withdraw(announced.id)  # too late
        assert announced.id in uow.catalogue.get([announced.id])


def test_an_announced_video_is_withdrawn_without_a_trace_and_a_deleted_one_not_received(database: SqlDatabase) -> None:
    with database.transaction() as uow:
        first, second = (uow.catalogue.add(new_video(), status=VideoStatus.UPLOADING) for _ in range(2))
        uow.catalogue.withdraw(first.id)
        uow.catalogue.tombstone(second.id)
        assert not uow.catalogue.receive(second.id, location="", size_bytes=5, content_sha256="a" * 64)
        uow.catalogue.withdraw(second.id)
        assert uow.catalogue.get([first.id, second.id]) == {}
        assert uow.catalogue.deleted([first.id, second.id]) == {second.id}


@pytest.mark.parametrize(
    ("only", "wanted"),
    [
        (VideoFilter(), "abcd"),
        (VideoFilter(category="x"), "ab"),
        (VideoFilter(tags=frozenset({"떡볶이", "no such"})), "ac"),
        (VideoFilter(tags=frozenset({'say "hi"'})), "b"),
        (VideoFilter(tags=frozenset({"hi"})), ""),
        (VideoFilter(min_duration_s=60.0), "cd"),
        (VideoFilter(max_duration_s=60.0), "abc"),
        (VideoFilter(min_duration_s=60.0, max_duration_s=60.0), "c"),
        (VideoFilter(since=utc_now() + timedelta(hours=1)), ""),
        (VideoFilter(since=utc_now() - timedelta(hours=1), category="y", tags=frozenset({"떡볶이"})), "c"),
    ],
)
def test_filters(database: SqlDatabase, only: VideoFilter, wanted: str) -> None:
    told = {
        "a": ("x", ("떡볶이", "noodles"), 10.0),
        "b": ("x", ('say "hi"',), 59.0),
        "c": ("y", ("noodles", "떡볶이"), 60.0),
        "d": (None, (), 3600.0),
    }
    names: dict[str, str] = {}
    with database.transaction() as uow:
        for name, (category, tags, duration_s) in told.items():
            video = uow.catalogue.add(new_video(category=category, tags=tags))
            media = replace(MEDIA, duration_s=duration_s)
            uow.catalogue.mark_indexed(video.id, model_version="m1", media=media, segment_count=1)
            names[video.id] = name
    with database.snapshot() as uow:
        for found in (
            uow.catalogue.matching(only, limit=10),
            uow.catalogue.recommendable(list(names), only=only),
            [v.id for v in uow.catalogue.recent(10, only=only)],
            [v.id for v in uow.catalogue.get(list(names)).values() if only.accepts(v)],
        ):
            assert "".join(sorted(names[v] for v in found)) == wanted
        assert len(uow.catalogue.matching(only, limit=1)) == min(1, len(wanted))
