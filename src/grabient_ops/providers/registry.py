"""The one place that names the providers; an SDK is imported when its provider is built."""

from typing import assert_never

from grabient_ops.errors import ConfigError
from grabient_ops.providers.base import Provider, ProviderName
from grabient_ops.settings import check_key

KEY_VARIABLES: dict[ProviderName, tuple[str, ...]] = {
    "openai": ("OPENAI_API_KEY",),
    "anthropic": ("ANTHROPIC_API_KEY",),
    "google": ("GOOGLE_API_KEY", "GEMINI_API_KEY", "GOOGLE_GENERATIVE_AI_API_KEY"),
    "groq": ("GROQ_API_KEY",),
}
"""The environment variables that may hold each provider's key; the first one wins."""


def build_provider(name: ProviderName, *, api_key: str, base_url: str | None) -> Provider:
    """Open one provider; it is safe to use from several threads and worth keeping.

    Args:
        name: which one.
        api_key: its key; never shown again, not in errors either.
        base_url: its API's root as the SDK's own variable has it, or None for the real one.

    Raises:
        ConfigError: the key is empty or cannot be sent in an HTTP header.
    """
    _check_key(name, api_key)
    match name:
        case "openai":
            from grabient_ops.providers.openai import connect as connect_openai

            return connect_openai(api_key, base_url)
        case "anthropic":
            from grabient_ops.providers.anthropic import connect as connect_anthropic

            return connect_anthropic(api_key, base_url)
        case "google":
            from grabient_ops.providers.google import connect as connect_google

            return connect_google(api_key, base_url)
        case "groq":
            from grabient_ops.providers.groq import connect as connect_groq

            return connect_groq(api_key, base_url)
        case _:
            assert_never(name)


def _check_key(name: ProviderName, api_key: str) -> None:
    variable = KEY_VARIABLES[name][0]
    if not api_key:
        raise ConfigError(f"No key for {name}: set {variable}")
    check_key(variable, api_key)
