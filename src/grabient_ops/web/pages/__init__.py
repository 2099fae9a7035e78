"""The pages, one module each; what is not listed here is not served."""

from typing import Any

from fastapi import APIRouter

from grabient_ops.web.page import Page
from grabient_ops.web.pages import files, overview, palette, palettes, search, theme

PAGES: tuple[Page[Any], ...] = (overview.PAGE, palettes.PAGE, palette.PAGE, search.PAGE)

ACTIONS: tuple[APIRouter, ...] = (theme.router, files.router)

NAVIGATION = (("/", "Overview"), ("/palettes", "Palettes"), ("/search", "Search"))
"""Address and name, in the order of the menu."""
