"""One's own SQL over the warehouse, in a process that can do nothing else; answers as tables and files."""

from dataclasses import dataclass
from typing import Annotated, Literal, NamedTuple

from fastapi import APIRouter, Form, Query, Request
from fastapi.responses import HTMLResponse, Response

from grabient_ops.analytics.console import (
    Limits,
    QueryFailedError,
    QueryRefusedError,
    Table,
    run_query,
)
from grabient_ops.analytics.questions.views import View, list_views
from grabient_ops.analytics.sync import sync
from grabient_ops.analytics.tablefile import write_csv, write_parquet
from grabient_ops.analytics.warehouse import EmptyLakeError
from grabient_ops.web.api.warehouse import few_at_once
from grabient_ops.web.live.panel import Context
from grabient_ops.web.live.reading import Reading
from grabient_ops.web.page import Page
from grabient_ops.web.parts import Parts, Web
from grabient_ops.web.replies import is_htmx
