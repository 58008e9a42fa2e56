"""The queue and its jobs."""

import sqlalchemy as sa
from alembic import op

revision = "0001"
down_revision = None


def upgrade() -> None:
    queue = op.create_table(
        "queue",
        sa.Column("id", sa.Integer, sa.CheckConstraint("id = 1", name="one_queue"), primary_key=True),
        sa.Column("version", sa.Integer, nullable=False),
        sa.Column("held", sa.Text),
    )
    op.bulk_insert(queue, [{"id": 1, "version": 0, "held": None}])
    op.create_table(
        "jobs",
        sa.Column("id", sa.Integer, primary_key=True),
        sa.Column("name", sa.Text, nullable=False),
        sa.Column("plan", sa.JSON, nullable=False),
        sa.Column("rig", sa.Text),
        sa.Column("position", sa.Integer, nullable=False),
        sa.Column("start_at", sa.Text),
        sa.Column("time_window", sa.Text),
        sa.Column("state", sa.Text, nullable=False),
        sa.Column("doing", sa.Text, nullable=False),
        sa.Column("outcome", sa.Text),
        sa.Column("ending", sa.Text),
        sa.Column("run", sa.Text, unique=True),
        sa.Column("owner", sa.Text),
        sa.Column("created_at", sa.Text, nullable=False),
        sa.Column("started_at", sa.Text),
        sa.Column("ended_at", sa.Text),
        sa.Column("error", sa.Text),
        sqlite_autoincrement=True,
    )


def downgrade() -> None:
    op.drop_table("jobs")
    op.drop_table("queue")
