"""Interactions on PostgreSQL: the last 200 videos of a user, among a hundred thousand rows and among ten million.

python -m bench.interactions [rows of the large one]
"""

from __future__ import annotations

import random
import statistics
import sys
import time
from contextlib import closing

from sqlalchemy import text

from bench import report
from tests.postgres import Postgres, running_postgres
from vidrec.adapters.sql import Connections, SqlDatabase, migrate

SMALL, LARGE = 100_000, 10_000_000
EVENTS_PER_USER, VIDEOS = 500, 5000
LAST = 200
ROUNDS, BATCH = 30, 20
SETTINGS = {"shared_buffers": "1GB", "maintenance_work_mem": "1GB", "max_wal_size": "8GB"}
# Users come in turns that no order follows, so that the rows of one lie all over the table, as they do in life.
_FILL = """
INSERT INTO interactions (user_id, event_id, video_id, type, ts, fraction)
SELECT 'user-' || (hashint8(n) & 2147483647) % :users,
       'event-' || n,
       '0190f3a2-0000-7000-8000-' || lpad(to_hex((hashint8(n + 1000000007) & 2147483647) % :videos), 12, '0'),
       (ARRAY['view', 'view', 'view', 'watch', 'like', 'impression'])[1 + n % 6],
       timestamptz '2026-01-01' + n * interval '1 second',
       CASE WHEN n % 6 = 3 THEN 0.7 END
FROM generate_series(1, :rows) AS n
"""


def main() -> None:
    large = int(sys.argv[1]) if len(sys.argv) > 1 else LARGE
    with running_postgres(**SETTINGS) as server:
        databases = {rows: _filled(server, rows) for rows in (SMALL, large)}
        took: dict[int, list[float]] = {rows: [] for rows in databases}
        for _ in range(ROUNDS):  # in turns, so that what else the machine does meets both
            for rows, database in databases.items():
                took[rows] += [_history_ms(database, rows) for _ in range(BATCH)]
        sizes = {rows: _size_mb(database) for rows, database in databases.items()}
        for database in databases.values():
            database.close()
    p50 = {rows: statistics.median(values) for rows, values in took.items()}
    lines = [
        (
            f"{rows:,}",
            f"{rows // EVENTS_PER_USER:,}",
            f"{p50[rows]:.2f}",
            f"{statistics.quantiles(values, n=20)[-1]:.2f}",
            f"{sizes[rows]:.0f}",
        )
        for rows, values in took.items()
    ]
    report.write(
        "interactions",
        f"## Interactions on PostgreSQL\n\nThe last {LAST} videos of a user, folded from {EVENTS_PER_USER} events that "
        "lie all over the table, through the adapter; users at random, both databases in turns on one server.\n\n"
        + report.table(["interactions", "users", "p50 ms", "p95 ms", "table and indexes, MB"], lines)
        + "\n\np50 of the large one over that of the small one: "
        + f"{report.verdict(p50[large] / p50[SMALL], 2, 1.3, lower_is_better=True)}.",
    )


def _filled(server: Postgres, rows: int) -> SqlDatabase:
    url = server.url(server.create())
    migrate(url)
    began = time.perf_counter()
    database = SqlDatabase(url, Connections(statement_timeout_s=0))
    with database.transaction() as uow:
        uow.connection.execute(text(_FILL), {"rows": rows, "users": rows // EVENTS_PER_USER, "videos": VIDEOS})
    with closing(SqlDatabase(url, Connections(statement_timeout_s=0))) as other, other.transaction() as uow:
        driver = uow.connection.connection.driver_connection
        assert driver is not None
        driver.autocommit = True  # as autovacuum does it in time
        driver.execute("VACUUM ANALYZE interactions")
        driver.autocommit = False
    print(f"{rows:,} interactions written in {time.perf_counter() - began:.0f} s", file=sys.stderr)
    return database


def _history_ms(database: SqlDatabase, rows: int) -> float:
    user = f"user-{random.randrange(rows // EVENTS_PER_USER)}"
    began = time.perf_counter()
    with database.snapshot() as uow:
        found = uow.interactions.history(user, limit=LAST)
    took = 1000 * (time.perf_counter() - began)
    assert len(found) == LAST
    return took


def _size_mb(database: SqlDatabase) -> float:
    with database.snapshot() as uow:
        return float(uow.connection.execute(text("SELECT pg_total_relation_size('interactions')")).scalar_one()) / 1e6


if __name__ == "__main__":
    main()
