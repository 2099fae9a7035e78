"""Pictures of answers to questions: each a figure of its own, with any Unicode in it."""

from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import TYPE_CHECKING

import numpy as np
from matplotlib.figure import Figure
from matplotlib.ticker import MaxNLocator, PercentFormatter

from grabient_ops.analytics.questions.agreement import mean_of_pairs
from grabient_ops.analytics.typeface import drawable, families
from grabient_ops.errors import InputError
from grabient_ops.tagging.vocabulary import FIELDS

if TYPE_CHECKING:
    from matplotlib.axes import Axes

    from grabient_ops.analytics.questions.agreement import Agreement, PairAgreement
    from grabient_ops.analytics.questions.convergence import Convergence
    from grabient_ops.analytics.questions.tags import TopTag
    from grabient_ops.analytics.questions.usage import Used
    from grabient_ops.palettes.spaces import Floats

MOST_BARS = 40
_INK, _FAINT, _GRID, _MAIN, _PALE = "#222831", "#6c757d", "#e6e9ed", "#4263eb", "#d0d7fb"
_COLOURS = dict(
    zip(
        FIELDS,
        ("#4263eb", "#7048e8", "#e8590c", "#ae3ec9", "#e03131",
         "#495057", "#f59f00", "#d6336c", "#2f9e44", "#1098ad"),
        strict=True,
    )
)  # fmt: skip


def save(figure: Figure, path: Path) -> None:
    """Write a figure in the form that the file's name ends in.

    Raises:
        InputError: it ends neither in .svg nor in .png, or the file cannot be written.
    """
    if path.suffix.lower() not in {".svg", ".png"}:
        raise InputError(f"{path.name!r} should end in .svg or .png")
    try:
        figure.savefig(path, dpi=160, facecolor="white")
    except OSError as error:
        raise InputError(f"{path} cannot be written: {error.strerror}") from error


def plot_top_tags(rows: Sequence["TopTag"]) -> Figure:
    """Draw the first forty tags as bars: their length is the share of all answers."""
    shown = rows[:MOST_BARS]
    figure, axes = _page(8.5, 1.3 + 0.24 * max(len(shown), 4), "Top tags")
    axes.barh(
        range(len(shown)),
        [row.share for row in shown],
        color=[_COLOURS[row.category] for row in shown],
        height=0.72,
    )
    _name_rows(axes, [row.tag for row in shown])
    _note_bars(
        axes,
        [row.share for row in shown],
        [f"{row.votes:,} votes, {row.palettes:,} palettes" for row in shown],
    )
    axes.xaxis.set_major_formatter(PercentFormatter(1, decimals=None))
    axes.set_xlabel("share of all answers")
    for field in FIELDS:
        if any(row.category == field for row in shown):
            axes.barh([0], [0], color=_COLOURS[field], label=field.replace("_", " "))
    if shown:
        axes.legend(frameon=False, fontsize=8, loc="lower right", labelcolor=_INK)
    return figure


def plot_convergence(rows: Sequence["Convergence"]) -> Figure:
    """Draw, for each category, how far the consensus moves with each further run."""
    figure, axes = _page(8.5, 4.8, "How much the consensus moves with each run")
    for field in FIELDS:
        moves = [(row.run, row.distance) for row in rows if row.category == field]
        if moves:
            runs, distances = zip(*moves, strict=True)
            axes.plot(runs, distances, marker="o", markersize=4, color=_COLOURS[field],
                      label=field.replace("_", " "))  # fmt: skip
    axes.set_ylim(bottom=0)
    axes.xaxis.set_major_locator(MaxNLocator(integer=True))
    axes.yaxis.set_major_formatter(PercentFormatter(1, decimals=None))
    axes.set_xlabel("run")
    axes.set_ylabel("mean Jaccard distance to the run before")
    axes.grid(visible=True, axis="y", color=_GRID)
    if rows:
        axes.legend(frameon=False, fontsize=8, loc="center left", bbox_to_anchor=(1, 0.5))
    return figure


def plot_agreement(rows: Sequence["Agreement"], pairs: Sequence["PairAgreement"]) -> Figure:
    """Draw alpha by category beside the matrix of models: their mean Jaccard over categories."""
    models = sorted({name for pair in pairs for name in (pair.model_a, pair.model_b)})
    side = 2.6 + 0.5 * max(len(models), 4)
    figure = Figure(figsize=(5 + side, max(4.2, side - 0.6)), layout="constrained")
    left, right = figure.subplots(1, 2, width_ratios=(4, side))
    _head(left, "Krippendorff's alpha")
    alphas = [row.alpha or 0 for row in rows]
    left.barh(range(len(rows)), alphas, color=[_COLOURS[row.category] for row in rows], height=0.72)
    _name_rows(left, [row.category.replace("_", " ") for row in rows])
    _note_bars(
        left, alphas, ["all alike" if row.alpha is None else f"{row.alpha:.2f}" for row in rows]
    )
    _head(right, "Tags that two models share (mean Jaccard)")
    if models:
        _draw_matrix(right, models, _matrix(models, mean_of_pairs(pairs)))
    else:
        right.set_axis_off()
    return figure


def plot_cost(rows: Sequence["Used"]) -> Figure:
    """Draw what each part cost at batch prices, and what it would have cost without."""
    shown = sorted(rows, key=lambda row: -(row.standard_usd or 0))[:MOST_BARS]
    total = sum(row.cost_usd or 0 for row in rows)
    saved = sum(row.saved_usd or 0 for row in rows)
    title = f"Cost: ${total:,.2f}; batches saved ${saved:,.2f}"
    figure, axes = _page(8.5, 1.5 + 0.3 * max(len(shown), 4), title)
    places = range(len(shown))
    standard = [row.standard_usd or 0 for row in shown]
    axes.barh(places, standard, color=_PALE, height=0.72, label="without batches")
    axes.barh(places, [row.cost_usd or 0 for row in shown], color=_MAIN, height=0.72, label="paid")
    _name_rows(axes, [_part(row) for row in shown])
    _note_bars(axes, standard, [_price(row.cost_usd) for row in shown])
    axes.set_xlabel("USD")
    axes.legend(frameon=False, fontsize=8, loc="lower right", labelcolor=_INK)
    return figure


def _page(width: float, height: float, title: str) -> tuple[Figure, "Axes"]:
    figure = Figure(figsize=(width, height), layout="constrained")
    axes = figure.subplots()
    _head(axes, title)
    return figure, axes


def _head(axes: "Axes", title: str) -> None:
    axes.set_title(title, loc="left", fontsize=11, fontweight="bold", color=_INK, parse_math=False)
    axes.xaxis.label.set(color=_INK, fontsize=9)
    axes.yaxis.label.set(color=_INK, fontsize=9)
    axes.spines[:].set_visible(False)
    axes.tick_params(length=0, colors=_INK, labelsize=8)
    axes.grid(visible=True, axis="x", color=_GRID)
    axes.set_axisbelow(True)


def _name_rows(axes: "Axes", names: Sequence[str]) -> None:
    """Write names beside the bars, the first on top; a `$` in them is no formula."""
    axes.set_yticks(
        range(len(names)),
        labels=[drawable(name) for name in names],
        parse_math=False,
        fontfamily=families(),
    )
    axes.invert_yaxis()


def _note_bars(axes: "Axes", lengths: Sequence[float], notes: Sequence[str]) -> None:
    """Write a note behind each bar, and make room for it."""
    for place, (length, note) in enumerate(zip(lengths, notes, strict=True)):
        axes.annotate(
            note, (max(length, 0), place), xytext=(4, 0), textcoords="offset points", va="center",
            color=_FAINT, fontsize=7.5, parse_math=False,
        )  # fmt: skip
    longest = max([0.0, *lengths])
    axes.set_xlim(min([0.0, *lengths]), 1.35 * longest or 1)


def _matrix(models: Sequence[str], shares: Mapping[tuple[str, str], float]) -> "Floats":
    """Arrange pairs as a symmetric matrix; NaN on the diagonal and where nothing is common."""
    place = {name: index for index, name in enumerate(models)}
    matrix = np.full((len(models), len(models)), np.nan)
    for (a, b), share in shares.items():
        matrix[place[a], place[b]] = matrix[place[b], place[a]] = share
    return matrix


def _draw_matrix(axes: "Axes", models: Sequence[str], values: "Floats") -> None:
    axes.imshow(values, cmap="Blues", vmin=0, vmax=1, aspect="equal")
    labels = [drawable(name.split("/", 1)[-1]) for name in models]
    places = range(len(models))
    axes.set_yticks(places, labels=labels, parse_math=False, fontfamily=families())
    axes.set_xticks(
        places, labels=labels, parse_math=False, fontfamily=families(),
        rotation=45, ha="right", rotation_mode="anchor",
    )  # fmt: skip
    axes.grid(visible=False)
    for (row, column), value in np.ndenumerate(values):
        if not np.isnan(value):
            ink = "white" if value > 0.55 else _INK
            axes.text(column, row, f"{value:.2f}", ha="center", va="center", color=ink, fontsize=7)


def _part(row: "Used") -> str:
    run = None if row.run_number is None else f"run {row.run_number}"
    words = [row.model or row.provider, run, row.prompt_version]
    return ", ".join(word for word in words if word) or "all"


def _price(amount: float | None) -> str:
    return "price unknown" if amount is None else f"paid ${amount:,.4f}"
