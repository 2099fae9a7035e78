"""Every environment variable that the product reads, in one class."""

import re
from functools import cached_property
from pathlib import Path
from typing import Annotated, Literal

from pydantic import AliasChoices, Field, SecretStr, field_validator
from pydantic_settings import BaseSettings, SettingsConfigDict

from grabient_ops.errors import ConfigError

_BARE_POSTGRESQL = re.compile(r"\Apostgres(?:ql)?://")


def _default_home() -> Path:
    return Path.home() / ".local" / "share" / "grabient-ops"


def with_driver(url: str) -> str:
    """Return a URL as SQLAlchemy wants it: hosters and `psql` name no driver for PostgreSQL."""
    return _BARE_POSTGRESQL.sub("postgresql+psycopg://", url)


def check_key(variable: str, key: str) -> None:
    """Refuse a key that cannot be sent in an HTTP header: the client's error would show it.

    Raises:
        ConfigError: it is so; the message names the variable, never the key.
    """
    if not key.isascii() or not key.isprintable() or " " in key:
        raise ConfigError(f"{variable} holds a character that no key has; set it again")


class Settings(BaseSettings):
    """What the environment says; unset variables take the defaults below.

    Keys and hosts use the names that the providers' SDKs know. Secrets are `SecretStr`: they print
    as stars.
    """

    model_config = SettingsConfigDict(
        env_prefix="GRABIENT_OPS_", env_ignore_empty=True, extra="ignore", frozen=True
    )

    home: Annotated[Path, Field(description="Everything local lives in this folder.")] = Field(
        default_factory=_default_home
    )
    database_url: Annotated[
        str | None, Field(description="Where the store is; default: SQLite in the home.")
    ] = None
    lease_seconds: Annotated[
        float,
        Field(
            ge=1,
            le=600,
            description="On PostgreSQL: silence after which a worker counts as dead, and others "
            "take over what it did.",
        ),
    ] = 15.0
    poll_seconds: Annotated[
        float, Field(gt=0, description="First wait between two polls of a batch; grows to 20x.")
    ] = 15.0
    settle_seconds: Annotated[
        float | None,
        Field(
            ge=0,
            description="How long to look for a batch whose creation had an unknown outcome before "
            "creating it again; default 120, or 2 when the provider is an emulator on loopback.",
        ),
    ] = None
    retry_seconds: Annotated[
        float, Field(gt=0, description="First wait before a failed submission is planned again.")
    ] = 30.0
    max_attempts: Annotated[int, Field(ge=1, le=100, description="Tries per request and run.")] = 3
    refine_after_tagging: Annotated[
        bool, Field(description="Refine by itself what is tagged, once all runs are complete.")
    ] = False
    refinement_model: Annotated[str, Field(description="What refines, when no model is named.")] = (
        "anthropic/claude-opus-4-5-20251101"
    )
    refinement_pictures: Annotated[
        Literal["inline", "url", "none"],
        Field(
            description="How refining models see a palette: `inline`, `url` (of a public picture, "
            "where the provider fetches such) or `none`."
        ),
    ] = "inline"
    refinement_attempts: Annotated[
        int, Field(ge=1, le=100, description="Tries per refinement.")
    ] = 5
    budget_usd: Annotated[
        float | None,
        Field(
            ge=0,
            le=9_000_000,
            allow_inf_nan=False,
            description="Most that this home may ever spend, in USD; read when a worker starts.",
        ),
    ] = None
    stall_hours: Annotated[
        float,
        Field(
            gt=0,
            description="Age at which an unfinished batch is cancelled, collected and asked again; "
            "at twice that it is given up.",
        ),
    ] = 50.0
    keep_journal_days: Annotated[
        float, Field(ge=0, description="Age at which finished workflows leave the journal.")
    ] = 30.0
    log_level: Annotated[
        Literal["DEBUG", "INFO", "WARNING", "ERROR"],
        Field(description="DEBUG, INFO, WARNING or ERROR."),
    ] = "WARNING"
    log_format: Annotated[
        Literal["text", "json"], Field(description="`text` or `json`, on stderr.")
    ] = "text"

    web_password_hash: Annotated[
        SecretStr | None,
        Field(
            description="What `auth password --print` has printed; default: what `auth password` "
            "has put into the home."
        ),
    ] = None
    api_token: Annotated[
        SecretStr | None,
        Field(
            min_length=24,
            description="A token for the JSON API, beside those of `auth token`; at least 24 "
            "characters.",
        ),
    ] = None
    public_url: Annotated[
        str | None,
        Field(
            description="What browsers call the dashboard where a proxy stands before it, such as "
            "`https://ops.example`; then it needs a password."
        ),
    ] = None
    otlp_url: Annotated[
        str | None,
        Field(
            description="Where traces go: root of an OpenTelemetry collector that speaks "
            "OTLP/HTTP, such as `http://127.0.0.1:4318`; needs the extra `otel`."
        ),
    ] = None

    embedding_url: Annotated[
        str | None,
        Field(
            description="Root of an OpenAI-compatible API whose `/embeddings` serves search; "
            "default: word vectors that come with the program."
        ),
    ] = None
    embedding_model: Annotated[
        str, Field(description="What that API is asked for; another one makes all vectors anew.")
    ] = "text-embedding-3-small"
    embedding_api_key: Annotated[
        SecretStr | None, Field(description="Key for that API, if it wants one.")
    ] = None

    openai_api_key: SecretStr | None = Field(None, validation_alias="OPENAI_API_KEY")
    openai_base_url: str | None = Field(None, validation_alias="OPENAI_BASE_URL")
    anthropic_api_key: SecretStr | None = Field(None, validation_alias="ANTHROPIC_API_KEY")
    anthropic_base_url: str | None = Field(None, validation_alias="ANTHROPIC_BASE_URL")
    google_api_key: SecretStr | None = Field(
        None,
        validation_alias=AliasChoices(
            "GOOGLE_API_KEY", "GEMINI_API_KEY", "GOOGLE_GENERATIVE_AI_API_KEY"
        ),
    )
    google_base_url: str | None = Field(None, validation_alias="GOOGLE_GEMINI_BASE_URL")
    groq_api_key: SecretStr | None = Field(None, validation_alias="GROQ_API_KEY")
    groq_base_url: str | None = Field(None, validation_alias="GROQ_BASE_URL")
    openai_webhook_secret: SecretStr | None = Field(None, validation_alias="OPENAI_WEBHOOK_SECRET")
    gemini_webhook_secret: SecretStr | None = Field(None, validation_alias="GEMINI_WEBHOOK_SECRET")

    convex_deploy_key: SecretStr | None = Field(
        None, validation_alias=AliasChoices("CONVEX_DEPLOY_KEY", "CONVEX_SELF_HOSTED_ADMIN_KEY")
    )

    r2_endpoint: str | None = Field(None, validation_alias="R2_ENDPOINT")
    r2_access_key_id: SecretStr | None = Field(None, validation_alias="R2_ACCESS_KEY_ID")
    r2_secret_access_key: SecretStr | None = Field(None, validation_alias="R2_SECRET_ACCESS_KEY")
    r2_bucket: str | None = Field(None, validation_alias="R2_BUCKET")
    r2_public_url: str | None = Field(None, validation_alias="R2_PUBLIC_URL")

    @field_validator("database_url")
    @classmethod
    def _name_the_driver(cls, url: str | None) -> str | None:
        return None if url is None else with_driver(url)

    @cached_property
    def store_url(self) -> str:
        """SQLAlchemy URL of the operational store."""
        return self.database_url or f"sqlite:///{self.home / 'store.sqlite'}"

    @property
    def is_postgres(self) -> bool:
        """Whether the store is on a PostgreSQL server, which several machines may share."""
        return self.store_url.startswith("postgresql")
