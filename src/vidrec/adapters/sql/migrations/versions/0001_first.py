"""The first schema."""

import sqlalchemy as sa
from alembic import op

from vidrec.adapters.sql.schema import UtcDateTime

revision = "0001"
down_revision = None


def upgrade() -> None:
    op.create_table('active_model',
    sa.Column('id', sa.Integer(), nullable=False),
    sa.Column('version', sa.String(length=64), nullable=False),
    sa.Column('activated_at', UtcDateTime(), nullable=False),
    sa.PrimaryKeyConstraint('id', name=op.f('pk_active_model'))
    )
    op.create_table('interactions',
    sa.Column('seq', sa.BigInteger().with_variant(sa.Integer(), 'sqlite'), autoincrement=True, nullable=False),
    sa.Column('user_id', sa.Text(), nullable=False),
    sa.Column('event_id', sa.Text(), nullable=False),
    sa.Column('video_id', sa.String(length=36), nullable=False),
    sa.Column('type', sa.String(length=16), nullable=False),
    sa.Column('ts', UtcDateTime(), nullable=False),
    sa.Column('fraction', sa.Float(), nullable=True),
    sa.Column('position_s', sa.Float(), nullable=True),
    sa.Column('session_id', sa.Text(), nullable=True),
    sa.Column('recommendation_id', sa.String(length=36), nullable=True),
    sa.PrimaryKeyConstraint('seq', name=op.f('pk_interactions')),
    sa.UniqueConstraint('user_id', 'event_id', name=op.f('uq_interactions_user_id_event_id')),
    sqlite_autoincrement=True
    )
    op.create_index('ix_interactions_user_seq', 'interactions', ['user_id', 'seq'], unique=False)
    op.create_index('ix_interactions_video', 'interactions', ['video_id'], unique=False)
    op.create_table('jobs',
    sa.Column('id', sa.String(length=36), nullable=False),
    sa.Column('kind', sa.String(length=32), nullable=False),
    sa.Column('payload', sa.JSON(), nullable=False),
    sa.Column('video_id', sa.String(length=36), nullable=True),
    sa.Column('priority', sa.Integer(), nullable=False),
    sa.Column('state', sa.String(length=16), nullable=False),
    sa.Column('attempts', sa.Integer(), nullable=False),
    sa.Column('created_at', UtcDateTime(), nullable=False),
    sa.Column('run_at', UtcDateTime(), nullable=False),
    sa.Column('lease_token', sa.String(length=36), nullable=True),
    sa.Column('lease_until', UtcDateTime(), nullable=True),
    sa.Column('last_error', sa.Text(), nullable=True),
    sa.Column('dedupe_key', sa.Text(), nullable=True),
    sa.Column('finished_at', UtcDateTime(), nullable=True),
    sa.PrimaryKeyConstraint('id', name=op.f('pk_jobs'))
    )
    op.create_index('ix_jobs_due', 'jobs', ['state', 'priority', 'run_at'], unique=False)
    op.create_index(op.f('ix_jobs_video_id'), 'jobs', ['video_id'], unique=False)
    op.create_index('uq_jobs_dedupe_live', 'jobs', ['dedupe_key'], unique=True, sqlite_where=sa.text("state IN ('queued', 'running')"), postgresql_where=sa.text("state IN ('queued', 'running')"))
    op.create_table('model_versions',
    sa.Column('version', sa.String(length=64), nullable=False),
    sa.Column('name', sa.Text(), nullable=False),
    sa.Column('dimension', sa.Integer(), nullable=False),
    sa.Column('trained', sa.Boolean(), nullable=False),
    sa.Column('manifest', sa.JSON(), nullable=False),
    sa.Column('created_at', UtcDateTime(), nullable=False),
    sa.PrimaryKeyConstraint('version', name=op.f('pk_model_versions'))
    )
    op.create_table('profile_members',
    sa.Column('video_id', sa.String(length=36), nullable=False),
    sa.Column('user_id', sa.Text(), nullable=False),
    sa.Column('model_version', sa.String(length=64), nullable=False),
    sa.PrimaryKeyConstraint('video_id', 'user_id', 'model_version', name=op.f('pk_profile_members'))
    )
    op.create_index('ix_profile_members_user', 'profile_members', ['user_id', 'model_version'], unique=False)
    op.create_table('profiles',
    sa.Column('user_id', sa.Text(), nullable=False),
    sa.Column('model_version', sa.String(length=64), nullable=False),
    sa.Column('cutoff', sa.BigInteger(), nullable=False),
    sa.Column('interests', sa.JSON(), nullable=False),
    sa.Column('embeddings', sa.LargeBinary(), nullable=False),
    sa.PrimaryKeyConstraint('user_id', 'model_version', name=op.f('pk_profiles'))
    )
    op.create_table('receipts',
    sa.Column('id', sa.String(length=36), nullable=False),
    sa.Column('kind', sa.String(length=16), nullable=False),
    sa.Column('subject', sa.Text(), nullable=False),
    sa.Column('requested_at', UtcDateTime(), nullable=False),
    sa.Column('completed_at', UtcDateTime(), nullable=True),
    sa.PrimaryKeyConstraint('id', name=op.f('pk_receipts'))
    )
    op.create_index('ix_receipts_subject', 'receipts', ['kind', 'subject'], unique=False)
    op.create_table('recommendations',
    sa.Column('id', sa.String(length=36), nullable=False),
    sa.Column('user_id', sa.Text(), nullable=False),
    sa.Column('created_at', UtcDateTime(), nullable=False),
    sa.Column('model_version', sa.String(length=64), nullable=False),
    sa.Column('body', sa.LargeBinary(), nullable=False),
    sa.PrimaryKeyConstraint('id', name=op.f('pk_recommendations'))
    )
    op.create_index('ix_recommendations_created_at', 'recommendations', ['created_at'], unique=False)
    op.create_index('ix_recommendations_user', 'recommendations', ['user_id'], unique=False)
    op.create_table('video_stats',
    sa.Column('video_id', sa.String(length=36), nullable=False),
    sa.Column('popularity', sa.Float(), nullable=False),
    sa.Column('views', sa.Integer(), nullable=False),
    sa.Column('watches', sa.Integer(), nullable=False),
    sa.Column('likes', sa.Integer(), nullable=False),
    sa.Column('dislikes', sa.Integer(), nullable=False),
    sa.PrimaryKeyConstraint('video_id', name=op.f('pk_video_stats'))
    )
    op.create_index(op.f('ix_video_stats_popularity'), 'video_stats', ['popularity'], unique=False)
    op.create_table('videos',
    sa.Column('id', sa.String(length=36), nullable=False),
    sa.Column('external_id', sa.Text(), nullable=True),
    sa.Column('title', sa.Text(), nullable=False),
    sa.Column('title_folded', sa.Text(), nullable=False),
    sa.Column('category', sa.Text(), nullable=True),
    sa.Column('tags', sa.JSON(), nullable=False),
    sa.Column('url', sa.Text(), nullable=True),
    sa.Column('location', sa.Text(), nullable=False),
    sa.Column('filename', sa.Text(), nullable=False),
    sa.Column('size_bytes', sa.BigInteger(), nullable=False),
    sa.Column('content_sha256', sa.String(length=64), nullable=False),
    sa.Column('source_mtime_ns', sa.BigInteger(), nullable=True),
    sa.Column('status', sa.String(length=16), nullable=False),
    sa.Column('failure_reason', sa.String(length=32), nullable=True),
    sa.Column('failure_message', sa.Text(), nullable=True),
    sa.Column('media', sa.JSON(), nullable=True),
    sa.Column('segment_count', sa.Integer(), nullable=False),
    sa.Column('available', sa.Boolean(), nullable=False),
    sa.Column('created_at', UtcDateTime(), nullable=False),
    sa.Column('indexed_at', UtcDateTime(), nullable=True),
    sa.Column('indexed_model', sa.String(length=64), nullable=True),
    sa.Column('deleted_at', UtcDateTime(), nullable=True),
    sa.PrimaryKeyConstraint('id', name=op.f('pk_videos'))
    )
    op.create_index('ix_videos_category', 'videos', ['category', 'id'], unique=False)
    op.create_index('ix_videos_content_sha256', 'videos', ['content_sha256'], unique=False)
    op.create_index('ix_videos_external_id', 'videos', ['external_id'], unique=False)
    op.create_index('ix_videos_indexed_at', 'videos', ['indexed_at'], unique=False)
    op.create_index('ix_videos_location', 'videos', ['location'], unique=False)
    op.create_index('uq_videos_external_id_live', 'videos', ['external_id'], unique=True, sqlite_where=sa.text('deleted_at IS NULL'), postgresql_where=sa.text('deleted_at IS NULL'))
