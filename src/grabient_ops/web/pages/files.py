"""What pages lead to and browsers keep or save: pictures of palettes, whole texts of answers."""

from typing import Annotated

from fastapi import APIRouter, HTTPException, Path
from fastapi.responses import Response

from grabient_ops.images.render import render_pngs
from grabient_ops.palettes.seed import InvalidSeedError
from grabient_ops.store.palette_answers import text_of
from grabient_ops.tagging.kinds import Kind
from grabient_ops.web.pages.palette import Seed
from grabient_ops.web.parts import Parts

router = APIRouter(include_in_schema=False)

_FOR_EVER = {"cache-control": "public, max-age=31536000, immutable"}
_NOT_A_PAGE = {"x-content-type-options": "nosniff", "cache-control": "no-store"}


@router.get("/pictures/{seed}.png")
def draw_picture(seed: Seed) -> Response:
    """Draw a palette as the models are shown it; quicker than to fetch what is kept of it."""
    try:
        (picture,) = render_pngs([seed])
    except InvalidSeedError as error:
        raise HTTPException(404, "There is no such palette.") from error
    return Response(picture, media_type="image/png", headers=_FOR_EVER)


@router.get("/palettes/{seed}/{kind}/{answer_id}.txt")
def save_text(
    web: Parts,
    seed: Seed,
    kind: Kind,
    answer_id: Annotated[int, Path(ge=1, le=2**63 - 1)],
) -> Response:
    """Give the text of an answer, verbatim, as a file that no browser takes for a page."""
    with web.read() as reading:
        text = text_of(reading.connection, kind, seed, answer_id)
    if text is None:
        raise HTTPException(404, "There is no such answer.")
    name = f'attachment; filename="{kind}-{answer_id}.txt"'
    return Response(
        text.encode(errors="replace"),
        media_type="text/plain; charset=utf-8",
        headers={"content-disposition": name, **_NOT_A_PAGE},
    )
