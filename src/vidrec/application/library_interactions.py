"""The library's own interactions and vectors, for `vidrec evaluate interactions`."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np

from vidrec.application.ports import Database, VectorIndex
from vidrec.domain.errors import InvalidInput
from vidrec.domain.interaction_log import InteractionLog, fold_log
from vidrec.domain.models import Embeddings, InteractionType, ModelVersion
from vidrec.domain.profile import interaction_weight

EVENTS_A_READ = 5000
VIDEOS_A_READ = 500


@dataclass(frozen=True, slots=True)
class LibraryLog:
    """What users did with the videos that can be recommended."""

    log: InteractionLog
    video_ids: Sequence[str]
    """In the order of the log's items."""
    vectors: Embeddings
    """A row per video; zeros where it has no vectors of the active model."""
    model: ModelVersion
    left_out: int
    """Interactions with videos that are not recommendable now."""

    def features_at(self, moment: float | None) -> Embeddings:
        """A video's pixels are known from the first second on."""
        return self.vectors


def library_log(database: Database, index: VectorIndex) -> LibraryLog:
    """All videos that may be shown, and what users did with them. Interactions of positive weight
    (`interaction_weight`) count as liked; impressions do not count at all. Only reads. InvalidInput where there is
    nothing to compare."""
    with database.snapshot() as uow:
        model = uow.models.active()
        ids = list(uow.catalogue.indexed_ids())
        shown = uow.catalogue.recommendable(ids)
    ids = [video_id for video_id in ids if video_id in shown]
    if model is None or not ids:
        raise InvalidInput("the library holds no video that can be recommended: ingest some first", field="data")
    if len(ids) < 2:
        raise InvalidInput("the library holds one video only: expected at least two to be told apart", field="data")
    log, left_out = _log(database, {video_id: i for i, video_id in enumerate(ids)})
    if not len(log):
        raise InvalidInput("the library holds no interactions: see `vidrec import interactions`", field="data")
    vectors = np.zeros((len(ids), model.dimension), dtype=np.float32)
    for start in range(0, len(ids), VIDEOS_A_READ):
        part = ids[start : start + VIDEOS_A_READ]
        found = index.videos(model, part)
        for i, video_id in enumerate(part, start):
            if video_id in found:
                vectors[i] = found[video_id]
    return LibraryLog(log, ids, vectors, model, left_out)


def _log(database: Database, items: dict[str, int]) -> tuple[InteractionLog, int]:
    users: dict[str, int] = {}
    who: list[int] = []
    what: list[int] = []
    when: list[float] = []
    liked: list[bool] = []
    after, left_out = 0, 0
    while True:
        with database.snapshot() as uow:
            events = uow.interactions.after(after, limit=EVENTS_A_READ)
        if not events:
            return fold_log(who, what, when, liked, n_items=len(items)), left_out
        after = events[-1][0]
        for _, event in events:
            if event.type is InteractionType.IMPRESSION:
                continue
            if event.video_id not in items:
                left_out += 1
                continue
            who.append(users.setdefault(event.user_id, len(users)))
            what.append(items[event.video_id])
            when.append(event.ts.timestamp())
            liked.append(interaction_weight(event) > 0)
