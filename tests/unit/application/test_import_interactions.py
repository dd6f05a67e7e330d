"""Importing interactions from tables."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import astuple
from datetime import UTC, datetime, timedelta
from pathlib import Path

import pytest

from tests.contract.sql import add_indexed
from vidrec.adapters.sql import SqlDatabase
from vidrec.adapters.tables import read_table
from vidrec.application.import_interactions import import_interactions
from vidrec.domain.errors import InvalidInput
from vidrec.domain.models import utc_now


@pytest.fixture
def library(database: SqlDatabase) -> SqlDatabase:
    for name in ("a", "b", "c"):
        add_indexed(database, external_id=name)
    return database


def table(*rows: Mapping[str, object]) -> list[tuple[int, Mapping[str, object]]]:
    return list(enumerate(rows, start=1))


def row(**known: object) -> dict[str, object]:
    return {"user_id": "u", "external_id": "a", "type": "view", **known}


def imported(database: SqlDatabase, *rows: Mapping[str, object], **options: bool) -> tuple[int, ...]:
    """(rows, new, repeated, dropped, unknown)"""
    return astuple(import_interactions(database, table(*rows), **options))


def history(database: SqlDatabase, user_id: str = "u") -> dict[str, datetime]:
    """external id -> time of what the user did last."""
    with database.snapshot() as uow:
        watched = uow.interactions.history(user_id)
        videos = uow.catalogue.get([w.video_id for w in watched])
    return {str(videos[w.video_id].external_id): w.last_at for w in watched}


def test_a_file_is_imported_once_however_often(library: SqlDatabase, tmp_path: Path) -> None:
    file = tmp_path / "events.csv"
    file.write_text(
        "user_id,external_id,type,ts,fraction\n"
        "u,a,watch,2026-05-01T10:00:00Z,0.9\n"
        "u,b,like,2026-05-02T10:00:00+02:00,\n"
        "u,c,view,1777777777.5,\n"
    )
    assert astuple(import_interactions(library, read_table(file))) == (3, 3, 0, 0, 0)
    assert astuple(import_interactions(library, read_table(file))) == (3, 0, 3, 0, 0)
    assert history(library) == {
        "a": datetime(2026, 5, 1, 10, tzinfo=UTC),
        "b": datetime(2026, 5, 2, 8, tzinfo=UTC),
        "c": datetime.fromtimestamp(1777777777.5, UTC),
    }


def test_csv_and_parquet_of_one_table_are_the_same_rows(library: SqlDatabase, tmp_path: Path) -> None:
    import pyarrow
    from pyarrow import parquet

    rows = [row(type="watch", fraction=0.5, event_id="e1"), row(external_id="b", event_id="e2")]
    columns = ["user_id", "external_id", "type", "fraction", "event_id"]
    parquet.write_table(pyarrow.table({c: [r.get(c) for r in rows] for c in columns}), tmp_path / "e.parquet")
    lines = [",".join("" if r.get(c) is None else str(r[c]) for c in columns) for r in rows]
    (tmp_path / "e.csv").write_text("\n".join([",".join(columns), *lines]))
    assert astuple(import_interactions(library, read_table(tmp_path / "e.parquet"))) == (2, 2, 0, 0, 0)
    assert astuple(import_interactions(library, read_table(tmp_path / "e.csv"))) == (2, 0, 2, 0, 0)


def test_a_parquet_column_of_times_is_taken(library: SqlDatabase) -> None:
    at = datetime(2026, 3, 4, 5, 6)
    imported(library, row(ts=at), row(external_id="b", ts=at.replace(tzinfo=UTC)))
    assert set(history(library).values()) == {at.replace(tzinfo=UTC)}


def test_a_video_may_be_named_by_its_id(library: SqlDatabase) -> None:
    with library.snapshot() as uow:
        video_id = uow.catalogue.resolve(["b"])["b"]
    assert imported(library, {"user_id": "u", "video_id": video_id, "type": "like"}) == (1, 1, 0, 0, 0)
    assert set(history(library)) == {"b"}


def test_videos_that_are_not_there_are_counted(library: SqlDatabase) -> None:
    with library.transaction() as uow:
        uow.catalogue.tombstone(uow.catalogue.resolve(["c"])["c"])
    rows = (row(), row(external_id="nowhere"), row(external_id="c"), {"user_id": "u", "video_id": "x", "type": "like"})
    assert imported(library, *rows) == (4, 1, 0, 1, 2)


def test_strictly_they_are_refused(library: SqlDatabase) -> None:
    with pytest.raises(InvalidInput, match="row 2, external_id: there is no video nowhere"):
        imported(library, row(), row(external_id="nowhere"), strict=True)
    with pytest.raises(InvalidInput, match="row 1, video_id: there is no video x"):
        imported(library, {"user_id": "u", "video_id": "x", "type": "like"}, strict=True)
    assert history(library) == {}


def test_the_same_deed_at_two_times_is_two(library: SqlDatabase) -> None:
    assert imported(library, row(ts="2026-01-01"), row(ts="2026-01-02"), row(ts="2026-01-02")) == (3, 2, 1, 0, 0)


@pytest.mark.parametrize(
    ("bad", "message"),
    [
        ({"user_id": None}, "user_id: expected an id of 1 to 256 characters"),
        ({"user_id": "u" * 257}, "user_id: expected an id of 1 to 256 characters"),
        ({"external_id": None}, "external_id: expected the video's external_id or video_id"),
        ({"type": "watched"}, r"type: expected one of impression, view, .* \(got 'watched'\)"),
        ({"type": None}, "type: expected one of"),
        ({"fraction": "1.01"}, r"fraction: expected a number of 0 to 1 \(got '1.01'\)"),
        ({"fraction": "much"}, "fraction: expected a number of 0 to 1"),
        ({"fraction": "nan"}, "fraction: expected a number of 0 to 1"),
        ({"position_s": "-1"}, "position_s: expected a number of at least 0"),
        ({"position_s": "inf"}, "position_s: expected a number of at least 0"),
        ({"ts": "yesterday"}, r"ts: expected ISO 8601 or seconds since 1970 \(got 'yesterday'\)"),
        ({"ts": "99999999999999999"}, "ts: expected ISO 8601 or seconds since 1970"),
        ({"ts": (utc_now() + timedelta(days=1)).isoformat()}, "ts lies in the future"),
    ],
)
def test_a_bad_row_is_named_with_its_column(library: SqlDatabase, bad: dict[str, object], message: str) -> None:
    with pytest.raises(InvalidInput, match=rf"^row 2, {message}") as caught:
        imported(library, row(), row(external_id="b", **{k: v for k, v in bad.items() if k != "external_id"}) | bad)
    assert caught.value.field == next(iter(bad))
    assert history(library) == {}


def test_an_unknown_column_is_refused(library: SqlDatabase) -> None:
    with pytest.raises(InvalidInput, match="column 'usr' is not known; columns are user_id, "):
        imported(library, row(usr="u"))


def test_thousands_of_rows_go_in_batches(library: SqlDatabase) -> None:
    rows = [row(user_id=f"u{n % 7}", event_id=str(n)) for n in range(2500)]
    seen: list[int] = []
    result = import_interactions(library, iter(table(*rows)), progress=seen.append)
    assert seen == [1000, 2000, 2500]
    assert astuple(result) == (2500, 2500, 0, 0, 0)


def test_what_came_before_a_bad_row_stays_and_is_not_doubled(library: SqlDatabase) -> None:
    rows = [row(event_id=str(n)) for n in range(1200)]
    with pytest.raises(InvalidInput, match="row 1100"):
        imported(library, *rows[:1099], row(type="?"), *rows[1100:])
    assert imported(library, *rows) == (1200, 200, 1000, 0, 0)


def test_an_empty_table_is_no_error(library: SqlDatabase) -> None:
    assert imported(library) == (0, 0, 0, 0, 0)
