"""Generated pictures: the same for the same seed, and of great variety."""

from __future__ import annotations

import numpy as np
import pytest

from vidrec.domain.retrieval import colour_histogram
from vidrec.model.pictures import SIDE, render
from vidrec.model.pictures.bank import Bank, bank_of
from vidrec.model.pictures.canvas import canvas
from vidrec.model.pictures.landscapes import landscape
from vidrec.model.pictures.leaves import leaves
from vidrec.model.pictures.objects import objects
from vidrec.model.pictures.program import scene
from vidrec.model.pictures.scene import View
from vidrec.model.pictures.sheet import contact_sheet
from vidrec.model.pictures.surfaces import surface
from vidrec.model.pictures.warps import warped

PROGRAMS = 60


@pytest.fixture(scope="module")
def pictures() -> np.ndarray:
    """(programs, views, side, side, 3)"""
    return np.stack([[render(5, number, view) for view in (0, 1)] for number in range(PROGRAMS)])


def test_the_same_arguments_give_the_same_picture(pictures: np.ndarray) -> None:
    bank_of.cache_clear()
    for number in (0, 7, 31):
        np.testing.assert_array_equal(render(5, number, 1), pictures[number, 1])


def test_a_picture_does_not_depend_on_those_before_it(pictures: np.ndarray) -> None:
    np.testing.assert_array_equal(render(5, PROGRAMS - 1, 0), pictures[-1, 0])


def test_another_seed_gives_other_pictures(pictures: np.ndarray) -> None:
    other = np.stack([render(6, number, 0) for number in range(4)])
    assert all((other[i] != pictures[i, 0]).mean() > 0.5 for i in range(4))


def test_they_are_bytes_of_the_side_asked_for(pictures: np.ndarray) -> None:
    assert pictures.shape[2:] == (SIDE, SIDE, 3)
    assert pictures.dtype == np.uint8
    assert render(5, 0, 0, side=224).shape == (224, 224, 3)


def test_all_levels_are_used_and_no_picture_is_empty(pictures: np.ndarray) -> None:
    levels = np.bincount(pictures.ravel(), minlength=256) / pictures.size
    assert levels[5:250].min() > 1e-4
    assert levels.max() < 0.1
    means = pictures.reshape(PROGRAMS * 2, -1).mean(axis=1)
    assert means.std() > 25
    assert pictures.reshape(PROGRAMS * 2, -1).std(axis=1).min() > 1
    assert np.median(pictures.reshape(PROGRAMS * 2, -1).std(axis=1)) > 25


def test_programs_differ_more_than_the_views_of_one(pictures: np.ndarray) -> None:
    a, b = colour_histogram(pictures[:, 0]), colour_histogram(pictures[:, 1])
    same, others = (a * b).sum(axis=1), (a @ b.T)[~np.eye(PROGRAMS, dtype=bool)]
    assert np.median(same) > np.percentile(others, 90)
    assert others.mean() < 0.4
    assert not np.array_equal(pictures[:, 0], pictures[:, 1])


def test_every_family_comes_up() -> None:
    found = {type(scene(5, number)).__name__ for number in range(200)}
    assert found == {"Objects", "Leaves", "Surface", "Landscape", "Blend", "Warped"}


def test_a_larger_side_shows_the_same_scene() -> None:
    """Coarsely: fine grain is drawn for each size anew."""

    def coarse(picture: np.ndarray) -> np.ndarray:
        step = picture.shape[0] // 8
        return picture.reshape(8, step, 8, step, 3).mean(axis=(1, 3)).ravel()

    alike = [
        np.corrcoef(coarse(render(5, number, 0, side=64)), coarse(render(5, number, 0, side=192)))[0, 1]
        for number in range(12)
    ]
    assert np.median(alike) > 0.7


@pytest.mark.parametrize("family", [objects, leaves, surface, landscape])
@pytest.mark.parametrize("side", [48, 96])
def test_each_family_fills_any_canvas(family: object, side: int) -> None:
    assert callable(family)
    bank = bank_of(5)
    for seed in range(10):
        made = family(np.random.default_rng(seed), bank)
        view = View(np.random.default_rng(seed), bank, canvas(side), np.array([1.0, 0.0]), first=False)
        for shown in (made, warped(np.random.default_rng(seed), made, len(bank))):
            picture = shown.render(view)
            assert picture.shape == (side, side, 3)
            assert np.isfinite(picture).all()


def test_fields_of_the_bank_are_levels() -> None:
    bank = Bank(9)
    rng = np.random.default_rng(0)
    for number in range(0, len(bank), 7):
        field = bank.cut(number, rng, 40, 30, 1.3)
        assert field.shape == (40, 30)
        assert field.min() >= 0
        assert field.max() <= 1


def test_a_contact_sheet_shows_views_side_by_side() -> None:
    sheet = contact_sheet(5, rows=2, columns=3, first=1)
    assert sheet.shape == (2 * (SIDE + 2), 3 * (2 * SIDE + 2), 3)
    np.testing.assert_array_equal(sheet[:SIDE, SIDE : 2 * SIDE], render(5, 1, 1))
