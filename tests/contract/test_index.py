"""What every vector index does: the fake, Milvus Lite's server, and a Milvus server of the oldest supported version.

A server's collections are shared by the tests of this file, so each test looks at its own videos alone. Reads of a
Milvus server may be a moment stale: what is expected is waited for."""

from __future__ import annotations

import time
import uuid
from collections.abc import Callable, Iterator, Sequence
from concurrent.futures import ThreadPoolExecutor
from contextlib import suppress
from dataclasses import dataclass, field, replace

import numpy as np
import pytest

from tests.fakes.index import FakeIndex
from tests.servers import Server, wait_until
from vidrec.adapters.milvus import MilvusIndex
from vidrec.application.ports import Hit, VectorIndex
from vidrec.domain.embedding import normalise
from vidrec.domain.errors import IndexUnavailable
from vidrec.domain.filters import VideoFilter
from vidrec.domain.models import Embedding, Embeddings, ModelVersion, Segment, TimeRange, VideoVector, new_id

DIMENSION = 32


def model_version() -> ModelVersion:
    return ModelVersion(version=f"m{uuid.uuid4().hex[:12]}", name="test", dimension=DIMENSION, trained=False)


def vectors(seed: int, count: int) -> Embeddings:
    return normalise(np.random.default_rng(seed).standard_normal((count, DIMENSION)))


def video(embedding: Embedding, *, category: str | None = None, video_id: str = "") -> VideoVector:
    return VideoVector(video_id=video_id or new_id(), category=category, duration_s=600.1, embedding=embedding)


def segments(video_id: str, count: int, *, seed: int = 0) -> list[Segment]:
    return [
        Segment(video_id=video_id, number=i, time=TimeRange(i * 10.1, (i + 1) * 10.1), embedding=embedding)
        for i, embedding in enumerate(vectors(seed, count))
    ]


@dataclass
class Library:
    """An index with one model version, and the videos that this test put there."""

    index: VectorIndex
    model: ModelVersion
    mine: list[str] = field(default_factory=list)

    def put(self, new: VideoVector, count: int = 1, *, seed: int = 0) -> VideoVector:
        self.mine.append(new.video_id)
        self.index.upsert(self.model, new, segments(new.video_id, count, seed=seed))
        return new

    def put_all(self, videos: Sequence[VideoVector], count: int = 1) -> list[str]:
        """Their ids, in order. Several at a time, since a Milvus server takes its time for each."""
        with ThreadPoolExecutor(8) as pool:
            return [new.video_id for new in pool.map(lambda new: self.put(new, count), videos)]

    def search(self, queries: Embeddings, *, limit: int = 1000, category: str | None = None) -> list[list[Hit]]:
        found = self.index.search(self.model, queries, limit=limit, only=VideoFilter(category=category))
        return [[hit for hit in hits if hit.video_id in self.mine] for hits in found]

    def ids(self, query: Embedding, *, category: str | None = None) -> list[str]:
        return [hit.video_id for hit in self.search(query[None], category=category)[0]]

    def held(self, video_id: str, *, up_to: int = 3000) -> list[int]:
        return [s.number for s in self.index.segments(self.model, {video_id: up_to}).get(video_id, [])]


def expect(value: Callable[[], object], wanted: object) -> None:
    """Waits until the value is the wanted one; fails with both."""
    with suppress(TimeoutError):
        wait_until(lambda: value() == wanted)
    assert value() == wanted


@pytest.fixture(scope="module", params=["fake", "lite", pytest.param("milvus", marks=pytest.mark.full)])
def shared(request: pytest.FixtureRequest) -> Iterator[tuple[VectorIndex, ModelVersion]]:
    index: VectorIndex
    if request.param == "fake":
        index = FakeIndex()
    else:
        server: Server = request.getfixturevalue(request.param)
        index = MilvusIndex(server.uri, timeout_s=10.0)
    model = model_version()
    index.create(model)
    yield index, model
    index.close()


@pytest.fixture
def library(shared: tuple[VectorIndex, ModelVersion]) -> Iterator[Library]:
    library = Library(*shared)
    yield library
    library.index.delete(library.model, library.mine)


def test_create_and_drop_can_be_repeated(library: Library) -> None:
    index, model = library.index, model_version()
    with ThreadPoolExecutor(3) as pool:
        list(pool.map(index.create, [model] * 3))
    index.create(model)
    assert index.count(model) == (0, 0)
    index.drop(model)
    index.drop(model)
    with pytest.raises(IndexUnavailable):
        index.search(model, vectors(0, 1), limit=1)


def test_a_video_is_its_own_nearest_neighbour(library: Library) -> None:
    embeddings = vectors(1, 20)
    ids = library.put_all([video(e) for e in embeddings])
    expect(lambda: len(library.ids(embeddings[0])), 20)
    for hits, itself in zip(library.search(embeddings), ids, strict=True):
        hit = hits[0]
        assert hit.video_id == itself
        assert hit.score == pytest.approx(1.0, abs=1e-5)


def test_neighbours_come_nearest_first_with_cosine_and_embedding(library: Library) -> None:
    embeddings = vectors(2, 30)
    ids = library.put_all([video(e) for e in embeddings])
    query = vectors(3, 1)
    expect(lambda: len(library.ids(query[0])), 30)
    hits = library.search(query)[0]
    cosines = embeddings @ query[0]
    assert [hit.video_id for hit in hits] == [ids[i] for i in np.argsort(-cosines)]
    assert [hit.score for hit in hits] == pytest.approx(sorted(cosines, reverse=True), abs=1e-5)
    for hit in hits:
        assert hit.embedding.dtype == np.float32
        np.testing.assert_allclose(hit.embedding, embeddings[ids.index(hit.video_id)], atol=1e-6)


def test_several_queries_answer_as_each_alone(library: Library) -> None:
    library.put_all([video(e) for e in vectors(4, 12)])
    queries = vectors(5, 7)
    expect(lambda: len(library.ids(queries[0])), 12)
    together = library.search(queries)
    assert len(together) == 7
    assert [[h.video_id for h in hits] for hits in together] == [library.ids(query) for query in queries]


def test_no_queries_answer_nothing(library: Library) -> None:
    assert list(library.index.search(library.model, vectors(0, 0), limit=5)) == []


def test_at_most_limit_neighbours_are_answered(library: Library) -> None:
    library.put_all([video(e) for e in vectors(6, 6)])
    expect(lambda: len(library.ids(vectors(6, 1)[0])), 6)
    found = library.index.search(library.model, vectors(7, 2), limit=4)
    assert [len(hits) for hits in found] == [4, 4]


NASTY = [
    *("plain", 'quo"ted', "apo'strophe", "back\\slash", 'back\\"both', "line\nbreak\ttab\r", "ünï 漢字 🎬", "%"),
    *(" lead", '" or id != "', "{x}", "$", "\x01control", "a" * 200),
]


def test_categories_are_matched_exactly_whatever_they_hold(library: Library) -> None:
    embedding = vectors(8, 1)[0]
    by_category = dict(zip(NASTY, library.put_all([video(embedding, category=c) for c in NASTY]), strict=True))
    none = library.put(video(embedding)).video_id
    expect(lambda: sorted(library.ids(embedding)), sorted([*by_category.values(), none]))
    for category, video_id in by_category.items():
        assert library.ids(embedding, category=category) == [video_id], category
    assert library.search(vectors(8, 2), category="no such") == [[], []]


def test_filters_by_duration_and_by_id_hold_together(library: Library) -> None:
    embedding = vectors(13, 1)[0]
    lengths = {
        library.put(replace(video(embedding, category=c), duration_s=s)).video_id: (c, s)
        for c, s in (("a", 10.0), ("a", 59.999), ("b", 60.0), ("a", 3600.5))
    }
    short, almost, minute, long = lengths

    def found(only: VideoFilter, among: Sequence[str] | None = None) -> set[str]:
        [hits] = library.index.search(library.model, embedding[None], limit=1000, only=only, among=among)
        return {hit.video_id for hit in hits} & lengths.keys()

    expect(lambda: found(VideoFilter()), set(lengths))
    assert found(VideoFilter(min_duration_s=60)) == {minute, long}
    assert found(VideoFilter(max_duration_s=60)) == {short, almost, minute}
    assert found(VideoFilter(min_duration_s=20, max_duration_s=3600.5, category="a")) == {almost, long}
    assert found(VideoFilter(), [short, minute, new_id()]) == {short, minute}
    assert found(VideoFilter(category="a"), [short, minute]) == {short}
    assert found(VideoFilter(), [new_id() for _ in range(1999)] + [long]) == {long}
    assert found(VideoFilter(), []) == set()


def test_recategorise_changes_what_the_filter_matches_and_nothing_else(library: Library) -> None:
    embedding = vectors(9, 1)[0]
    changed = library.put(video(embedding, category="old"), 3)
    expect(lambda: library.ids(embedding, category="old"), [changed.video_id])
    library.index.recategorise(library.model, changed.video_id, "new")
    expect(lambda: library.ids(embedding, category="new"), [changed.video_id])
    expect(lambda: library.ids(embedding, category="old"), [])
    library.index.recategorise(library.model, changed.video_id, None)
    expect(lambda: library.ids(embedding, category="new"), [])
    np.testing.assert_allclose(
        library.index.videos(library.model, [changed.video_id])[changed.video_id], embedding, atol=1e-6
    )
    assert library.held(changed.video_id) == [0, 1, 2]


def test_recategorise_of_an_unknown_video_adds_nothing(library: Library) -> None:
    unknown = new_id()
    library.index.recategorise(library.model, unknown, "new")
    assert library.index.videos(library.model, [unknown]) == {}


def test_upsert_replaces_all_that_is_held_of_a_video(library: Library) -> None:
    before, after = vectors(10, 2)
    old = library.put(video(before, category="old"), 4, seed=1)
    expect(lambda: library.held(old.video_id), [0, 1, 2, 3])
    library.put(video(after, category="new", video_id=old.video_id), 4, seed=2)
    expect(lambda: library.ids(after, category="new"), [old.video_id])
    assert library.ids(after, category="old") == []
    np.testing.assert_allclose(library.index.videos(library.model, [old.video_id])[old.video_id], after, atol=1e-6)
    found = library.index.segments(library.model, {old.video_id: 4})[old.video_id]
    np.testing.assert_allclose([s.embedding for s in found], vectors(2, 4), atol=1e-6)


@pytest.mark.parametrize(("before", "after"), [(5, 2), (2, 5), (700, 0)])
def test_segments_beyond_the_new_count_are_gone(library: Library, before: int, after: int) -> None:
    embedding = vectors(11, 1)[0]
    kept = library.put(video(embedding), 2)
    changed = library.put(video(embedding), before)
    expect(lambda: library.held(changed.video_id), list(range(before)))
    library.put(changed, after)
    expect(lambda: library.held(changed.video_id), list(range(after)))
    assert library.held(kept.video_id) == [0, 1]


def test_delete_removes_the_videos_and_their_segments_alone(library: Library) -> None:
    embedding = vectors(12, 1)[0]
    gone, also_gone, kept = (library.put(video(embedding), count) for count in (1, 300, 2))
    library.index.delete(library.model, [gone.video_id, also_gone.video_id, "unknown", 'x" or id != "'])
    expect(lambda: library.ids(embedding), [kept.video_id])
    expect(lambda: list(library.index.videos(library.model, library.mine)), [kept.video_id])
    expect(lambda: library.held(gone.video_id) + library.held(also_gone.video_id), [])
    assert library.held(kept.video_id) == [0, 1]
    library.index.delete(library.model, [gone.video_id])
    library.index.delete(library.model, [])
    library.index.delete(model_version(), [kept.video_id])  # a model under which nothing was ever written
    assert library.held(kept.video_id) == [0, 1]


def test_segments_come_in_order_as_they_were_written(library: Library) -> None:
    one, two = (library.put(video(vectors(13, 1)[0]), 40, seed=seed) for seed in (1, 2))
    expect(lambda: len(library.held(two.video_id)), 40)
    found = library.index.segments(library.model, {one.video_id: 40, two.video_id: 7, new_id(): 3})
    assert {video_id: len(of) for video_id, of in found.items()} == {one.video_id: 40, two.video_id: 7}
    for written, read in zip(segments(one.video_id, 40, seed=1), found[one.video_id], strict=True):
        assert (read.video_id, read.number, read.time) == (written.video_id, written.number, written.time)
        np.testing.assert_allclose(read.embedding, written.embedding, atol=1e-6)


def test_segments_beyond_those_held_are_no_error(library: Library) -> None:
    held = library.put(video(vectors(14, 1)[0]), 3)
    expect(lambda: library.held(held.video_id), [0, 1, 2])
    found = library.index.segments(library.model, {held.video_id: 6000, new_id(): 6000, new_id(): 0})
    assert [s.number for s in found[held.video_id]] == [0, 1, 2]
    assert list(found) == [held.video_id]
    assert library.index.segments(library.model, {}) == {}


def test_videos_answers_those_that_exist(library: Library) -> None:
    one, two = vectors(15, 2)
    ids = [library.put(video(one)).video_id, library.put(video(two)).video_id]
    expect(lambda: len(library.index.videos(library.model, ids)), 2)
    found = library.index.videos(library.model, [*ids, ids[0], new_id(), "' or 1 == 1", 'x"\\'])
    assert sorted(found) == sorted(ids)
    np.testing.assert_allclose(found[ids[1]], two, atol=1e-6)
    assert found[ids[1]].dtype == np.float32
    assert library.index.videos(library.model, []) == {}


def test_count_counts_both(library: Library) -> None:
    videos, parts = library.index.count(library.model)
    library.put_all([video(e) for e in vectors(16, 3)], 4)
    assert library.index.count(library.model) == (videos + 3, parts + 12)
    library.index.flush(library.model)
    assert library.index.count(library.model) == (videos + 3, parts + 12)


def test_threads_share_one_index(library: Library) -> None:
    """Each thread reads back what it wrote while others write and flush: nothing acknowledged is ever hidden."""

    def work(seed: int) -> list[str]:
        mine = []
        for embedding in vectors(100 + seed, 2):
            new = library.put(video(embedding), 3)
            mine.append(new.video_id)
            library.index.flush(library.model)
            expect(lambda: [library.held(v) for v in mine], [[0, 1, 2]] * len(mine))
        return mine

    with ThreadPoolExecutor(3) as pool:
        written = [video_id for ids in pool.map(work, range(3)) for video_id in ids]
    expect(lambda: sorted(library.ids(vectors(0, 1)[0])), sorted(written))


def test_fresh_reads_see_at_once_what_was_acknowledged(library: Library) -> None:
    index, model = library.index, library.model
    new = library.put(video(vectors(18, 1)[0]), 3)
    assert list(index.videos(model, [new.video_id], fresh=True)) == [new.video_id]
    assert len(index.segments(model, {new.video_id: 5}, fresh=True)[new.video_id]) == 3
    index.delete(model, [new.video_id])
    assert index.videos(model, [new.video_id], fresh=True) == {}
    assert index.segments(model, {new.video_id: 5}, fresh=True) == {}


def test_rows_are_found_by_the_video_that_they_name(library: Library) -> None:
    index, model = library.index, library.model
    first, second = (library.put(video(v), n) for v, n in zip(vectors(20, 2), (3, 200), strict=True))
    stray = segments("lost", 1000)[-1]  # of which no other row tells that it is there
    index.upsert(model, video(vectors(21, 1)[0], video_id="whole"), [])
    index.upsert(model, replace(video(vectors(21, 1)[0]), video_id="lost"), [stray])
    index.recategorise(model, first.video_id, "a")
    ids = [first.video_id, second.video_id, "whole", "lost", 'none"\\']
    expected = {first.video_id: (1, 3), second.video_id: (1, 200), "whole": (1, 0), "lost": (1, 1)}
    assert index.held(model, ids) == expected
    index.delete(model, ids[:3])
    assert index.held(model, ids) == {"lost": (1, 1)}
    assert index.held(model, []) == {}
    assert index.held(model_version(), ids) == {}  # nothing was ever written under it


def test_what_was_released_is_loaded_by_the_next_read(library: Library) -> None:
    embedding = vectors(19, 1)[0]
    new = library.put(video(embedding), 2)
    expect(lambda: library.ids(embedding), [new.video_id])
    library.index.release(library.model)
    library.index.release(library.model)
    expect(lambda: library.ids(embedding), [new.video_id])
    assert library.held(new.video_id) == [0, 1]
    library.index.release(model_version())  # nothing was ever written under it


def test_another_client_sees_what_is_written(library: Library) -> None:
    if isinstance(library.index, FakeIndex):
        pytest.skip("the fake lives in one process")
    other = MilvusIndex(library.index._connection.uri, timeout_s=10.0)
    embedding = vectors(17, 1)[0]
    new = library.put(video(embedding), 2)
    theirs = Library(other, library.model, library.mine)
    expect(lambda: theirs.ids(embedding), [new.video_id])
    assert theirs.held(new.video_id) == [0, 1]
    other.close()


def calls(index: VectorIndex, model: ModelVersion) -> Sequence[Callable[[], object]]:
    """Every call that needs the index to answer."""
    new = video(vectors(0, 1)[0])
    return [
        lambda: index.create(model),
        lambda: index.drop(model),
        lambda: index.upsert(model, new, segments(new.video_id, 1)),
        lambda: index.recategorise(model, new.video_id, "x"),
        lambda: index.delete(model, [new.video_id]),
        lambda: index.search(model, vectors(0, 1), limit=1),
        lambda: index.videos(model, [new.video_id]),
        lambda: index.segments(model, {new.video_id: 1}),
        lambda: index.count(model),
        lambda: index.flush(model),
        lambda: index.ping(),
    ]


def fails_within(call: Callable[[], object], limit_s: float) -> str:
    started = time.monotonic()
    with pytest.raises(IndexUnavailable) as failure:
        call()
    assert time.monotonic() - started < limit_s
    return str(failure.value)


def test_an_unavailable_fake_says_so() -> None:
    index, model = FakeIndex(), model_version()
    index.create(model)
    index.available = False
    for call in calls(index, model):
        fails_within(call, 0.5)
