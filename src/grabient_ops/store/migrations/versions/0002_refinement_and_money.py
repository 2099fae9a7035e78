"""Refinement, what answers cost, and what operators asked for."""

import sqlalchemy as sa
from alembic import op

revision = "0002"
down_revision = "0001"
branch_labels = None
depends_on = None


def upgrade() -> None:
    op.add_column(
        "targets",
        sa.Column(
            "settled_after", sa.Integer(), comment="adaptive: further runs would change nothing"
        ),
    )
    op.add_column("targets", _options())
    op.add_column("batches", _options())
    op.add_column(
        "batches",
        sa.Column(
            "request_bound",
            sa.BigInteger(),
            comment="most a request may cost; NULL before it may be sent, or without a price",
        ),
    )
    op.add_column(
        "batches",
        sa.Column(
            "reserved_cost",
            sa.BigInteger(),
            nullable=False,
            server_default="0",
            comment="most it may still cost; once it has ended, of requests without a word on them",
        ),
    )
    op.add_column(
        "batches",
        sa.Column("settled_cost", sa.BigInteger(), comment="sum of its answers, once it has ended"),
    )
    op.add_column(
        "requests",
        sa.Column(
            "input", sa.Text(), comment="what the model is shown, where the seed does not say it"
        ),
    )
    op.add_column("palette_tags", _cost())
    _create_refined()
    _create_passes()


def _json() -> sa.JSON:
    return sa.JSON(none_as_null=True)


def _options() -> sa.Column[object]:
    return sa.Column(
        "options", _json(), comment="refinement: source prompt versions, form of the picture"
    )


def _cost() -> sa.Column[int]:
    return sa.Column(
        "cost", sa.BigInteger(), comment="at the batch price of its day; NULL without a price"
    )


def _create_refined() -> None:
    op.create_table(
        "palette_tag_refined",
        sa.Column("id", sa.BigInteger().with_variant(sa.Integer(), "sqlite"), nullable=False),
        sa.Column("seed", sa.Text(), nullable=False),
        sa.Column("provider", sa.Text(), nullable=False),
        sa.Column("model", sa.Text(), nullable=False),
        sa.Column("model_returned", sa.Text()),
        sa.Column("run_number", sa.Integer(), nullable=False),
        sa.Column("prompt_version", sa.Text(), nullable=False),
        sa.Column("attempt", sa.Integer(), nullable=False),
        sa.Column("batch_id", sa.Text(), nullable=False),
        sa.Column("tags", _json()),
        sa.Column("response", sa.Text(), comment="the answer, verbatim"),
        sa.Column("error_class", sa.Text()),
        sa.Column("error", sa.Text()),
        sa.Column(
            "excused", sa.Boolean(), nullable=False, comment="an operator asked for another try"
        ),
        sa.Column("finish_reason", sa.Text()),
        sa.Column("parse_stage", sa.Text()),
        sa.Column("parser_version", sa.Integer()),
        sa.Column("ambiguous", _json(), comment="fields whose value was no single vote"),
        sa.Column("input_tokens", sa.Integer(), nullable=False),
        sa.Column("output_tokens", sa.Integer(), nullable=False),
        sa.Column("cached_tokens", sa.Integer(), nullable=False),
        sa.Column("reasoning_tokens", sa.Integer(), nullable=False),
        sa.Column("created_at", sa.String(length=32), nullable=False),
        _cost(),
        sa.Column("source_prompt_versions", _json(), nullable=False),
        sa.Column(
            "input", sa.Text(), nullable=False, comment="what the model was shown, picture aside"
        ),
        sa.Column("dropped", _json(), comment="tags that it left out, and its reasons"),
        sa.Column("sentence", sa.Text(), comment="the model's own words for search"),
        sa.Column("embed_text", sa.Text(), comment="built by program from the refined tags"),
        sa.PrimaryKeyConstraint("id", name="pk_palette_tag_refined"),
        comment="Every refinement and every failure of one, as in palette_tags.",
    )
    op.create_index("ix_palette_tag_refined_batch_id", "palette_tag_refined", ["batch_id"])
    op.create_index("ix_palette_tag_refined_seed", "palette_tag_refined", ["seed"])
    op.create_index(
        "ix_palette_tag_refined_errors",
        "palette_tag_refined",
        ["error_class", "id"],
        sqlite_where=sa.text("error_class IS NOT NULL"),
        postgresql_where=sa.text("error_class IS NOT NULL"),
    )
    key = ["prompt_version", "provider", "model", "run_number", "seed"]
    op.create_index(
        "uq_palette_tag_refined_attempt", "palette_tag_refined", [*key, "attempt"], unique=True
    )
    op.create_index(
        "uq_palette_tag_refined_success",
        "palette_tag_refined",
        key,
        unique=True,
        sqlite_where=sa.text("error_class IS NULL"),
        postgresql_where=sa.text("error_class IS NULL"),
    )


def _create_passes() -> None:
    op.create_table(
        "passes",
        sa.Column("id", sa.Text(), nullable=False, comment="hash of what was asked for"),
        sa.Column("kind", sa.Text(), nullable=False),
        sa.Column("prompt_version", sa.Text(), nullable=False),
        sa.Column("asked", _json(), nullable=False, comment="models, runs, limit ..."),
        sa.Column(
            "estimate", _json(), nullable=False, comment="as it was told when first asked for"
        ),
        sa.Column("budget", sa.BigInteger(), comment="most that it may cost; NULL without a limit"),
        sa.Column(
            "budget_at",
            sa.String(length=32),
            comment="when its budget was given or lifted; newest governs",
        ),
        sa.Column("created_at", sa.String(length=32), nullable=False),
        sa.Column("updated_at", sa.String(length=32), nullable=False),
        sa.PrimaryKeyConstraint("id", name="pk_passes"),
        comment="What operators asked for, with the estimate and the limit that they gave.",
    )
    op.create_index("ix_passes_prompt_version", "passes", ["prompt_version"])
