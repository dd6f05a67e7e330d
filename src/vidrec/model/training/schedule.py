"""The learning rate: warm-up, then steady for as long as one likes; annealed to zero from any checkpoint on (Hu et al.
2024, arXiv:2404.06395). Nothing depends on an end that is fixed beforehand."""

from __future__ import annotations


def learning_rate(step: int, *, peak: float, warm_up: int, anneal_from: int | None = None, anneal: int = 0) -> float:
    """Rate of a step, counted from 0."""
    rate = peak * min(1.0, (step + 1) / max(1, warm_up))
    if anneal_from is None:
        return rate
    return rate * max(0.0, 1 - (step - anneal_from) / max(1, anneal))
