"""``sweep.html``: how the objective, the score and every map statistic follow each swept parameter."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from html import escape
from pathlib import Path
from typing import Any

from optuna.trial import FrozenTrial, TrialState

from pixelperfect_models.errors import UserError
from tuner.parameter_space import ParameterSpace
from tuner.recipe import Recipe
from tuner.recipe_search import SweepSearch
from tuner.report.charts import Axis, dot, frame, svg, text, tick_text
from tuner.report.format import plain
from tuner.search.sweep import SweepPoint, plan

PAGE = "sweep.html"
_WIDTH, _HEIGHT, _CELL = 340, 220, 44
_CSS = """
:root{color-scheme:light dark;--ink:#1b1f24;--dim:#656d76;--paper:#fff;--line:#d0d7de;--mark:#0969da}
@media(prefers-color-scheme:dark){:root{--ink:#e6edf3;--dim:#8d96a0;--paper:#0d1117;--line:#30363d;--mark:#4493f8}}
body{margin:0 auto;max-width:1100px;padding:16px;font:15px/1.5 system-ui,sans-serif}
body{color:var(--ink);background:var(--paper)}
.plots{display:grid;grid-template-columns:repeat(auto-fill,minmax(300px,1fr));gap:12px}
figure{margin:0}figcaption{font-weight:600;overflow-wrap:anywhere}
svg{width:100%;height:auto}svg text{fill:var(--dim);font-size:11px}.grid,.axis{stroke:var(--line)}
.curve{fill:none;stroke:var(--mark);stroke-width:2}.mark{fill:var(--mark)}.cell{fill:var(--mark)}
svg text.in{fill:var(--ink)}
"""


def write_sweep_page(folder: Path, recipe: Recipe, space: ParameterSpace, trials: Sequence[FrozenTrial]) -> Path:
    """Write ``sweep.html`` into the run's folder.

    Args:
        recipe: whose search is a sweep.
        space: what was swept.
        trials: the counted trials in order, the defaults first.
    """
    assert isinstance(recipe.search, SweepSearch)
    points = plan(space, recipe.search)
    rows = [
        (point, _measured(trial))
        for point, trial in zip(points, trials[1:], strict=False)
        if trial.state == TrialState.COMPLETE
    ]
    sections = [_lines(name, rows) for name in space.names]
    sections += [_grid(first, second, rows) for first, second in recipe.search.pairs]
    title = escape(f"Sweep of {recipe.name}")
    page = (
        f'<!doctype html><html lang="en"><meta charset="utf-8"><meta name="viewport" content="width=device-width">'
        f"<title>{title}</title><style>{_CSS}</style><h1>{title}</h1>"
        "<p>Each parameter over its range, all others at their defaults. Objective and score: higher is better. Maps: "
        "mean excess over the reference, 0 alike, positive more of it; only those that move by more than 0.005.</p>"
        + "".join(sections)
        + "</html>"
    )
    path = folder / PAGE
    try:
        path.write_text(page, encoding="utf-8")
    except OSError as error:
        raise UserError(f"{path}: cannot be written ({error.strerror})") from None
    return path


def _measured(trial: FrozenTrial) -> dict[str, float]:
    found: dict[str, float] = {"objective": float(trial.values[0]), "score": trial.user_attrs["score"]}
    for channel, statistics in trial.user_attrs["statistics"].items():
        found.update({f"{channel}, {name}": value for name, value in statistics.items()})
    return found


def _lines(name: str, rows: Sequence[tuple[SweepPoint, Mapping[str, float]]]) -> str:
    own = [(point.parameters[name], values) for point, values in rows if point.axes == (name,)]
    if not own:
        return f"<h2><code>{escape(name)}</code></h2><p>no point could be evaluated</p>"
    plots = []
    for quantity in own[0][1]:
        heights = [values[quantity] for _, values in own]
        if quantity in ("objective", "score") or max(heights) - min(heights) > 0.005:
            plots.append(_line(name, quantity, [place for place, _ in own], heights))
    return f'<h2><code>{escape(name)}</code></h2><div class="plots">{"".join(plots)}</div>'


def _line(name: str, quantity: str, places: Sequence[Any], heights: Sequence[float]) -> str:
    low, high = min(heights), max(heights)
    margin = 0.08 * (high - low) or 0.05
    y = Axis(low - margin, high + margin, _HEIGHT - 34, 10)
    numbers = [place for place in places if isinstance(place, int | float) and not isinstance(place, bool)]
    if len(numbers) == len(places) and len(places) > 1:
        log = min(numbers) > 0 and max(numbers) / min(numbers) >= 20
        x = Axis(min(numbers), max(numbers), 52, _WIDTH - 12, log)
        spots = [x.at(number) for number in numbers]
        ticks = [(x.at(tick), tick_text(tick)) for tick in x.ticks(4)]
    else:
        x = Axis(0, max(len(places) - 1, 1), 76, _WIDTH - 40)
        spots = [x.at(index) for index in range(len(places))]
        ticks = [(spot, str(place)) for spot, place in zip(spots, places, strict=True)]
    parts = frame(x, y, ticks, 4)
    path = "L".join(f"{spot:.1f} {y.at(height):.1f}" for spot, height in zip(spots, heights, strict=True))
    parts.append(f'<path class="curve" d="M{path}"/>')
    for spot, place, height in zip(spots, places, heights, strict=True):
        shown = plain(place) if isinstance(place, float) else str(place)
        parts.append(dot(spot, y.at(height), 3.5, "mark", f"{name} {shown}: {quantity} {height:.4f}"))
    drawing = svg(_WIDTH, _HEIGHT, f"{quantity} against {name}", parts)
    return f"<figure><figcaption>{escape(quantity)}</figcaption>{drawing}</figure>"


def _grid(first: str, second: str, rows: Sequence[tuple[SweepPoint, Mapping[str, float]]]) -> str:
    own = {
        (point.parameters[first], point.parameters[second]): values
        for point, values in rows
        if point.axes == (first, second)
    }
    across, down = (list(dict.fromkeys(place[index] for place in own)) for index in (0, 1))
    plots = []
    for quantity in next(iter(own.values()), {}):
        cells = {place: values[quantity] for place, values in own.items()}
        low, high = min(cells.values()), max(cells.values())
        if quantity not in ("objective", "score") and high - low <= 0.005:
            continue
        parts = [text(70 + (len(across) * _CELL) / 2, 12, first)]
        parts += [text(70 + (i + 0.5) * _CELL, 28, _short(value)) for i, value in enumerate(across)]
        parts += [text(62, 36 + (j + 0.6) * _CELL, _short(value), anchor="end") for j, value in enumerate(down)]
        for (one, two), value in cells.items():
            left, top = 70 + across.index(one) * _CELL, 36 + down.index(two) * _CELL
            share = 0.08 + 0.8 * (value - low) / ((high - low) or 1.0)
            parts.append(
                f'<rect class="cell" x="{left}" y="{top}" width="{_CELL - 2}" height="{_CELL - 2}" '
                f'opacity="{share:.2f}"><title>{value:.4f}</title></rect>'
            )
            parts.append(text(left + _CELL / 2 - 1, top + _CELL / 2 + 4, f"{value:.2f}", "in"))
        drawing = svg(80 + len(across) * _CELL, 44 + len(down) * _CELL, f"{quantity} over {first} and {second}", parts)
        plots.append(f"<figure><figcaption>{escape(quantity)}</figcaption>{drawing}</figure>")
    heading = f"<h2><code>{escape(first)}</code> (across) and <code>{escape(second)}</code> (down)</h2>"
    return f'{heading}<div class="plots">{"".join(plots)}</div>'


def _short(value: Any) -> str:
    return tick_text(value) if isinstance(value, int | float) and not isinstance(value, bool) else str(value)
