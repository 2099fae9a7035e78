"""Where the dashboard is reached from, and what follows from that."""

from dataclasses import dataclass
from urllib.parse import urlsplit

from grabient_ops.errors import ConfigError
from grabient_ops.loopback import is_loopback

LOOPBACK = frozenset({"localhost", "127.0.0.1", "::1"})


@dataclass(frozen=True, slots=True)
class Policy:
    """How strict to be.

    Attributes:
        hosts: names by which requests may come; None for any. Without a password this is what
            keeps a page of a stranger, whose name was made to mean this machine, from asking.
        is_exposed: whether others than this machine may reach it, so that a password is needed.
        is_encrypted: whether browsers speak TLS to the proxy before it.
        has_proxy: whether a proxy on this machine says whom it asks for.
    """

    hosts: frozenset[str] | None
    is_exposed: bool
    is_encrypted: bool = False
    has_proxy: bool = False


LOCAL = Policy(LOOPBACK, is_exposed=False)
"""For this machine alone."""


def choose_policy(host: str, public_url: str | None = None) -> Policy:
    """Return the policy for an address to listen on.

    Args:
        host: name or number of the address.
        public_url: what browsers call it, where a proxy stands before it.

    Raises:
        ConfigError: `public_url` is not an address of the web.
    """
    is_local = is_loopback(host)
    if public_url is None:
        hosts = LOOPBACK | {host.lower()} if is_local else None
        return Policy(hosts, is_exposed=not is_local)
    scheme, name = _read(public_url)
    hosts = LOOPBACK | {host.lower(), name} if is_local else None
    return Policy(hosts, is_exposed=True, is_encrypted=scheme == "https", has_proxy=is_local)


def _read(public_url: str) -> tuple[str, str]:
    try:
        url = urlsplit(public_url)
        scheme, name = url.scheme, url.hostname
    except ValueError:
        scheme, name = "", None
    if scheme not in {"http", "https"} or not name:
        raise ConfigError("GRABIENT_OPS_PUBLIC_URL should look like https://ops.example")
    return scheme, name
