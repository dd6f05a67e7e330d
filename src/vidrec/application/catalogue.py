"""Looking up, listing and describing videos. A video is named by its id or by `external:` and the customer's own id."""

from __future__ import annotations

import re
from collections.abc import Mapping, Sequence
from dataclasses import dataclass

from vidrec.application.cursor import Cursor
from vidrec.application.ports import Database, VectorIndex, VideoChanges
from vidrec.domain.errors import InvalidInput, NotFound
from vidrec.domain.models import ModelVersion, Video, VideoStatus
from vidrec.domain.uploads import VideoProgress, progress_of

EXTERNAL = "external:"
_UUID = re.compile(r"[0-9a-f]{8}(-[0-9a-f]{4}){3}-[0-9a-f]{12}")


@dataclass(frozen=True, slots=True)
class VideoPage:
    """One page of a listing."""

    videos: Sequence[Video]
    """Newest first."""
    next_cursor: str | None


class VideoCatalogue:
    """What people ask of the catalogue. Thread-safe."""

    def __init__(self, database: Database, index: VectorIndex) -> None:
        self._database = database
        self._index = index
        self._models: dict[str, ModelVersion] = {}

    def identify(self, names: Sequence[str], *, field: str = "video_id") -> Mapping[str, str]:
        """name -> video id. Ids are taken as they are, external ones looked up (deleted videos included); external ids
        that nobody has are absent. InvalidInput for `field` where a name is neither an id nor external."""
        ids = {name: name.lower() for name in names if not name.startswith(EXTERNAL)}
        for name, video_id in ids.items():
            if not _UUID.fullmatch(video_id):
                raise InvalidInput(
                    f"{field}: {_shortened(name)} is not a video id: expected a UUID, or {EXTERNAL} and your own id",
                    field=field,
                )
        external = {name: name.removeprefix(EXTERNAL) for name in names if name.startswith(EXTERNAL)}
        if not external:
            return ids
        with self._database.snapshot() as uow:
            found = uow.catalogue.resolve(sorted(set(external.values())))
        return ids | {name: found[own] for name, own in external.items() if own in found}

    def identify_one(self, name: str) -> str:
        """The id of the video of this name; NotFound where an external id is nobody's. The video may be deleted."""
        found = self.identify([name])
        if name not in found:
            raise NotFound(f"there is no video {_shortened(name)}")
        return found[name]

    def get(self, name: str) -> Video:
        """The video of this name; NotFound."""
        video_id = self.identify_one(name)
        with self._database.snapshot() as uow:
            video = uow.catalogue.get([video_id]).get(video_id)
        if video is None:
            raise NotFound(f"there is no video {_shortened(name)}")
        return video

    def progress(self, videos: Sequence[Video]) -> Mapping[str, VideoProgress]:
        """video id -> how far it is; asks SQL only where one of them is being processed."""
        moving = [video.id for video in videos if video.status is VideoStatus.PROCESSING]
        noted: Mapping[str, VideoProgress] = {}
        if moving:
            with self._database.snapshot() as uow:
                noted = uow.progress.get(moving)
        return {video.id: progress_of(video.status, noted.get(video.id)) for video in videos}

    def page(
        self,
        *,
        query: str | None = None,
        category: str | None = None,
        status: VideoStatus | None = None,
        cursor: str | None = None,
        limit: int = 50,
    ) -> VideoPage:
        """Videos, newest first. InvalidCursor."""
        after = Cursor.decode(cursor).id if cursor is not None else None
        with self._database.snapshot() as uow:
            videos = uow.catalogue.page(query=query, category=category, status=status, after=after, limit=limit + 1)
        more = len(videos) > limit
        return VideoPage(videos[:limit], Cursor(videos[limit - 1].id).encode() if more else None)

    def change(self, name: str, changes: VideoChanges) -> Video:
        """Changes what a person may change, answers the video; NotFound. IndexUnavailable where a new category cannot
        be told to the vector index: then nothing is changed."""
        video = self.get(name)
        if changes.category is not None:
            with self._database.snapshot() as uow:
                versions = uow.catalogue.versions(video.id)
            for model in filter(None, map(self.model, sorted(versions))):
                self._index.recategorise(model, video.id, changes.category)
        with self._database.transaction() as uow:
            return uow.catalogue.change(video.id, changes)

    def model(self, version: str) -> ModelVersion | None:
        """The model version of this name. Versions never change, so each is read once."""
        if version not in self._models:
            with self._database.snapshot() as uow:
                self._models = {m.version: m for m in uow.models.all()}
        return self._models.get(version)

    def active_model(self) -> ModelVersion | None:
        """The model version that requests are answered with now."""
        with self._database.snapshot() as uow:
            return uow.models.active()


def _shortened(name: str) -> str:
    return name if len(name) <= 80 else name[:77] + "..."
