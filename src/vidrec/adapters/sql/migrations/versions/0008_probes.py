"""What a probe found after an erasure, in its receipt."""

import sqlalchemy as sa
from alembic import op

from vidrec.adapters.sql.schema import UtcDateTime

revision = "0008"
down_revision = "0007"


def upgrade() -> None:
    op.add_column('receipts', sa.Column('looked_at', UtcDateTime(), nullable=True))
    op.add_column('receipts', sa.Column('probes', sa.Integer(), nullable=True))
    op.add_column('receipts', sa.Column('looks', sa.JSON(), nullable=True))
