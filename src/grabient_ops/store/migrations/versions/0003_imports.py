"""Answers of other systems beside our own."""

import sqlalchemy as sa
from alembic import op

revision = "0003"
down_revision = "0002"
branch_labels = None
depends_on = None

_TABLES = ("palette_tags", "palette_tag_refined")
_KEY = ["prompt_version", "provider", "model", "run_number", "seed"]


def upgrade() -> None:
    op.add_column(
        "palettes",
        sa.Column("attributes", _json(), comment="by source, what was said there beside the seed"),
    )
    for table in _TABLES:
        _add_columns(table)
        _index(table)
    op.create_table(
        "imported_batches",
        sa.Column("source", sa.Text(), nullable=False),
        sa.Column("source_id", sa.Text(), nullable=False),
        sa.Column("kind", sa.Text(), nullable=False),
        sa.Column("document", _json(), nullable=False, comment="the row, as it was there"),
        sa.Column("created_at", sa.String(length=32), nullable=False),
        sa.PrimaryKeyConstraint("source", "source_id", name="pk_imported_batches"),
        comment="Batches of other systems: history, never polled.",
    )


def _json() -> sa.JSON:
    return sa.JSON(none_as_null=True)


def _add_columns(table: str) -> None:
    for column in (
        sa.Column("source", sa.Text(), nullable=False, server_default="own", comment="who asked"),
        sa.Column(
            "source_id", sa.Text(), comment="of another system's row: what tells it from others"
        ),
        sa.Column("source_digest", sa.Text(), comment="changes whenever that row does"),
        sa.Column("source_extra", _json(), comment="what else that row holds"),
    ):
        op.add_column(table, column)


def _index(table: str) -> None:
    # Each source has its own numbers of runs and attempts.
    op.drop_index(f"uq_{table}_attempt", table)
    op.drop_index(f"uq_{table}_success", table)
    op.create_index(f"uq_{table}_attempt", table, [*_KEY, "source", "attempt"], unique=True)
    op.create_index(
        f"uq_{table}_success",
        table,
        [*_KEY, "source"],
        unique=True,
        sqlite_where=sa.text("error_class IS NULL"),
        postgresql_where=sa.text("error_class IS NULL"),
    )
    op.create_index(
        f"uq_{table}_source",
        table,
        ["source", "source_id"],
        unique=True,
        sqlite_where=sa.text("source_id IS NOT NULL"),
        postgresql_where=sa.text("source_id IS NOT NULL"),
    )
