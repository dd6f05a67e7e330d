"""What the SQL store does: transactions, snapshots, and its schema."""

from __future__ import annotations

import socket
import time
from collections.abc import Callable
from concurrent.futures import ThreadPoolExecutor
from contextlib import closing
from pathlib import Path

import pytest
from sqlalchemy import text

from tests.contract.sql import add, new_video
from vidrec.adapters.sql import Connections, SqlDatabase, migrate
from vidrec.adapters.sql.schema import SCHEMA_REVISION
from vidrec.domain.errors import InvalidInput, NotFound, StoreUnavailable
from vidrec.domain.models import VideoStatus


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


@pytest.mark.full
def test_a_server_that_does_not_answer_holds_up_one_caller_at_a_time() -> None:
    """It takes connections and is silent, like a host behind a firewall or one that is stuck."""
    with (
        socket.create_server(("127.0.0.1", 0)) as silent,
        closing(SqlDatabase(f"postgresql://x@127.0.0.1:{silent.getsockname()[1]}/x")) as database,
    ):

        def wait_s(_: int) -> float:
            began = time.monotonic()
            with pytest.raises(StoreUnavailable, match="does not answer"):
                database.ping()
            return time.monotonic() - began

        assert wait_s(0) < 6
        with ThreadPoolExecutor(8) as pool:
            waited = sorted(pool.map(wait_s, range(8)))
        assert waited[6] < 1
        assert waited[7] < 6


def test_a_statement_has_its_time(postgres_url: str) -> None:
    with closing(SqlDatabase(postgres_url, Connections(statement_timeout_s=0.1))) as database:
        with pytest.raises(StoreUnavailable, match="statement timeout"), database.snapshot() as uow:
            uow.connection.execute(text("SELECT pg_sleep(5)"))
        database.ping()


def test_what_a_database_cannot_keep_is_refused(postgres_url: str) -> None:
    with closing(SqlDatabase(postgres_url)) as database:
        with pytest.raises(InvalidInput, match=r"cannot keep this.*NUL"):
            add(database, title="a\0b")
        with database.snapshot() as uow:
            settings = {
                name: uow.connection.execute(text(f"SHOW {name}")).scalar()
                for name in ("statement_timeout", "timezone", "default_transaction_isolation", "transaction_isolation")
            }
        assert list(settings.values()) == ["30s", "UTC", "read committed", "repeatable read"]


def test_a_snapshot_cannot_write(postgres_url: str) -> None:
    with (
        closing(SqlDatabase(postgres_url)) as database,
        pytest.raises(StoreUnavailable, match="read-only"),
        database.snapshot() as uow,
    ):
        uow.catalogue.add(new_video())


@pytest.mark.parametrize("prefix", ["postgres", "postgresql", "postgresql+psycopg"])
def test_every_way_to_name_postgres_is_understood(postgres_url: str, prefix: str) -> None:
    with closing(SqlDatabase(postgres_url.replace("postgresql", prefix))) as database:
        database.ping()
        assert database.dialect == "postgresql"


def test_a_long_location_is_kept(database: SqlDatabase) -> None:
    location = "file:///" + "".join(f"{n:08x}" for n in range(2000))
    add(database, location=location)
    with database.snapshot() as uow:
        assert list(uow.catalogue.find_by_location([location])) == [location]


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
