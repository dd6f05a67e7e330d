"""The chart's query for KEDA, asked of the queue on PostgreSQL."""

from __future__ import annotations

import re
from pathlib import Path

import pytest
from sqlalchemy import create_engine, text

TEMPLATE = Path(__file__).resolve().parents[2] / "helm" / "vidrec" / "templates" / "_objects.tpl"


def query() -> str:
    [found] = re.findall(r"query: >-\n((?: {6}.*\n)+)", TEMPLATE.read_text())
    return " ".join(found.split())


def test_what_is_due_or_running_counts(postgres_url: str) -> None:
    engine = create_engine(postgres_url.replace("postgresql://", "postgresql+psycopg://", 1))
    rows = [("todo", "NULL"), ("todo", "now() - interval '1 s'"), ("todo", "now() + interval '1 h'"), ("doing", "NULL")]
    rows += [(status, "NULL") for status in ("succeeded", "failed", "cancelled", "aborted")]
    try:
        with engine.begin() as connection:
            for status, at in rows:
                connection.execute(
                    text(
                        "INSERT INTO procrastinate_jobs (queue_name, task_name, status, scheduled_at) "
                        f"VALUES ('index', 'index', '{status}', {at})"
                    )
                )
            assert connection.execute(text(query())).scalar_one() == 3
    finally:
        engine.dispose()


@pytest.mark.parametrize("word", ["INSERT", "UPDATE", "DELETE"])
def test_it_only_reads(word: str) -> None:
    assert word not in query()
