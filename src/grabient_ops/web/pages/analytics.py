"""What all answers together say, one group of questions at a time: each may be a heavy one."""

from itertools import chain

from typing_extensions import override

from grabient_ops.analytics.questions.choices import Choices, choices
from grabient_ops.analytics.warehouse import EmptyLakeError
from grabient_ops.tagging.vocabulary import FIELDS
from grabient_ops.web.chrome import CHROME
from grabient_ops.web.live.panel import Context, Wanted
from grabient_ops.web.live.reading import Reading
from grabient_ops.web.page import Page
from grabient_ops.web.pages.analytics_panels import PANELS, Shown


def _read_frame(reading: Reading, shown: Shown) -> Context:
    try:
        found = reading.answers.ask(choices)
    except EmptyLakeError:
        found = Choices()
    return {
        "choices": found,
        "fields": FIELDS,
        "views": list(PANELS),
        "panels": [panel.id for panel in PANELS[shown.view]],
    }


class _AnalyticsPage(Page[Shown]):
    """Asks only the questions of the view that is looked at."""

    @override
    def wanted(self, params: Shown) -> list[Wanted]:
        return [CHROME, *(Wanted(panel, params) for panel in PANELS[params.view])]


PAGE = _AnalyticsPage(
    path="/analytics",
    title="Analytics",
    template="analytics.html",
    params=Shown,
    panels=tuple(chain.from_iterable(PANELS.values())),
    frame=_read_frame,
)
