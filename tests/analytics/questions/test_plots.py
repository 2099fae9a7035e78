import xml.etree.ElementTree as ET
from collections.abc import Callable
from pathlib import Path

import matplotlib as mpl
import pytest
from matplotlib.figure import Figure

from grabient_ops.analytics.plots import (
    plot_agreement,
    plot_convergence,
    plot_cost,
    plot_top_tags,
    save,
)
from grabient_ops.analytics.questions.agreement import Agreement, PairAgreement
from grabient_ops.analytics.questions.convergence import Convergence
from grabient_ops.analytics.questions.tags import TopTag
from grabient_ops.analytics.questions.usage import Used
from grabient_ops.analytics.typeface import drawable
from grabient_ops.errors import InputError
from grabient_ops.tagging.vocabulary import FIELDS
from tests.analytics.questions.conftest import HOSTILE

_TEXTS = (*HOSTILE, "x" * 100_000, "a\x00b\u202e", "👩\u200d🚀", "e\u0301", "$\\frac{$", "_^")


def _tags() -> Figure:
    rows = [
        TopTag(n, FIELDS[n % 10], text, 9, 3, 2, 0.5 / (n + 1)) for n, text in enumerate(_TEXTS)
    ]
    return plot_top_tags(rows)


def _convergence() -> Figure:
    return plot_convergence([Convergence(f, k, 9, 0.4 / k, 0.5) for f in FIELDS for k in (2, 3, 4)])


def _agreement() -> Figure:
    rows = [Agreement(f, 9, 90, None if n == 0 else n / 10 - 0.2) for n, f in enumerate(FIELDS)]
    pairs = [
        PairAgreement("mood", f"groq/{a}", f"groq/{b}", 9, 0.4)
        for n, a in enumerate(HOSTILE) for b in HOSTILE[n + 1 :]
    ]  # fmt: skip
    return plot_agreement(rows, pairs[1:])


def _cost() -> Figure:
    return plot_cost([
        Used("groq", "openai/gpt", 1, None, 9, 8, 700, 80, 0, 0, 0.5, 1.0, 0),
        Used("google", "凉$", None, "aaaa", 9, 8, 700, 80, 0, 0, None, None, 9),
    ])  # fmt: skip


_PLOTS = (_tags, _convergence, _agreement, _cost)


@pytest.mark.parametrize("make", _PLOTS)
def test_png_and_svg_are_written_whatever_the_text(
    make: Callable[[], Figure], tmp_path: Path
) -> None:
    figure = make()

    save(figure, tmp_path / "plot.PNG")
    save(figure, tmp_path / "plot.svg")

    assert (tmp_path / "plot.PNG").read_bytes().startswith(b"\x89PNG")
    assert ET.parse(tmp_path / "plot.svg").getroot().tag.endswith("svg")  # noqa: S314 - ours


@pytest.mark.parametrize(
    "figure",
    [plot_top_tags([]), plot_convergence([]), plot_agreement([], []), plot_cost([])],
    ids=["tags", "convergence", "agreement", "cost"],
)
def test_nothing_can_be_drawn_too(figure: Figure, tmp_path: Path) -> None:
    save(figure, tmp_path / "plot.png")

    assert (tmp_path / "plot.png").stat().st_size > 1000


def test_the_longest_bar_is_the_largest_share_and_named_after_its_tag() -> None:
    rows = [TopTag(1, "mood", "calm", 8, 4, 2, 0.8), TopTag(2, "style", "bold", 4, 4, 2, 0.4)]

    (axes,) = plot_top_tags(rows).axes

    widths = [patch.get_width() for patch in axes.patches[:2]]  # type: ignore[attr-defined]
    assert widths == [0.8, 0.4]
    assert [label.get_text() for label in axes.get_yticklabels()] == ["calm", "bold"]
    assert axes.yaxis_inverted()


def test_the_matrix_is_symmetric_with_the_mean_of_the_categories() -> None:
    pairs = [
        PairAgreement("mood", "x/a", "x/b", 9, 0.4),
        PairAgreement("style", "x/a", "x/b", 9, 0.6),
    ]

    axes = plot_agreement([], pairs).axes[1]

    assert [text.get_text() for text in axes.texts] == ["0.50", "0.50"]
    assert [label.get_text() for label in axes.get_xticklabels()] == ["a", "b"]


def test_plots_leave_matplotlibs_settings_alone(tmp_path: Path) -> None:
    before = dict(mpl.rcParams)

    save(_tags(), tmp_path / "plot.svg")

    assert dict(mpl.rcParams) == before


def test_what_no_font_can_draw_is_spelt_out() -> None:
    assert drawable("café ночь") == "café ночь"
    assert drawable("a\x07\U000f0000") == r"a\x07\U000f0000"
    assert len(drawable("x" * 100)) == 28


@pytest.mark.parametrize("name", ["plot.gif", "plot", "missing/plot.png"])
def test_a_file_that_cannot_be_written_is_refused(tmp_path: Path, name: str) -> None:
    with pytest.raises(InputError, match="plot"):
        save(plot_cost([]), tmp_path / name)
