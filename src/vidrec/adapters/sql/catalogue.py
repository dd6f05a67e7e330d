"""Videos in SQL."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import asdict
from functools import lru_cache
from pathlib import PurePath
from typing import Any

from sqlalchemy import (
    ColumnElement,
    Connection,
    Row,
    Select,
    and_,
    case,
    delete,
    exists,
    func,
    insert,
    literal,
    select,
    update,
)
from sqlalchemy.exc import IntegrityError

from vidrec.adapters.sql.batches import in_batches
from vidrec.adapters.sql.filters import passing
from vidrec.adapters.sql.locks import lock_bytes, lock_video
from vidrec.adapters.sql.schema import active_model, indexings, upsert, video_stats, videos
from vidrec.application.ports import VideoChanges
from vidrec.domain.errors import Conflict, FailureReason, NotFound
from vidrec.domain.filters import EVERY_VIDEO, VideoFilter
from vidrec.domain.models import MediaInfo, NewVideo, Playback, Video, VideoStatus, new_id, utc_now

_COLUMNS = [c for c in videos.c if c.name != "title_folded"]
_LIVE = videos.c.deleted_at.is_(None)
_NOT_KEPT = frozenset({"profile", "pixel_format", "hdr"})
_SHOWN = _LIVE & videos.c.available & (videos.c.status == VideoStatus.INDEXED)
_NOT_INDEXED = videos.c.status != VideoStatus.INDEXED
_SUCCEEDED = indexings.c.indexed_at.is_not(None)
_OF_A_VERSION = ("segment_count", "indexed_at", "indexed_model")


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

    def get(self, video_ids: Sequence[str], *, model_version: str | None = None) -> Mapping[str, Video]:
        return {v.id: v for v in self._where_in(videos.c.id, video_ids, model_version)}

    def recommendable(self, video_ids: Sequence[str], *, only: VideoFilter = EVERY_VIDEO) -> Mapping[str, str]:
        found: dict[str, str] = {}
        conditions = passing(self._connection, only)
        for batch in in_batches(video_ids):
            statement = select(videos.c.id, videos.c.content_sha256).where(videos.c.id.in_(batch), _SHOWN, *conditions)
            found.update(self._connection.execute(statement).all())
        return found

    def matching(self, only: VideoFilter, *, limit: int) -> Sequence[str]:
        statement = select(videos.c.id).where(_SHOWN, *passing(self._connection, only)).limit(limit)
        return list(self._connection.execute(statement).scalars())

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
        lock_bytes(self._connection, digests)
        found: dict[str, Video] = {}
        for video in self._where_in(videos.c.content_sha256, digests):
            found.setdefault(video.content_sha256, video)
        return found

    def find_by_location(self, locations: Sequence[str]) -> Mapping[str, Video]:
        return {v.location: v for v in self._where_in(videos.c.location, locations)}

    def page(
        self, *, query: str | None, category: str | None, status: VideoStatus | None, after: str | None, limit: int
    ) -> Sequence[Video]:
        statement = _select().where(_LIVE)
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
        self._set([video_id], _NOT_INDEXED, status=VideoStatus.PROCESSING)

    def mark_indexed(self, video_id: str, *, model_version: str, media: MediaInfo, segment_count: int) -> bool:
        before = self._status(video_id)
        if before is None:
            return False
        now = utc_now()
        found = {"segment_count": segment_count, "indexed_at": now, "failure_reason": None, "failure_message": None}
        self._put_indexing(video_id, model_version, found)
        active = self._connection.execute(select(active_model.c.version)).scalar()
        if before == VideoStatus.INDEXED and active not in (None, model_version):
            return True
        if before == VideoStatus.INDEXED:
            del found["indexed_at"]  # it is not fresh again
        self._set([video_id], **found, status=VideoStatus.INDEXED, media=_kept(media), indexed_model=model_version)
        return True

    def mark_unindexable(self, video_id: str, model_version: str, reason: FailureReason, message: str) -> None:
        if self._status(video_id) is None or model_version in self.versions(video_id):
            return
        failure = {"segment_count": 0, "indexed_at": None, "failure_reason": reason, "failure_message": message}
        self._put_indexing(video_id, model_version, failure)

    def set_playback(self, video_id: str, playback: Playback, rendition: str | None = None) -> bool:
        return self._set([video_id], playback=playback, rendition=rendition) > 0

    def without_playback(self, limit: int) -> Sequence[str]:
        indexed = videos.c.status == VideoStatus.INDEXED
        statement = select(videos.c.id).where(_LIVE, indexed, videos.c.playback.is_(None)).order_by(videos.c.id)
        return list(self._connection.execute(statement.limit(limit)).scalars())

    def mark_failed(self, video_id: str, reason: FailureReason, message: str) -> None:
        self._set([video_id], status=VideoStatus.FAILED, failure_reason=reason, failure_message=message)

    def requeue(self, video_ids: Sequence[str]) -> None:
        self._set(video_ids, _NOT_INDEXED, status=VideoStatus.QUEUED, failure_reason=None, failure_message=None)

    def tombstone(self, video_id: str) -> Video:
        lock_video(self._connection, video_id)
        rows = self._videos(_select().where(videos.c.id == video_id).with_for_update(of=videos))
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
        self._connection.execute(delete(indexings).where(indexings.c.video_id == video_id))

    def popular(self, limit: int, *, only: VideoFilter = EVERY_VIDEO) -> Sequence[Video]:
        statement = (
            _select()
            .join_from(videos, video_stats, video_stats.c.video_id == videos.c.id)
            .where(_SHOWN, *passing(self._connection, only))
            .order_by(video_stats.c.popularity.desc(), videos.c.id)
            .limit(limit)
        )
        return self._videos(statement)

    def recent(self, limit: int, *, only: VideoFilter = EVERY_VIDEO) -> Sequence[Video]:
        order = (videos.c.indexed_at.desc(), videos.c.id.desc())
        conditions = passing(self._connection, only)
        return self._videos(_select().where(_SHOWN, *conditions).order_by(*order).limit(limit))

    def counts(self) -> Mapping[VideoStatus, int]:
        statement = select(videos.c.status, func.count()).where(_LIVE).group_by(videos.c.status)
        return {VideoStatus(status): count for status, count in self._connection.execute(statement)}

    def indexed_ids(self) -> Sequence[str]:
        anywhere = videos.c.indexed_model.is_not(None) | _indexing_of_video(_SUCCEEDED)
        statement = select(videos.c.id).where(_LIVE, anywhere).order_by(videos.c.id)
        return list(self._connection.execute(statement).scalars())

    def unindexed(self, model_version: str, *, limit: int, after: str | None = None) -> Sequence[str]:
        statement = select(videos.c.id).where(
            _LIVE,
            videos.c.status == VideoStatus.INDEXED,
            videos.c.indexed_model.is_distinct_from(model_version),
            ~_indexing_of_video(indexings.c.model_version == model_version),
        )
        if after is not None:
            statement = statement.where(videos.c.id > after)
        return list(self._connection.execute(statement.order_by(videos.c.id).limit(limit)).scalars())

    def indexed_under(self, model_version: str) -> tuple[int, int]:
        row = indexings.c.model_version == model_version
        indexed = _indexing_of_video(row & _SUCCEEDED) | (videos.c.indexed_model == model_version)
        failed = _indexing_of_video(row & ~_SUCCEEDED)
        both = [
            self._connection.execute(
                select(func.count()).select_from(videos).where(_LIVE, videos.c.status == VideoStatus.INDEXED, which)
            ).scalar_one()
            for which in (indexed, failed)
        ]
        return both[0], both[1]

    def unindexable(self, video_ids: Sequence[str], model_version: str) -> set[str]:
        found: set[str] = set()
        failed = (indexings.c.model_version == model_version) & ~_SUCCEEDED
        for batch in in_batches(video_ids):
            statement = select(indexings.c.video_id).where(indexings.c.video_id.in_(batch), failed)
            found.update(self._connection.execute(statement).scalars())
        return found

    def versions(self, video_id: str) -> set[str]:
        own = select(videos.c.indexed_model).where(videos.c.id == video_id, videos.c.indexed_model.is_not(None))
        more = select(indexings.c.model_version).where(indexings.c.video_id == video_id, _SUCCEEDED)
        return {str(version) for version in self._connection.execute(own.union(more)).scalars()}

    def forget_version(self, model_version: str, *, failures_only: bool = False) -> None:
        rows = delete(indexings).where(indexings.c.model_version == model_version)
        self._connection.execute(rows.where(~_SUCCEEDED) if failures_only else rows)
        if not failures_only:
            named = update(videos).where(videos.c.indexed_model == model_version)
            self._connection.execute(named.values(indexed_model=None, segment_count=0))

    def _status(self, video_id: str) -> str | None:
        """None where it is deleted or unknown; else the video stays as it is to the end of the transaction."""
        statement = select(videos.c.status).where(videos.c.id == video_id, _LIVE).with_for_update()
        return self._connection.execute(statement).scalar()

    def _put_indexing(self, video_id: str, model_version: str, values: Mapping[str, Any]) -> None:
        key = {"video_id": video_id, "model_version": model_version}
        self._connection.execute(
            upsert(self._connection, indexings)
            .values(**key, **values)
            .on_conflict_do_update(index_elements=list(key), set_=dict(values))
        )

    def _set(self, video_ids: Sequence[str], *conditions: ColumnElement[bool], **values: Any) -> int:
        changed = 0
        for batch in in_batches(video_ids):
            statement = update(videos).where(videos.c.id.in_(batch), _LIVE, *conditions).values(**values)
            changed += self._connection.execute(statement).rowcount
        return changed

    def _where_in(self, column: Any, values: Sequence[str], model_version: str | None = None) -> list[Video]:
        found: list[Video] = []
        statement = _select(model_version).where(_LIVE).order_by(videos.c.id)
        for batch in in_batches(values):
            found += self._videos(statement.where(column.in_(batch)))
        return found

    def _videos(self, statement: Select[Any]) -> list[Video]:
        return [_video(row) for row in self._connection.execute(statement)]


@lru_cache(maxsize=8)  # building it takes as long as running it
def _select(model_version: str | None = None) -> Select[Any]:
    """Whole videos; see `Catalogue.get` for what they say of their indexing."""
    wanted = select(active_model.c.version).scalar_subquery() if model_version is None else literal(model_version)
    there = indexings.c.video_id.is_not(None)
    own = {
        "segment_count": indexings.c.segment_count,
        "indexed_at": indexings.c.indexed_at,
        "indexed_model": indexings.c.model_version,
    }
    columns = [case((there, own[c.name]), else_=c).label(c.name) if c.name in _OF_A_VERSION else c for c in _COLUMNS]
    mine = and_(indexings.c.video_id == videos.c.id, indexings.c.model_version == wanted, _SUCCEEDED)
    return select(*columns).select_from(videos.outerjoin(indexings, mine))


def _indexing_of_video(condition: ColumnElement[bool]) -> ColumnElement[bool]:
    return exists().where(indexings.c.video_id == videos.c.id, condition)


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
