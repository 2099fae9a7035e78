"""The tables of the operational store, as SQLAlchemy sees them on SQLite and on PostgreSQL."""

from typing import Any

import sqlalchemy as sa

from grabient_ops.store.columns import Cost, Instant, Json, Text

metadata = sa.MetaData(
    naming_convention={
        "ix": "ix_%(table_name)s_%(column_0_N_name)s",
        "uq": "uq_%(table_name)s_%(column_0_N_name)s",
        "pk": "pk_%(table_name)s",
    }
)

notes = sa.Table(
    "notes",
    metadata,
    sa.Column("key", Text, primary_key=True),
    sa.Column("value", Text, nullable=False),
    comment="Small facts about this home: the current prompt, whether it is a demo.",
)

palettes = sa.Table(
    "palettes",
    metadata,
    sa.Column("seed", Text, primary_key=True),
    sa.Column("format", Text, nullable=False),
    sa.Column("coeff_key", Text, nullable=False, index=True),
    sa.Column("image_key", Text),
    sa.Column("source", Text, nullable=False),
    sa.Column("created_at", Instant, nullable=False),
    sa.Column("attributes", Json, comment="by source, what was said there beside the seed"),
)

prompt_versions = sa.Table(
    "prompt_versions",
    metadata,
    sa.Column("version", Text, primary_key=True),
    sa.Column("kind", Text, nullable=False),
    sa.Column("content", Text, nullable=False),
    sa.Column("message", Text, nullable=False),
    sa.Column("created_at", Instant, nullable=False),
)

targets = sa.Table(
    "targets",
    metadata,
    sa.Column("prompt_version", Text, primary_key=True),
    sa.Column("provider", Text, primary_key=True),
    sa.Column("model", Text, primary_key=True),
    sa.Column("seed", Text, primary_key=True),
    sa.Column("target_runs", sa.Integer, nullable=False),
    sa.Column("settled_after", sa.Integer, comment="adaptive: further runs would change nothing"),
    sa.Column("options", Json, comment="refinement: source prompt versions, form of the picture"),
    comment="How often each palette is to be tagged by each model under a prompt version.",
)

batches = sa.Table(
    "batches",
    metadata,
    sa.Column("id", Text, primary_key=True, comment="our nonce; prefix of every custom_id"),
    sa.Column("kind", Text, nullable=False),
    sa.Column("provider", Text, nullable=False),
    sa.Column("model", Text, nullable=False),
    sa.Column("run_number", sa.Integer, nullable=False),
    sa.Column("prompt_version", Text, nullable=False),
    sa.Column("chunk", sa.Integer, nullable=False),
    sa.Column("attempt", sa.Integer, nullable=False),
    sa.Column("parameters", Json, nullable=False, comment="what was sent beside the texts"),
    sa.Column("options", Json, comment="refinement: source prompt versions, form of the picture"),
    sa.Column("state", Text, nullable=False, index=True),
    sa.Column("request_count", sa.Integer, nullable=False),
    sa.Column("provider_batch_id", Text, index=True),
    sa.Column("input_file_id", Text),
    sa.Column("payload_sha256", Text),
    sa.Column("high_water", Text),
    sa.Column("foreign_ids", Json, nullable=False, comment="looked like ours, proved not to be"),
    sa.Column("is_proven", sa.Boolean, nullable=False, comment="the provider's batch is ours"),
    sa.Column(
        "live_completed", sa.Integer, nullable=False, comment="the provider's word, for show"
    ),
    sa.Column("live_failed", sa.Integer, nullable=False, comment="the provider's word, for show"),
    sa.Column("collect_cursor", Json, comment="file and line up to which results are stored"),
    sa.Column(
        "request_bound",
        Cost,
        comment="most a request may cost; NULL before it may be sent, or without a price",
    ),
    sa.Column(
        "reserved_cost",
        Cost,
        nullable=False,
        server_default="0",
        comment="most it may still cost; once it has ended, of requests without a word on them",
    ),
    sa.Column("settled_cost", Cost, comment="sum of its answers, once it has ended"),
    sa.Column("error_class", Text),
    sa.Column("error", Text),
    sa.Column("workflow_id", Text, nullable=False, unique=True),
    sa.Column("created_at", Instant, nullable=False),
    sa.Column("submit_started_at", Instant),
    sa.Column("submitted_at", Instant),
    sa.Column("cancel_requested_at", Instant),
    sa.Column("ended_at", Instant),
)
sa.Index("ix_batches_model", batches.c.prompt_version, batches.c.provider, batches.c.model)

requests = sa.Table(
    "requests",
    metadata,
    sa.Column("batch_id", Text, primary_key=True),
    sa.Column(
        "position", sa.Integer, primary_key=True, comment="custom_id = <batch_id>-<position>"
    ),
    sa.Column("seed", Text, nullable=False),
    sa.Column("provider", Text, nullable=False),
    sa.Column("model", Text, nullable=False),
    sa.Column("run_number", sa.Integer, nullable=False),
    sa.Column("prompt_version", Text, nullable=False),
    sa.Column("attempt", sa.Integer, nullable=False),
    sa.Column("state", Text, nullable=False),
    sa.Column("input", Text, comment="what the model is shown, where the seed does not say it"),
)
sa.Index(
    "uq_requests_open",
    requests.c.prompt_version,
    requests.c.provider,
    requests.c.model,
    requests.c.run_number,
    requests.c.seed,
    unique=True,
    sqlite_where=requests.c.state == "open",
    postgresql_where=requests.c.state == "open",
)


def _answer_columns() -> tuple[sa.Column[Any], ...]:
    """What every answer and failure has, whichever stage asked."""
    return (
        sa.Column("id", sa.BigInteger().with_variant(sa.Integer, "sqlite"), primary_key=True),
        sa.Column("seed", Text, nullable=False),
        sa.Column("provider", Text, nullable=False),
        sa.Column("model", Text, nullable=False),
        sa.Column("model_returned", Text),
        sa.Column("run_number", sa.Integer, nullable=False),
        sa.Column("prompt_version", Text, nullable=False),
        sa.Column("attempt", sa.Integer, nullable=False),
        sa.Column("batch_id", Text, nullable=False, index=True),
        sa.Column("tags", Json),
        sa.Column("response", Text, comment="the answer, verbatim"),
        sa.Column("error_class", Text),
        sa.Column("error", Text),
        sa.Column(
            "excused", sa.Boolean, nullable=False, comment="an operator asked for another try"
        ),
        sa.Column("finish_reason", Text),
        sa.Column("parse_stage", Text),
        sa.Column("parser_version", sa.Integer),
        sa.Column("ambiguous", Json, comment="fields whose value was no single vote"),
        sa.Column("input_tokens", sa.Integer, nullable=False),
        sa.Column("output_tokens", sa.Integer, nullable=False),
        sa.Column("cached_tokens", sa.Integer, nullable=False),
        sa.Column("reasoning_tokens", sa.Integer, nullable=False),
        sa.Column("created_at", Instant, nullable=False),
        sa.Column("cost", Cost, comment="at the batch price of its day; NULL without a price"),
        sa.Column("source", Text, nullable=False, server_default="own", comment="who asked"),
        sa.Column("source_id", Text, comment="of another system's row: what tells it from others"),
        sa.Column("source_digest", Text, comment="changes whenever that row does"),
        sa.Column("source_extra", Json, comment="what else that row holds"),
    )


def _index_answers(table: sa.Table) -> None:
    names = ("prompt_version", "provider", "model", "run_number", "seed", "source")
    key = [table.c[name] for name in names]
    failed, answered = table.c.error_class.is_not(None), table.c.error_class.is_(None)
    imported = table.c.source_id.is_not(None)
    name = table.name
    sa.Index(f"uq_{name}_attempt", *key, table.c.attempt, unique=True)
    sa.Index(
        f"uq_{name}_success", *key, unique=True, sqlite_where=answered, postgresql_where=answered
    )
    sa.Index(
        f"uq_{name}_source",
        table.c.source,
        table.c.source_id,
        unique=True,
        sqlite_where=imported,
        postgresql_where=imported,
    )
    sa.Index(f"ix_{name}_seed", table.c.seed)
    sa.Index(
        f"ix_{name}_errors",
        table.c.error_class,
        table.c.id,
        sqlite_where=failed,
        postgresql_where=failed,
    )


palette_tags = sa.Table(
    "palette_tags",
    metadata,
    *_answer_columns(),
    comment="Every answer and every failure, append-only; at most one success per key.",
)
_index_answers(palette_tags)

palette_tag_refined = sa.Table(
    "palette_tag_refined",
    metadata,
    *_answer_columns(),
    sa.Column("source_prompt_versions", Json, nullable=False),
    sa.Column("input", Text, nullable=False, comment="what the model was shown, picture aside"),
    sa.Column("dropped", Json, comment="tags that it left out, and its reasons"),
    sa.Column("sentence", Text, comment="the model's own words for search"),
    sa.Column("embed_text", Text, comment="built by program from the refined tags"),
    comment="Every refinement and every failure of one, as in palette_tags.",
)
_index_answers(palette_tag_refined)


imported_batches = sa.Table(
    "imported_batches",
    metadata,
    sa.Column("source", Text, primary_key=True),
    sa.Column("source_id", Text, primary_key=True),
    sa.Column("kind", Text, nullable=False),
    sa.Column("document", Json, nullable=False, comment="the row, as it was there"),
    sa.Column("created_at", Instant, nullable=False),
    comment="Batches of other systems: history, never polled.",
)

convex_documents = sa.Table(
    "convex_documents",
    metadata,
    sa.Column("source_id", Text, primary_key=True),
    sa.Column("table_name", Text, nullable=False),
    sa.Column("ts", sa.BigInteger, nullable=False, comment="of its version, nanoseconds"),
    sa.Column("seed", Text, index=True, comment="the palette that it is, if it is one"),
    sa.Column("generation", sa.Integer, nullable=False, comment="reading that last saw it"),
    sa.Column("gone", sa.Boolean, nullable=False, comment="deleted there"),
    comment="What the deployment that is followed holds, as far as it is known.",
)
sa.Index(
    "ix_convex_documents_generation",
    convex_documents.c.table_name,
    convex_documents.c.generation,
)

pushes = sa.Table(
    "pushes",
    metadata,
    sa.Column("key", Text, primary_key=True, comment="idempotency key"),
    sa.Column("mutation", Text, primary_key=True),
    sa.Column("refinement_id", sa.BigInteger, nullable=False),
    sa.Column("pushed_at", Instant, comment="NULL until it is known to be there"),
    comment="Refinements given back to Convex: written before they are sent.",
)


def answers_of(kind: str) -> sa.Table:
    """Return the table of answers of a kind of prompt, `tagging` or `refinement`."""
    return palette_tag_refined if kind == "refinement" else palette_tags


passes = sa.Table(
    "passes",
    metadata,
    sa.Column("id", Text, primary_key=True, comment="hash of what was asked for"),
    sa.Column("kind", Text, nullable=False),
    sa.Column("prompt_version", Text, nullable=False, index=True),
    sa.Column("asked", Json, nullable=False, comment="models, runs, limit ..."),
    sa.Column("estimate", Json, nullable=False, comment="as it was told when first asked for"),
    sa.Column("budget", Cost, comment="most that it may cost; NULL without a limit"),
    sa.Column("budget_at", Instant, comment="when its budget was given or lifted; newest governs"),
    sa.Column("created_at", Instant, nullable=False),
    sa.Column("updated_at", Instant, nullable=False),
    comment="What operators asked for, with the estimate and the limit that they gave.",
)

stray_results = sa.Table(
    "stray_results",
    metadata,
    sa.Column("batch_id", Text, primary_key=True),
    sa.Column("file", Text, primary_key=True),
    sa.Column("line", sa.Integer, primary_key=True, comment="from 1"),
    sa.Column("kind", Text, nullable=False, comment="duplicate, late, unknown or unreadable"),
    sa.Column("reason", Text, nullable=False),
    sa.Column("raw", sa.LargeBinary, nullable=False, comment="the line, verbatim"),
    sa.Column("created_at", Instant, nullable=False),
    comment="Lines of result files that belong to no open request: kept and counted.",
)

workers = sa.Table(
    "workers",
    metadata,
    sa.Column("id", Text, primary_key=True, comment="executor id in the journal"),
    sa.Column("number", sa.Integer, nullable=False, comment="the lowest leads"),
    sa.Column("host", Text, nullable=False),
    sa.Column("release", Text, nullable=False),
    sa.Column("expires_at", sa.Double, nullable=False, comment="epoch, the database's clock"),
    sa.Column("started_at", Instant, nullable=False),
    comment="Who may work: without its row, a worker on PostgreSQL changes nothing.",
)

completions = sa.Table(
    "completions",
    metadata,
    sa.Column("workflow_id", Text, primary_key=True),
    sa.Column("batch_id", Text, nullable=False),
    sa.Column("delivered_at", Instant),
    sa.Column("kind", Text, comment="success, failed or canceled, once delivered"),
    comment="on_complete of every workflow: delivered exactly once for each of its endings.",
)
sa.Index(
    "ix_completions_due",
    completions.c.workflow_id,
    sqlite_where=completions.c.delivered_at.is_(None),
    postgresql_where=completions.c.delivered_at.is_(None),
)

# On PostgreSQL the migration adds `xid`, the writing transaction's number. Commits come in any
# order there, so a follower asks which snapshot saw it (analytics/source_postgres.py).
changes = sa.Table(
    "changes",
    metadata,
    sa.Column("seq", sa.BigInteger().with_variant(sa.Integer, "sqlite"), primary_key=True),
    sa.Column("topic", Text, nullable=False),
    sa.Column("key", Text, nullable=False),
    sa.Column("at", Instant, nullable=False),
    comment="What changed, written in the transaction that changed it.",
    sqlite_autoincrement=True,
)
