"""Changing the model without a gap: the library is embedded anew beside what requests are answered with, then one row
of SQL is changed. See docs/adr/0017."""

from __future__ import annotations

import logging
import time
from collections.abc import Iterator, Sequence
from dataclasses import dataclass

import numpy as np

from vidrec.application import pictures
from vidrec.application.ingest import index_missing
from vidrec.application.jobs import BESIDE, index_job
from vidrec.application.ports import Database, JobQueue, MediaStore, VectorIndex
from vidrec.application.split_video import is_shared
from vidrec.domain.errors import Conflict, NotFound
from vidrec.domain.models import ModelVersion, VideoStatus

log = logging.getLogger(__name__)

NEIGHBOURS = 10
_QUERIES_A_CALL = 50
_VIDEOS_A_READ = 500


@dataclass(frozen=True, slots=True)
class Embedded:
    """How far the library is under a model version that is prepared."""

    indexed: int
    failed: int
    """Videos that can be recommended and cannot be indexed under it."""
    total: int
    """Videos that can be recommended."""


@dataclass(frozen=True, slots=True)
class Comparison:
    """How alike two model versions see the same videos."""

    videos: int
    """So many were compared."""
    overlap: float
    """Mean share of a video's NEIGHBOURS nearest ones that are the same under both, 0 to 1; 1 where nothing could be
    compared."""
    least: float
    """The share of the video where it is least."""


class ModelChanges:
    """The use cases of changing the model. Each may be cut short at any moment and asked for again."""

    def __init__(self, database: Database, queue: JobQueue, index: VectorIndex, store: MediaStore) -> None:
        self._database = database
        self._queue = queue
        self._index = index
        self._store = store

    def begin(self, model: ModelVersion) -> bool:
        """Prepares a model version: from now on what arrives is indexed under it too. Videos that could not be indexed
        under it are tried again. False, and the version is the active one at once, where there is nothing to embed.
        Conflict where it is active already, or another one is being prepared."""
        with self._database.transaction() as uow:
            roles = uow.models.roles()
            if roles.active is not None and roles.active.version == model.version:
                raise Conflict(f"model version {model.version} is the active one already")
            if roles.prepared is not None and roles.prepared.version != model.version:
                raise Conflict(
                    f"model version {roles.prepared.version} is being prepared: go on with it, or end that by "
                    f"`vidrec model drop {roles.prepared.version}`"
                )
            uow.models.register(model)
            if roles.active is None or not uow.catalogue.counts().get(VideoStatus.INDEXED):
                uow.models.activate(model.version)
                return False
            uow.models.prepare(model.version)
            uow.catalogue.forget_version(model.version, failures_only=True)
        return True

    def embed(self, model: ModelVersion, *, at_a_time: int, every_s: float = 0.5) -> Iterator[Embedded]:
        """Keeps so many videos in the queue, after whatever is uploaded, until all are indexed under the version or
        cannot be; tells at each look how far they are. Conflict where the version is not prepared any more."""
        while True:
            with self._database.snapshot() as uow:
                waiting = uow.catalogue.unindexed(model.version, limit=at_a_time)
                indexed, failed = uow.catalogue.indexed_under(model.version)
                total = uow.catalogue.counts().get(VideoStatus.INDEXED, 0)
            yield Embedded(indexed, failed, total)
            if not waiting:
                return
            self._queue_beside(model, waiting)
            time.sleep(every_s)

    def compare(self, model: ModelVersion, *, sample: int) -> Comparison:
        """How many of the nearest videos are the same under the active version and this one, over a sample of videos
        that are spread over the library. IndexUnavailable; NotFound while no model is active."""
        with self._database.snapshot() as uow:
            active = uow.models.active()
            ids = uow.catalogue.indexed_ids()
        if active is None:
            raise NotFound("no model is active yet: there is nothing to compare with")
        chosen = [ids[i] for i in np.linspace(0, len(ids) - 1, min(sample, len(ids)), dtype=int)] if ids else []
        shares: list[float] = []
        for start in range(0, len(chosen), _QUERIES_A_CALL):
            before, after = (self._nearest(m, chosen[start : start + _QUERIES_A_CALL]) for m in (active, model))
            shares += [len(before[v] & after[v]) / len(before[v]) for v in before if before[v] and v in after]
        return Comparison(len(shares), float(np.mean(shares)) if shares else 1.0, min(shares, default=1.0))

    def switch(self, model: ModelVersion) -> bool:
        """Makes a prepared version the active one; the one before is kept to go back to. False where a video is not
        indexed under it yet: `embed` again. Conflict where it is not prepared any more."""
        self._index.flush(model)
        with self._database.transaction() as uow:
            roles = uow.models.roles()
            if roles.active is not None and roles.active.version == model.version:
                return True
            self._check_prepared(model, roles.prepared)
            if uow.catalogue.unindexed(model.version, limit=1):
                return False
            uow.models.activate(model.version)
        return True

    def roll_back(self) -> tuple[ModelVersion, int]:
        """Makes the version before the active one again, at once, and queues what arrived since; answers the version
        and how many videos that are. Conflict where there is none."""
        with self._database.transaction() as uow:
            previous = uow.models.roles().previous
            if previous is None:
                raise Conflict("there is no model version to go back to: none was active before, or it was dropped")
            uow.models.activate(previous.version)
        return previous, len(index_missing(self._database, self._queue))

    def drop(self, version: str) -> None:
        """Removes a version with its vectors and pictures; a change to it that is going on ends. Conflict where it is
        the active one; NotFound."""
        with self._database.transaction() as uow:
            model = next((known for known in uow.models.all() if known.version == version), None)
            roles = uow.models.roles()
            if model is None:
                raise NotFound(f"model version {version} is not known: see `vidrec model list`")
            if roles.active == model:
                raise Conflict(f"model version {version} is the active one: activate another one first")
            if roles.prepared == model:
                uow.models.prepare(None)
        self._index.drop(model)
        self._drop_pictures(model)
        with self._database.transaction() as uow:
            uow.catalogue.forget_version(version)
            uow.models.remove(version)

    def _queue_beside(self, model: ModelVersion, video_ids: Sequence[str]) -> None:
        """A job of each that has none. While a split video's ranges are worked on it needs none."""
        split = {v for v in video_ids if is_shared(self._database, self._queue, v, model.version)}
        with self._database.transaction() as uow:
            self._check_prepared(model, uow.models.roles().prepared)
            # Read again here: one that was done since must not be done twice.
            idle = [v for v in uow.catalogue.unindexed(model.version, limit=len(video_ids)) if v not in split]
            self._queue.enqueue(uow, [index_job(video_id, model.version, priority=BESIDE) for video_id in idle])

    @staticmethod
    def _check_prepared(model: ModelVersion, prepared: ModelVersion | None) -> None:
        if prepared is None or prepared.version != model.version:
            raise Conflict(f"model version {model.version} is not being prepared any more: the change was ended")

    def _nearest(self, model: ModelVersion, video_ids: Sequence[str]) -> dict[str, set[str]]:
        """The nearest videos of each that is indexed under the version."""
        embeddings = self._index.videos(model, video_ids)
        if not embeddings:
            return {}
        found = self._index.search(model, np.stack(list(embeddings.values())), limit=NEIGHBOURS + 1)
        return {
            video_id: {hit.video_id for hit in [hit for hit in hits if hit.video_id != video_id][:NEIGHBOURS]}
            for video_id, hits in zip(embeddings, found, strict=True)
        }

    def _drop_pictures(self, model: ModelVersion) -> None:
        with self._database.snapshot() as uow:
            ids = uow.catalogue.indexed_ids()
        for start in range(0, len(ids), _VIDEOS_A_READ):
            batch = ids[start : start + _VIDEOS_A_READ]
            with self._database.snapshot() as uow:
                videos = uow.catalogue.get(batch, model_version=model.version)
            for video in videos.values():
                if video.indexed_model == model.version:
                    self._store.delete(pictures.version_prefix(video.id, model.version))
