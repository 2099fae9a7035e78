"""What a request is looked at for before anything reads it: its method, host, origin and size."""

from typing import NamedTuple
from urllib.parse import urlsplit

from starlette.datastructures import Headers
from starlette.types import Scope

from grabient_ops.web.problems import is_for_programs
from grabient_ops.web.security.policy import Policy

SAFE_METHODS = frozenset({"GET", "HEAD"})
METHODS = (*sorted(SAFE_METHODS), "POST")
MOST_BODY_BYTES = 1 << 20
MOST_ADDRESS_BYTES = 8192


class Refusal(NamedTuple):
    """Why a request goes no further."""

    status: int
    detail: str
    headers: dict[str, str] | None = None


def check(scope: Scope, policy: Policy) -> Refusal | None:
    """Return why a request is refused, or None."""
    headers = Headers(scope=scope)
    method: str = scope["method"]
    if method not in METHODS:
        allowed = {"allow": ", ".join(METHODS)}
        return Refusal(405, f"{method} means nothing here.", allowed)
    if policy.hosts is not None and host_of(headers) not in policy.hosts:
        return Refusal(421, "This server goes by another name; see GRABIENT_OPS_PUBLIC_URL.")
    if len(scope.get("raw_path") or b"") + len(scope["query_string"]) > MOST_ADDRESS_BYTES:
        return Refusal(414, f"The address is longer than {MOST_ADDRESS_BYTES:,} bytes.")
    if declared_size(headers) > MOST_BODY_BYTES:
        return Refusal(413, f"The body is larger than {MOST_BODY_BYTES:,} bytes.")
    needs_word = not is_for_programs(scope)
    if method not in SAFE_METHODS and is_forged(headers, needs_word=needs_word):
        return Refusal(403, "This change was asked for by a page of another site.")
    return None


def host_of(headers: Headers) -> str:
    """Return the name by which a request calls this server; "" for nonsense, or for two names."""
    given = headers.getlist("host")
    try:
        return urlsplit(f"//{given[0]}").hostname or "" if len(given) == 1 else ""
    except ValueError:
        return ""


def declared_size(headers: Headers) -> int:
    """Return the announced size of a body; 0 when none is announced."""
    text = headers.get("content-length", "")
    return int(text) if text.isascii() and text.isdigit() else 0


def is_forged(headers: Headers, *, needs_word: bool) -> bool:
    """Whether an unsafe request may come from a page of another site, cookies included.

    Browsers say so in `Sec-Fetch-Site`; old ones, and all of them over plain HTTP to another
    machine, in `Origin`. Who says neither is no browser.

    Args:
        headers: of the request.
        needs_word: whether who says neither is suspicious, because cookies count here.
    """
    site, origin = headers.get("sec-fetch-site"), headers.get("origin")
    if site is not None:
        return site not in {"same-origin", "none"}
    if origin is not None:
        return origin.partition("://")[2].lower() != headers.get("host", "").lower()
    return needs_word
