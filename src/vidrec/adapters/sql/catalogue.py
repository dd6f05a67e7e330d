"""Videos in SQL."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import asdict
from pathlib import PurePath
from typing import Any

from sqlalchemy import Connection, Row, Select, delete, func, insert, select, update
from sqlalchemy.exc import IntegrityError

from vidrec.adapters.sql.batches import in_batches
from vidrec.adapters.sql.schema import video_stats, videos
from vidrec.application.ports import VideoChanges
from vidrec.domain.errors import Conflict, FailureReason, NotFound
from vidrec.domain.models import MediaInfo, NewVideo, Playback, Video, VideoStatus, new_id, utc_now

_COLUMNS = [c for c in videos.c if c.name != "title_folded"]
_LIVE = videos.c.deleted_at.is_(None)
_NOT_KEPT = frozenset({"profile", "pixel_format", "hdr"})
_SHOWN = _LIVE & videos.c.available & (videos.c.status == VideoStatus.INDEXED)


class SqlCatalogue:
    """Implements the Catalogue port within one transaction."""

    def __init__(self, connection: Connection) -> None:
        self._connection = connection

    def add(self, video: NewVideo, *, video_id: str | None = None, status: VideoStatus = VideoStatus.QUEUED) -> Video:
        title = video.title or PurePath(video.filename).stem or video.filename
        row = {
            **asdict(video),
            "id": video_id or new_id(),
            "title": title,
            "title_folded": title.casefold(),
            "tags": list(video.tags),
            "status": status,
            "segment_count": 0,
            "available": True,
            "created_at": utc_now(),
        }
        try:
            with self._connection.begin_nested():
                self._connection.execute(insert(videos).values(row))
        except IntegrityError as error:
            raise _taken(video.external_id) from error
        return self.get([row["id"]])[row["id"]]

    def receive(self, video_id: str, *, location: str, size_bytes: int, content_sha256: str) -> bool:
        statement = (
            update(videos)
            .where(videos.c.id == video_id, videos.c.status == VideoStatus.UPLOADING, _LIVE)
            .values(status=VideoStatus.QUEUED, location=location, size_bytes=size_bytes, content_sha256=content_sha256)
        )
        return self._connection.execute(statement).rowcount > 0

    def set_sha256(self, video_id: str, content_sha256: str) -> None:
        self._set([video_id], content_sha256=content_sha256)

    def withdraw(self, video_id: str) -> None:
        self._connection.execute(
            delete(videos).where(videos.c.id == video_id, videos.c.status == VideoStatus.UPLOADING, _LIVE)
        )

    def get(self, video_ids: Sequence[str]) -> Mapping[str, Video]:
        return {v.id: v for v in self._where_in(videos.c.id, video_ids)}

    def recommendable(self, video_ids: Sequence[str]) -> Mapping[str, str]:
        found: dict[str, str] = {}
        for batch in in_batches(video_ids):
            statement = select(videos.c.id, videos.c.content_sha256).where(videos.c.id.in_(batch), _SHOWN)
            found.update(self._connection.execute(statement).all())
        return found

    def resolve(self, external_ids: Sequence[str]) -> Mapping[str, str]:
        found: dict[str, str] = {}
        for batch in in_batches(external_ids):
            statement = (
                select(videos.c.external_id, videos.c.id)
                .where(videos.c.external_id.in_(batch))
                # the live one last, so that it wins over deleted ones of the same external id
                .order_by(_LIVE, videos.c.id)
            )
            found.update((row.external_id, row.id) for row in self._connection.execute(statement))
        return found

    def find_by_sha256(self, digests: Sequence[str]) -> Mapping[str, Video]:
        found: dict[str, Video] = {}
        for video in self._where_in(videos.c.content_sha256, digests):
            found.setdefault(video.content_sha256, video)
        return found

    def find_by_location(self, locations: Sequence[str]) -> Mapping[str, Video]:
        return {v.location: v for v in self._where_in(videos.c.location, locations)}

    def page(
        self, *, query: str | None, category: str | None, status: VideoStatus | None, after: str | None, limit: int
    ) -> Sequence[Video]:
        statement = select(*_COLUMNS).where(_LIVE)
        if query:
            statement = statement.where(videos.c.title_folded.contains(query.casefold(), autoescape=True))
        if category is not None:
            statement = statement.where(videos.c.category == category)
        if status is not None:
            statement = statement.where(videos.c.status == status)
        if after is not None:
            statement = statement.where(videos.c.id < after)
        return self._videos(statement.order_by(videos.c.id.desc()).limit(limit))

    def change(self, video_id: str, changes: VideoChanges) -> Video:
        values = {name: value for name, value in asdict(changes).items() if value is not None}
        if changes.tags is not None:
            values["tags"] = list(changes.tags)
        if changes.title is not None:
            values["title_folded"] = changes.title.casefold()
        try:
            if values:
                with self._connection.begin_nested():
                    self._set([video_id], **values)
        except IntegrityError as error:
            raise _taken(changes.external_id) from error
        found = self.get([video_id]).get(video_id)
        if found is None:
            raise NotFound(f"there is no video {video_id}")
        return found

    def relocate(self, video_id: str, *, location: str, filename: str, source_mtime_ns: int | None) -> None:
        self._set([video_id], location=location, filename=filename, source_mtime_ns=source_mtime_ns)

    def mark_processing(self, video_id: str) -> None:
        self._set([video_id], status=VideoStatus.PROCESSING)

    def mark_indexed(self, video_id: str, *, model_version: str, media: MediaInfo, segment_count: int) -> bool:
        changed = self._set(
            [video_id],
            status=VideoStatus.INDEXED,
            media=_kept(media),
            segment_count=segment_count,
            indexed_model=model_version,
            indexed_at=utc_now(),
            failure_reason=None,
            failure_message=None,
        )
        return changed > 0

    def set_playback(self, video_id: str, playback: Playback, rendition: str | None = None) -> bool:
        return self._set([video_id], playback=playback, rendition=rendition) > 0

    def without_playback(self, limit: int) -> Sequence[str]:
        indexed = videos.c.status == VideoStatus.INDEXED
        statement = select(videos.c.id).where(_LIVE, indexed, videos.c.playback.is_(None)).order_by(videos.c.id)
        return list(self._connection.execute(statement.limit(limit)).scalars())

    def mark_failed(self, video_id: str, reason: FailureReason, message: str) -> None:
        self._set([video_id], status=VideoStatus.FAILED, failure_reason=reason, failure_message=message)

    def requeue(self, video_ids: Sequence[str]) -> None:
        self._set(video_ids, status=VideoStatus.QUEUED, failure_reason=None, failure_message=None)

    def tombstone(self, video_id: str) -> Video:
        rows = self._videos(select(*_COLUMNS).where(videos.c.id == video_id))
        if not rows:
            raise NotFound(f"there is no video {video_id}")
        self._set([video_id], deleted_at=utc_now())
        return rows[0]

    def deleted(self, video_ids: Sequence[str]) -> set[str]:
        found: set[str] = set()
        for batch in in_batches(video_ids):
            statement = select(videos.c.id).where(videos.c.id.in_(batch), ~_LIVE)
            found.update(self._connection.execute(statement).scalars())
        return found

    def scrub(self, video_id: str) -> None:
        empty = {"title": "", "title_folded": "", "filename": "", "location": "", "tags": [], "content_sha256": ""}
        gone = dict.fromkeys(["category", "url", "media", "failure_message", "source_mtime_ns", "rendition"])
        self._connection.execute(update(videos).where(videos.c.id == video_id, ~_LIVE).values(**empty, **gone))

    def popular(self, limit: int, *, category: str | None = None) -> Sequence[Video]:
        statement = (
            select(*_COLUMNS)
            .join(video_stats, video_stats.c.video_id == videos.c.id)
            .where(_SHOWN)
            .order_by(video_stats.c.popularity.desc(), videos.c.id)
            .limit(limit)
        )
        return self._videos(statement if category is None else statement.where(videos.c.category == category))

    def recent(self, limit: int, *, category: str | None = None) -> Sequence[Video]:
        statement = (
            select(*_COLUMNS).where(_SHOWN).order_by(videos.c.indexed_at.desc(), videos.c.id.desc()).limit(limit)
        )
        return self._videos(statement if category is None else statement.where(videos.c.category == category))

    def counts(self) -> Mapping[VideoStatus, int]:
        statement = select(videos.c.status, func.count()).where(_LIVE).group_by(videos.c.status)
        return {VideoStatus(status): count for status, count in self._connection.execute(statement)}

    def indexed_ids(self) -> Sequence[str]:
        statement = select(videos.c.id).where(_LIVE, videos.c.indexed_model.is_not(None)).order_by(videos.c.id)
        return list(self._connection.execute(statement).scalars())

    def _set(self, video_ids: Sequence[str], **values: Any) -> int:
        changed = 0
        for batch in in_batches(video_ids):
            statement = update(videos).where(videos.c.id.in_(batch), _LIVE).values(**values)
            changed += self._connection.execute(statement).rowcount
        return changed

    def _where_in(self, column: Any, values: Sequence[str]) -> list[Video]:
        found: list[Video] = []
        for batch in in_batches(values):
            found += self._videos(select(*_COLUMNS).where(column.in_(batch), _LIVE).order_by(videos.c.id))
        return found

    def _videos(self, statement: Select[Any]) -> list[Video]:
        return [_video(row) for row in self._connection.execute(statement)]


def _taken(external_id: str | None) -> Conflict:
    return Conflict(f"external_id {external_id!r} belongs to another video")


def _kept(media: MediaInfo) -> dict[str, Any]:
    """What an older release can read too."""
    return {name: value for name, value in asdict(media).items() if name not in _NOT_KEPT}


def _video(row: Row[Any]) -> Video:
    values = dict(row._mapping)
    values["tags"] = tuple(values["tags"])
    values["status"] = VideoStatus(values["status"])
    values["failure_reason"] = FailureReason(values["failure_reason"]) if values["failure_reason"] else None
    values["media"] = MediaInfo(**values["media"]) if values["media"] else None
    values["playback"] = Playback(values["playback"]) if values["playback"] else None
    return Video(**values)
