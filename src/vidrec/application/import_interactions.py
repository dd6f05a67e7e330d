"""Interactions from a table: what `vidrec import interactions` takes."""

from __future__ import annotations

import hashlib
import json
import math
from collections.abc import Callable, Iterable, Mapping, Sequence
from dataclasses import dataclass
from datetime import datetime

from vidrec.application.cells import read_time
from vidrec.application.events import MAX_BATCH, Event, EventLog, Recorded
from vidrec.application.ports import Database
from vidrec.domain.errors import InvalidInput
from vidrec.domain.models import InteractionType

COLUMNS = (
    "user_id",
    "video_id",
    "external_id",
    "type",
    "ts",
    "fraction",
    "position_s",
    "session_id",
    "recommendation_id",
    "event_id",
)
MAX_ID = 256
"""Characters of a user id."""
Row = tuple[int, Mapping[str, object]]
"""Number of the row, from 1, and its values by column; empty ones are None."""


@dataclass(slots=True)
class Imported:
    """What became of the rows: rows = new + repeated + dropped + unknown."""

    rows: int = 0
    new: int = 0
    repeated: int = 0
    """Imported before."""
    dropped: int = 0
    """About deleted videos."""
    unknown: int = 0
    """About videos that are not in the catalogue."""


def import_interactions(
    database: Database,
    rows: Iterable[Row],
    *,
    strict: bool = False,
    progress: Callable[[int], None] = lambda rows: None,
) -> Imported:
    """Appends the rows, 1,000 at a time and each thousand whole or not at all. A row without `event_id` gets one made
    of its content, so importing a file again adds nothing. InvalidInput names row and column; what came before stays
    and is not doubled by the next try. With `strict` a video that is not in the catalogue is such an error."""
    log, result = EventLog(database), Imported()
    batch: list[tuple[int, Event]] = []
    for row in rows:
        batch.append((row[0], _event(*row)))
        if len(batch) == MAX_BATCH:
            _append(database, log, batch, strict, result)
            progress(result.rows)
            batch = []
    _append(database, log, batch, strict, result)
    progress(result.rows)
    return result


def _append(
    database: Database, log: EventLog, batch: Sequence[tuple[int, Event]], strict: bool, result: Imported
) -> None:
    unknown = _unknown(database, [event for _, event in batch])
    if strict and unknown:
        number, event = batch[min(unknown)]
        column = "external_id" if event.external_id else "video_id"
        raise InvalidInput(
            f"row {number}, {column}: there is no video {event.external_id or event.video_id}", field=column
        )
    known = [row for i, row in enumerate(batch) if i not in unknown]
    if known:
        recorded = _record(log, known)
        result.repeated += recorded.repeated
        result.dropped += recorded.dropped
        result.new += recorded.accepted - recorded.repeated - recorded.dropped
    result.unknown += len(unknown)
    result.rows += len(batch)


def _record(log: EventLog, batch: Sequence[tuple[int, Event]]) -> Recorded:
    try:
        return log.record([event for _, event in batch])
    except InvalidInput as error:
        if error.index is None:
            raise
        raise InvalidInput(f"row {batch[error.index][0]}, {error}", field=error.field) from None


def _unknown(database: Database, events: Sequence[Event]) -> set[int]:
    """Indices of the events whose video never was in the catalogue."""
    with database.snapshot() as uow:
        external = uow.catalogue.resolve([e.external_id for e in events if e.external_id])
        ids = [e.video_id for e in events if e.video_id and not e.external_id]
        known = {*uow.catalogue.get(ids), *uow.catalogue.deleted(ids)}
    return {
        i
        for i, event in enumerate(events)
        if (event.external_id not in external if event.external_id else event.video_id not in known)
    }


def _event(number: int, row: Mapping[str, object]) -> Event:
    if stray := sorted(set(row) - set(COLUMNS)):
        raise InvalidInput(f"column {stray[0]!r} is not known; columns are {', '.join(COLUMNS)}", field=stray[0])
    user_id = _text(row, "user_id")
    if user_id is None or len(user_id) > MAX_ID:
        raise _wrong(number, "user_id", row, f"an id of 1 to {MAX_ID} characters")
    video_id, external_id = _text(row, "video_id"), _text(row, "external_id")
    if video_id is None and external_id is None:
        raise _wrong(number, "external_id", row, "the video's external_id or video_id")
    kinds = [kind.value for kind in InteractionType]
    if row.get("type") not in kinds:
        raise _wrong(number, "type", row, f"one of {', '.join(kinds)}")
    return Event(
        user_id=user_id,
        type=InteractionType(str(row["type"])),
        video_id=None if external_id else video_id,
        external_id=external_id,
        event_id=_text(row, "event_id") or _content_id(row),
        fraction=_number(number, row, "fraction", 0.0, 1.0),
        position_s=_number(number, row, "position_s", 0.0, math.inf),
        session_id=_text(row, "session_id"),
        recommendation_id=_text(row, "recommendation_id"),
        ts=_time(number, row),
    )


def _content_id(row: Mapping[str, object]) -> str:
    content = json.dumps(sorted((k, str(v)) for k, v in row.items() if v is not None))
    return "row-" + hashlib.sha256(content.encode()).hexdigest()[:32]


def _text(row: Mapping[str, object], column: str) -> str | None:
    value = row.get(column)
    return None if value is None else str(value).strip() or None


def _number(number: int, row: Mapping[str, object], column: str, least: float, most: float) -> float | None:
    value = row.get(column)
    if value is None:
        return None
    expected = f"a number of {least:g} to {most:g}" if most < math.inf else f"a number of at least {least:g}"
    try:
        result = float(str(value))
    except ValueError:
        raise _wrong(number, column, row, expected) from None
    if not (least <= result <= most and math.isfinite(result)):
        raise _wrong(number, column, row, expected)
    return result


def _time(number: int, row: Mapping[str, object]) -> datetime | None:
    """ISO 8601 or seconds since 1970; without a zone it is UTC."""
    value = row.get("ts")
    if value is None:
        return None
    try:
        return read_time(value)
    except ValueError:
        raise _wrong(number, "ts", row, "ISO 8601 or seconds since 1970") from None


def _wrong(number: int, column: str, row: Mapping[str, object], expected: str) -> InvalidInput:
    return InvalidInput(f"row {number}, {column}: expected {expected} (got {row.get(column)!r})", field=column)
