from __future__ import annotations

import numpy as np
import pytest

from vidrec.domain.embedding import most_alike, normalise, weighted_mean


def test_normalise_scales_rows_and_leaves_zero_alone() -> None:
    rows = normalise([[3.0, 4.0], [0.0, 0.0]])
    assert rows.dtype == np.float32
    np.testing.assert_allclose(rows, [[0.6, 0.8], [0.0, 0.0]])


def test_weighted_mean_leans_to_the_heavier_row() -> None:
    rows = np.eye(2, dtype=np.float32)
    np.testing.assert_allclose(weighted_mean(rows), [2**-0.5, 2**-0.5], rtol=1e-6)
    assert weighted_mean(rows, [3.0, 1.0])[0] > 0.9


def test_most_alike_agrees_with_looking_at_every_pair() -> None:
    random = np.random.default_rng(7)
    for _ in range(20):
        left, right = (normalise(random.normal(size=(n, 16))) for n in random.integers(1, 9, 2))
        i, j, cosine = most_alike(left, right)
        pairs = {(a, b): float(left[a] @ right[b]) for a in range(len(left)) for b in range(len(right))}
        assert cosine == pytest.approx(max(pairs.values()), abs=1e-6)
        assert pairs[i, j] == pytest.approx(cosine, abs=1e-6)
