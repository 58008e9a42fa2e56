"""How many tiles of a job were taken, of how many."""

import sqlalchemy as sa
from alembic import op

revision = "0002"
down_revision = "0001"


def upgrade() -> None:
    op.add_column("jobs", sa.Column("tiles_taken", sa.Integer))
    op.add_column("jobs", sa.Column("tiles_planned", sa.Integer))


def downgrade() -> None:
    op.drop_column("jobs", "tiles_planned")
    op.drop_column("jobs", "tiles_taken")
