"""Times of SQL statements, told to whoever observes."""

from __future__ import annotations

from contextlib import AbstractContextManager
from typing import Any

from sqlalchemy import Engine, event

from vidrec.application.ports import Observe

_KINDS = frozenset({"select", "insert", "update", "delete"})
_NOW = "vidrec_observed"


def observe_statements(engine: Engine, observe: Observe) -> None:
    """Every statement of the engine is a step, named by its kind: select, insert, update, delete, other."""

    @event.listens_for(engine, "before_cursor_execute")
    def before(_connection: Any, _cursor: Any, statement: str, _parameters: Any, context: Any, _many: bool) -> None:
        kind = statement.lstrip()[:6].lower()
        step: AbstractContextManager[object] = observe(kind if kind in _KINDS else "other")
        step.__enter__()
        if context is not None:
            setattr(context, _NOW, step)

    @event.listens_for(engine, "after_cursor_execute")
    def after(_connection: Any, _cursor: Any, _statement: str, _parameters: Any, context: Any, _many: bool) -> None:
        _leave(context, None)

    @event.listens_for(engine, "handle_error")
    def failed(context: Any) -> None:
        _leave(context.execution_context, context.original_exception)


def _leave(context: Any, error: BaseException | None) -> None:
    step = getattr(context, _NOW, None)
    if step is not None:
        setattr(context, _NOW, None)
        step.__exit__(type(error) if error else None, error, None)
