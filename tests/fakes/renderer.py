"""A renderer without ffmpeg."""

from __future__ import annotations

import io
import threading
import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import IO

from vidrec.domain.errors import FailureReason, UnusableMedia
from vidrec.domain.models import MediaInfo
from vidrec.domain.playback import Rendering


class FakeRenderer:
    """Implements Renderer: the copy of `clip.mkv` begins with `mp4 of clip.mkv`. It works until `gate` is set;
    `refused` holds the ways in which no copy can be made, `error` is raised by every one, `made` are those that were
    begun."""

    def __init__(self) -> None:
        self.gate = threading.Event()
        self.gate.set()
        self.entered = threading.Event()
        self.refused: set[Rendering] = set()
        self.error: Exception | None = None
        self.made: list[Rendering] = []

    @contextmanager
    def render(self, path: Path, info: MediaInfo, how: Rendering, *, check: Callable[[], None]) -> Iterator[IO[bytes]]:
        self.made.append(how)
        self.entered.set()
        while not self.gate.is_set():
            check()
            time.sleep(0.01)
        if self.error is not None:
            raise self.error
        if how in self.refused:
            raise UnusableMedia(FailureReason.NO_DECODABLE_FRAME, "refused by the test")
        yield io.BytesIO(f"{how.container} of {path.name}".encode())
