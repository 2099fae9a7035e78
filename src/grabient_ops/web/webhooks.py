"""Webhooks of providers: a batch that has ended is collected at once instead of at the next poll.

Polling stays the truth: a webhook only has the worker look, so one that is late, lost or sent twice
does no harm.
"""

from collections.abc import Sequence
from typing import Any

import msgspec
import structlog
from fastapi import APIRouter, Request, Response
from pydantic import SecretStr
from starlette.concurrency import run_in_threadpool

from grabient_ops.app import App
from grabient_ops.providers.base import ProviderName
from grabient_ops.store.nudges import nudge
from grabient_ops.web.problems import problem
from grabient_ops.web.signatures import BadSignatureError, Verifier

log = structlog.get_logger(__name__)


class _Event(msgspec.Struct):
    """What both providers' events have in common: OpenAI's `batch_...`, Gemini's `batches/...`."""

    type: str
    data: dict[str, Any]

    def batch_ids(self) -> Sequence[str]:
        """Return what the batch that it is about may be called; nothing if it is about another."""
        name = self.data.get("id")
        if not self.type.startswith("batch.") or not isinstance(name, str):
            return ()
        return (name, f"batches/{name}")


def create_webhooks(app: App) -> APIRouter:
    """Return the routes under `/webhooks`.

    Raises:
        ConfigError: a secret is not one.
    """
    settings = app.settings
    router = APIRouter(prefix="/webhooks", include_in_schema=False)
    _add(router, "/openai", app, "openai", settings.openai_webhook_secret, "OPENAI_WEBHOOK_SECRET")
    _add(router, "/gemini", app, "google", settings.gemini_webhook_secret, "GEMINI_WEBHOOK_SECRET")
    return router


def _add(
    router: APIRouter,
    path: str,
    app: App,
    provider: ProviderName,
    secret: SecretStr | None,
    variable: str,
) -> None:
    verifier = Verifier(secret.get_secret_value(), variable) if secret else None

    @router.post(path, name=f"webhook-{provider}")
    async def receive(request: Request) -> Response:
        if verifier is None:
            return problem(404, f"{variable} is not set, so nothing is expected here.")
        body = await request.body()
        try:
            is_new = verifier.accept(request.headers, body)
            event = msgspec.json.decode(body, type=_Event)
        except BadSignatureError as error:
            return problem(401, str(error))
        except (msgspec.MsgspecError, UnicodeError):
            return problem(400, "The body is no event.")
        if is_new:
            await run_in_threadpool(_heed, app, provider, event)
        return Response(status_code=200)


def _heed(app: App, provider: ProviderName, event: _Event) -> None:
    ids = event.batch_ids()
    if not ids:
        return
    with app.store.write() as connection:
        batch_id = nudge(connection, provider, ids, app.services.now())
    log.info("webhook", provider=provider, what=event.type, batch=batch_id)
