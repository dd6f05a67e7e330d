"""`vidrec evaluate interactions` on small files."""

from __future__ import annotations

import csv
import json
import shlex
from pathlib import Path
from xml.etree import ElementTree

import numpy as np
import pytest

from tests.documentation import commands
from vidrec.cli import main

NAMES = ("--user", "userId", "--item", "movieId", "--time", "timestamp", "--value", "rating", "--liked", "4")
START = 1_600_000_000


def run(*arguments: object) -> int:
    with pytest.raises(SystemExit) as exit_:
        main(["evaluate", "interactions", *map(str, arguments)])
    assert isinstance(exit_.value.code, int)
    return exit_.value.code


@pytest.fixture(scope="module")
def films(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """40 users of two tastes, 60 films of two genres; the last ten films are rated from the test window on."""
    folder = tmp_path_factory.mktemp("films")
    rng = np.random.default_rng(1)
    with (folder / "ratings.csv").open("w", newline="") as file:
        write = csv.writer(file).writerow
        write(["userId", "movieId", "rating", "timestamp"])
        for moment in range(1000):
            user, genre = int(rng.integers(40)), int(rng.random() < 0.15)
            genre = (user + genre) % 2
            film = 2 * int(rng.integers(30 if moment > 900 else 25) * rng.random()) + genre
            write([user, film, 5 if genre == user % 2 else 2, START + moment])
    with (folder / "movies.csv").open("w", newline="") as file:
        write = csv.writer(file).writerow
        write(["movieId", "title", "genres"])
        for film in range(60):
            write([film, f"Film {film}", "Drama|Film" if film % 2 else "Comedy|Film"])
    with (folder / "tags.csv").open("w", newline="") as file:
        write = csv.writer(file).writerow
        write(["userId", "movieId", "tag", "timestamp"])
        write([1, 1, "slow", START + 5])
        write([1, 3, "slow", START + 6])
    return folder


def test_measures_as_json(films: Path, tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    plot = tmp_path / "plot.svg"
    shown = (films / "ratings.csv", *NAMES, "--features", films / "movies.csv", "-k", "5", "--plot", plot, "--json")
    assert run(*shown) == 0
    said = capsys.readouterr().out
    found = json.loads(said)
    everybody = found["slices"]["all"]["methods"]
    assert list(everybody) == ["random", "popular", "co-watch", "EASE", "content", "hybrid"]
    assert everybody["content"]["ndcg@5"]["value"] > 1.2 * everybody["random"]["ndcg@5"]["value"]
    assert everybody["hybrid"]["ndcg@5"]["value"] > 1.2 * everybody["popular"]["ndcg@5"]["value"]
    assert set(everybody["EASE"]) == {"hr@5", "ndcg@5", "recall@5", "mrr", "novelty@5", "variety@5"}
    assert sum(found["tuned"]["weights"].values()) == pytest.approx(1)
    assert (found["items"], found["users"]) == (60, 40)
    assert "cold items" in found["slices"]
    ratio = found["slices"]["all"]["hybrid"]["ratio"]
    assert ratio["low"] <= ratio["value"] <= ratio["high"]
    picture = ElementTree.fromstring(plot.read_text())
    assert sum(1 for text in picture.iter("{http://www.w3.org/2000/svg}text") if text.text == "hybrid") >= 3
    assert run(*shown) == 0
    assert capsys.readouterr().out == said, "the same seed gives the same answer"


def test_measures_as_a_table_without_features(films: Path, capsys: pytest.CaptureFixture[str]) -> None:
    assert run(films / "ratings.csv", *NAMES) == 0
    said = capsys.readouterr()
    assert all(word in said.out for word in ("all: ", "co-watch", "EASE", "hybrid", "ndcg@10", "coverage@10"))
    assert "content" not in said.out
    assert "without features" in said.err
    assert "test window from 2020-09-13T" in said.err


def test_a_gate(films: Path, capsys: pytest.CaptureFixture[str]) -> None:
    assert run(films / "ratings.csv", *NAMES, "--json", "--min", "ndcg@10=0.01", "--min", "mrr=0.999") == 1
    said = capsys.readouterr()
    assert "below: mrr of the hybrid is" in said.err
    assert "ndcg" not in said.err
    assert json.loads(said.out)["options"]["k"] == 10


def test_the_commands_of_the_page(films: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.chdir(films)
    shown = commands("docs/evaluate.md")
    of_files = [command for command in shown if "ratings.csv" in command]
    assert len(of_files) == 3
    for command in of_files:
        assert run(*shlex.split(command)[3:]) == 0, command
    assert (films / "movielens.svg").stat().st_size > 1000
    assert [c for c in shown if c not in of_files] == [
        "vidrec evaluate interactions",
        "vidrec evaluate interactions --json --plot quality.svg",
    ], "test_library_interactions.py measures a library"


HEAD = "user,item,time,value\n"


@pytest.mark.parametrize(
    ("content", "more", "expected"),
    [
        ("user,item\na,b\n", (), "log.csv: no column 'time'; it has user, item"),
        (HEAD, (), "log.csv: holds no row"),
        ("", (), "log.csv: empty"),
        (HEAD + "a,b,2999-01-01,1\n", (), "log.csv: row 1, time: expected a time in the past"),
        (HEAD + "a,b,1,1\na,c,soon,1\n", (), "log.csv: row 2, time: expected ISO 8601 or seconds since 1970"),
        (HEAD + "a,b,1,1\nb,b,2,1\n", (), "log.csv, item: there is one item only"),
        (HEAD + ",b,1,1\n", (), "log.csv: row 1, user: expected an id"),
        (HEAD + "a,b,1,good\n", (), "log.csv: row 1, value: expected a number"),
        (HEAD + "a,b,1,1\na,c,2,0\n", ("--liked", "3"), "log.csv, value: no value of 3 or more"),
        (HEAD + "a,b,1,1\nb,c,2,1\n", (), "log.csv: nothing to measure in the validation window"),
        (HEAD + "a,b,1,1\nb,c,2,1\n", ("--test", "0.95"), "log.csv: the windows are 0.1 and 0.95"),
        (HEAD, ("--min", "ndcg@10"), "--min ndcg@10: expected MEASURE=NUMBER"),
        (HEAD, ("--min", "ndcg@7=1"), "--min ndcg@7=1: expected MEASURE=NUMBER"),
        (HEAD, ("--plot", "/nowhere/at/all.svg"), "--plot: there is no folder /nowhere/at"),
        (HEAD, ("--features", "none.csv"), "none.csv: no such file"),
    ],
)
def test_bad_input_is_one_sentence(
    tmp_path: Path, capsys: pytest.CaptureFixture[str], content: str, more: tuple[str, ...], expected: str
) -> None:
    file = tmp_path / "log.csv"
    file.write_text(content)
    plot = () if "--plot" in more else ("--plot", str(tmp_path / "plot.svg"))
    assert run(file, *more, *plot) == 2
    error = capsys.readouterr().err
    assert expected in error
    assert error.count("\n") == 1, error
    assert not (tmp_path / "plot.svg").exists()


def test_without_a_library(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    for arguments, expected in (
        (("--data", tmp_path), "there is no library in"),
        (("--features", tmp_path / "x.csv"), "--features goes with a file"),
    ):
        assert run(*arguments) == 2
        error = capsys.readouterr().err
        assert expected in error
        assert error.count("\n") == 1
    assert list(tmp_path.iterdir()) == []


@pytest.mark.full
def test_movielens(test_data: Path, capsys: pytest.CaptureFixture[str]) -> None:
    folder = test_data / "interactions" / "ml-latest-small"
    if not folder.is_dir():
        pytest.skip("MovieLens is not there")
    features = ("--features", folder / "movies.csv", "--features", folder / "tags.csv")
    assert run(folder / "ratings.csv", *NAMES, *features, "--json") == 0
    found = json.loads(capsys.readouterr().out)
    everybody = found["slices"]["all"]
    # Floors: the figures themselves, which docs/quality.md has, move a little with the arithmetic of the machine.
    assert everybody["hybrid"]["ratio"]["value"] >= 0.97
    values = {method: measured["ndcg@10"]["value"] for method, measured in everybody["methods"].items()}
    assert values["EASE"] > values["popular"] > 10 * values["random"]
    assert values["hybrid"] > 0.28
    cold = found["slices"]["cold items among cold"]["methods"]
    assert cold["content"]["ndcg@10"]["value"] >= 2 * cold["random"]["ndcg@10"]["value"]
