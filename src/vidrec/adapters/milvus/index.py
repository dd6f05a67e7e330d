"""The vector index on Milvus: two collections per model version."""

from __future__ import annotations

import logging
from collections import Counter, defaultdict
from collections.abc import Iterable, Mapping, Sequence
from functools import partial
from itertools import islice
from typing import Any

import numpy as np

from vidrec.adapters.milvus.connection import PATIENT_S, Access, Client, MilvusConnection
from vidrec.adapters.milvus.schema import Hnsw, create_collection
from vidrec.adapters.milvus.upkeep import Upkeep
from vidrec.application.ports import Hit, Observe, unobserved
from vidrec.domain.filters import EVERY_VIDEO, VideoFilter
from vidrec.domain.models import Embedding, Embeddings, ModelVersion, Segment, TimeRange, VideoVector, segment_id

_log = logging.getLogger(__name__)

LITE_COMFORT = 40_000
"""Vectors up to which Milvus Lite is a good home."""
_ROWS_PER_WRITE = 500
_IDS_PER_READ = 5000
_NUMBERS_PER_PROBE = 128
_VIDEOS_PER_LOOK = 100
# Which reads must see all that was acknowledged before them, and which may be seconds late: docs/adr/0018.
_STRONG: Mapping[str, Any] = {"consistency_level": "Strong"}
_BOUNDED: Mapping[str, Any] = {"consistency_level": "Bounded"}
_ESCAPES = str.maketrans({"\\": "\\\\", '"': '\\"', "\n": "\\n", "\r": "\\r", "\t": "\\t"})


class MilvusIndex:
    """Implements the VectorIndex port on Milvus 2.3.5 and later, and on Milvus Lite's server. Connects at the first
    call. Thread-safe: one instance serves a whole process.

    What is read for an answer may be seconds old (Bounded): the newest videos can wait, and deleted ones are dropped by
    what SQL says. What a write follows from, counts, and reads that are asked to be `fresh` see everything (Strong)."""

    def __init__(
        self,
        access: Access | str,
        *,
        timeout_s: float,
        hnsw: Hnsw = Hnsw(),  # noqa: B008 - it is frozen
        observe: Observe = unobserved,
    ) -> None:
        """`access`: a string is an address without more."""
        access = Access(access) if isinstance(access, str) else access
        self._connection = MilvusConnection(access, timeout_s=timeout_s, observe=observe)
        self._hnsw = hnsw
        self._upkeep = Upkeep(self._connection)
        self._warned = False

    def create(self, model: ModelVersion) -> None:
        for name in (model.segments_collection, model.videos_collection):
            create = partial(self._create, name=name, dimension=model.dimension)
            self._connection.run(create, step="create_collection", timeout_s=PATIENT_S)

    def drop(self, model: ModelVersion) -> None:
        for name in (model.videos_collection, model.segments_collection):
            self._connection.call("drop_collection", name, timeout=PATIENT_S)

    def upsert(self, model: ModelVersion, video: VideoVector, segments: Sequence[Segment]) -> None:
        rows = [_segment_row(s) for s in sorted(segments, key=lambda s: s.number)]
        self._upsert(model.segments_collection, rows)
        count = max((s.number for s in segments), default=-1) + 1
        self._delete(model.segments_collection, self._segment_ids(model, {video.video_id: count}))
        self._upsert(model.videos_collection, [_video_row(video)])

    def recategorise(self, model: ModelVersion, video_id: str, category: str | None) -> None:
        for row in self._read(model.videos_collection, [video_id], ["*"], **_STRONG):
            self._upsert(model.videos_collection, [{**row, "category": category or ""}])

    def delete(self, model: ModelVersion, video_ids: Sequence[str]) -> None:
        if not self._connection.call("has_collection", model.videos_collection):
            return  # nothing was ever written under this model
        # The video rows first: a video that can be found has all its segments.
        self._delete(model.videos_collection, video_ids)
        stale = self._segment_ids(model, dict.fromkeys(video_ids, 0))
        self._delete(model.segments_collection, stale)

    def search(
        self,
        model: ModelVersion,
        queries: Embeddings,
        *,
        limit: int,
        only: VideoFilter = EVERY_VIDEO,
        among: Sequence[str] | None = None,
    ) -> Sequence[Sequence[Hit]]:
        if len(queries) == 0 or (among is not None and not among):
            return [[] for _ in queries]
        found = self._connection.call(
            "search",
            model.videos_collection,
            np.ascontiguousarray(queries, dtype=np.float32),
            anns_field="embedding",
            filter=_expression(only, among),
            limit=limit,
            output_fields=["embedding"],
            search_params={"params": {"ef": self._hnsw.breadth(limit)}},
            **_BOUNDED,
        )
        return _hits(found)

    def videos(self, model: ModelVersion, video_ids: Sequence[str], *, fresh: bool = False) -> Mapping[str, Embedding]:
        rows = self._read(model.videos_collection, video_ids, ["embedding"], **(_STRONG if fresh else _BOUNDED))
        return {row["id"]: _embedding(row) for row in rows}

    def segments(
        self, model: ModelVersion, counts: Mapping[str, int], *, fresh: bool = False
    ) -> Mapping[str, Sequence[Segment]]:
        ids = [segment_id(video_id, number) for video_id, count in counts.items() for number in range(count)]
        fields = ["video_id", "number", "start_s", "end_s", "embedding"]
        found: dict[str, list[Segment]] = defaultdict(list)
        for row in self._read(model.segments_collection, ids, fields, **(_STRONG if fresh else _BOUNDED)):
            found[row["video_id"]].append(_segment(row))
        return {video_id: sorted(segments, key=lambda s: s.number) for video_id, segments in found.items()}

    def count(self, model: ModelVersion) -> tuple[int, int]:
        return self._count(model.videos_collection), self._count(model.segments_collection)

    def held(self, model: ModelVersion, video_ids: Sequence[str]) -> Mapping[str, tuple[int, int]]:
        videos = self._rows_naming(model.videos_collection, "id", video_ids)
        segments = self._rows_naming(model.segments_collection, "video_id", video_ids)
        return {v: (videos[v], segments[v]) for v in video_ids if videos[v] or segments[v]}

    def flush(self, model: ModelVersion) -> None:
        self._upkeep.flush([model.segments_collection, model.videos_collection])
        if self._connection.is_lite and not self._warned and sum(self.count(model)) >= LITE_COMFORT:
            self._warned = True
            _log.warning(
                "the vector index holds %d vectors, which is much for Milvus Lite: `vidrec index move` takes them to a "
                "Milvus server",
                sum(self.count(model)),
            )

    def release(self, model: ModelVersion) -> None:
        for name in (model.videos_collection, model.segments_collection):
            if self._connection.call("has_collection", name):
                self._connection.call("release_collection", name, timeout=PATIENT_S)

    def ping(self) -> None:
        self._connection.ping()

    def close(self) -> None:
        self._connection.close()

    def _create(self, client: Client, left_s: float, *, name: str, dimension: int) -> None:
        create_collection(client, name, dimension, is_lite=self._connection.is_lite, hnsw=self._hnsw)
        self._connection.load(client, name, timeout_s=left_s)

    def _upsert(self, name: str, rows: Iterable[Mapping[str, Any]]) -> None:
        for batch in _batches(rows, _ROWS_PER_WRITE):
            self._connection.call("upsert", name, batch, timeout=PATIENT_S)
            self._upkeep.written(name, len(batch))

    def _delete(self, name: str, ids: Sequence[str]) -> None:
        if ids:
            self._connection.call("delete", name, filter=_one_of("id", ids))
            self._upkeep.deleted(name, len(ids))

    def _read(self, name: str, ids: Iterable[str], fields: Sequence[str], **options: Any) -> list[dict[str, Any]]:
        """Rows by primary key, in no order; one call unless there are very many."""
        # Vectors come as arrays: as lists of floats, pymilvus's default, they take twice the processor's time.
        options |= {"output_fields": list(fields), "strict_float32": True}
        rows: list[dict[str, Any]] = []
        for batch in _batches(dict.fromkeys(ids), _IDS_PER_READ):
            rows += self._connection.call("query", name, filter=_one_of("id", batch), **options)
        return rows

    def _segment_ids(self, model: ModelVersion, first: Mapping[str, int]) -> list[str]:
        """Ids of the segments held from a number on, by video. Numbers are dense, so reading on by key until nothing is
        there finds all; a filter on `video_id` would read every row."""
        found: list[str] = []
        ahead = dict(first)
        while ahead:
            ids = [segment_id(v, number + i) for v, number in ahead.items() for i in range(_NUMBERS_PER_PROBE)]
            rows = self._read(model.segments_collection, ids, ["video_id"], **_STRONG)
            found += [row["id"] for row in rows]
            held = {row["video_id"] for row in rows}
            ahead = {v: number + _NUMBERS_PER_PROBE for v, number in ahead.items() if v in held}
        return found

    def _rows_naming(self, name: str, field: str, video_ids: Sequence[str]) -> Counter[str]:
        """Rows by video. By the field, not by the keys that they should have: what is not where it should be is found
        too, at the price of a look at every row."""
        rows: Counter[str] = Counter()
        if self._connection.call("has_collection", name):
            for batch in _batches(dict.fromkeys(video_ids), _VIDEOS_PER_LOOK):
                which = _one_of(field, batch)
                found = self._connection.call("query", name, filter=which, output_fields=[field], **_STRONG)
                rows.update(row[field] for row in found)
        return rows

    def _count(self, name: str) -> int:
        rows = self._connection.call("query", name, filter="", output_fields=["count(*)"], timeout=PATIENT_S, **_STRONG)
        return int(rows[0]["count(*)"])


def _batches(values: Iterable[Any], size: int) -> Iterable[list[Any]]:
    rest = iter(values)
    while batch := list(islice(rest, size)):
        yield batch


def _one_of(field: str, values: Sequence[str]) -> str:
    return f"{field} in [{', '.join(map(_quoted, values))}]"


def _expression(only: VideoFilter, among: Sequence[str] | None) -> str:
    """In Milvus's filter language; empty where every video passes."""
    conditions = [] if among is None else [_one_of("id", among)]
    if only.category is not None:
        conditions.append(f"category == {_quoted(only.category)}")
    if only.min_duration_s is not None:
        conditions.append(f"duration_s >= {float(only.min_duration_s)}")
    if only.max_duration_s is not None:
        conditions.append(f"duration_s <= {float(only.max_duration_s)}")
    return " and ".join(conditions)


def _quoted(text: str) -> str:
    """A string literal of Milvus's filter language. Milvus Lite knows no other escapes than these."""
    return f'"{text.translate(_ESCAPES)}"'


def _segment_row(segment: Segment) -> dict[str, Any]:
    return {
        "id": segment.id,
        "video_id": segment.video_id,
        "number": segment.number,
        "start_s": float(segment.time.start_s),
        "end_s": float(segment.time.end_s),
        "embedding": segment.embedding,
    }


def _video_row(video: VideoVector) -> dict[str, Any]:
    return {
        "id": video.video_id,
        "category": video.category or "",
        "duration_s": float(video.duration_s),
        "embedding": video.embedding,
    }


def _segment(row: Mapping[str, Any]) -> Segment:
    return Segment(
        video_id=row["video_id"],
        number=int(row["number"]),
        time=TimeRange(float(row["start_s"]), float(row["end_s"])),
        embedding=_embedding(row),
    )


def _hits(found: Any) -> list[list[Hit]]:
    # pymilvus's own way to the vectors, one list of floats at a time, takes as long as the search itself. One column
    # holds those of all queries.
    columns = [field for hits in found for field in hits.lazy_field_data]
    vectors = _vectors(columns[0]) if columns else np.empty((0, 0), dtype=np.float32)
    return [
        [
            Hit(video_id, min(max(score, -1.0), 1.0), embedding)
            for video_id, score, embedding in zip(hits.ids, hits.distances, vectors[hits.start :], strict=False)
        ]
        for hits in found
    ]


def _vectors(field: Any) -> Embeddings:
    """The rows of a vector column. On the wire its floats are the packed end of the message, as IEEE 754 little-endian
    (protobuf encoding, "packed repeated fields")."""
    floats = field.vectors.float_vector
    wire = floats.SerializeToString()
    packed = np.frombuffer(wire, dtype="<f4", offset=len(wire) - 4 * len(floats.data))
    return packed.astype(np.float32).reshape(-1, field.vectors.dim)


def _embedding(row: Mapping[str, Any]) -> Embedding:
    return np.asarray(row["embedding"], dtype=np.float32)
