"""Notes on the progress of videos in SQL."""

from __future__ import annotations

from collections.abc import Mapping, Sequence

from sqlalchemy import Connection, Integer, case, cast, delete, func, select

from vidrec.adapters.sql.batches import in_batches
from vidrec.adapters.sql.schema import progress_notes, split_ranges, upsert
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
            found.update(self._of_split(batch))
        return found

    def clear(self, video_id: str) -> None:
        self._connection.execute(delete(progress_notes).where(progress_notes.c.video_id == video_id))

    def _of_split(self, video_ids: Sequence[str]) -> dict[str, VideoProgress]:
        length = split_ranges.c.end_s - split_ranges.c.start_s
        statement = (
            select(
                split_ranges.c.video_id,
                func.sum(case((split_ranges.c.finished, length), else_=split_ranges.c.decoded_s)),
                func.sum(length),
                func.sum(cast(split_ranges.c.finished, Integer)),
                func.count(),
            )
            .where(split_ranges.c.video_id.in_(video_ids))
            .group_by(split_ranges.c.video_id)
        )
        found = {}
        for video_id, decoded_s, length_s, done, count in self._connection.execute(statement):
            decoding = VideoProgress(Stage.DECODING, int(decoded_s), int(length_s), int(done), count)
            found[video_id] = decoding if done < count else VideoProgress(Stage.EMBEDDING)
        return found
