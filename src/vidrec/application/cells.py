"""What cells of tables say."""

from __future__ import annotations

from datetime import UTC, datetime


def read_time(value: object) -> datetime:
    """A moment in UTC from ISO 8601 or seconds since 1970; without a zone it is UTC. ValueError for anything else."""
    try:
        if isinstance(value, datetime):
            at = value
        elif str(value).replace(".", "", 1).isdigit():
            at = datetime.fromtimestamp(float(str(value)), UTC)
        else:
            at = datetime.fromisoformat(str(value))
        return at.astimezone(UTC) if at.tzinfo else at.replace(tzinfo=UTC)
    except (OverflowError, OSError) as error:
        raise ValueError(str(error)) from None
