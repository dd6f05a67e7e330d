"""Logs on stderr, one line an event, as text or as JSON, with the ids of what each line is about."""

from __future__ import annotations

import json
import logging
import sys
from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from contextvars import ContextVar
from datetime import UTC, datetime
from typing import Any, Literal

IDS = ("request_id", "job_id", "video_id", "trace_id")
"""What a line may be about."""
_LIBRARIES = ("alembic", "httpx", "httpcore", "opentelemetry")
"""They log each start and each request."""
_OWN_HANDLERS = ("uvicorn", "uvicorn.error", "uvicorn.access", "bentoml")
"""Loggers of libraries that bring handlers of their own: theirs go, so that all lines look alike."""
_about: ContextVar[Mapping[str, str]] = ContextVar("vidrec_about", default={})  # noqa: B039 - never changed


@contextmanager
def about(**ids: str | None) -> Iterator[None]:
    """Lines logged in the block carry these ids beside those of the blocks around it; None: no such id."""
    token = _about.set({**_about.get(), **{name: value for name, value in ids.items() if value}})
    try:
        yield
    finally:
        _about.reset(token)


def ids_now() -> Mapping[str, str]:
    """What a line logged now would be about."""
    return _about.get()


def configure_logging(level: str, form: Literal["text", "json"]) -> None:
    """Everything that is logged in this process, warnings included, goes to stderr in one form."""
    handler = logging.StreamHandler(sys.stderr)
    handler.setFormatter(JsonLines() if form == "json" else TextLines())
    logging.basicConfig(level=level, handlers=[handler], force=True)
    logging.captureWarnings(True)
    for name in _LIBRARIES:
        logging.getLogger(name).setLevel(max(logging.getLogger().level, logging.WARNING))
    for name in _OWN_HANDLERS:
        library = logging.getLogger(name)
        library.handlers.clear()
        library.propagate = True


class TextLines(logging.Formatter):
    """`time LEVEL logger: message [request_id=... video_id=...]`."""

    def __init__(self) -> None:
        super().__init__("%(asctime)s %(levelname)s %(name)s: %(message)s")

    def formatMessage(self, record: logging.LogRecord) -> str:
        """See logging.Formatter."""
        ids = " ".join(f"{name}={value}" for name, value in _about.get().items() if name != "trace_id")
        return super().formatMessage(record) + (f" [{ids}]" if ids else "")


class JsonLines(logging.Formatter):
    """One JSON object a line: time (RFC 3339, UTC), level, logger, message, the ids, `exception` where there is one."""

    def format(self, record: logging.LogRecord) -> str:
        """See logging.Formatter."""
        line: dict[str, Any] = {
            "time": datetime.fromtimestamp(record.created, UTC).isoformat(timespec="milliseconds"),
            "level": record.levelname,
            "logger": record.name,
            "message": record.getMessage(),
            **_about.get(),
        }
        if record.exc_info:
            line["exception"] = self.formatException(record.exc_info)
        return json.dumps(line, ensure_ascii=False, default=str)
