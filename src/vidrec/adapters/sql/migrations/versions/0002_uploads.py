"""Uploads, the progress of what is processed, and how long uploads took."""

import sqlalchemy as sa
from alembic import op

from vidrec.adapters.sql.schema import UtcDateTime

revision = "0002"
down_revision = "0001"


def upgrade() -> None:
    op.create_table('progress_notes',
    sa.Column('video_id', sa.String(length=36), nullable=False),
    sa.Column('stage', sa.String(length=16), nullable=False),
    sa.Column('done', sa.Integer(), nullable=True),
    sa.Column('total', sa.Integer(), nullable=True),
    sa.PrimaryKeyConstraint('video_id', name=op.f('pk_progress_notes'))
    )
    op.create_table('upload_seconds',
    sa.Column('bound', sa.Float(), autoincrement=False, nullable=False),
    sa.Column('uploads', sa.BigInteger(), nullable=False),
    sa.Column('seconds', sa.Float(), nullable=False),
    sa.PrimaryKeyConstraint('bound', name=op.f('pk_upload_seconds'))
    )
    op.create_table('uploads',
    sa.Column('id', sa.String(length=36), nullable=False),
    sa.Column('video_id', sa.String(length=36), nullable=False),
    sa.Column('bucket', sa.Text(), nullable=False),
    sa.Column('key', sa.Text(), nullable=False),
    sa.Column('size', sa.BigInteger(), nullable=True),
    sa.Column('sha256', sa.String(length=64), nullable=True),
    sa.Column('part_size', sa.BigInteger(), nullable=True),
    sa.Column('store_id', sa.Text(), nullable=True),
    sa.Column('created_at', UtcDateTime(), nullable=False),
    sa.Column('expires_at', UtcDateTime(), nullable=False),
    sa.Column('arrived_at', UtcDateTime(), nullable=True),
    sa.Column('etag', sa.Text(), nullable=True),
    sa.Column('recommendable_at', UtcDateTime(), nullable=True),
    sa.PrimaryKeyConstraint('id', name=op.f('pk_uploads')),
    sa.UniqueConstraint('bucket', 'key', name=op.f('uq_uploads_bucket_key')),
    sa.UniqueConstraint('video_id', name=op.f('uq_uploads_video_id'))
    )
    op.create_index('ix_uploads_waiting', 'uploads', ['id'], unique=False, sqlite_where=sa.text('arrived_at IS NULL'), postgresql_where=sa.text('arrived_at IS NULL'))
