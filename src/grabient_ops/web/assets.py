"""Serves styles, scripts and pictures of our own under addresses that change with the content."""

from hashlib import sha256
from pathlib import Path

from starlette.responses import Response
from starlette.staticfiles import StaticFiles
from starlette.types import Scope
from typing_extensions import override

from grabient_ops.errors import ConfigError

STATIC = Path(__file__).parent / "static"
VENDOR = ("htmx.min.js", "hx-sse.min.js")
"""Scripts of others; `assets/build.py` fetches them into `static/vendor`."""
_FOR_EVER = "public, max-age=31536000, immutable"


class Assets(StaticFiles):
    """The files of `web/static/`.

    Raises:
        ConfigError: the scripts of others were not fetched when this was installed.
    """

    def __init__(self) -> None:
        missing = [name for name in VENDOR if not (STATIC / "vendor" / name).is_file()]
        if missing:
            message = f"{', '.join(missing)} was not fetched at installation"
            raise ConfigError(f"{message}; run `make setup` where npm's registry can be reached")
        super().__init__(directory=STATIC)
        self._addresses: dict[str, str] = {}

    def address(self, path: str) -> str:
        """Return the address of a file such as `css/base.css`; it may be kept for ever."""
        if path not in self._addresses:
            digest = sha256((STATIC / path).read_bytes()).hexdigest()[:12]
            self._addresses[path] = f"/static/{path}?{digest}"
        return self._addresses[path]

    @override
    async def get_response(self, path: str, scope: Scope) -> Response:
        response = await super().get_response(path, scope)
        response.headers["cache-control"] = _FOR_EVER if scope["query_string"] else "no-cache"
        return response
