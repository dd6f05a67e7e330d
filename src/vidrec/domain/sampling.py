"""Which frames of a video are looked at, and which must be decoded to get them.

Two rules hold for every video whose frames allow it. Sampled frames are at most twice `reach_s` apart, the first is
within reach of the start and the last within twice that of the end: that is one at least every 10 seconds, and at least
8 per video. And between those, one frame per slot of `interval_s` is taken wherever that decodes nothing more: a
keyframe, or a frame that is decoded anyway.

Sampling restarts at every multiple of CHUNK_S, so ranges that meet there are sampled alone as they are together.
"""

from __future__ import annotations

import itertools
import math
from collections.abc import Iterator, Sequence
from dataclasses import dataclass

import numpy as np
import numpy.typing as npt

from vidrec.domain.models import TimeRange
from vidrec.domain.segmentation import CHUNK_S

REVISION = "sampling-1"
"""Part of the model version: change it with anything that changes which frames are sampled or how they are scaled."""
MIN_SAMPLES = 8
MAX_GAP_S = 10.0
MIN_INTERVAL_S = 0.5
MAX_INTERVAL_S = 5.0
_EPSILON_S = 1e-6


def reach_s(duration_s: float) -> float:
    """Half of how far apart sampled frames of a video of this length may be, in seconds."""
    return min(MAX_GAP_S, duration_s / MIN_SAMPLES) / 2 if duration_s > 0 else MAX_GAP_S / 2


def interval_s(duration_s: float) -> float:
    """Length of the slots of which each gets a frame where that costs no decoding, in seconds."""
    if duration_s <= 0:
        return MAX_INTERVAL_S
    wanted = min(MAX_INTERVAL_S, max(MIN_INTERVAL_S, duration_s / (2 * MIN_SAMPLES)))
    return min(wanted, 2 * reach_s(duration_s))


def chunks_within(within: TimeRange) -> Iterator[TimeRange]:
    """The range cut at every multiple of CHUNK_S, in order; nothing for an empty range."""
    start = within.start_s
    while start < within.end_s:
        end = min(within.end_s, (math.floor(start / CHUNK_S + _EPSILON_S) + 1) * CHUNK_S)
        yield TimeRange(start, end)
        start = end


def slots(within: TimeRange, duration_s: float) -> npt.NDArray[np.float64]:
    """Edges of equal slots over the range, shape (slots + 1,), for a video of this length; slots are at most
    `interval_s` long."""
    count = max(1, math.ceil((within.end_s - within.start_s) / interval_s(duration_s) - _EPSILON_S))
    return np.linspace(within.start_s, within.end_s, count + 1)


@dataclass(frozen=True, slots=True)
class Plan:
    """What to decode and what to keep of it."""

    decode: npt.NDArray[np.bool_]
    """Shape (n,): the packets that must reach the decoder."""
    sample: npt.NDArray[np.intp]
    """Indices of the packets whose frames are kept, in order of time."""


def plan(times_s: npt.NDArray[np.float64], keys: npt.NDArray[np.bool_], within: TimeRange, duration_s: float) -> Plan:
    """The cheapest frames that keep both rules within one chunk of a video of this length.

    `times_s` (n,) are presentation times of packets in decoding order, `keys` (n,) says which of them decode by
    themselves. Packets outside the range are never sampled but may have to be decoded; those of the MAX_INTERVAL_S
    after it tell where the next chunk begins to be sampled. Of frames with the same time one is sampled.
    """
    starts = _starts(times_s, keys)
    inside = np.flatnonzero((times_s >= within.start_s) & (times_s < within.end_s) & (starts >= 0))
    inside = inside[np.unique(times_s[inside], return_index=True)[1]]
    edges = slots(within, duration_s)
    sample = _one_per_slot(inside[keys[inside]], times_s, edges)
    reach = reach_s(duration_s)
    anchors = [within.start_s - reach, *times_s[sample], _following(times_s, keys, within, duration_s)]
    sample = np.union1d(sample, _between(anchors, 2 * reach, inside, times_s))
    decode = _decoded(sample, starts)
    gaps = np.concatenate(([0], np.cumsum(~decode)))
    free = inside[gaps[inside + 1] == gaps[starts[inside]]]
    sample = _one_per_slot(free, times_s, edges, already=sample)
    return Plan(decode, sample)


def _one_per_slot(
    candidates: npt.NDArray[np.intp],
    times_s: npt.NDArray[np.float64],
    edges: npt.NDArray[np.float64],
    already: npt.NDArray[np.intp] | None = None,
) -> npt.NDArray[np.intp]:
    """For each slot the candidate nearest to its middle, and all of `already`, whose slots get no other."""
    middles = (edges[:-1] + edges[1:]) / 2
    slot = np.searchsorted(edges, times_s[candidates], side="right") - 1
    order = np.lexsort((np.abs(times_s[candidates] - middles[slot]), slot))
    taken, first = np.unique(slot[order], return_index=True)
    chosen = candidates[order][first]
    if already is not None:
        occupied = np.searchsorted(edges, times_s[already], side="right") - 1
        chosen = np.union1d(chosen[~np.isin(taken, occupied)], already)
    return chosen[np.argsort(times_s[chosen], kind="stable")]


def _following(
    times_s: npt.NDArray[np.float64], keys: npt.NDArray[np.bool_], within: TimeRange, duration_s: float
) -> float:
    """When the next sample after the range is: at the end of the video as it were, or in the next chunk, where it is a
    keyframe in the first slot if there is one, and else within reach of where that chunk begins."""
    if within.end_s >= duration_s:
        return within.end_s
    slot = slots(TimeRange(within.end_s, min(within.end_s + CHUNK_S, duration_s)), duration_s)[:2]
    candidates = np.flatnonzero(keys & (times_s >= slot[0]) & (times_s < slot[1]))
    if not len(candidates):
        return within.end_s + reach_s(duration_s)
    return float(times_s[_one_per_slot(candidates, times_s, slot)[0]])


def _between(
    anchors: Sequence[float], gap_s: float, inside: npt.NDArray[np.intp], times_s: npt.NDArray[np.float64]
) -> npt.NDArray[np.intp]:
    """The frames that are missing where consecutive anchors are further apart than this. They lie as early in their gap
    as that allows: the nearer to the keyframe before it, the less there is to decode."""
    times = times_s[inside]
    added: list[int] = []
    for left, right in itertools.pairwise(anchors):
        before = right
        while before - left > gap_s + _EPSILON_S:
            at = int(np.searchsorted(times, before - gap_s - _EPSILON_S))
            if at == len(times) or times[at] >= before:
                at -= 1
            if at < 0 or times[at] <= left:
                break
            added.append(int(inside[at]))
            before = float(times[at])
    return np.array(added, dtype=np.intp)


def _starts(times_s: npt.NDArray[np.float64], keys: npt.NDArray[np.bool_]) -> npt.NDArray[np.intp]:
    """For each packet the one at which decoding must start to show it; -1 where it cannot be shown. That is the
    keyframe before it, or, for a frame that is shown before that keyframe, the one before that: it may need both."""
    if not keys.any():
        return np.zeros(len(keys), dtype=np.intp)
    last = np.maximum.accumulate(np.where(keys, np.arange(len(keys)), -1))
    previous = np.where(last > 0, last[last - 1], -1)
    return np.where(times_s < times_s[last], previous, last)


def _decoded(sample: npt.NDArray[np.intp], starts: npt.NDArray[np.intp]) -> npt.NDArray[np.bool_]:
    """Marks the sampled packets and all that must be decoded before each."""
    decode = np.zeros(len(starts), dtype=np.bool_)
    for i in sample:
        decode[starts[i] : i + 1] = True
    return decode
