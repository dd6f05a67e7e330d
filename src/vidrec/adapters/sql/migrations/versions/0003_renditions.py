"""Copies of videos that browsers play."""

import sqlalchemy as sa
from alembic import op

revision = "0003"
down_revision = "0002"


def upgrade() -> None:
    op.add_column('videos', sa.Column('playback', sa.String(length=16), nullable=True))
    op.add_column('videos', sa.Column('rendition', sa.Text(), nullable=True))
