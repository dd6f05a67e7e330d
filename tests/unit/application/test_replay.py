"""A recommendation made again."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import replace

import pytest

from tests.library import MODEL, Library
from vidrec.adapters.sql import SqlDatabase
from vidrec.application.recommend import Query, Recommender
from vidrec.application.replay import Replay, replay
from vidrec.application.spotlight import Spotlight
from vidrec.domain.errors import NotFound
from vidrec.domain.filters import VideoFilter
from vidrec.domain.models import new_id

Again = Callable[[str], Replay]


@pytest.fixture
def library(database: SqlDatabase) -> Library:
    library = Library(database)
    for name in ("sea", "city", "forest"):
        library.add_family(name, 12)
    return library


@pytest.fixture
def again(library: Library) -> Again:
    return lambda recommendation_id: replay(recommendation_id, database=library.database, index=library.index)


def recommended(library: Library, **query: object) -> str:
    recommender = Recommender(library.database, library.index, Spotlight(library.database, refresh_s=0.0))
    return recommender.recommend(Query(user_id="ann", **query)).recommendation_id  # type: ignore[arg-type]


@pytest.fixture
def watched(library: Library) -> Library:
    for video_id in (*library.families["sea"][:3], *library.families["city"][:2]):
        library.act("ann", video_id)
    return library


def test_the_same_comes_out_again(watched: Library, again: Again) -> None:
    found = again(recommended(watched, n=10))
    assert found.same
    assert len(found.recorded) == len(found.reranked) > 10
    assert len(found.today) == 10
    assert found.found_again > 5
    assert set(found.titles) >= {c.video_id for c in found.recorded}


def test_what_is_deleted_since_is_said(watched: Library, again: Again) -> None:
    recommendation_id = recommended(watched)
    gone = again(recommendation_id).recorded[4].video_id
    watched.index.delete(MODEL, [gone])
    found = again(recommendation_id)
    assert (found.same, found.gone) == (False, 1)
    assert gone not in {c.video_id for c in (*found.reranked, *found.today)}


def test_another_order_is_told(watched: Library, again: Again) -> None:
    recommendation_id = recommended(watched)
    with watched.database.transaction() as uow:
        record = uow.recommendations.get(recommendation_id)
        assert record is not None
        first, second, *rest = record.candidates
        other = replace(record, id=new_id(), candidates=(second, first, *rest))
        uow.recommendations.add(other)
    assert again(recommendation_id).same
    found = again(other.id)
    assert (found.same, found.gone) == (False, 0)


def test_today_knows_what_was_seen_since_and_keeps_the_filter(watched: Library, again: Again) -> None:
    recommendation_id = recommended(watched, only=VideoFilter(category="sea"), n=5)
    seen = watched.families["sea"][6]
    watched.act("ann", seen)
    found = again(recommendation_id)
    assert found.same
    assert {watched.family_of(c.video_id) for c in found.today} == {"sea"}
    assert seen not in {c.video_id for c in found.today}


def test_a_popular_list_has_nothing_to_re_rank(library: Library, again: Again) -> None:
    found = again(recommended(library))
    assert found.same
    assert (list(found.recorded), list(found.today)) == ([], [])


def test_what_is_not_there(watched: Library, again: Again) -> None:
    with pytest.raises(NotFound, match="no recommendation"):
        again(new_id())
    recommendation_id = recommended(watched)
    with watched.database.transaction() as uow:
        record = uow.recommendations.get(recommendation_id)
        assert record is not None
        old = replace(record, id=new_id(), model_version="mgone")
        uow.recommendations.add(old)
    with pytest.raises(NotFound, match="mgone"):
        again(old.id)
