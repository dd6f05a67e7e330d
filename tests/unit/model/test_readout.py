"""The readout: whitened statistics of several layers."""

from __future__ import annotations

import numpy as np

from vidrec.model.readout import fit_readout


def blocks(count: int, seed: int) -> list[np.ndarray]:
    """Two blocks of correlated values of very different size."""
    rng = np.random.default_rng(seed)
    mixing = np.random.default_rng(0)
    return [
        (rng.normal(size=(count, 6)) @ mixing.normal(size=(6, 6)) + 3) * 100,
        (rng.normal(size=(count, 10)) @ mixing.normal(size=(10, 10)) - 1) * 0.01,
    ]


def test_embeddings_are_of_length_1_and_of_the_dimension_asked_for() -> None:
    readout = fit_readout(blocks(500, 1), 12)
    embeddings = readout(np.concatenate(blocks(40, 2), axis=1))
    assert embeddings.shape == (40, 12)
    assert readout.dimension == 12
    np.testing.assert_allclose(np.linalg.norm(embeddings, axis=1), 1, atol=1e-5)


def test_what_it_was_fitted_on_becomes_white() -> None:
    """All directions of both blocks count alike, whatever their size was, but for the shrinkage."""
    fitted = blocks(2000, 1)
    readout = fit_readout(fitted, 16)
    values = np.concatenate(fitted, axis=1) @ readout.matrix + readout.bias
    np.testing.assert_allclose(values.mean(axis=0), 0, atol=0.05)
    variances = np.linalg.eigvalsh(np.cov(values.T))
    assert variances.max() < 1.1
    assert np.median(variances) > 0.5


def test_fewer_pictures_than_values_are_enough() -> None:
    readout = fit_readout(blocks(8, 1), 12)
    assert np.isfinite(readout(np.concatenate(blocks(5, 2), axis=1))).all()


def test_the_same_statistics_give_the_same_readout() -> None:
    first, second = (fit_readout(blocks(100, 1), 8) for _ in range(2))
    np.testing.assert_array_equal(first.matrix, second.matrix)
