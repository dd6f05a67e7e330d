"""FrameSource on ffmpeg.

Probing lists the last packets of the video. Sampling lists the packets of ten minutes, which costs little, plans which
of them must be decoded, and lets a second ffmpeg decode those alone: everything else is dropped before the decoder,
whatever the codec.
"""

from __future__ import annotations

import contextlib
import functools
import math
import os
import re
import stat
from collections.abc import Callable, Iterator
from dataclasses import dataclass
from pathlib import Path
from typing import IO

import numpy as np

from vidrec.adapters.ffmpeg import commands
from vidrec.adapters.ffmpeg.canvases import sampled_frames
from vidrec.adapters.ffmpeg.commands import Canvas, Reading
from vidrec.adapters.ffmpeg.description import describe
from vidrec.adapters.ffmpeg.packets import PacketListParser, Packets
from vidrec.adapters.sandbox import ConfinedProcess, LimitExceeded, Limits
from vidrec.application.ports import Original
from vidrec.domain.errors import FailureReason, Unavailable, UnusableMedia
from vidrec.domain.models import MediaInfo, SampledFrames, TimeRange
from vidrec.domain.sampling import MAX_INTERVAL_S, Plan, chunks_within, plan

_TAIL_S = 10.0
_SEEK_MARGIN_S = 10.0
"""Some containers seek to any frame near the time: this much earlier there is a keyframe on the way in most videos."""
_FOLLOWERS = 16
"""Decoders hold frames back until later packets come: this many push the last sampled one out."""
_MAX_PACKETS = 2_000_000
_STILL_S = 0.04
_OLDEST_FFMPEG = 7
"""The first that can drop packets before decoding."""
_OUT_OF_MEMORY = "Cannot allocate memory"


class FfmpegFrameSource:
    """Implements FrameSource. `max_decode_s` limits each ten minutes of video, `max_memory_bytes` the child process,
    `max_pixels` the size of a frame."""

    def __init__(self, *, max_decode_s: float, max_memory_bytes: int, max_pixels: int) -> None:
        self._limits = Limits(wall_s=max_decode_s, cpu_s=4 * max_decode_s, memory_bytes=max_memory_bytes)
        self._max_pixels = max_pixels

    def probe(self, path: Original) -> MediaInfo:
        with opened(path) as file:
            return self.probe_file(file)

    def probe_file(self, file: Opened) -> MediaInfo:
        """What the container says of an open file."""
        packets, messages = self._list(file, commands.reading_end(_TAIL_S))
        description = describe(messages, max_pixels=self._max_pixels)
        if not len(packets):
            packets, messages = self._list(file, {})
        if not len(packets):
            raise _nothing_decodes()
        return MediaInfo(
            # ffmpeg has one name for both, browsers have not.
            container="matroska" if _calls_itself_matroska(file.file) else description.container,
            video_codec=description.video_codec,
            audio_codec=description.audio_codec,
            width=description.width,
            height=description.height,
            duration_s=packets.end_s or description.duration_s or _STILL_S,
            profile=description.profile,
            pixel_format=description.pixel_format,
            hdr=description.hdr,
        )

    def sample(self, path: Original, info: MediaInfo, within: TimeRange, *, batch: int) -> Iterator[SampledFrames]:
        empty = True
        with opened(path) as file:
            for chunk in chunks_within(within):
                for frames in self._sample_chunk(file, info, chunk, batch):
                    empty = False
                    yield frames
        if empty and within.start_s <= 0 and within.end_s >= info.duration_s:
            raise _nothing_decodes()

    def _sample_chunk(self, file: Opened, info: MediaInfo, chunk: TimeRange, batch: int) -> Iterator[SampledFrames]:
        reading = commands.reading_from(chunk.start_s - _SEEK_MARGIN_S, info)
        canvas = Canvas.of(info)
        packets, _ = self._list(file, reading, until_s=chunk.end_s + MAX_INTERVAL_S)
        chosen = plan(packets.times_s, packets.keys, chunk, info.duration_s)
        if not len(chosen.sample):
            return
        chosen = _with_followers(chosen, packets)
        planned = self._decode(
            file,
            canvas,
            batch,
            lambda fd: commands.decode_planned(
                canvas, packets, chosen, chunk, info.duration_s, reading, times_fd=fd, max_pixels=self._max_pixels
            ),
        )
        first = next(planned, None)
        if first is not None and 2 * len(first.times_s) >= min(batch, len(chosen.sample)):
            yield first
            yield from planned
            return
        # The list of packets promised more than came out: its keyframes are none, or the stream is broken.
        yield from self._decode(
            file,
            canvas,
            batch,
            lambda fd: commands.decode_all(
                canvas, chunk, info.duration_s, reading, times_fd=fd, max_pixels=self._max_pixels
            ),
        )

    def _list(self, file: Opened, reading: Reading, *, until_s: float = math.inf) -> tuple[Packets, str]:
        """The packets from where `reading` begins to a little beyond `until_s`, and what ffmpeg said of the file."""
        listing = PacketListParser(until_s=until_s)
        with self._run(file, commands.list_packets(reading, max_pixels=self._max_pixels)) as process:
            for _, data in process.chunks():
                listing.feed(data)
                if listing.complete:
                    break
                if len(listing) > _MAX_PACKETS:
                    raise LimitExceeded
        return listing.packets(), process.messages

    def _decode(
        self, file: Opened, canvas: Canvas, batch: int, command: Callable[[int], list[str]]
    ) -> Iterator[SampledFrames]:
        """Runs the command that is made for the descriptor on which it is to report the times."""
        times = os.pipe()
        with self._run(file, command(times[1]), extra=times) as process:
            yield from sampled_frames(process.chunks(), canvas, batch)

    @contextlib.contextmanager
    def _run(
        self, file: Opened, command: list[str], *, extra: tuple[int, int] | None = None
    ) -> Iterator[ConfinedProcess]:
        check_decoder()
        file.file.seek(0)
        try:
            with ConfinedProcess(command, stdin=file.file, limits=self._limits, extra=extra, fill=file.fill) as process:
                yield process
                refuse_lack_of_memory(process)
        except LimitExceeded as error:
            raise UnusableMedia(
                FailureReason.DECODE_LIMIT, "Decoding this file takes more time or memory than is allowed."
            ) from error


@functools.cache
def check_decoder() -> None:
    """Makes sure, once, that ffmpeg runs in its sandbox and is new enough: that it does not is no file's fault."""
    limits = Limits(wall_s=60, cpu_s=60, memory_bytes=1 << 30)
    command = [commands.executable(), "-version"]
    with (
        open(os.devnull, "rb", buffering=0) as nothing,
        ConfinedProcess(command, stdin=nothing, limits=limits) as process,
    ):
        text = b"".join(data for _, data in process.chunks()).decode("utf-8", "replace")
        if process.failed:
            raise Unavailable(f"ffmpeg does not run in its sandbox: {process.messages.strip() or 'it crashed'}")
    version = re.match(r"ffmpeg version n?(\d+)\.", text)
    if version and int(version[1]) < _OLDEST_FFMPEG:
        raise Unavailable(f"ffmpeg {version[1]} is too old: {_OLDEST_FFMPEG} or newer is needed")


def refuse_lack_of_memory(process: ConfinedProcess) -> None:
    """LimitExceeded where that is what ended it."""
    if process.failed and _OUT_OF_MEMORY in process.messages:
        raise LimitExceeded


@dataclass(frozen=True, slots=True)
class Opened:
    """A file that is open for reading."""

    file: IO[bytes]
    fill: Callable[[int, int], None] | None = None
    """Brings a range of it before it is read; None where all of it is there."""


@contextlib.contextmanager
def opened(original: Original) -> Iterator[Opened]:
    """The file, open for reading; UnusableMedia where it is not a readable file with something in it."""
    path, fill = (original, None) if isinstance(original, Path) else (original.path, original.fill)
    try:
        file = open(path, "rb", buffering=0, opener=_without_waiting)  # noqa: SIM115 (closed below)
    except (FileNotFoundError, NotADirectoryError) as error:
        raise UnusableMedia(FailureReason.MISSING, "The file is not there any more.") from error
    except (OSError, ValueError) as error:
        raise UnusableMedia(FailureReason.UNREADABLE, f"The file cannot be read: {error}.") from error
    with file:
        status = os.fstat(file.fileno())
        if not stat.S_ISREG(status.st_mode):
            raise UnusableMedia(FailureReason.UNREADABLE, "This is not a regular file.")
        if not status.st_size:
            raise UnusableMedia(FailureReason.EMPTY, "The file is empty.")
        yield Opened(file, fill)


def _calls_itself_matroska(file: IO[bytes]) -> bool:
    """The DocType of an EBML header, element 0x4282."""
    return b"\x42\x82\x88matroska" in os.pread(file.fileno(), 64, 0)


def _without_waiting(path: str, flags: int) -> int:
    """Opens also what would wait for a writer, such as a named pipe."""
    return os.open(path, flags | os.O_NONBLOCK)


def _with_followers(chosen: Plan, packets: Packets) -> Plan:
    """Decodes also the packets after the last one where ffmpeg would else read on for it to the end of the file."""
    decode = chosen.decode.copy()
    if packets.more:
        last = int(np.flatnonzero(decode)[-1])
        decode[last : last + 1 + _FOLLOWERS] = True
    return Plan(decode, chosen.sample)


def _nothing_decodes() -> UnusableMedia:
    return UnusableMedia(FailureReason.NO_DECODABLE_FRAME, "No picture in this file can be decoded: it is damaged.")
