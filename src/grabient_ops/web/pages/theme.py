"""Light or dark, for browsers without scripts: a form that is sent, a cookie, the page again."""

from fastapi import APIRouter, Request
from fastapi.responses import RedirectResponse

router = APIRouter()
_YEAR_S = 31_536_000


@router.post("/theme", include_in_schema=False)
def switch_theme(request: Request) -> RedirectResponse:
    """Switch between light and dark."""
    theme = "light" if request.cookies.get("theme") == "dark" else "dark"
    response = RedirectResponse("/", 303)
    response.set_cookie("theme", theme, max_age=_YEAR_S, samesite="lax")
    return response
