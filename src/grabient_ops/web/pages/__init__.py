"""The pages, one module each; what is not listed here is not served."""

from typing import Any

from fastapi import APIRouter

from grabient_ops.web.page import Page
from grabient_ops.web.pages import (
    analytics,
    errors,
    files,
    history,
    models,
    new_job,
    overview,
    palette,
    palettes,
    prompt,
    prompts,
    refine,
    search,
    settings,
    sql,
    theme,
    workflow,
)

PAGES: tuple[Page[Any], ...] = (
    overview.PAGE, palettes.PAGE, palette.PAGE, search.PAGE,
    new_job.PAGE, refine.PAGE, history.PAGE, workflow.PAGE, errors.PAGE,
    prompts.PAGE, prompt.PAGE, analytics.PAGE, sql.PAGE, models.PAGE, settings.PAGE,
)  # fmt: skip

ACTIONS: tuple[APIRouter, ...] = (
    theme.router, files.router, new_job.router, refine.router, workflow.router, errors.router,
    prompts.router, prompt.router, sql.router, settings.router,
)  # fmt: skip

NAVIGATION = (
    ("/", "Overview"), ("/palettes", "Palettes"), ("/search", "Search"),
    ("/jobs/new", "New job"), ("/refine", "Refine"), ("/history", "History"),
    ("/errors", "Errors"), ("/prompts", "Prompts"), ("/analytics", "Analytics"),
    ("/sql", "SQL"), ("/models", "Models"),
    ("/settings", "Settings"),
)  # fmt: skip
"""Address and name, in the order of the menu."""
