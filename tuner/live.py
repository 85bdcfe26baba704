"""What a run shows while it works: a panel that redraws itself on a terminal, plain lines anywhere else."""

from __future__ import annotations

import time
from collections.abc import Mapping, Sequence
from types import TracebackType
from typing import Any

from optuna.trial import FrozenTrial, TrialState
from rich.console import Console, ConsoleOptions, Group, RenderResult
from rich.live import Live
from rich.progress_bar import ProgressBar
from rich.table import Table
from rich.text import Text

from tuner.study import pictures_of, value_of
from tuner.trial_words import is_feasible, standing

PLAIN_EVERY = 5.0
"""Seconds between two lines where the output is no terminal."""

_SPARKS, _ASCII_SPARKS = "▁▂▃▄▅▆▇█", "_.-=+*#@"
_SPARK_WIDTH = 40
_BAR_WIDTH = 24
_BARS = 6
_LEAST_SHOWN = 0.005
"""Types whose mean of the highest 5 % stays below this in start and best are not shown: nobody sees that little."""
_LEAST_PART = 5e-5
"""Parts of the value that would be shown as 0.0000 at start and best are left out."""


class Progress:
    """Follows a run; a context manager.

    Args:
        console: where to draw; its own idea of terminal, colour (``NO_COLOR``) and encoding is respected.
        total: trials the run will have at most.
        done: trials that earlier sessions made.
        quiet: show nothing.
        name: the run's title.
    """

    def __init__(self, console: Console, total: int, done: int = 0, quiet: bool = False, name: str = "") -> None:
        self._console = console
        self._total = total
        self._before = self._done = done
        self._quiet = quiet
        self._name = name
        self._failed = self._pruned = self._infeasible = 0
        self._seen = self._pictures = 0
        self._history: list[float] = []
        self._start: FrozenTrial | None = None
        self._best: FrozenTrial | None = None
        self._reason = ""
        self._front = 0
        self._began = self._printed = time.monotonic()
        self._live: Live | None = None

    def __enter__(self) -> Progress:
        self._began = self._printed = time.monotonic()
        if not self._quiet and self._console.is_terminal:
            self._live = Live(self, console=self._console, refresh_per_second=4, transient=False)
            self._live.start()
        elif not self._quiet:
            resumed = f", {self._done} done already" if self._done else ""
            self._line(f"{self._name or 'run'}: {self._total} trials{resumed}")
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        if self._live is not None:
            self._live.stop()
        elif not self._quiet:
            self._line(self._summary())

    def update(self, trial: FrozenTrial, best: FrozenTrial | None, start: FrozenTrial | None, front: int = 0) -> None:
        """A trial was recorded; ``best``, ``start`` and ``front`` (trials on the Pareto front) are those so far."""
        self._done += 1
        self._best, self._start, self._front = best, start, front
        value = None if best is None else value_of(best)
        if value is not None:
            self._history.append(value)
        self._pruned += trial.state == TrialState.PRUNED
        seen, pictures = pictures_of(trial)
        self._seen, self._pictures = self._seen + seen, self._pictures + pictures
        self._infeasible += trial.state == TrialState.COMPLETE and not is_feasible(trial)
        if trial.state == TrialState.FAIL:
            self._failed += 1
            self._reason = str(trial.user_attrs.get("reason", ""))
        if self._quiet or self._live is not None:
            return
        if time.monotonic() - self._printed >= PLAIN_EVERY:
            self._line(self._summary())

    def __rich_console__(self, console: Console, options: ConsoleOptions) -> RenderResult:
        """The panel, for rich."""
        ascii_only = not console.encoding.lower().startswith("utf")
        title = ": ".join(text for text in (self._name, self._value()) if text)
        parts: list[Any] = [Text(title, style="bold", overflow="ellipsis", no_wrap=True)]
        done = Table.grid(padding=(0, 2))  # a bare bar ends without a new line
        pace = Text(self._pace(), overflow="ellipsis", no_wrap=True)
        done.add_row(ProgressBar(max(1, self._total), min(self._done, self._total), width=_BAR_WIDTH), pace)
        parts.append(done)
        counts = self._counts()
        if counts:
            parts.append(Text(counts, style="yellow", overflow="ellipsis", no_wrap=True))
        if self._history:
            parts.append(Text(f"{sparkline(self._history, ascii_only)}  best value so far", style="cyan"))
        made_of = self._made_of(ascii_only)
        if made_of:
            parts.append(Text(made_of, overflow="ellipsis", no_wrap=True))
        parts.extend(self._constraints(ascii_only))
        bars = self._type_bars(ascii_only)
        if bars is not None:
            parts.append(bars)
        if self._reason:
            parts.append(Text(f"last failure: {self._reason}", style="red", overflow="ellipsis", no_wrap=True))
        yield Group(*parts)

    def _made_of(self, ascii_only: bool) -> str:
        """What the value is made of, at the start and at the best: score, penalties, costs, those there are."""
        if self._best is None or self._start is None:
            return ""
        before, after = value_parts(self._start), value_parts(self._best)
        arrow = "->" if ascii_only else "\N{RIGHTWARDS ARROW}"
        moved = [name for name in after if max(abs(before.get(name, 0.0)), abs(after[name])) >= _LEAST_PART]
        return ", ".join(f"{name} {before.get(name, 0.0):+.4f} {arrow} {after[name]:+.4f}" for name in moved)

    def _constraints(self, ascii_only: bool) -> list[Text]:
        """A line for each constraint: how it stood at the start, and how it stands at the best."""
        if self._best is None:
            return []
        arrow = "->" if ascii_only else "\N{RIGHTWARDS ARROW}"
        lines = []
        for name, violation in self._best.constraints.items():
            before = None if self._start is None else self._start.constraints.get(name)
            changed = "" if before is None else f"{standing(before)} {arrow} "
            style = "green" if violation <= 0 else "red"
            lines.append(Text(f"{name}: {changed}{standing(violation)}", style, overflow="ellipsis", no_wrap=True))
        return lines

    def _type_bars(self, ascii_only: bool) -> Table | None:
        if self._best is None or self._start is None:
            return None
        rows = worst_types(*(side.user_attrs.get("statistics", {}) for side in (self._start, self._best)))
        if not rows:
            return None
        table = Table(box=None, show_header=True, header_style="dim", pad_edge=False)
        for title in ("highest 5 %", "", "start", "best"):
            table.add_column(title, justify="right" if title in ("start", "best") else "left", no_wrap=True)
        for name, start, best in rows:
            better = best <= start
            table.add_row(
                name.replace("_", " "),
                Text(bar(start, best, ascii_only), style="green" if better else "red"),
                f"{start:.3f}",
                f"{best:.3f}",
            )
        return table

    def _summary(self) -> str:
        """Everything in one line, for where there is no terminal."""
        done, *pace = self._pace().split(", ")
        return ", ".join(part for part in (done, self._value(), self._counts(), *pace) if part)

    def _value(self) -> str:
        parts = []
        value = None if self._best is None else value_of(self._best)
        if self._best is not None and value is not None:
            begun = value_of(self._start) if self._start is not None else None
            parts.append(f"best {value:+.4f}" + ("" if begun is None else f" (start {begun:+.4f})"))
            if not is_feasible(self._best):
                parts.append("no trial meets the constraints yet")
        if self._front:
            parts.append(f"{self._front} on the Pareto front")
        return ", ".join(parts)

    def _counts(self) -> str:
        pruned = "pruned" + (f" ({self._seen / self._pictures:.0%} of the pictures seen)" if self._pictures else "")
        counts = (("break a constraint", self._infeasible), (pruned, self._pruned), ("failed", self._failed))
        return ", ".join(f"{count} {word}" for word, count in counts if count)

    def _pace(self) -> str:
        elapsed = max(time.monotonic() - self._began, 1e-9)
        made = self._done - self._before
        parts = [f"{self._done}/{self._total} trials"]
        if made:
            parts.append(f"{made / elapsed:.2f} trials/s")
            left = max(0, self._total - self._done)
            if left:
                parts.append(f"{duration(left * elapsed / made)} left")
        return ", ".join(parts)

    def _line(self, text: str) -> None:
        self._printed = time.monotonic()
        self._console.print(text, soft_wrap=True, markup=False, highlight=False)


def value_parts(trial: FrozenTrial) -> dict[str, float]:
    """The parts that add up to a completed trial's value (less the incumbent's): score, penalties and costs.

    The score's part includes its weight; penalties and costs count against the value and are negative.
    """
    attributes = trial.user_attrs
    value = value_of(trial)
    if value is None:
        return {}
    against = {key: -sum(attributes.get(key, {}).values()) for key in ("penalties", "costs")}
    return {"score": value - attributes.get("offset", 0.0) - sum(against.values()), **against}


def worst_types(
    start: Mapping[str, Mapping[str, float]], best: Mapping[str, Mapping[str, float]], count: int = _BARS
) -> list[tuple[str, float, float]]:
    """The types that matter in start or best, worst first: (name, p95 at start, p95 at best)."""
    rows = [(name, start[name]["p95"], best[name]["p95"]) for name in start if name in best]
    visible = [row for row in rows if max(row[1:]) >= _LEAST_SHOWN]
    return sorted(visible, key=lambda row: -max(row[1:]))[:count]


def bar(start: float, best: float, ascii_only: bool = False) -> str:
    """One bar of intensity 0 to 1: full up to the smaller of the two, light from there to the larger."""
    full, light = ("#", "-") if ascii_only else ("█", "░")
    low, high = (round(min(max(v, 0.0), 1.0) * _BAR_WIDTH) for v in sorted((start, best)))
    return (full * low + light * (high - low)).ljust(_BAR_WIDTH)


def sparkline(values: Sequence[float], ascii_only: bool = False, width: int = _SPARK_WIDTH) -> str:
    """The values as a row of at most ``width`` characters, lowest to highest; of many values every n-th."""
    marks = _ASCII_SPARKS if ascii_only else _SPARKS
    last = len(values) - 1
    shown = values if last < width else [values[round(i * last / (width - 1))] for i in range(width)]
    low, high = min(shown), max(shown)
    span = (high - low) or 1.0
    return "".join(marks[round((value - low) / span * (len(marks) - 1))] for value in shown)


def duration(seconds: float) -> str:
    """Seconds as ``45 s``, ``3 min 20 s`` or ``2 h 05 min``."""
    whole = round(seconds)
    if whole < 60:
        return f"{whole} s"
    if whole < 3600:
        return f"{whole // 60} min {whole % 60:02d} s"
    return f"{whole // 3600} h {whole % 3600 // 60:02d} min"
