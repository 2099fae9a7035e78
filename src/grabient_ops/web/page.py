"""What a page is, and the two addresses that it has: itself, and its stream of updates."""

import asyncio
from collections.abc import Callable, Hashable
from dataclasses import dataclass
from typing import Annotated, Any, Generic, TypeVar
from urllib.parse import urlencode

from fastapi import APIRouter, Depends, Request
from fastapi.responses import HTMLResponse
from markupsafe import Markup

from grabient_ops.web.chrome import CHROME
from grabient_ops.web.live.panel import Context, Panel, Wanted
from grabient_ops.web.live.reading import Reading
from grabient_ops.web.live.response import EventStream
from grabient_ops.web.live.stream import follow
from grabient_ops.web.parts import Parts, Web
from grabient_ops.web.replies import left_notice, pop_notice

P = TypeVar("P", bound=Hashable)
_PATIENCE_S = 0.3


@dataclass(frozen=True, slots=True)
class Nothing:
    """The parameters of a page that takes none."""


def _nothing_more(_reading: Reading, _params: object) -> Context:
    return {}


@dataclass(frozen=True, slots=True, eq=False)
class Page(Generic[P]):
    """A page of the dashboard.

    Attributes:
        path: its address, such as `/workflows/{id}`; its stream is at `<path>/live`.
        title: of the tab.
        template: file under `templates/` that extends `base.html`; it shows panels with
            `{{ live("<panel id>") }}`.
        panels: what follows the data.
        params: frozen dataclass; its fields are read from path and query by their names.
        frame: (reading, params) -> what else the template needs, read once when the page is asked
            for; it raises `HTTPException(404)` when there is no such thing.
    """

    path: str
    title: str
    template: str
    panels: tuple[Panel[P], ...]
    params: type[P]
    frame: Callable[[Reading, P], Context] = _nothing_more

    def wanted(self, params: P) -> list[Wanted]:
        """Return its panels with these parameters, and what stands around every page."""
        return [CHROME, *(Wanted(panel, params) for panel in self.panels)]


def add_page(router: APIRouter, page: Page[Any]) -> None:
    """Serve a page and its stream."""
    params_of = Annotated[Any, Depends(page.params)]

    async def show(request: Request, web: Parts, params: params_of) -> HTMLResponse:
        sight, frame = await asyncio.gather(
            web.hub.look(page.wanted(params), patience_s=_PATIENCE_S),
            asyncio.to_thread(_read_frame, web, page, params),
        )

        def live(panel_id: str) -> Markup:
            return _place(web, panel_id, sight.html[panel_id])

        html = web.templates.fill(
            page.template, title=page.title, path=request.url.path, params=params, live=live,
            stream=_stream_address(request, sight.version), theme=request.cookies.get("theme", ""),
            notice=left_notice(request), is_bad=False, **frame,
        )  # fmt: skip
        response = HTMLResponse(html, headers={"cache-control": "no-store"})
        pop_notice(request, response)
        return response

    async def stream(
        request: Request, web: Parts, params: params_of, since: str = ""
    ) -> EventStream:
        seen = request.headers.get("last-event-id", since)
        return EventStream(follow(web.hub, page.wanted(params), seen, _welcome(request)))

    name = page.template.removesuffix(".html")
    router.add_api_route(page.path, show, name=name, include_in_schema=False)
    router.add_api_route(
        f"{page.path.rstrip('/')}/live", stream, name=f"{name}-live", include_in_schema=False
    )


def _stream_address(request: Request, version: str) -> str:
    asked = [item for item in request.query_params.multi_items() if item[0] != "since"]
    return f"{request.url.path.rstrip('/')}/live?{urlencode([*asked, ('since', version)])}"


def _read_frame(web: Web, page: Page[Any], params: Hashable) -> Context:
    with web.read() as reading:
        return page.frame(reading, params)


def _place(web: Web, panel_id: str, html: str) -> Markup:
    return Markup(web.templates.fill("parts/panel.html", id=panel_id, html=Markup(html)))  # noqa: S704 - filled by templates, which escape


def _welcome(request: Request) -> Callable[[], Any]:
    """Whoever has let the browser in may leave a second question in `request.state.is_welcome`."""

    async def always() -> bool:
        return True

    return getattr(request.state, "is_welcome", always)
