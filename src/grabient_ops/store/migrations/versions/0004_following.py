"""Following a Convex deployment, and giving refinements back to it."""

import sqlalchemy as sa
from alembic import op

revision = "0004"
down_revision = "0003"
branch_labels = None
depends_on = None


def upgrade() -> None:
    op.create_table(
        "convex_documents",
        sa.Column("source_id", sa.Text(), nullable=False),
        sa.Column("table_name", sa.Text(), nullable=False),
        sa.Column("ts", sa.BigInteger(), nullable=False, comment="of its version, nanoseconds"),
        sa.Column("seed", sa.Text(), comment="the palette that it is, if it is one"),
        sa.Column("generation", sa.Integer(), nullable=False, comment="reading that last saw it"),
        sa.Column("gone", sa.Boolean(), nullable=False, comment="deleted there"),
        sa.PrimaryKeyConstraint("source_id", name="pk_convex_documents"),
        comment="What the deployment that is followed holds, as far as it is known.",
    )
    op.create_index(
        "ix_convex_documents_generation", "convex_documents", ["table_name", "generation"]
    )
    op.create_index("ix_convex_documents_seed", "convex_documents", ["seed"])
    op.create_table(
        "pushes",
        sa.Column("key", sa.Text(), nullable=False, comment="idempotency key"),
        sa.Column("mutation", sa.Text(), nullable=False),
        sa.Column("refinement_id", sa.BigInteger(), nullable=False),
        sa.Column("pushed_at", sa.String(length=32), comment="NULL until it is known to be there"),
        sa.PrimaryKeyConstraint("key", "mutation", name="pk_pushes"),
        comment="Refinements given back to Convex: written before they are sent.",
    )
