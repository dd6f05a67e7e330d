"""The packets of a video stream, as ffmpeg's framecrc muxer lists them."""

from __future__ import annotations

import math
from collections.abc import Iterator
from dataclasses import dataclass
from fractions import Fraction

import numpy as np
import numpy.typing as npt

_NO_PTS = -(1 << 63)
_KEY = 1
_DISCARD = 4
_BEYOND = 32
"""Packets: more than decoders reorder."""
_TRUSTED_IF_ALL_KEYS = frozenset(
    {"av1", "h264", "hevc", "mpeg1video", "mpeg2video", "mpeg4", "vp8", "vp9"}
    | {"cfhd", "dnxhd", "dvvideo", "ffv1", "ffvhuff", "huffyuv", "jpeg2000", "mjpeg", "png", "prores", "rawvideo"}
)
"""Some containers call every packet a keyframe where they do not know; these codecs can really be like that."""


@dataclass(frozen=True, slots=True)
class Packets:
    """Packets in decoding order."""

    pts: npt.NDArray[np.int64]
    """Shape (n,), in the stream's own unit; the decoding time where the container has no presentation time."""
    times_s: npt.NDArray[np.float64]
    """Shape (n,), seconds from the start of the video, not negative; NaN for packets that are never shown."""
    keys: npt.NDArray[np.bool_]
    """Shape (n,): which of them decode by themselves."""
    end_s: float
    """When the last of them ends; 0.0 where there is none."""
    more: bool
    """Whether the file goes on after them."""
    exact: bool
    """Whether every packet has a presentation time, so that its frame is known by it."""

    def __len__(self) -> int:
        return len(self.pts)


class PacketListParser:
    """Takes the listing in pieces as it comes."""

    def __init__(self, *, until_s: float = math.inf) -> None:
        self._until_s = until_s
        self._beyond = 0
        self._rest = b""
        self._rows: list[tuple[int, int, int]] = []
        self._time_base = Fraction(1)
        self._until = math.inf
        self._codec = ""
        self._exact = True

    def feed(self, data: bytes) -> None:
        """Parses the lines that are complete."""
        *lines, self._rest = (self._rest + data).split(b"\n")
        for line in lines:
            if line[:1] == b"#":
                self._header(line.decode("ascii", "replace"))
            elif line:
                self._row(line)

    @property
    def complete(self) -> bool:
        """Whether enough has come from `until_s` on to know that nothing from before it is left to come."""
        return self._beyond >= _BEYOND

    def __len__(self) -> int:
        return len(self._rows)

    def packets(self) -> Packets:
        """All that have come."""
        table = np.array(self._rows, dtype=np.int64).reshape(-1, 3)
        pts, durations, flags = table[:, 0], table[:, 1], table[:, 2]
        seconds = pts * float(self._time_base)
        hidden = (flags & _DISCARD) != 0
        keys = (flags & _KEY) != 0
        if keys.all() and self._codec not in _TRUSTED_IF_ALL_KEYS:
            keys[1:] = False
        ends = (pts + durations)[~hidden] * float(self._time_base)
        return Packets(
            pts=pts,
            times_s=np.where(hidden, np.nan, np.maximum(seconds, 0.0)),
            keys=keys,
            end_s=max(0.0, float(ends.max())) if len(ends) else 0.0,
            more=self.complete,
            exact=self._exact,
        )

    def _row(self, line: bytes) -> None:
        """Takes `stream, dts, pts, duration, size, checksum[, F=flags][, side data]`."""
        fields = line.split(b",", 7)
        time, duration = int(fields[2]), int(fields[3])
        if time == _NO_PTS:
            time, self._exact = int(fields[1]), False
        flags = int(fields[6][3:], 16) if len(fields) > 6 and fields[6].startswith(b" F=") else _KEY
        self._rows.append((time, duration, flags))
        self._beyond += time >= self._until

    def _header(self, line: str) -> None:
        name, _, value = line.partition(": ")
        if name == "#tb 0":
            self._time_base = Fraction(value)
            self._until = self._until_s / float(self._time_base)
        elif name == "#codec_id 0":
            self._codec = value.strip()


def runs(mask: npt.NDArray[np.bool_]) -> Iterator[tuple[int, int]]:
    """(first, last) of each stretch of true values."""
    edges = np.flatnonzero(np.diff(np.concatenate(([False], mask, [False])).astype(np.int8)))
    for first, stop in edges.reshape(-1, 2):
        yield int(first), int(stop) - 1
