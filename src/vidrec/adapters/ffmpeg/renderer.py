"""Renderer on ffmpeg.

The child reads the video as descriptor 0 and writes one file that it is handed open; it can open no other. The file has
no name, so that nothing of it is left however the work ends. What comes out is looked at as every video is, and only
passed on where it plays.
"""

from __future__ import annotations

import contextlib
import math
import os
import tempfile
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import IO

from vidrec.adapters.ffmpeg import commands
from vidrec.adapters.ffmpeg.source import FfmpegFrameSource, Opened, check_decoder, opened, refuse_lack_of_memory
from vidrec.adapters.sandbox import ConfinedProcess, LimitExceeded, Limits
from vidrec.application.ports import Original
from vidrec.domain.errors import FailureReason, StoreUnavailable, UnusableMedia
from vidrec.domain.models import MediaInfo
from vidrec.domain.playback import Rendering, rendering
from vidrec.domain.segmentation import CHUNK_S

_NICENESS = 19
_PATIENCE = 8
"""How many times longer it may take than it may compute: others have the processor first."""
_SPARE_BYTES = 64 << 20
_BYTES_A_SECOND = 1 << 20
"""Twice what the encoders are told to keep to."""
_DISK_FULL = "No space left on device"


class FfmpegRenderer:
    """Implements Renderer. `max_render_s` limits computing on each begun ten minutes of video, `max_memory_bytes` the
    child process, `max_pixels` the size of a frame; `scratch` is a folder with room for one copy."""

    def __init__(self, *, scratch: Path, max_render_s: float, max_memory_bytes: int, max_pixels: int) -> None:
        self._scratch = scratch
        self._max_render_s = max_render_s
        self._max_memory_bytes = max_memory_bytes
        self._max_pixels = max_pixels
        self._source = FfmpegFrameSource(
            max_decode_s=max_render_s, max_memory_bytes=max_memory_bytes, max_pixels=max_pixels
        )

    @contextlib.contextmanager
    def render(
        self, path: Original, info: MediaInfo, how: Rendering, *, check: Callable[[], None]
    ) -> Iterator[IO[bytes]]:
        with opened(path) as original, self._scratch_file() as copy:
            command = commands.render(info, how, output_fd=copy.fileno(), max_pixels=self._max_pixels)
            self._run(command, original, copy, self._limits(info, how, os.fstat(original.file.fileno()).st_size), check)
            self._verify(copy, info, how)
            copy.seek(0)
            yield copy

    def _run(
        self, command: list[str], original: Opened, copy: IO[bytes], limits: Limits, check: Callable[[], None]
    ) -> None:
        check_decoder()
        try:
            with ConfinedProcess(
                command, stdin=original.file, limits=limits, written=copy, fill=original.fill, niceness=_NICENESS
            ) as process:
                for _ in process.chunks():
                    check()
                if process.failed:
                    refuse_lack_of_memory(process)
                    if _DISK_FULL in process.messages:
                        raise StoreUnavailable(f"there is no room in {self._scratch} for a copy that plays")
                    raise UnusableMedia(
                        FailureReason.NO_DECODABLE_FRAME,
                        f"ffmpeg makes no copy of this file: {_last(process.messages)}.",
                    )
        except LimitExceeded as error:
            raise UnusableMedia(
                FailureReason.DECODE_LIMIT, "Copying this file takes more time, memory or room than is allowed."
            ) from error

    def _verify(self, copy: IO[bytes], info: MediaInfo, how: Rendering) -> None:
        made = self._source.probe_file(Opened(copy))
        if rendering(made) is not None:
            raise UnusableMedia(FailureReason.NO_DECODABLE_FRAME, "The copy of this file would not play either.")
        if how.copy_video and not math.isclose(made.duration_s, info.duration_s, rel_tol=0.1, abs_tol=1.0):
            raise UnusableMedia(
                FailureReason.NO_DECODABLE_FRAME, "The times in this file are broken: copied, it is of another length."
            )

    def _limits(self, info: MediaInfo, how: Rendering, size_bytes: int) -> Limits:
        parts = max(1, math.ceil(info.duration_s / CHUNK_S))
        seconds = parts * self._max_render_s
        copied = size_bytes + size_bytes // 4 if how.copy_video else 0
        return Limits(
            wall_s=_PATIENCE * seconds,
            cpu_s=seconds,
            memory_bytes=self._max_memory_bytes,
            file_bytes=_SPARE_BYTES + copied + math.ceil(info.duration_s) * _BYTES_A_SECOND,
        )

    def _scratch_file(self) -> IO[bytes]:
        try:
            self._scratch.mkdir(parents=True, exist_ok=True)
            return tempfile.TemporaryFile(dir=self._scratch, buffering=0)
        except OSError as error:
            raise StoreUnavailable(f"no file can be made in {self._scratch}: {error.strerror}") from error


def _last(messages: str) -> str:
    return (messages.strip().splitlines() or ["it does not say why"])[-1].rstrip(".")
