"""The pages, one module each; what is not in `MODULES` is not served."""

from typing import Any, Protocol

from grabient_ops.web.page import Page
from grabient_ops.web.pages import overview


class PageModule(Protocol):
    """What a module of this package offers; it may have a `router` with its actions as well."""

    PAGES: tuple[Page[Any], ...]


MODULES: tuple[PageModule, ...] = (overview,)

NAVIGATION = (("/", "Overview"),)
"""Address and name, in the order of the menu."""
