"""Pictures and clips by what an encoder makes of them."""

from __future__ import annotations

from pathlib import Path

import numpy as np
import pytest

from tests.fakes.encoder import FakeEncoder
from tests.fakes.frame_source import FakeFrameSource, FakeVideo
from vidrec.application.evaluate_retrieval import Labelled, evaluate_clips, evaluate_pictures
from vidrec.domain.errors import FailureReason, InvalidInput
from vidrec.domain.models import Embeddings, Frames

RED, DARK_RED, BLUE, DARK_BLUE, GREEN = (220, 20, 20), (150, 10, 10), (20, 20, 220), (10, 10, 150), (10, 200, 10)


def encode(frames: Frames) -> Embeddings:
    encoder = FakeEncoder()
    return encoder.encode(frames, model_version=encoder.model_version)


def plain(*colours: tuple[int, int, int]) -> Frames:
    return np.stack([np.full((224, 224, 3), colour, dtype=np.uint8) for colour in colours])


def test_pictures_of_one_kind_find_each_other() -> None:
    frames = plain(RED, DARK_RED, BLUE, DARK_BLUE)
    report = evaluate_pictures(frames, ["red", "red", "blue", "blue"], encode, ["x: is broken"])
    assert report.retrieval["model"].mean_average_precision == 1.0
    assert report.retrieval["chance"].recall_at_1 == pytest.approx(1 / 3)
    assert set(report.retrieval) == {"chance", "colour histogram", "model"}
    assert (report.items, report.labels, report.left_out) == (4, 2, ("x: is broken",))
    assert not report.near_duplicates


@pytest.fixture
def source() -> FakeFrameSource:
    return FakeFrameSource(
        {
            "red.mp4": FakeVideo((RED,)),
            "red again.mp4": FakeVideo((RED,), duration_s=19.0),
            "dark red.mp4": FakeVideo((DARK_RED,)),
            "blue.mp4": FakeVideo((BLUE,)),
            "dark blue.mp4": FakeVideo((DARK_BLUE, DARK_BLUE)),
            "green.mp4": FakeVideo((GREEN,)),
            "broken.mp4": FailureReason.NO_DECODABLE_FRAME,
        }
    )


def clip(name: str, category: str | None, group: str | None = None) -> Labelled:
    return Labelled(Path(name), category, group)


def test_clips_find_their_kind_and_their_doubles(source: FakeFrameSource) -> None:
    clips = [
        clip("red.mp4", "red", "r"),
        clip("red again.mp4", "red", "r"),
        clip("dark red.mp4", "red"),
        clip("blue.mp4", "blue"),
        clip("dark blue.mp4", "blue"),
        clip("green.mp4", "misc"),
        clip("broken.mp4", "blue"),
    ]
    told: list[int] = []
    report = evaluate_clips(clips, source, encode, told.append)
    assert told == [1, 2, 3, 4, 5, 6, 7]
    assert (report.items, report.labels) == (6, 2)
    assert report.retrieval["model"].mean_average_precision == 1.0
    assert report.retrieval["model"].queries == 5
    assert report.near_duplicates["model"].recall_at_1 == 1.0
    assert report.near_duplicates["model"].false_collapses == 0.0
    [sentence] = report.left_out
    assert sentence.startswith("broken.mp4: ")


def test_nothing_to_compare_is_refused(source: FakeFrameSource) -> None:
    for clips in ([], [clip("broken.mp4", "a")], [clip("red.mp4", "a", "g"), clip("red again.mp4", "a", "g")]):
        with pytest.raises(InvalidInput, match="no two clips of one category"):
            evaluate_clips(clips, source, encode)
