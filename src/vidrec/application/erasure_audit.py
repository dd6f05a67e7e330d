"""Looking again, after whatever time, whether anything of what was erased is back: restored from a backup, imported, or
left by a process that wrote late."""

from __future__ import annotations

from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass
from datetime import datetime

from vidrec.application.erase import user_subject
from vidrec.application.ports import Database, JobQueue, Look, MediaStore, Receipt, VectorIndex
from vidrec.application.probe import look_for_objects, look_for_rows, look_for_user, look_for_vectors

_AT_ONCE = 100


@dataclass(frozen=True, slots=True, kw_only=True)
class Back:
    """Something of a subject that was erased is there."""

    kind: str
    """`video` or `user`."""
    subject: str
    """The video's id; of a user the digest that the receipt has."""
    looks: tuple[Look, ...]
    """Where something was found, and how much."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Audited:
    """What an audit found."""

    videos: int
    """Deleted videos that were looked for."""
    users: int
    """Erased users that were looked for."""
    pending: int
    """Videos that were left out since their erasure is not done yet."""
    back: tuple[Back, ...]


def audit(
    database: Database,
    queue: JobQueue,
    index: VectorIndex,
    store: MediaStore,
    *,
    progress: Callable[[int], object] = lambda done: None,
) -> Audited:
    """Looks into every store for every deleted video and every erased user; `progress` is told how many are done. What
    a user who came back did since is no trace of before. Changes nothing. IndexUnavailable, StoreUnavailable."""
    erased, pending = _users(database), _pending(database)
    back: list[Back] = []
    videos = 0
    for batch in _deleted(database):
        wanted = [video_id for video_id in batch if video_id not in pending]
        videos += len(wanted)
        for video_id, looks in _look(database, queue, index, store, wanted):
            if looks:
                back.append(Back(kind="video", subject=video_id, looks=looks))
        progress(videos)
    back += _users_back(database, erased)
    return Audited(videos=videos, users=len(erased), pending=len(pending), back=tuple(back))


def _look(
    database: Database, queue: JobQueue, index: VectorIndex, store: MediaStore, video_ids: Sequence[str]
) -> Iterator[tuple[str, tuple[Look, ...]]]:
    with database.snapshot() as uow:
        models = uow.models.all()
        rows = look_for_rows(uow, queue, video_ids)
    vectors = look_for_vectors(index, models, video_ids)
    for video_id in video_ids:
        looks = [*look_for_objects(store, video_id), *vectors[video_id], *rows[video_id]]
        yield video_id, tuple(look for look in looks if look.found)


def _users_back(database: Database, erased: dict[str, datetime]) -> Iterator[Back]:
    """Receipts hold digests, so that all users there are must be asked whether they are one of them."""
    if not erased:
        return
    with database.snapshot() as uow:
        for user_id in uow.traces.users():
            until = erased.get(user_subject(user_id))
            if until is None:
                continue
            looks = tuple(look for look in look_for_user(uow, user_id, until=until) if look.found)
            if looks:
                yield Back(kind="user", subject=user_subject(user_id), looks=looks)


def _deleted(database: Database) -> Iterator[Sequence[str]]:
    after: str | None = None
    while True:
        with database.snapshot() as uow:
            batch = uow.traces.deleted(limit=_AT_ONCE, after=after)
        if not batch:
            return
        yield batch
        after = batch[-1]


def _receipts(database: Database) -> Iterator[Receipt]:
    after: str | None = None
    while True:
        with database.snapshot() as uow:
            batch = uow.receipts.page(limit=_AT_ONCE, after=after)
        if not batch:
            return
        yield from batch
        after = batch[-1].id


def _pending(database: Database) -> set[str]:
    return {one.subject for one in _receipts(database) if one.kind == "video" and one.completed_at is None}


def _users(database: Database) -> dict[str, datetime]:
    """Subject -> when the user was erased last."""
    return {one.subject: one.requested_at for one in _receipts(database) if one.kind == "user"}
