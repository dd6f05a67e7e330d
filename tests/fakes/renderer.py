"""A renderer without ffmpeg."""

from __future__ import annotations

import io
import threading
import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from typing import IO

from vidrec.application.ports import Original
from vidrec.domain.errors import FailureReason, UnusableMedia
from vidrec.domain.models import MediaInfo
from vidrec.domain.playback import Rendering


class FakeRenderer:
    """Implements Renderer: the copy of `clip.mkv` is `mp4 of clip.mkv`. It works until `gate` is set; `entered` says
    that one was begun, `made` in which ways. No copy can be made in the ways of `refused`, nor with sound where
    `refuses_sound`, for that `reason`; `error` is raised by every one."""

    def __init__(self) -> None:
        self.gate = threading.Event()
        self.gate.set()
        self.entered = threading.Event()
        self.refused: set[Rendering] = set()
        self.reason = FailureReason.NO_DECODABLE_FRAME
        self.refuses_sound = False
        self.error: Exception | None = None
        self.made: list[Rendering] = []

    @contextmanager
    def render(
        self, path: Original, info: MediaInfo, how: Rendering, *, check: Callable[[], None]
    ) -> Iterator[IO[bytes]]:
        self.made.append(how)
        self.entered.set()
        while not self.gate.is_set():
            check()
            time.sleep(0.01)
        if self.error is not None:
            raise self.error
        if how in self.refused or (self.refuses_sound and info.audio_codec is not None):
            raise UnusableMedia(self.reason, "refused by the test")
        yield io.BytesIO(f"{how.container} of {path.name}".encode())
