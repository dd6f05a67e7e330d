"""The capacity table."""

from __future__ import annotations

import json
import math
import shlex
from dataclasses import replace

import pytest

from tests.documentation import ROOT, commands
from vidrec.cli import main
from vidrec.domain.capacity import (
    MAX_SEGMENT_S,
    MIN_SEGMENT_S,
    SEGMENTS_PER_MINUTE,
    Plan,
    capacity,
    frames_of,
    graph_bytes,
    segments_of,
)
from vidrec.domain.sampling import MIN_SAMPLES

PLAN = Plan(videos=1000, minutes=10.0, users=10, interactions_per_user=100, requests_per_day=10)


def values(plan: Plan) -> dict[str, float]:
    return {line.name: line.value for line in capacity(plan)}


def test_what_is_counted_follows_from_the_rules() -> None:
    found = values(PLAN)
    assert found["segments"] == 1000 * 10 * SEGMENTS_PER_MINUTE
    assert found["segments at most"] == 1000 * 10 * 60 / MIN_SEGMENT_S
    assert found["vectors"] == found["segments"] + 1000
    assert found["frames to encode"] == 1000 * 120
    assert 60 / MAX_SEGMENT_S < SEGMENTS_PER_MINUTE < 60 / MIN_SEGMENT_S


def test_the_shortest_video_has_a_segment_and_its_samples() -> None:
    assert segments_of(0.01) == 1
    assert frames_of(0.1) >= MIN_SAMPLES


def test_a_graph_holds_vectors_and_links() -> None:
    assert graph_bytes(1, 512, 16) == pytest.approx(2048 + 4 * (32 + 16 / math.log(16)))
    found = values(PLAN)
    assert found["index of videos, 2048"] > 3.5 * found["index of videos, 512"]


def test_twice_the_videos_take_twice_as_much_of_everything() -> None:
    plan = replace(PLAN, users=0, requests_per_day=0)
    once, twice = values(plan), values(replace(plan, videos=2000))
    assert twice == pytest.approx({name: 2 * value for name, value in once.items()})


def test_interactions_and_answers_count_in_the_database() -> None:
    without = values(replace(PLAN, users=0, requests_per_day=0))["database"]
    assert values(PLAN)["database"] > values(replace(PLAN, requests_per_day=0))["database"] > without


def test_every_line_shows_its_formula_and_where_its_constants_come_from() -> None:
    for line in capacity(PLAN):
        assert line.formula
        assert line.source
        assert line.unit in ("", "bytes", "hours")


def test_the_page_shows_what_the_command_says(capsys: pytest.CaptureFixture[str]) -> None:
    [command] = [line for line in commands("docs/scale.md") if "capacity" in line and "--json" not in line]
    with pytest.raises(SystemExit):
        main([*shlex.split(command)[1:], "--markdown"])
    page = (ROOT / "docs/scale.md").read_text()
    table = page.partition("<!-- capacity -->\n")[2].partition("<!-- /capacity -->")[0]
    assert table == capsys.readouterr().out, f"write it anew: {command} --markdown"


def test_programs_get_every_line(capsys: pytest.CaptureFixture[str]) -> None:
    with pytest.raises(SystemExit) as exit_:
        main(["capacity", "--videos", "10", "--minutes", "1.5", "--dimension", "128", "--json"])
    assert exit_.value.code == 0
    lines = json.loads(capsys.readouterr().out)
    assert {"name", "value", "unit", "formula", "source"} == set(lines[0])
    assert [line["name"] for line in lines if "index of" in line["name"]] == ["index of videos, 128"]
    with pytest.raises(SystemExit) as exit_:
        main(["capacity", "--videos", "0", "--minutes", "1"])
    assert exit_.value.code == 2
