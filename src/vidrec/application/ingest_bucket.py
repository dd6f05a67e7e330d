"""Taking in a library that is in an object store already. The objects are the user's own: read in place, never changed
or deleted. What each video is bound to is its object's ETag, so that running it again adds what is new alone."""

from __future__ import annotations

import hashlib
from collections.abc import Callable, Iterable, Iterator
from dataclasses import dataclass
from itertools import islice
from pathlib import PurePosixPath

from vidrec.application.ingest import VIDEO_SUFFIXES, Intake
from vidrec.application.jobs import index_job
from vidrec.application.ports import Database, JobQueue, ListedObject
from vidrec.domain.errors import InvalidInput
from vidrec.domain.models import ModelVersion, NewVideo, Video, VideoStatus

OBJECTS_A_TRANSACTION = 500


@dataclass(frozen=True, slots=True)
class Shard:
    """One of `count` parts of a library, of about the same size; `index` from 0."""

    index: int = 0
    count: int = 1

    def takes(self, key: str) -> bool:
        """Whether an object is in it. Always the same one's, whatever else there is."""
        digest = hashlib.sha256(key.encode("utf-8", "surrogatepass")).digest()
        return int.from_bytes(digest[:8], "big") % self.count == self.index


def parse_shard(text: str, completion_index: str | None) -> Shard:
    """`i/n`, or `auto/n` where i is the completion index of an Indexed Job of Kubernetes. InvalidInput."""
    index, _, count = text.partition("/")
    if index == "auto":
        if completion_index is None:
            raise InvalidInput("shard: `auto` needs JOB_COMPLETION_INDEX, which an Indexed Job sets", field="shard")
        index = completion_index
    if not (index.isdecimal() and count.isdecimal() and int(index) < int(count)):
        raise InvalidInput(f"shard: {text!r} is not i/n with i from 0 to n-1, nor auto/n", field="shard")
    return Shard(int(index), int(count))


class BucketIngest:
    """The use case. Thread-safe."""

    def __init__(self, database: Database, queue: JobQueue) -> None:
        self._database = database
        self._queue = queue

    def add(
        self,
        objects: Iterable[ListedObject],
        *,
        shard: Shard = Shard(),
        category: str | None = None,
        progress: Callable[[int], None] = lambda listed: None,
    ) -> Intake:
        """Makes a video and a job of each object that is a video by its name and was not taken in before; a failed one,
        and one that another model than the active one indexed, gets a new job. The category defaults to the name of the
        folder. `progress(listed)` is called after each batch with how many objects were seen."""
        intake = Intake()
        seen = 0

        def taken() -> Iterator[ListedObject]:
            nonlocal seen
            for one in objects:
                seen += 1
                if _is_video(one) and shard.takes(one.key):
                    yield one

        rest = taken()
        while batch := list(islice(rest, OBJECTS_A_TRANSACTION)):
            self._add(batch, category, intake)
            progress(seen)
        progress(seen)
        return intake

    def _add(self, batch: list[ListedObject], category: str | None, intake: Intake) -> None:
        with self._database.transaction() as uow:
            known = uow.catalogue.find_by_location([one.location for one in batch])
            model = uow.models.active()
            new = [uow.catalogue.add(_described(one, category)) for one in batch if one.location not in known]
            again = [video.id for video in known.values() if _is_to_be_done_again(video, model)]
            waiting = [video.id for video in known.values() if video.status is VideoStatus.QUEUED]
            uow.catalogue.requeue(again)
            queued = [*(video.id for video in new), *again, *waiting]
            self._queue.enqueue(uow, [index_job(video_id) for video_id in queued])
        intake.queued += queued
        intake.already += [video.id for video in known.values() if video.id not in set(queued)]


def _is_video(one: ListedObject) -> bool:
    path = PurePosixPath(one.key)
    hidden = any(part.startswith(".") for part in path.parts)
    return one.size > 0 and not hidden and path.suffix.lower() in VIDEO_SUFFIXES


def _is_to_be_done_again(video: Video, model: ModelVersion | None) -> bool:
    stale = model is not None and video.indexed_model not in (None, model.version)
    return video.status is VideoStatus.FAILED or (video.status is VideoStatus.INDEXED and stale)


def _described(one: ListedObject, category: str | None) -> NewVideo:
    path = PurePosixPath(one.key)
    return NewVideo(
        location=one.location,
        filename=path.name,
        size_bytes=one.size,
        content_sha256="",
        category=category or path.parent.name or None,
    )
