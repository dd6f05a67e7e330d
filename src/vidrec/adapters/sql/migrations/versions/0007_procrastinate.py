"""On PostgreSQL: the tables and functions of Procrastinate, which keep the jobs there."""

from pathlib import Path

import sqlalchemy as sa
from alembic import op

revision = "0007"
down_revision = "0006"

# A copy of what Procrastinate brings: this migration does the same for ever, whatever release is installed.
SCHEMA = Path(__file__).parents[1] / "procrastinate_3_10.sql"

MOVE_JOBS = """
SELECT procrastinate_defer_jobs_v1(array_agg(
    ROW(kind, kind, priority, NULL, dedupe_key,
        jsonb_build_object('video_id', video_id, 'payload', payload::jsonb, 'error', last_error),
        run_at)::procrastinate_job_to_defer_v1
    ORDER BY run_at, id))
FROM jobs WHERE state IN ('queued', 'running')
"""


def upgrade() -> None:
    bind = op.get_bind()
    if bind.dialect.name != "postgresql":
        return
    driver = bind.connection.driver_connection
    assert driver is not None
    driver.execute(SCHEMA.read_text())  # many statements at once, which SQLAlchemy does not pass on
    # Procrastinate's own index holds for waiting jobs alone.
    op.create_index('vidrec_jobs_live_key', 'procrastinate_jobs', ['queueing_lock'], unique=True, postgresql_where=sa.text("status IN ('todo', 'doing')"))
    op.create_index('vidrec_jobs_video_id', 'procrastinate_jobs', [sa.text("(args ->> 'video_id')")])
    # Letting a lease go clears it in the job by the foreign key, which looks for it.
    op.create_index('vidrec_jobs_worker_id', 'procrastinate_jobs', ['worker_id'], postgresql_where=sa.text('worker_id IS NOT NULL'))
    op.execute(MOVE_JOBS)
    op.execute("DELETE FROM jobs WHERE state IN ('queued', 'running')")
    # Paths can be longer than what fits into an index that sorts.
    op.drop_index('ix_videos_location', 'videos')
    op.create_index('ix_videos_location', 'videos', ['location'], postgresql_using='hash')
