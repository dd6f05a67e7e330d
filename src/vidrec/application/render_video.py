"""A copy of a video that browsers play, where the original is none: planned when the video is indexed, made later."""

from __future__ import annotations

import logging
from contextlib import ExitStack
from dataclasses import replace
from functools import partial

from vidrec.application.jobs import render_job
from vidrec.application.patience import Patience
from vidrec.application.ports import FrameSource, JobQueue, MediaStore, Original, Renderer, UnitOfWork
from vidrec.domain.errors import FailureReason, NotFound, UnusableMedia
from vidrec.domain.models import MediaInfo, Playback, Video
from vidrec.domain.playback import TRANSCODING, Rendering, rendering

log = logging.getLogger(__name__)

RENDITIONS = "renditions/"
"""What the keys of all copies start with."""
_BATCH = 200


def prefix(video_id: str) -> str:
    """What the keys of all copies of a video start with."""
    return f"{RENDITIONS}{video_id}/"


def plan_playback(uow: UnitOfWork, queue: JobQueue, video: Video, media: MediaInfo) -> None:
    """Notes whether the original plays, and queues the copy where it does not. A copy that is there stays."""
    if video.playback is Playback.RENDITION:
        return
    if rendering(media) is None:
        uow.catalogue.set_playback(video.id, Playback.ORIGINAL)
        return
    uow.catalogue.set_playback(video.id, Playback.PREPARING)
    queue.enqueue(uow, [render_job(video.id)])


def plan_missing(uow: UnitOfWork, queue: JobQueue) -> bool:
    """The same for some of the videos that were indexed by a release that did not ask. Their pixel formats are not
    known, so that each is looked into again. False where there are none left."""
    missing = uow.catalogue.get(uow.catalogue.without_playback(_BATCH))
    for video in missing.values():
        plays = video.media is not None and rendering(video.media) is None
        uow.catalogue.set_playback(video.id, Playback.ORIGINAL if plays else Playback.PREPARING)
    queue.enqueue(uow, [render_job(video_id) for video_id in missing])
    return bool(missing)


class VideoRenderer:
    """Makes the copies. Doing it twice gives the same object. Thread-safe."""

    def __init__(self, frames: FrameSource, renderer: Renderer, store: MediaStore) -> None:
        self._frames = frames
        self._renderer = renderer
        self._store = store

    def render(self, video: Video, patiently: Patience) -> tuple[Playback, str | None]:
        """What is to be played of the video, and where its copy is. UnusableMedia where there can be none; whatever
        `patiently` raises."""
        try:
            with ExitStack() as opened:
                path = patiently(lambda: opened.enter_context(self._store.original(video.location)))
                media = self._frames.probe(path)
                how = rendering(media)
                if how is None:
                    return Playback.ORIGINAL, None
                return Playback.RENDITION, self._render(video, path, media, how, patiently)
        except NotFound as error:
            raise UnusableMedia(FailureReason.MISSING, f"the file is not there any more: {error}") from error

    def remove(self, video_id: str) -> None:
        """Takes back what was written of a video."""
        self._store.delete(prefix(video_id))

    def _render(self, video: Video, path: Original, media: MediaInfo, how: Rendering, patiently: Patience) -> str:
        """The cheapest copy that can be made: without sound only where no other can."""
        ways = [(how, media)]
        if how.copy_video:
            ways.append((TRANSCODING, media))
        if media.audio_codec is not None:
            ways.append((TRANSCODING, replace(media, audio_codec=None)))
        for way, shown in ways[:-1]:
            try:
                return self._make(video, path, shown, way, patiently)
            except UnusableMedia as error:
                log.info("%s (%s) is copied in another way: %s", video.title, video.id, error)
                if error.reason is FailureReason.DECODE_LIMIT and not way.copy_video:
                    raise
        way, shown = ways[-1]
        return self._make(video, path, shown, way, patiently)

    def _make(self, video: Video, path: Original, media: MediaInfo, how: Rendering, patiently: Patience) -> str:
        key = f"{prefix(video.id)}play.{how.container}"
        with self._renderer.render(path, media, how, check=patiently.check) as copy:
            return patiently(partial(self._store.put_file, key, copy))
