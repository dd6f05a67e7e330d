"""What of the training needs no torch: its configuration, schedule and stream of pictures."""

from __future__ import annotations

from pathlib import Path

import numpy as np
import pytest

from vidrec.domain.errors import InvalidInput
from vidrec.model.pictures import render
from vidrec.model.training.configuration import CONFIGURATION_FILE, Configuration, settled
from vidrec.model.training.schedule import learning_rate
from vidrec.model.training.stream import CHUNK, PictureStream


def test_the_rate_warms_up_and_stays() -> None:
    rates = [learning_rate(step, peak=2.0, warm_up=4) for step in range(8)]
    assert rates == [0.5, 1.0, 1.5, 2.0, 2.0, 2.0, 2.0, 2.0]


def test_it_is_annealed_from_any_step() -> None:
    rates = [learning_rate(step, peak=2.0, warm_up=2, anneal_from=100, anneal=4) for step in range(100, 105)]
    assert rates == [2.0, 1.5, 1.0, 0.5, 0.0]


def test_a_folder_keeps_its_configuration(tmp_path: Path) -> None:
    kept = Configuration(batch=16, window=64)
    (tmp_path / CONFIGURATION_FILE).write_text(kept.model_dump_json())
    assert settled(tmp_path, {}) == kept
    assert settled(tmp_path, {"batch": 16}) == kept
    with pytest.raises(InvalidInput, match=r"--batch: .* is a training with 16, not 32; take another --out"):
        settled(tmp_path, {"batch": 32})
    assert settled(tmp_path / "new", {"batch": 32}).batch == 32


@pytest.mark.parametrize(
    ("content", "said"),
    [
        ('{"batch": "many"}', "batch"),
        ("not json", "Invalid JSON"),
        ('{"generator": "0"}', "revision 0 of the generator"),
    ],
)
def test_a_folder_of_something_else_is_one_sentence(content: str, said: str, tmp_path: Path) -> None:
    (tmp_path / CONFIGURATION_FILE).write_text(content)
    with pytest.raises(InvalidInput, match=said) as error:
        settled(tmp_path, {})
    assert "\n" not in str(error.value)
    assert (tmp_path / CONFIGURATION_FILE).read_text() == content


@pytest.mark.parametrize("wanted", [{"batch": 128, "window": 64}, {"crop": 4}, {"reuse": 0.0}])
def test_impossible_values_are_one_sentence(wanted: dict[str, float], tmp_path: Path) -> None:
    with pytest.raises(InvalidInput) as error:
        settled(tmp_path, dict(wanted))
    assert "\n" not in str(error.value)


def test_the_stream_shows_the_programs_of_its_window() -> None:
    with PictureStream(3, side=32, window=100, workers=1) as stream:
        begin = stream.move_to(0)
        assert begin == 0
        programs, views = np.array([0, 5, 127, 5]), np.array([0, 1, 1, 0])
        np.testing.assert_array_equal(
            stream.take(programs, views), [render(3, int(p), int(v), 32) for p, v in zip(programs, views, strict=True)]
        )
        # further on than all that was rendered ahead, where slots are used again
        begin = stream.move_to(20 * CHUNK + 7)
        assert begin == 20 * CHUNK
        [picture] = stream.take(np.array([begin + 100]), np.array([1]))
        np.testing.assert_array_equal(picture, render(3, begin + 100, 1, 32))
