"""`make run VIDEOS=` on a folder of real clips, then a folder of broken ones: every file ends as it should, and what
comes back looks like what was watched."""

from __future__ import annotations

import csv
import hashlib
import json
from collections import Counter, defaultdict
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import httpx
import pytest

from tests.servers import wait_until
from tests.systems import RunningSystem, get, running_system
from vidrec.adapters.ffmpeg import FfmpegFrameSource
from vidrec.domain.capacity import PICTURE_BYTES, PICTURES_PER_SEGMENT, TOLERANCE, segments_of
from vidrec.domain.playback import rendering

TOP = 5


@pytest.fixture(scope="module")
def system(test_data: Path, tmp_path_factory: pytest.TempPathFactory) -> Iterator[RunningSystem]:
    folder = tmp_path_factory.mktemp("real") / "data"
    with running_system(folder, "--videos", str(test_data / "videos")) as system:
        system.wait_until_filled()
        yield system


@pytest.fixture(scope="module")
def labels(test_data: Path) -> dict[str, dict[str, str]]:
    """File name -> what people say of the clip."""
    with (test_data / "videos_labels.csv").open(newline="") as file:
        return {row["file"]: row for row in csv.DictReader(file)}


@pytest.fixture(scope="module")
def videos(system: RunningSystem, labels: dict[str, dict[str, str]]) -> dict[str, str]:
    """File name -> video id, of the real clips."""
    items = get(f"{system.url}/videos", limit=200).json()["items"]
    return {item["filename"]: item["id"] for item in items if item["filename"] in labels}


def test_every_real_clip_is_indexed(system: RunningSystem, labels: dict[str, dict[str, str]]) -> None:
    items = get(f"{system.url}/videos", limit=200, category="videos").json()["items"]
    status = {item["filename"]: item["status"] for item in items}
    # Two files of the same bytes are one video.
    expected = {row["sha256"]: row["file"] for row in labels.values()}
    assert len(status) == len(expected)
    assert set(status.values()) == {"indexed"}, {name: s for name, s in status.items() if s != "indexed"}
    assert all(get(f"{system.url}{item['links']['thumbnail']}").content[:2] == b"\xff\xd8" for item in items)


def test_likeness_finds_what_people_call_alike(
    system: RunningSystem, labels: dict[str, dict[str, str]], videos: dict[str, str]
) -> None:
    """For each user who watched two clips of one kind, the next ones: far more of that kind than chance would show.
    The built-in weights know no meaning, so kinds are told by how they look."""
    kinds: dict[str, list[str]] = defaultdict(list)
    for name in sorted(videos):
        if labels[name]["category"] != "misc":
            kinds[labels[name]["category"]].append(name)
    right = shown = 0
    chance = 0.0
    for kind, members in kinds.items():
        if len(members) < 4:
            continue
        events = [{"user_id": kind, "video_id": videos[name], "type": "watch", "fraction": 1.0} for name in members[:2]]
        assert httpx.post(f"{system.url}/events", json=events).status_code == 202
        items = get(f"{system.url}/recommend", userid=kind, n=min(TOP, len(members) - 2)).json()["items"]
        assert not {item["id"] for item in items} & {event["video_id"] for event in events}, "watched ones are gone"
        found = {item["id"] for item in items}
        right += sum(videos[name] in found for name in members)
        shown += len(items)
        chance += len(items) * (len(members) - 2) / (len(videos) - 2)
    assert right / shown >= 3 * chance / shown, f"{right} of {shown}, by chance {chance:.1f}"


def test_near_duplicates_are_the_nearest(
    system: RunningSystem, labels: dict[str, dict[str, str]], videos: dict[str, str]
) -> None:
    groups: dict[str, list[str]] = defaultdict(list)
    for name in videos:
        if labels[name]["neardup_group"]:
            groups[labels[name]["neardup_group"].partition("(")[0]].append(name)
    told = Counter[bool]()
    for members in groups.values():
        for name in members if len(members) > 1 else ():
            nearest = get(f"{system.url}/videos/{videos[name]}/similar", n=1).json()["items"][0]
            told[nearest["id"] in {videos[other] for other in members}] += 1
    assert told.total() >= 20
    assert told[True] / told.total() >= 0.8, told


def test_every_broken_file_ends_indexed_or_failed_with_a_reason(system: RunningSystem, test_data: Path) -> None:
    folder = test_data / "broken"
    with (test_data / "broken_labels.csv").open(newline="") as file:
        hopeless = {
            row["file"]
            for row in csv.DictReader(file)
            if row["observed_with_ffmpeg_5.1"] in ("unprobeable", "audio-only")
        }
    files = sorted(path for path in folder.iterdir() if path.is_file())
    done = system.cli("ingest", *(f"{path}" for path in files), "--json")
    report = json.loads(done.stdout)
    failed = {video["file"]: video["reason"] for video in report["failed"]}
    assert done.returncode == 1, done.stderr
    assert hopeless <= set(failed)
    assert report["indexed"] + len(failed) + report["already"] == len(files)
    assert report["indexed"] >= 12
    assert "gave_up" not in failed.values(), "these are the files' own faults, found at the first look"
    for item in get(f"{system.url}/videos", status="failed", limit=200).json()["items"]:
        assert item["failure"]["reason"] == failed[item["filename"]]
        assert item["failure"]["message"].endswith(".")


def test_every_real_clip_plays(system: RunningSystem, labels: dict[str, dict[str, str]], tmp_path: Path) -> None:
    """Also the AVI, MKV, MOV and OGV among them; and what is downloaded is what was taken in."""

    def items() -> list[dict[str, Any]]:
        return list(get(f"{system.url}/videos", limit=200, category="videos").json()["items"])

    wait_until(lambda: all(item["playable"] != "preparing" for item in items()), timeout_s=180, every_s=1.0)
    source = FfmpegFrameSource(max_decode_s=60, max_memory_bytes=1 << 30, max_pixels=1 << 24)
    copied = set()
    for item in items():
        assert item["playable"] == "yes", item["filename"]
        kept = get(f"{system.url}{item['links']['download']}").content
        assert hashlib.sha256(kept).hexdigest() == labels[item["filename"]]["sha256"]
        played = get(f"{system.url}{item['links']['stream']}").content
        if played != kept:
            copied.add(Path(item["filename"]).suffix.lower())
            copy = tmp_path / "played"
            copy.write_bytes(played)
            media = source.probe(copy)
            assert rendering(media) is None, item["filename"]
            assert media.duration_s == pytest.approx(item["duration_s"], abs=0.5)
    assert copied >= {".avi", ".mkv", ".mov", ".ogv"}


def test_segments_and_pictures_are_as_many_and_as_large_as_said(system: RunningSystem, videos: dict[str, str]) -> None:
    """`vidrec capacity`, beside what the real clips took."""
    items = get(f"{system.url}/videos", limit=200, category="videos", status="indexed").json()["items"]
    segments = sum(item["segment_count"] for item in items)
    expected = sum(segments_of(item["duration_s"] / 60) for item in items)
    assert 1 / TOLERANCE < segments / expected < TOLERANCE
    clips = {item["id"] for item in items}
    pictures = [p for p in (system.data / "media" / "pictures").rglob("*.jpg") if clips & set(p.parts)]
    assert len(pictures) <= segments * PICTURES_PER_SEGMENT + len(items)
    size = sum(path.stat().st_size for path in pictures)
    assert 1 / TOLERANCE < size / (PICTURE_BYTES * (expected * PICTURES_PER_SEGMENT + len(items))) < TOLERANCE
