"""Opens the door: the secrets and sessions of a home, for an address."""

from fastapi import FastAPI

from grabient_ops.app import App
from grabient_ops.errors import ConfigError
from grabient_ops.settings import Settings
from grabient_ops.web.auth.credentials import Credentials
from grabient_ops.web.auth.gate import Door, Gate
from grabient_ops.web.auth.login import create_login
from grabient_ops.web.auth.sessions import Sessions
from grabient_ops.web.security.policy import Policy


def open_door(app: App, policy: Policy) -> Door:
    """Return what knows who may come in.

    Raises:
        ConfigError: others can reach the address, and there is no secret.
    """
    credentials = require_secret(app.settings, policy)
    return Door(credentials, Sessions(app.store, credentials, app.services.now), policy)


def require_secret(settings: Settings, policy: Policy) -> Credentials:
    """Return the secrets of a home; errors as above."""
    credentials = Credentials(settings)
    if policy.is_exposed and not credentials.exist:
        message = "others could reach the dashboard, and it has no password"
        raise ConfigError(f"{message}; `grabient-ops auth password` sets one")
    return credentials


def add_gate(web: FastAPI, door: Door) -> None:
    """Let only those in who may, and let people sign in."""
    web.include_router(create_login(door))
    web.add_middleware(Gate, door=door)
