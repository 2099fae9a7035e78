"""The tables of the first release."""

import sqlalchemy as sa
from alembic import op

revision = "0001"
down_revision = None
branch_labels = None
depends_on = None


def upgrade() -> None:
    op.create_table(
        "batches",
        sa.Column("id", sa.Text(), nullable=False, comment="our nonce; prefix of every custom_id"),
        sa.Column("kind", sa.Text(), nullable=False),
        sa.Column("provider", sa.Text(), nullable=False),
        sa.Column("model", sa.Text(), nullable=False),
        sa.Column("run_number", sa.Integer(), nullable=False),
        sa.Column("prompt_version", sa.Text(), nullable=False),
        sa.Column("chunk", sa.Integer(), nullable=False),
        sa.Column("attempt", sa.Integer(), nullable=False),
        sa.Column(
            "parameters",
            sa.JSON(none_as_null=True),
            nullable=False,
            comment="what was sent beside the texts",
        ),
        sa.Column("state", sa.Text(), nullable=False),
        sa.Column("request_count", sa.Integer(), nullable=False),
        sa.Column("provider_batch_id", sa.Text(), nullable=True),
        sa.Column("input_file_id", sa.Text(), nullable=True),
        sa.Column("payload_sha256", sa.Text(), nullable=True),
        sa.Column("high_water", sa.Text(), nullable=True),
        sa.Column(
            "foreign_ids",
            sa.JSON(none_as_null=True),
            nullable=False,
            comment="looked like ours, proved not to be",
        ),
        sa.Column(
            "is_proven", sa.Boolean(), nullable=False, comment="the provider's batch is ours"
        ),
        sa.Column(
            "live_completed", sa.Integer(), nullable=False, comment="the provider's word, for show"
        ),
        sa.Column(
            "live_failed", sa.Integer(), nullable=False, comment="the provider's word, for show"
        ),
        sa.Column(
            "collect_cursor",
            sa.JSON(none_as_null=True),
            nullable=True,
            comment="file and line up to which results are stored",
        ),
        sa.Column("error_class", sa.Text(), nullable=True),
        sa.Column("error", sa.Text(), nullable=True),
        sa.Column("workflow_id", sa.Text(), nullable=False),
        sa.Column("created_at", sa.String(length=32), nullable=False),
        sa.Column("submit_started_at", sa.String(length=32), nullable=True),
        sa.Column("submitted_at", sa.String(length=32), nullable=True),
        sa.Column("cancel_requested_at", sa.String(length=32), nullable=True),
        sa.Column("ended_at", sa.String(length=32), nullable=True),
        sa.PrimaryKeyConstraint("id", name="pk_batches"),
        sa.UniqueConstraint("workflow_id", name="uq_batches_workflow_id"),
    )
    op.create_index(
        "ix_batches_model", "batches", ["prompt_version", "provider", "model"], unique=False
    )
    op.create_index("ix_batches_provider_batch_id", "batches", ["provider_batch_id"], unique=False)
    op.create_index("ix_batches_state", "batches", ["state"], unique=False)
    op.create_table(
        "changes",
        sa.Column("seq", sa.BigInteger().with_variant(sa.Integer(), "sqlite"), nullable=False),
        sa.Column("topic", sa.Text(), nullable=False),
        sa.Column("key", sa.Text(), nullable=False),
        sa.Column("at", sa.String(length=32), nullable=False),
        sa.PrimaryKeyConstraint("seq", name="pk_changes"),
        comment="What changed, written in the transaction that changed it.",
        sqlite_autoincrement=True,
    )
    if op.get_context().dialect.name == "postgresql":
        op.execute("ALTER TABLE changes ADD COLUMN xid xid8 NOT NULL DEFAULT pg_current_xact_id()")
        op.execute("CREATE INDEX ix_changes_xid ON changes (xid)")
    op.create_table(
        "completions",
        sa.Column("workflow_id", sa.Text(), nullable=False),
        sa.Column("batch_id", sa.Text(), nullable=False),
        sa.Column("delivered_at", sa.String(length=32), nullable=True),
        sa.Column(
            "kind", sa.Text(), nullable=True, comment="success, failed or canceled, once delivered"
        ),
        sa.PrimaryKeyConstraint("workflow_id", name="pk_completions"),
        comment="on_complete of every workflow: delivered exactly once for each of its endings.",
    )
    op.create_index(
        "ix_completions_due",
        "completions",
        ["workflow_id"],
        unique=False,
        sqlite_where=sa.text("delivered_at IS NULL"),
        postgresql_where=sa.text("delivered_at IS NULL"),
    )
    op.create_table(
        "notes",
        sa.Column("key", sa.Text(), nullable=False),
        sa.Column("value", sa.Text(), nullable=False),
        sa.PrimaryKeyConstraint("key", name="pk_notes"),
        comment="Small facts about this home: the current prompt, whether it is a demo.",
    )
    op.create_table(
        "palette_tags",
        sa.Column("id", sa.BigInteger().with_variant(sa.Integer(), "sqlite"), nullable=False),
        sa.Column("seed", sa.Text(), nullable=False),
        sa.Column("provider", sa.Text(), nullable=False),
        sa.Column("model", sa.Text(), nullable=False),
        sa.Column("model_returned", sa.Text(), nullable=True),
        sa.Column("run_number", sa.Integer(), nullable=False),
        sa.Column("prompt_version", sa.Text(), nullable=False),
        sa.Column("attempt", sa.Integer(), nullable=False),
        sa.Column("batch_id", sa.Text(), nullable=False),
        sa.Column("tags", sa.JSON(none_as_null=True), nullable=True),
        sa.Column("response", sa.Text(), nullable=True, comment="the answer, verbatim"),
        sa.Column("error_class", sa.Text(), nullable=True),
        sa.Column("error", sa.Text(), nullable=True),
        sa.Column(
            "excused", sa.Boolean(), nullable=False, comment="an operator asked for another try"
        ),
        sa.Column("finish_reason", sa.Text(), nullable=True),
        sa.Column("parse_stage", sa.Text(), nullable=True),
        sa.Column("parser_version", sa.Integer(), nullable=True),
        sa.Column(
            "ambiguous",
            sa.JSON(none_as_null=True),
            nullable=True,
            comment="fields whose value was no single vote",
        ),
        sa.Column("input_tokens", sa.Integer(), nullable=False),
        sa.Column("output_tokens", sa.Integer(), nullable=False),
        sa.Column("cached_tokens", sa.Integer(), nullable=False),
        sa.Column("reasoning_tokens", sa.Integer(), nullable=False),
        sa.Column("created_at", sa.String(length=32), nullable=False),
        sa.PrimaryKeyConstraint("id", name="pk_palette_tags"),
        comment="Every answer and every failure, append-only; at most one success per key.",
    )
    op.create_index("ix_palette_tags_batch_id", "palette_tags", ["batch_id"], unique=False)
    op.create_index(
        "ix_palette_tags_errors",
        "palette_tags",
        ["error_class", "id"],
        unique=False,
        sqlite_where=sa.text("error_class IS NOT NULL"),
        postgresql_where=sa.text("error_class IS NOT NULL"),
    )
    op.create_index("ix_palette_tags_seed", "palette_tags", ["seed"], unique=False)
    op.create_index(
        "uq_palette_tags_attempt",
        "palette_tags",
        ["prompt_version", "provider", "model", "run_number", "seed", "attempt"],
        unique=True,
    )
    op.create_index(
        "uq_palette_tags_success",
        "palette_tags",
        ["prompt_version", "provider", "model", "run_number", "seed"],
        unique=True,
        sqlite_where=sa.text("error_class IS NULL"),
        postgresql_where=sa.text("error_class IS NULL"),
    )
    op.create_table(
        "palettes",
        sa.Column("seed", sa.Text(), nullable=False),
        sa.Column("format", sa.Text(), nullable=False),
        sa.Column("coeff_key", sa.Text(), nullable=False),
        sa.Column("image_key", sa.Text(), nullable=True),
        sa.Column("source", sa.Text(), nullable=False),
        sa.Column("created_at", sa.String(length=32), nullable=False),
        sa.PrimaryKeyConstraint("seed", name="pk_palettes"),
    )
    op.create_index("ix_palettes_coeff_key", "palettes", ["coeff_key"], unique=False)
    op.create_table(
        "prompt_versions",
        sa.Column("version", sa.Text(), nullable=False),
        sa.Column("kind", sa.Text(), nullable=False),
        sa.Column("content", sa.Text(), nullable=False),
        sa.Column("message", sa.Text(), nullable=False),
        sa.Column("created_at", sa.String(length=32), nullable=False),
        sa.PrimaryKeyConstraint("version", name="pk_prompt_versions"),
    )
    op.create_table(
        "requests",
        sa.Column("batch_id", sa.Text(), nullable=False),
        sa.Column(
            "position", sa.Integer(), nullable=False, comment="custom_id = <batch_id>-<position>"
        ),
        sa.Column("seed", sa.Text(), nullable=False),
        sa.Column("provider", sa.Text(), nullable=False),
        sa.Column("model", sa.Text(), nullable=False),
        sa.Column("run_number", sa.Integer(), nullable=False),
        sa.Column("prompt_version", sa.Text(), nullable=False),
        sa.Column("attempt", sa.Integer(), nullable=False),
        sa.Column("state", sa.Text(), nullable=False),
        sa.PrimaryKeyConstraint("batch_id", "position", name="pk_requests"),
    )
    op.create_index(
        "uq_requests_open",
        "requests",
        ["prompt_version", "provider", "model", "run_number", "seed"],
        unique=True,
        sqlite_where=sa.text("state = 'open'"),
        postgresql_where=sa.text("state = 'open'"),
    )
    op.create_table(
        "stray_results",
        sa.Column("batch_id", sa.Text(), nullable=False),
        sa.Column("file", sa.Text(), nullable=False),
        sa.Column("line", sa.Integer(), nullable=False, comment="from 1"),
        sa.Column(
            "kind", sa.Text(), nullable=False, comment="duplicate, late, unknown or unreadable"
        ),
        sa.Column("reason", sa.Text(), nullable=False),
        sa.Column("raw", sa.LargeBinary(), nullable=False, comment="the line, verbatim"),
        sa.Column("created_at", sa.String(length=32), nullable=False),
        sa.PrimaryKeyConstraint("batch_id", "file", "line", name="pk_stray_results"),
        comment="Lines of result files that belong to no open request: kept and counted.",
    )
    op.create_table(
        "targets",
        sa.Column("prompt_version", sa.Text(), nullable=False),
        sa.Column("provider", sa.Text(), nullable=False),
        sa.Column("model", sa.Text(), nullable=False),
        sa.Column("seed", sa.Text(), nullable=False),
        sa.Column("target_runs", sa.Integer(), nullable=False),
        sa.PrimaryKeyConstraint("prompt_version", "provider", "model", "seed", name="pk_targets"),
        comment="How often each palette is to be tagged by each model under a prompt version.",
    )
