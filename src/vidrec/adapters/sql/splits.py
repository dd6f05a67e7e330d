"""Split videos in SQL."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import asdict
from typing import Any

from sqlalchemy import ColumnElement, Connection, and_, delete, func, insert, select, update

from vidrec.adapters.sql.schema import split_ranges, splits
from vidrec.application.ports import SplitRange
from vidrec.domain.models import MediaInfo, TimeRange


class SqlSplits:
    """Implements the Splits port within one transaction."""

    def __init__(self, connection: Connection) -> None:
        self._connection = connection

    def begin(
        self,
        video_id: str,
        model_version: str,
        media: MediaInfo,
        ranges: Sequence[TimeRange],
        job_ids: Sequence[str],
    ) -> None:
        self.end(video_id, model_version)
        key = {"video_id": video_id, "model_version": model_version}
        self._connection.execute(insert(splits).values(**key, media=asdict(media), changes=0))
        rows = [
            {
                **key,
                "number": number,
                "start_s": time.start_s,
                "end_s": time.end_s,
                "job_id": job_id,
                "decoded_s": 0.0,
                "finished": False,
            }
            for number, (time, job_id) in enumerate(zip(ranges, job_ids, strict=True))
        ]
        self._connection.execute(insert(split_ranges), rows)

    def media(self, video_id: str, model_version: str) -> MediaInfo | None:
        found = self._connection.execute(select(splits.c.media).where(_is(splits, video_id, model_version))).scalar()
        return None if found is None else MediaInfo(**found)

    def ranges(self, video_id: str, model_version: str) -> Sequence[SplitRange]:
        statement = select(split_ranges).where(_is(split_ranges, video_id, model_version))
        return [
            SplitRange(row.number, TimeRange(row.start_s, row.end_s), row.job_id, row.finished)
            for row in self._connection.execute(statement.order_by(split_ranges.c.number))
        ]

    def note(self, video_id: str, model_version: str, number: int, decoded_s: float) -> None:
        one = _is(split_ranges, video_id, model_version) & (split_ranges.c.number == number)
        self._connection.execute(update(split_ranges).where(one).values(decoded_s=decoded_s))

    def finish(self, video_id: str, model_version: str, number: int) -> int | None:
        # The row of the split is locked first: what the next statement reads is what the other transaction left.
        whole = _is(splits, video_id, model_version)
        self._connection.execute(update(splits).where(whole).values(changes=splits.c.changes + 1))
        every = _is(split_ranges, video_id, model_version)
        one = update(split_ranges).where(every, split_ranges.c.number == number).values(finished=True)
        if self._connection.execute(one).rowcount == 0:
            return None
        left = select(func.count()).select_from(split_ranges).where(every, split_ranges.c.finished.is_(False))
        return int(self._connection.execute(left).scalar_one())

    def end(self, video_id: str, model_version: str) -> Sequence[str]:
        left = [found.job_id for found in self.ranges(video_id, model_version) if not found.finished]
        for table in (split_ranges, splits):
            self._connection.execute(delete(table).where(_is(table, video_id, model_version)))
        return left

    def clear(self, video_id: str) -> None:
        for table in (split_ranges, splits):
            self._connection.execute(delete(table).where(table.c.video_id == video_id))


def _is(table: Any, video_id: str, model_version: str) -> ColumnElement[bool]:
    return and_(table.c.video_id == video_id, table.c.model_version == model_version)
