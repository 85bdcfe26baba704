"""Progress: a panel on a terminal, plain lines elsewhere, nothing when quiet."""

from __future__ import annotations

import io
import re

import pytest
from optuna.trial import FrozenTrial, TrialState, create_trial
from rich.console import Console

from tuner import live
from tuner.live import Progress, bar, duration, sparkline, worst_types

BLUR_AND_NOISE = {"blur": {"p95": 0.5}, "luma_noise": {"p95": 0.1}, "ringing": {"p95": 0.001}}
LESS = {"blur": {"p95": 0.25}, "luma_noise": {"p95": 0.2}, "ringing": {"p95": 0.0}}


def trial(value: float | None, statistics: dict[str, dict[str, float]] = BLUR_AND_NOISE, **more: object) -> FrozenTrial:
    if value is None:
        return create_trial(state=TrialState.FAIL, user_attrs={"reason": "no [bold]memory"})
    return create_trial(value=value, user_attrs={"statistics": statistics, "feasible": True, **more})


def console(terminal: bool, encoding: str = "utf-8") -> tuple[Console, io.TextIOWrapper]:
    stream = io.TextIOWrapper(io.BytesIO(), encoding=encoding, errors="strict")
    return Console(file=stream, force_terminal=terminal, width=100), stream


def text_of(stream: io.TextIOWrapper) -> str:
    stream.flush()
    return stream.buffer.getvalue().decode(stream.encoding)  # type: ignore[attr-defined]


def plain(text: str) -> str:
    return re.sub(r"\x1b\[[0-9;?]*[A-Za-z]", "", text)


def follow(progress: Progress) -> None:
    """Three trials: the defaults, a failure, a better one."""
    start, better = trial(-2.0), trial(-0.5, LESS)
    with progress:
        progress.update(start, start, start)
        progress.update(trial(None), start, start)
        progress.update(better, better, start)


def test_terminal_shows_value_history_and_bars(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.delenv("NO_COLOR", raising=False)
    screen, stream = console(terminal=True)
    follow(Progress(screen, total=10))
    text = text_of(stream)
    for expected in (
        "3/10 trials",
        "best -0.5000 (start -2.0000)",
        "1 failed",
        "trials/s",
        "left",
        "▁▁█",
        "luma noise",
    ):
        assert expected in text
    assert "ringing" not in text
    assert any(line.strip().startswith("▁▁█  best value so far") for line in plain(text).splitlines())
    assert "no [bold]memory" in text
    assert "\x1b[32m" in text  # blur got better: green
    assert "\x1b[31m" in text  # noise got worse: red


def test_no_color_is_respected(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("NO_COLOR", "1")
    screen, stream = console(terminal=True)
    follow(Progress(screen, total=10))
    assert "3/10 trials" in text_of(stream)
    assert "\x1b[3" not in text_of(stream)


def test_an_ascii_terminal_gets_ascii() -> None:
    screen, stream = console(terminal=True, encoding="ascii")
    follow(Progress(screen, total=10))
    assert "__@" in text_of(stream)


def test_plain_lines_without_escape_codes_elsewhere(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(live, "PLAIN_EVERY", 0.0)
    screen, stream = console(terminal=False)
    follow(Progress(screen, total=10, done=4, name="tiny"))
    lines = text_of(stream).splitlines()
    assert lines[0] == "tiny: 10 trials, 4 done already"
    assert [line.split(" trials")[0] for line in lines[1:]] == ["5/10", "6/10", "7/10", "7/10"]
    assert "\x1b" not in text_of(stream)


def test_plain_lines_are_seconds_apart() -> None:
    screen, stream = console(terminal=False)
    follow(Progress(screen, total=3))
    assert len(text_of(stream).splitlines()) == 2  # the first and the last


@pytest.mark.parametrize("terminal", [True, False])
def test_quiet_shows_nothing(terminal: bool) -> None:
    screen, stream = console(terminal)
    follow(Progress(screen, total=10, quiet=True))
    assert text_of(stream) == ""


def test_unmet_constraints_are_told() -> None:
    screen, stream = console(terminal=False)
    progress = Progress(screen, total=1)
    with progress:
        infeasible = trial(1.0, feasible=False)
        progress.update(infeasible, infeasible, infeasible)
    assert "no trial meets the constraints yet" in text_of(stream)


def test_constraints_are_shown_at_start_and_best(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.delenv("NO_COLOR", raising=False)
    screen, stream = console(terminal=True)
    broken = create_trial(value=1.0, user_attrs={"feasible": False}, constraints={"bytes<=9": 0.5, "seconds<=1": -0.2})
    kept = create_trial(value=0.5, user_attrs={"feasible": True}, constraints={"bytes<=9": 0.0, "seconds<=1": 0.1})
    progress = Progress(screen, total=3)
    stopped = create_trial(
        state=TrialState.PRUNED, value=0.1, user_attrs={"pictures": [{}, {}], "pruned": {"of": 8}}, constraints={}
    )
    with progress:
        progress.update(broken, broken, broken)
        progress.update(stopped, broken, broken)
        progress.update(kept, kept, broken)
    text = text_of(stream)
    assert "\x1b[32mbytes<=9: broken by 50 % → kept" in text
    assert "\x1b[31mseconds<=1: kept → broken by 10 %" in text
    assert "2 break a constraint, 1 pruned (25% of the pictures seen)" in plain(text)


def test_a_narrow_terminal_is_not_overrun() -> None:
    stream = io.TextIOWrapper(io.BytesIO(), encoding="utf-8")
    follow(Progress(Console(file=stream, force_terminal=True, width=44), total=10))
    assert max(len(line.rstrip()) for line in plain(text_of(stream)).replace("\r", "\n").splitlines()) <= 44


def test_sparkline() -> None:
    assert sparkline([0.0, 0.5, 1.0]) == "▁▅█"
    assert sparkline([3.0, 3.0]) == "▁▁"
    long = sparkline([float(i) for i in range(1000)], width=10)
    assert (len(long), long[0], long[-1]) == (10, "▁", "█")


def test_bar_and_types() -> None:
    assert bar(0.5, 0.25).rstrip() == "█" * 6 + "░" * 6
    assert bar(0.0, 2.0, ascii_only=True) == "-" * 24
    assert worst_types(BLUR_AND_NOISE, LESS) == [("blur", 0.5, 0.25), ("luma_noise", 0.1, 0.2)]


def test_duration() -> None:
    assert [duration(s) for s in (12.3, 200, 7500)] == ["12 s", "3 min 20 s", "2 h 05 min"]
