"""What the SQL store does: transactions, snapshots, and its schema."""

from __future__ import annotations

from collections.abc import Callable
from concurrent.futures import ThreadPoolExecutor
from contextlib import closing
from pathlib import Path

import pytest
from alembic import command
from alembic.autogenerate import compare_metadata
from alembic.config import Config
from alembic.migration import MigrationContext
from alembic.script import ScriptDirectory
from sqlalchemy import text

import vidrec.adapters.sql
from tests.contract.sql import add, new_video
from vidrec.adapters.sql import SqlDatabase, migrate
from vidrec.adapters.sql.database import open_engine
from vidrec.adapters.sql.schema import SCHEMA_REVISION, metadata
from vidrec.adapters.sqlite_queue import SqliteQueue
from vidrec.application.jobs import index_job
from vidrec.domain.errors import InvalidInput, NotFound, StoreUnavailable
from vidrec.domain.models import VideoStatus, new_id, utc_now
from vidrec.domain.uploads import Stage, VideoProgress


def count(database: SqlDatabase) -> int:
    with database.snapshot() as uow:
        return sum(uow.catalogue.counts().values())


@pytest.mark.parametrize("error", [NotFound("x"), RuntimeError("x"), KeyboardInterrupt()])
def test_any_exception_undoes_the_whole_transaction(database: SqlDatabase, error: BaseException) -> None:
    def fail_in_the_end() -> None:
        with database.transaction() as uow:
            uow.catalogue.add(new_video())
            uow.catalogue.add(new_video())
            raise error

    with pytest.raises(type(error)):
        fail_in_the_end()
    assert count(database) == 0


def test_a_transaction_reads_what_it_wrote_and_others_do_not_yet(database: SqlDatabase) -> None:
    with database.transaction() as uow:
        video = uow.catalogue.add(new_video())
        assert video.id in uow.catalogue.get([video.id])
        assert count(database) == 0
    assert count(database) == 1


def test_all_reads_of_a_snapshot_see_one_state(database: SqlDatabase) -> None:
    video = add(database)
    with database.snapshot() as uow:
        assert sum(uow.catalogue.counts().values()) == 1
        add(database)
        with database.transaction() as writing:
            writing.catalogue.mark_processing(video.id)
        assert uow.catalogue.counts() == {VideoStatus.QUEUED: 1}
    assert count(database) == 2


def test_readers_and_writers_of_many_threads_wait_for_each_other(database: SqlDatabase) -> None:
    def write(_: int) -> None:
        add(database)
        count(database)

    with ThreadPoolExecutor(12) as pool:
        list(pool.map(write, range(120)))
    assert count(database) == 120


def test_a_store_that_is_not_there_is_unavailable(tmp_path: Path) -> None:
    with closing(SqlDatabase(f"sqlite:///{tmp_path / 'no folder' / 'vidrec.db'}")) as database:
        uses: list[Callable[[], object]] = [database.ping, lambda: count(database), lambda: add(database)]
        for use in uses:
            with pytest.raises(StoreUnavailable, match="unable to open database file"):
                use()
    with pytest.raises(StoreUnavailable):
        migrate(f"sqlite:///{tmp_path / 'no folder' / 'vidrec.db'}")


def test_a_file_that_is_no_database_is_unavailable(tmp_path: Path) -> None:
    file = tmp_path / "vidrec.db"
    file.write_text("This is a text file, long enough to be taken for the head of a database. " * 20)
    with pytest.raises(StoreUnavailable, match="not a database"):
        migrate(f"sqlite:///{file}")
    with closing(SqlDatabase(f"sqlite:///{file}")) as database, pytest.raises(StoreUnavailable, match="not a database"):
        database.ping()


@pytest.mark.parametrize("url", ["nonsense", "nosuchdialect://host/db", ""])
def test_a_url_that_cannot_be_used_is_refused(url: str) -> None:
    with pytest.raises(InvalidInput, match="VIDREC_DATABASE_URL"):
        SqlDatabase(url)


def test_ping_tells_of_a_database_without_a_schema(tmp_path: Path) -> None:
    with (
        closing(SqlDatabase(f"sqlite:///{tmp_path / 'empty.db'}")) as database,
        pytest.raises(StoreUnavailable, match=r"no schema.*vidrec migrate"),
    ):
        database.ping()


@pytest.mark.parametrize(("revision", "usable"), [("0000", False), ("9999", True), (SCHEMA_REVISION, True)])
def test_ping_tells_of_an_older_schema_and_takes_a_newer(database: SqlDatabase, revision: str, usable: bool) -> None:
    """A newer release may have migrated already: its schema only adds to ours."""
    with database.transaction() as uow:
        uow.connection.execute(text("UPDATE alembic_version SET version_num = :revision"), {"revision": revision})
    if usable:
        database.ping()
    else:
        with pytest.raises(StoreUnavailable, match=f"0000.*{SCHEMA_REVISION}.*vidrec migrate"):
            database.ping()


def test_the_newest_migration_is_the_revision_that_the_code_names() -> None:
    config = Config()
    config.set_main_option("script_location", str(Path(vidrec.adapters.sql.__file__).parent / "migrations"))
    assert ScriptDirectory.from_config(config).get_current_head() == SCHEMA_REVISION


FIRST_VIDEO = """
INSERT INTO videos (id, external_id, title, title_folded, category, tags, location, filename, size_bytes,
                    content_sha256, status, segment_count, available, created_at)
VALUES (:id, 'old', '떡볶이', '떡볶이', NULL, '["a", "b"]', 'file:///old.mp4', 'old.mp4', 7, :digest, 'queued', 0, 1,
        '2026-01-01 00:00:00.000000')
"""
"""As release 0001 wrote it."""


def test_a_library_of_the_first_schema_is_taken_along(tmp_path: Path) -> None:
    """Rows of 0001 are as they were and can be worked with; the release before still finds and writes what it knows."""
    url = f"sqlite:///{tmp_path / 'vidrec.db'}"
    engine = open_engine(url)
    config = Config()
    config.set_main_option("script_location", str(Path(vidrec.adapters.sql.__file__).parent / "migrations"))
    with engine.connect().execution_options(vidrec_write=True) as connection, connection.begin():
        config.attributes["connection"] = connection
        command.upgrade(config, "0001")
        old, later = new_id(), new_id()
        connection.execute(text(FIRST_VIDEO), {"id": old, "digest": "0" * 64})
        connection.execute(text("UPDATE videos SET external_id = 'first'"))
    with closing(SqlDatabase(url)) as database:
        with pytest.raises(StoreUnavailable, match="vidrec migrate"):
            database.ping()
        columns = {name: _columns(database, name) for name in ("videos", "jobs", "interactions", "receipts")}
        migrate(url)
        migrate(url)
        database.ping()
        for name, before in columns.items():
            assert set(before) <= set(_columns(database, name)), name
        with database.transaction() as uow:
            uow.connection.execute(text(FIRST_VIDEO), {"id": later, "digest": "1" * 64})
            videos = uow.catalogue.get([old, later])
            assert [videos[i].external_id for i in (old, later)] == ["first", "old"]
            assert {(v.title, v.tags, v.status) for v in videos.values()} == {
                ("떡볶이", ("a", "b"), VideoStatus.QUEUED)
            }
            assert uow.uploads.waiting(10) == []
            uow.progress.put(old, VideoProgress(Stage.DECODING, 1, 2))
            uow.uploads.mark_recommendable(old, utc_now())
            assert uow.uploads.seconds_to_recommendable()[1] == 0
            assert uow.progress.get([old]) == {old: VideoProgress(Stage.DECODING, 1, 2)}
            SqliteQueue(database).enqueue(uow, [index_job(old)])
        assert [job.video_id for job in SqliteQueue(database).list()] == [old]
    with engine.connect() as connection:
        assert compare_metadata(MigrationContext.configure(connection), metadata) == []
    engine.dispose()


def _columns(database: SqlDatabase, table: str) -> list[str]:
    with database.snapshot() as uow:
        return [row.name for row in uow.connection.execute(text(f"PRAGMA table_info({table})"))]


def test_the_migrations_make_the_schema_that_the_code_uses(database_url: str) -> None:
    engine = open_engine(database_url)
    with engine.connect() as connection:
        differences = compare_metadata(MigrationContext.configure(connection), metadata)
    engine.dispose()
    assert differences == []
