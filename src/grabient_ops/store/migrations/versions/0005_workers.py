"""Workers that share a database: who may work, and until when."""

import sqlalchemy as sa
from alembic import op

revision = "0005"
down_revision = "0004"
branch_labels = None
depends_on = None


def upgrade() -> None:
    op.create_table(
        "workers",
        sa.Column("id", sa.Text(), nullable=False, comment="executor id in the journal"),
        sa.Column("number", sa.Integer(), nullable=False, comment="the lowest leads"),
        sa.Column("host", sa.Text(), nullable=False),
        sa.Column("release", sa.Text(), nullable=False),
        sa.Column("expires_at", sa.Double(), nullable=False, comment="epoch, the database's clock"),
        sa.Column("started_at", sa.String(length=32), nullable=False),
        sa.PrimaryKeyConstraint("id", name="pk_workers"),
        comment="Who may work: without its row, a worker on PostgreSQL changes nothing.",
    )
