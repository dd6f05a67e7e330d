"""Notes on the progress of videos in SQL."""

from __future__ import annotations

from collections.abc import Mapping, Sequence

from sqlalchemy import Connection, delete, select

from vidrec.adapters.sql.batches import in_batches
from vidrec.adapters.sql.schema import progress_notes, upsert
from vidrec.domain.uploads import Stage, VideoProgress


class SqlProgressNotes:
    """Implements the ProgressNotes port within one transaction."""

    def __init__(self, connection: Connection) -> None:
        self._connection = connection

    def put(self, video_id: str, progress: VideoProgress) -> None:
        values = {"stage": progress.stage, "done": progress.done, "total": progress.total}
        self._connection.execute(
            upsert(self._connection, progress_notes)
            .values(video_id=video_id, **values)
            .on_conflict_do_update(index_elements=["video_id"], set_=values)
        )

    def get(self, video_ids: Sequence[str]) -> Mapping[str, VideoProgress]:
        found: dict[str, VideoProgress] = {}
        for batch in in_batches(video_ids):
            rows = self._connection.execute(select(progress_notes).where(progress_notes.c.video_id.in_(batch)))
            found.update((row.video_id, VideoProgress(Stage(row.stage), row.done, row.total)) for row in rows)
        return found

    def clear(self, video_id: str) -> None:
        self._connection.execute(delete(progress_notes).where(progress_notes.c.video_id == video_id))
