"""The two halves of the test media share nothing."""

from __future__ import annotations

import csv
from collections import defaultdict
from pathlib import Path

from vidrec.domain.halves import REPORTING_LABELS, TUNING_CLIPS, TUNING_LABELS, Half, clip_is_in, labels_left_out


def test_labels_are_in_one_half() -> None:
    known = TUNING_LABELS | REPORTING_LABELS
    assert not TUNING_LABELS & REPORTING_LABELS
    assert labels_left_out(known, Half.TUNING) == REPORTING_LABELS
    assert labels_left_out(known, Half.REPORTING) == TUNING_LABELS
    assert labels_left_out(known, Half.ALL) == frozenset()
    assert labels_left_out({"cats", "watch"}, Half.REPORTING) == {"cats"}


def test_clips_are_in_one_half() -> None:
    for name in (*TUNING_CLIPS, "another.mp4"):
        assert clip_is_in(name, Half.ALL)
        assert clip_is_in(name, Half.TUNING) != clip_is_in(name, Half.REPORTING)


def test_near_duplicates_are_in_the_same_half(test_data: Path) -> None:
    halves = defaultdict(set)
    with (test_data / "videos_labels.csv").open() as file:
        for row in csv.DictReader(file):
            if row["neardup_group"]:
                halves[row["neardup_group"]].add(row["file"] in TUNING_CLIPS)
    assert halves
    assert all(len(found) == 1 for found in halves.values())
