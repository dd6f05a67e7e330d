"""The schema and the way to it: from nothing and from every release, on both databases, by several processes."""

from __future__ import annotations

import time
from collections.abc import Iterator
from contextlib import closing
from datetime import UTC, datetime
from importlib import resources
from pathlib import Path
from typing import Any

import pytest
from alembic.autogenerate import compare_metadata
from alembic.config import Config
from alembic.migration import MigrationContext
from alembic.script import ScriptDirectory
from sqlalchemy import JSON, Column, Connection, DateTime, LargeBinary, MetaData, Table, insert, inspect, select, text

import vidrec.adapters.sql
from tests.contract.processes import HEAD, finish_together, start
from tests.contract.sql import add
from tests.postgres import Postgres
from vidrec.adapters.sql import SqlDatabase, migrate
from vidrec.adapters.sql.engine import for_writing, open_engine
from vidrec.adapters.sql.migrate import upgrade
from vidrec.adapters.sql.schema import SCHEMA_REVISION, metadata
from vidrec.application.jobs import index_job, render_job
from vidrec.bootstrap import open_queue
from vidrec.domain.errors import StoreUnavailable
from vidrec.domain.models import VideoStatus, new_id, utc_now
from vidrec.domain.uploads import Stage, VideoProgress
from vidrec.settings import load_settings

MIGRATIONS = Path(vidrec.adapters.sql.__file__).parent / "migrations"
NOW = datetime(2026, 1, 1, tzinfo=UTC)
_MIGRATE = (
    HEAD
    + """
print("ready", flush=True)
sys.stdin.readline()
for url in urls:
    migrate(url)
    SqlDatabase(url).ping()
"""
)


def scripts() -> ScriptDirectory:
    config = Config()
    config.set_main_option("script_location", str(MIGRATIONS))
    return ScriptDirectory.from_config(config)


RELEASED = [revision.revision for revision in reversed([*scripts().walk_revisions()])][:-1]


class Empty:
    """Makes new databases without a schema."""

    def __init__(self, kind: str, folder: Path, postgres: Postgres | None) -> None:
        self.kind = kind
        self._folder = folder
        self._postgres = postgres
        self.made: list[str] = []

    def __call__(self) -> str:
        """URL of another one."""
        name = self._postgres.create() if self._postgres else f"new{len(self.made)}.db"
        self.made.append(name)
        return self._postgres.url(name) if self._postgres else f"sqlite:///{self._folder / name}"


@pytest.fixture(params=["sqlite", "postgresql"])
def empty(request: pytest.FixtureRequest, tmp_path: Path) -> Iterator[Empty]:
    postgres: Postgres | None = request.getfixturevalue("postgres") if request.param == "postgresql" else None
    databases = Empty(request.param, tmp_path, postgres)
    yield databases
    for name in databases.made if postgres else ():
        postgres.drop(name)


def at_revision(url: str, revision: str) -> dict[str, list[dict[str, Any]]]:
    """Makes the schema of a release, with a row in every table; answers the rows by table."""
    engine = open_engine(url)
    with engine.connect() as connection, for_writing(connection).begin():
        upgrade(connection, revision)
        tables = own_tables(connection)
        for table in tables:
            connection.execute(insert(table).values({c.name: example(c) for c in table.columns}))
        kept = rows(connection, tables)
    engine.dispose()
    return kept


def own_tables(connection: Connection) -> list[Table]:
    names = inspect(connection).get_table_names()
    ours = sorted(name for name in names if name != "alembic_version" and not name.startswith("procrastinate_"))
    return [Table(name, MetaData(), autoload_with=connection) for name in ours]


def rows(connection: Connection, tables: list[Table]) -> dict[str, list[dict[str, Any]]]:
    return {table.name: [dict(row._mapping) for row in connection.execute(select(table))] for table in tables}


def example(column: Column[Any]) -> Any:
    """A value that the column takes, the same for columns of one name."""
    known = {"status": "queued", "state": "done", "type": "like", "tags": ["a"], "media": None, "failure_reason": None}
    if column.name in known:
        return known[column.name]
    if isinstance(column.type, JSON):
        return {"näme": [1]}
    if isinstance(column.type, DateTime):
        return NOW if column.type.timezone else NOW.replace(tzinfo=None)
    if isinstance(column.type, LargeBinary):
        return b"bytes"
    kind = column.type.python_type
    return (column.name * 36)[: getattr(column.type, "length", None) or 20] if kind is str else kind(1)


def differences(url: str) -> list[Any]:
    engine = open_engine(url)
    with engine.connect() as connection:
        context = MigrationContext.configure(connection, opts={"include_name": _is_ours})
        found = compare_metadata(context, metadata)
    engine.dispose()
    return list(found)


def _is_ours(name: str | None, kind: str, _parents: object) -> bool:
    return kind != "table" or not str(name).startswith("procrastinate_")


def test_the_newest_migration_is_the_revision_that_the_code_names() -> None:
    assert scripts().get_current_head() == SCHEMA_REVISION


def test_the_migrations_make_the_schema_that_the_code_uses(database_url: str) -> None:
    assert differences(database_url) == []


def test_the_copy_of_procrastinates_schema_is_that_of_the_installed_release() -> None:
    """Where this fails a new release was taken: write a migration that runs what it brings in `sql/migrations`, keep a
    new copy beside the old one, and compare with that."""
    installed = (resources.files("procrastinate.sql") / "schema.sql").read_text(encoding="utf-8")
    assert (MIGRATIONS / "procrastinate_3_10.sql").read_text(encoding="utf-8") == installed


@pytest.mark.parametrize("revision", RELEASED)
def test_every_release_is_taken_along(empty: Empty, revision: str) -> None:
    url = empty()
    before = at_revision(url, revision)
    assert before["videos"]
    with closing(SqlDatabase(url)) as database:
        with pytest.raises(StoreUnavailable, match=f"{revision}.*vidrec migrate"):
            database.ping()
        assert migrate(url) == SCHEMA_REVISION
        assert migrate(url) == SCHEMA_REVISION
        database.ping()
        with database.snapshot() as uow:
            after = rows(uow.connection, own_tables(uow.connection))
            for name, kept in before.items():
                assert [{column: row[column] for column in kept[0]} for row in after[name]] == kept, name
            [video_id] = [row["id"] for row in before["videos"]]
            [video] = uow.catalogue.get([video_id]).values() or uow.catalogue.deleted([video_id])
            assert video == video_id or video.status is VideoStatus.QUEUED
        works(database)
    assert differences(url) == []


def works(database: SqlDatabase) -> None:
    """The present release can do its work."""
    video = add(database, title="떡볶이", tags=("a", "b"))
    queue = open_queue(load_settings(), database)
    with database.transaction() as uow:
        uow.progress.put(video.id, VideoProgress(Stage.DECODING, 1, 2))
        uow.uploads.mark_recommendable(video.id, utc_now())
        [job_id] = queue.enqueue(uow, [index_job(video.id)])
    assert queue.get([job_id])[job_id].video_id == video.id


def test_jobs_that_waited_go_on(empty: Empty) -> None:
    """The release of 0003 kept them in a table of its own on PostgreSQL too."""
    url = empty()
    engine = open_engine(url)
    new = {"queued": index_job(new_id()), "running": render_job(new_id()), "done": index_job(new_id())}
    with engine.connect() as connection, for_writing(connection).begin():
        upgrade(connection, "0003")
        [table] = [table for table in own_tables(connection) if table.name == "jobs"]
        for state, job in new.items():
            row = {
                "id": new_id(),
                "kind": job.kind,
                "payload": {"x": ["ü"]},
                "video_id": job.video_id,
                "priority": job.priority,
                "dedupe_key": job.dedupe_key,
                "state": state,
                "attempts": 0,
                "last_error": None,
            }
            times = dict.fromkeys(["created_at", "run_at", "lease_until"], NOW.replace(tzinfo=None))
            connection.execute(insert(table).values(**row, **times))
    engine.dispose()
    migrate(url)
    with closing(SqlDatabase(url)) as database:
        queue = open_queue(load_settings(), database)
        leased = [queue.lease([job.kind for job in new.values()], lease_s=30) for _ in range(3)]
        live = [new["queued"], new["running"]]
        found = [(job.kind, job.video_id, job.payload) for job in leased if job]
        assert found == [(job.kind, job.video_id, {"x": ["ü"]}) for job in live]
        with database.transaction() as uow:
            assert queue.enqueue(uow, live) == [job.id for job in leased if job]


def test_a_newer_schema_is_left_alone(empty: Empty) -> None:
    url = empty()
    migrate(url)
    with closing(SqlDatabase(url)) as database:
        with database.transaction() as uow:
            uow.connection.execute(text("UPDATE alembic_version SET version_num = '9999'"))
        assert migrate(url) == "9999"
        database.ping()


def test_processes_migrate_new_databases_at_once(empty: Empty) -> None:
    finish_together(_MIGRATE, 3, empty())


@pytest.mark.parametrize("killed_after_s", [0.2, pytest.param(0.1, marks=pytest.mark.full)])
def test_a_killed_migration_is_done_by_the_next(empty: Empty, killed_after_s: float) -> None:
    url = empty()
    process = start(_MIGRATE, url)
    try:
        assert process.stdout is not None
        assert process.stdin is not None
        process.stdout.readline()
        process.stdin.write("\n")
        process.stdin.flush()
        time.sleep(killed_after_s)  # the moment of the kill is the parameter, nothing is waited for
    finally:
        process.kill()
        process.communicate()
    migrate(url)
    with closing(SqlDatabase(url)) as database:
        database.ping()
        add(database)
