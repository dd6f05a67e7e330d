"""What is recommended, to whom, and why."""

from __future__ import annotations

import itertools

import numpy as np
import pytest

from tests.library import MODEL, Library
from vidrec.adapters.sql import SqlDatabase
from vidrec.application.ports import VideoChanges
from vidrec.application.recommend import Page, Query, Recommender
from vidrec.application.spotlight import Spotlight
from vidrec.domain.errors import Conflict, FailureReason, InvalidCursor, NotFound, StoreUnavailable
from vidrec.domain.filters import VideoFilter
from vidrec.domain.models import InteractionType, NewVideo


@pytest.fixture
def library(database: SqlDatabase) -> Library:
    library = Library(database)
    for name in ("sea", "city", "forest", "desert"):
        library.add_family(name, 12)
    return library


@pytest.fixture
def recommender(library: Library) -> Recommender:
    return Recommender(library.database, library.index, Spotlight(library.database, refresh_s=0.0))


def ids(page: Page) -> list[str]:
    return [item.video.id for item in page.items]


def test_what_looks_like_what_was_watched_comes_first(library: Library, recommender: Recommender) -> None:
    for video_id in library.families["sea"][:3]:
        library.act("ann", video_id, InteractionType.WATCH, 0.9)
    page = recommender.recommend(Query(user_id="ann", n=9))
    assert {library.family_of(v) for v in ids(page)} == {"sea"}
    assert page.strategy == "content"
    assert not page.degraded


@pytest.mark.parametrize("type_", [t for t in InteractionType if t is not InteractionType.IMPRESSION])
def test_what_was_seen_is_not_recommended_again(
    library: Library, recommender: Recommender, type_: InteractionType
) -> None:
    library.act("ann", library.families["sea"][0])
    seen = library.families["sea"][1]
    library.act("ann", seen, type_, 0.5 if type_ is InteractionType.WATCH else None)
    assert seen not in ids(recommender.recommend(Query(user_id="ann", n=100)))


def test_an_impression_is_not_seeing(library: Library, recommender: Recommender) -> None:
    library.act("ann", library.families["sea"][0])
    library.act("ann", library.families["sea"][1], InteractionType.IMPRESSION)
    assert library.families["sea"][1] in ids(recommender.recommend(Query(user_id="ann", n=100)))


def test_two_interests_are_both_served(library: Library, recommender: Recommender) -> None:
    for family in ("sea", "city"):
        for video_id in library.families[family][:3]:
            library.act("ann", video_id)
    families = [library.family_of(v) for v in ids(recommender.recommend(Query(user_id="ann", n=10)))]
    assert set(families) == {"sea", "city"}
    assert 3 <= families.count("sea") <= 7


def test_the_next_request_reflects_the_event(library: Library, recommender: Recommender) -> None:
    library.act("ann", library.families["sea"][0])
    recommender.recommend(Query(user_id="ann", n=5))
    for video_id in library.families["forest"][:4]:
        library.act("ann", video_id)
    families = [library.family_of(v) for v in ids(recommender.recommend(Query(user_id="ann", n=6)))]
    assert "forest" in families


def test_the_reason_is_the_most_alike_pair_of_moments(library: Library, recommender: Recommender) -> None:
    watched = library.families["sea"][:2]
    for video_id in watched:
        library.act("ann", video_id)
    for item in recommender.recommend(Query(user_id="ann", n=5)).items:
        segments = library.index.segments(MODEL, dict.fromkeys([*watched, item.video.id], 3))
        expected = max(
            (float(a.embedding @ b.embedding), a.video_id, a.time.start_s, b.time.start_s)
            for v in watched
            for a, b in itertools.product(segments[v], segments[item.video.id])
        )
        why = item.why
        assert why.watched
        assert why.watched_moment
        assert why.moment
        assert (why.watched.id, why.watched_moment.start_s, why.moment.start_s) == expected[1:]
        assert why.similarity == pytest.approx(expected[0], abs=1e-5)


def test_a_user_never_seen_gets_popular_and_fresh_ones_marked_as_such(
    library: Library, recommender: Recommender
) -> None:
    for user in ("x", "y", "z"):
        library.act(user, library.families["city"][5])
    page = recommender.recommend(Query(user_id="new", n=10))
    assert page.strategy == "popular"
    assert len(page.items) == 10
    assert page.items[0].video.id == library.families["city"][5]
    assert {item.why.type for item in page.items} == {"popular", "fresh"}


def test_who_saw_everything_gets_an_empty_page(library: Library, recommender: Recommender) -> None:
    for video_id in itertools.chain(*library.families.values()):
        library.act("ann", video_id)
    page = recommender.recommend(Query(user_id="ann"))
    assert page.items == []
    assert page.next_cursor is None


def test_pages_do_not_repeat_and_reach_every_video(library: Library, recommender: Recommender) -> None:
    library.act("ann", library.families["sea"][0])
    page = recommender.recommend(Query(user_id="ann", n=7))
    shown = ids(page)
    while page.next_cursor:
        page = recommender.recommend(Query(user_id="ann", n=7, cursor=page.next_cursor))
        shown += ids(page)
    assert len(shown) == len(set(shown)) == 47


def test_pages_skip_what_was_deleted_meanwhile(library: Library, recommender: Recommender) -> None:
    library.act("ann", library.families["sea"][0])
    first = recommender.recommend(Query(user_id="ann", n=3))
    whole = recommender.recommend(Query(user_id="ann", n=100))
    gone = ids(whole)[4]
    with library.database.transaction() as uow:
        uow.catalogue.tombstone(gone)
    second = recommender.recommend(Query(user_id="ann", n=3, cursor=first.next_cursor))
    assert gone not in ids(second)
    assert len(second.items) == 3


def test_erasing_a_video_moves_no_cursor(library: Library, recommender: Recommender) -> None:
    library.act("ann", library.families["sea"][0])
    page = recommender.recommend(Query(user_id="ann", n=5))
    with library.database.transaction() as uow:
        candidates = [c.video_id for c in uow.recommendations.get(page.recommendation_id).candidates]  # type: ignore[union-attr]
        for gone in (candidates[1], candidates[6]):
            uow.catalogue.tombstone(gone)
            uow.recommendations.erase_video(gone)
    second = recommender.recommend(Query(user_id="ann", n=3, cursor=page.next_cursor))
    assert ids(second) == [candidates[5], candidates[7], candidates[8]]


def test_a_watched_video_without_a_vector_makes_no_profile_anew_each_time(
    library: Library, recommender: Recommender
) -> None:
    library.act("ann", library.families["sea"][0])
    with library.database.transaction() as uow:
        late, broken = (
            uow.catalogue.add(NewVideo(location=f"file:///{n}", filename=n, size_bytes=1, content_sha256=n * 64)).id
            for n in "ab"
        )
        uow.catalogue.mark_failed(broken, FailureReason.EMPTY, "The file is empty.")

    def reads_vectors() -> bool:
        library.index.calls.clear()
        recommender.recommend(Query(user_id="ann", n=5))
        return "videos" in library.index.calls

    library.act("ann", broken)
    assert [reads_vectors(), reads_vectors()] == [True, False]
    library.act("ann", late)
    assert [reads_vectors(), reads_vectors()] == [True, True], "it will have a vector: looked for each time"


def test_nothing_is_written_of_a_user_who_is_erased_meanwhile(
    library: Library, recommender: Recommender, monkeypatch: pytest.MonkeyPatch
) -> None:
    library.act("ann", library.families["sea"][0])
    search = library.index.search

    def erased(*arguments: object, **more: object) -> object:
        with library.database.transaction() as uow:
            uow.interactions.erase_user("ann")
            uow.profiles.erase_user("ann")
            uow.recommendations.erase_user("ann")
        return search(*arguments, **more)  # type: ignore[arg-type]

    monkeypatch.setattr(library.index, "search", erased)
    assert recommender.recommend(Query(user_id="ann", n=3)).items
    with library.database.snapshot() as uow:
        assert set(uow.traces.of_user("ann").values()) == {0}


def test_a_cursor_of_somebody_else_is_refused(library: Library, recommender: Recommender) -> None:
    cursor = recommender.recommend(Query(user_id="ann", n=3)).next_cursor
    with pytest.raises(InvalidCursor):
        recommender.recommend(Query(user_id="bob", n=3, cursor=cursor))
    with pytest.raises(InvalidCursor):
        recommender.recommend(Query(user_id="ann", n=3, cursor="nonsense"))


def test_excluded_ones_stay_out_and_the_category_holds(library: Library, recommender: Recommender) -> None:
    library.act("ann", library.families["sea"][0])
    out = frozenset(library.families["city"][:2])
    page = recommender.recommend(Query(user_id="ann", n=100, only=VideoFilter(category="city"), exclude=out))
    assert {library.family_of(v) for v in ids(page)} == {"city"}
    assert not out & set(ids(page))
    assert len(page.items) == 10


def test_a_filter_that_few_pass_still_fills_the_page(library: Library, recommender: Recommender) -> None:
    library.act("ann", library.families["sea"][0])
    with library.database.transaction() as uow:
        for video_id in (*library.families["desert"], library.families["sea"][5]):
            uow.catalogue.change(video_id, VideoChanges(tags=("rare",)))
    page = recommender.recommend(Query(user_id="ann", n=8, only=VideoFilter(tags=frozenset({"rare"}))))
    assert ids(page)[0] == library.families["sea"][5]
    assert {library.family_of(v) for v in ids(page)[1:]} == {"desert"}
    assert len(page.items) == 8
    assert page.strategy == "content"
    nobody = recommender.recommend(Query(user_id="bob", n=100, only=VideoFilter(tags=frozenset({"rare"}))))
    assert len(nobody.items) == 13
    none = recommender.recommend(Query(user_id="ann", only=VideoFilter(tags=frozenset({"no such"}))))
    assert (none.items, none.next_cursor) == ([], None)


def test_a_filter_that_many_pass_is_searched_among_all(
    library: Library, recommender: Recommender, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("vidrec.application.retrieval.MAX_AMONG", 3)
    library.act("ann", library.families["sea"][0])
    with library.database.transaction() as uow:
        for video_id in (*library.families["sea"], *library.families["city"]):
            uow.catalogue.change(video_id, VideoChanges(tags=("common",)))
    page = recommender.recommend(Query(user_id="ann", n=100, only=VideoFilter(tags=frozenset({"common"}))))
    assert {library.family_of(v) for v in ids(page)} == {"sea", "city"}
    assert len(page.items) == 23


def test_unavailable_and_deleted_videos_are_not_shown(library: Library, recommender: Recommender) -> None:
    library.act("ann", library.families["sea"][0])
    hidden, deleted = library.families["sea"][1:3]
    with library.database.transaction() as uow:
        uow.catalogue.change(hidden, VideoChanges(available=False))
        uow.catalogue.tombstone(deleted)
    assert not {hidden, deleted} & set(ids(recommender.recommend(Query(user_id="ann", n=100))))


def test_the_same_bytes_are_shown_once_and_not_to_who_saw_them(library: Library, recommender: Recommender) -> None:
    near = library.index.videos(MODEL, [library.families["sea"][0]])[library.families["sea"][0]]
    copies = {library.add(f"copy-{i}", near=near, sha256="c" * 64) for i in range(3)}
    library.act("ann", library.families["sea"][0])
    assert len(copies & set(ids(recommender.recommend(Query(user_id="ann", n=100))))) == 1
    library.act("ann", min(copies))
    assert not copies & set(ids(recommender.recommend(Query(user_id="ann", n=100))))


def test_without_the_index_the_answer_is_popular_and_says_degraded(library: Library, recommender: Recommender) -> None:
    library.act("ann", library.families["sea"][0])
    library.index.available = False
    page = recommender.recommend(Query(user_id="ann", n=5))
    assert page.degraded
    assert page.strategy == "popular"
    assert len(page.items) == 5


def test_without_sql_the_list_in_memory_answers(
    library: Library, recommender: Recommender, monkeypatch: pytest.MonkeyPatch
) -> None:
    recommender.recommend(Query(user_id="ann", n=5))

    def fail(*_: object) -> None:
        raise StoreUnavailable("down")

    monkeypatch.setattr(library.database, "snapshot", fail)
    monkeypatch.setattr(library.database, "transaction", fail)
    page = recommender.recommend(Query(user_id="ann", n=5))
    assert page.degraded
    assert len(page.items) == 5
    fresh = Recommender(library.database, library.index, Spotlight(library.database))
    with pytest.raises(StoreUnavailable):
        fresh.recommend(Query(user_id="ann", n=5))


def test_calls_to_the_index_do_not_grow_with_the_page(library: Library, recommender: Recommender) -> None:
    for video_id in library.families["sea"][:4]:
        library.act("ann", video_id)
    library.index.calls.clear()
    recommender.recommend(Query(user_id="ann", n=30))
    assert library.index.calls == ["videos", "search", "segments"]
    library.index.calls.clear()
    recommender.recommend(Query(user_id="ann", n=30))
    assert library.index.calls == ["search"]  # the segments are held


def test_the_record_tells_what_was_answered_and_from_what(library: Library, recommender: Recommender) -> None:
    library.act("ann", library.families["sea"][0])
    page = recommender.recommend(Query(user_id="ann", n=5))
    with library.database.snapshot() as uow:
        record = uow.recommendations.get(page.recommendation_id)
    assert record
    assert record.model_version == MODEL.version
    assert record.interests[0]["video_id"] == library.families["sea"][0]
    assert [c.video_id for c in record.candidates[:5]] == ids(page)


def test_similar_videos_are_of_the_same_family_without_the_video_itself(
    library: Library, recommender: Recommender
) -> None:
    video_id = library.families["desert"][0]
    items = recommender.similar(video_id, n=8)
    assert {library.family_of(item.video.id) for item in items} == {"desert"}
    assert video_id not in {item.video.id for item in items}
    assert [item.score for item in items] == sorted((item.score for item in items), reverse=True)
    assert all(item.why.moment for item in items)
    with pytest.raises(NotFound):
        recommender.similar("nothing", n=3)


def test_a_picture_finds_the_family_it_is_of(library: Library, recommender: Recommender) -> None:
    video_id = library.families["forest"][3]
    embedding = library.index.segments(MODEL, {video_id: 3})[video_id][1].embedding
    items = recommender.nearest(embedding, n=5, model_version=MODEL.version)
    assert {library.family_of(item.video.id) for item in items} == {"forest"}
    assert all(item.why.moment for item in items)
    with pytest.raises(Conflict):
        recommender.nearest(np.asarray(embedding), n=5, model_version="mother0000000")
