"""What is indexed under which model version, models that are prepared or were active before, and videos split by time.

Nothing is copied: a video that has no row in `indexings` is indexed under what its own row says."""

import sqlalchemy as sa
from alembic import op

from vidrec.adapters.sql.schema import UtcDateTime

revision = "0006"
down_revision = "0004"


def upgrade() -> None:
    op.add_column('active_model', sa.Column('previous', sa.String(length=64), nullable=True))
    op.add_column('active_model', sa.Column('prepared', sa.String(length=64), nullable=True))
    op.create_table('indexings',
    sa.Column('video_id', sa.String(length=36), nullable=False),
    sa.Column('model_version', sa.String(length=64), nullable=False),
    sa.Column('segment_count', sa.Integer(), nullable=False),
    sa.Column('indexed_at', UtcDateTime(), nullable=True),
    sa.Column('failure_reason', sa.String(length=32), nullable=True),
    sa.Column('failure_message', sa.Text(), nullable=True),
    sa.PrimaryKeyConstraint('video_id', 'model_version', name=op.f('pk_indexings'))
    )
    op.create_index('ix_indexings_model_version', 'indexings', ['model_version'], unique=False)
    op.create_table('splits',
    sa.Column('video_id', sa.String(length=36), nullable=False),
    sa.Column('model_version', sa.String(length=64), nullable=False),
    sa.Column('media', sa.JSON(), nullable=False),
    sa.Column('changes', sa.Integer(), nullable=False),
    sa.PrimaryKeyConstraint('video_id', 'model_version', name=op.f('pk_splits'))
    )
    op.create_table('split_ranges',
    sa.Column('video_id', sa.String(length=36), nullable=False),
    sa.Column('model_version', sa.String(length=64), nullable=False),
    sa.Column('number', sa.Integer(), autoincrement=False, nullable=False),
    sa.Column('start_s', sa.Float(), nullable=False),
    sa.Column('end_s', sa.Float(), nullable=False),
    sa.Column('job_id', sa.String(length=36), nullable=False),
    sa.Column('decoded_s', sa.Float(), nullable=False),
    sa.Column('finished', sa.Boolean(), nullable=False),
    sa.PrimaryKeyConstraint('video_id', 'model_version', 'number', name=op.f('pk_split_ranges'))
    )
