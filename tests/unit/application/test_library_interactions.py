"""The library's own interactions as a log to be measured."""

from __future__ import annotations

import numpy as np
import pytest

from tests.library import MODEL, Library
from vidrec.adapters.sql import SqlDatabase
from vidrec.application import library_interactions
from vidrec.application.evaluate_interactions import Options, compare
from vidrec.application.library_interactions import library_log
from vidrec.application.ports import VideoChanges
from vidrec.domain.errors import InvalidInput
from vidrec.domain.interaction_log import SplitBy
from vidrec.domain.models import InteractionType


@pytest.fixture
def library(database: SqlDatabase) -> Library:
    return Library(database)


def test_what_was_done_with_videos_that_are_shown(library: Library, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(library_interactions, "EVENTS_A_READ", 2)
    monkeypatch.setattr(library_interactions, "VIDEOS_A_READ", 2)
    ids = library.add_family("sea", 4)
    library.act("u", ids[0], InteractionType.IMPRESSION)
    library.act("u", ids[1], InteractionType.LIKE)
    library.act("v", ids[1], InteractionType.SKIP)
    library.act("v", ids[2], InteractionType.WATCH, 0.9)
    library.act("v", ids[3], InteractionType.LIKE)
    with library.database.transaction() as uow:
        uow.catalogue.change(ids[3], VideoChanges(available=False))
    found = library_log(library.database, library.index)
    assert list(found.video_ids) == ids[:3]
    rows = zip(found.log.users.tolist(), found.log.items.tolist(), found.log.liked.tolist(), strict=True)
    assert list(rows) == [(0, 1, True), (1, 1, False), (1, 2, True)]
    assert (found.left_out, found.model) == (1, MODEL)
    held = library.index.videos(MODEL, ids)
    assert np.array_equal(found.features_at(None), np.stack([held[video_id] for video_id in ids[:3]]))


def test_content_is_right_where_families_are_watched(library: Library) -> None:
    families = [library.add_family(name, 12) for name in ("sea", "city", "cells")]
    for round_ in range(8):
        for user in range(9):
            library.act(f"u{user}", families[user % 3][(round_ + user) % 12])
    found = library_log(library.database, library.index)
    report = compare(found.log, found.features_at, Options(split=SplitBy.USER, validation=0.25, test=0.25, k=5))
    everybody = {name: values["ndcg@5"].value for name, values in report.slices["all"].methods.items()}
    assert everybody["content"] > 2 * everybody["random"]
    assert everybody["hybrid"] > everybody["random"]


def test_too_little_is_told_in_a_sentence(library: Library) -> None:
    for name, size, expected in (("a", 0, "no video"), ("b", 1, "one video only"), ("c", 1, "no interactions")):
        library.add_family(name, size)
        with pytest.raises(InvalidInput, match=expected):
            library_log(library.database, library.index)
