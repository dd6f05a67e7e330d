"""Filters of videos as conditions in SQL."""

from __future__ import annotations

from sqlalchemy import ColumnElement, Connection, func, select

from vidrec.adapters.sql.schema import videos
from vidrec.domain.filters import VideoFilter


def passing(connection: Connection, only: VideoFilter) -> list[ColumnElement[bool]]:
    """Conditions on rows of `videos`, which all must hold; none for a filter that everything passes."""
    if only.is_open:  # as for nearly every request
        return []
    duration_s = func.coalesce(videos.c.media["duration_s"].as_float(), 0.0)
    conditions: list[ColumnElement[bool]] = []
    if only.category is not None:
        conditions.append(videos.c.category == only.category)
    if only.tags:
        conditions.append(_has_tag(connection, only.tags))
    if only.min_duration_s is not None:
        conditions.append(duration_s >= only.min_duration_s)
    if only.max_duration_s is not None:
        conditions.append(duration_s <= only.max_duration_s)
    if only.since is not None:
        conditions.append(videos.c.created_at >= only.since)
    return conditions


def _has_tag(connection: Connection, tags: frozenset[str]) -> ColumnElement[bool]:
    if connection.dialect.name == "sqlite":
        own = func.json_each(videos.c.tags).table_valued("value")
    else:
        own = func.json_array_elements_text(videos.c.tags).table_valued("value").render_derived()
    return select(own.c.value).where(own.c.value.in_(sorted(tags))).exists()
