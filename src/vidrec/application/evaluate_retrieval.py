"""Does an encoder put like beside like? Pictures with labels, and clips with categories and near-duplicates, beside
chance and a colour histogram."""

from __future__ import annotations

from collections.abc import Callable, Iterable, Sequence
from dataclasses import dataclass, field
from pathlib import Path

import numpy as np
import numpy.typing as npt

from vidrec.application.ports import FrameSource
from vidrec.domain.embedding import normalise, weighted_mean
from vidrec.domain.errors import FailureReason, InvalidInput, UnusableMedia
from vidrec.domain.models import Embedding, Embeddings, Frames, Segment, TimeRange
from vidrec.domain.retrieval import (
    NearDuplicates,
    Retrieval,
    chance,
    colour_histogram,
    near_duplicates,
    retrieval,
)
from vidrec.domain.segmentation import chunks, segment_chunk, video_embedding

BATCH = 32
NO_CATEGORY = "misc"
"""Clips that are like nothing in particular."""
CHANCE, HISTOGRAM, MODEL = "chance", "colour histogram", "model"

Encode = Callable[[Frames], Embeddings]
"""(n, 224, 224, 3) uint8 RGB -> (n, d) float32, rows of length 1."""


@dataclass(frozen=True, slots=True)
class Labelled:
    """A clip and what people say of it."""

    path: Path
    category: str | None
    near_duplicates: str | None
    """Name of the group of clips that show the same."""


@dataclass(frozen=True, slots=True)
class Report:
    """Measures by method: `chance`, `colour histogram`, `model`."""

    items: int
    labels: int
    retrieval: dict[str, Retrieval]
    near_duplicates: dict[str, NearDuplicates] = field(default_factory=dict)
    left_out: tuple[str, ...] = ()
    """Sentences about files that could not be used."""


def evaluate_pictures(frames: Frames, labels: Sequence[str], encode: Encode, left_out: Sequence[str] = ()) -> Report:
    """Retrieval of same-labelled pictures (n, 224, 224, 3)."""
    embeddings = np.concatenate([encode(frames[i : i + BATCH]) for i in range(0, len(frames), BATCH)])
    return Report(
        items=len(labels),
        labels=len(set(labels)),
        retrieval={
            CHANCE: chance(labels),
            HISTOGRAM: retrieval(colour_histogram(frames), labels),
            MODEL: retrieval(embeddings, labels),
        },
        left_out=tuple(left_out),
    )


def evaluate_clips(
    clips: Iterable[Labelled], source: FrameSource, encode: Encode, tell: Callable[[int], None] = lambda _: None
) -> Report:
    """Retrieval of clips of the same category, near-duplicates of the query aside, and of near-duplicates. Clips are
    sampled, cut and averaged as the system does it. `tell` is told how many are done. InvalidInput where too few can be
    compared."""
    used: list[Labelled] = []
    left_out: list[str] = []
    vectors: list[Embedding] = []
    colours: list[npt.NDArray[np.float32]] = []
    for number, clip in enumerate(clips, start=1):
        try:
            vector, colour = _clip_vectors(clip.path, source, encode)
        except UnusableMedia as error:
            left_out.append(f"{clip.path}: {error}")
        else:
            used.append(clip)
            vectors.append(vector)
            colours.append(colour)
        tell(number)
    categories = [None if clip.category == NO_CATEGORY else clip.category for clip in used]
    groups = [clip.near_duplicates for clip in used]
    methods = {HISTOGRAM: np.stack(colours), MODEL: np.stack(vectors)} if used else {}
    try:
        found = {name: retrieval(values, categories, groups=groups) for name, values in methods.items()}
        by_chance = chance(categories, groups=groups)
    except ValueError:
        raise InvalidInput(
            "no two clips of one category that are not near-duplicates; expected at least two", field="labels"
        ) from None
    twins = {}
    if any(group is not None and groups.count(group) > 1 for group in groups):
        twins = {name: near_duplicates(values, groups) for name, values in methods.items()}
    kinds = len({category for category in categories if category})
    return Report(len(used), kinds, {CHANCE: by_chance, **found}, twins, tuple(left_out))


def _clip_vectors(path: Path, source: FrameSource, encode: Encode) -> tuple[Embedding, npt.NDArray[np.float32]]:
    """The video embedding, and the mean colour histogram of the same frames."""
    media = source.probe(path)
    segments: list[Segment] = []
    histograms = []
    for within in chunks(media.duration_s):
        times, embeddings = [], []
        for sampled in source.sample(path, media, within, batch=BATCH):
            times.append(sampled.times_s)
            embeddings.append(encode(sampled.frames))
            histograms.append(colour_histogram(sampled.frames))
        if times:
            at = np.concatenate(times)
            known = within if media.duration_s > 0 else TimeRange(within.start_s, max(within.start_s, float(at[-1])))
            cuts = segment_chunk(at, np.concatenate(embeddings), known)
            segments += [
                Segment(video_id="", number=len(segments) + i, time=cut.time, embedding=cut.embedding)
                for i, cut in enumerate(cuts)
            ]
    if not segments:
        raise UnusableMedia(FailureReason.NO_DECODABLE_FRAME, "no frame of the video could be decoded")
    return video_embedding(segments), normalise(weighted_mean(np.concatenate(histograms)))
