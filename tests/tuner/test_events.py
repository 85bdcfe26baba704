"""Event lines: what a program that watches a run reads, and that docs/events.md lists exactly that."""

from __future__ import annotations

import io
import json
import re
from pathlib import Path
from typing import Any

import pytest

from tests.tuner.command import ROOT, tuner
from tests.tuner.fake_judge import FakeJudge
from tests.tuner.recipe_data import recipe_folder
from tests.tuner.tiny_pipelines import make_recipe, register
from tuner.events import EventLines
from tuner.runner import run


@pytest.fixture(autouse=True)
def _tiny_pipelines(monkeypatch: pytest.MonkeyPatch) -> None:
    register(monkeypatch)


def watched(folder: Path, **sections: Any) -> list[dict[str, Any]]:
    """The events of a run on the tiny pictures; a second run in the folder goes on with the first."""
    stream = io.StringIO()
    events = EventLines(stream)
    out = folder / "run"
    result = run(make_recipe(folder, **sections), out, out.exists(), quiet=True, judge=FakeJudge(), events=events)
    events.finished(result.run_dir, result.run_dir / "report.html")
    return [json.loads(line) for line in stream.getvalue().splitlines()]


def test_a_run_tells_of_every_trial_and_every_best(tmp_path: Path) -> None:
    objective = {"constraints": [{"measure": "bytes", "at_most": 120.0}]}
    search = {"strategy": "optuna", "sampler": "random", "trials": 8, "seed": 1}
    events = watched(tmp_path, objective=objective, search=search)
    kinds = [event["event"] for event in events]
    assert (kinds[0], kinds[-1], kinds.count("trial")) == ("started", "finished", 8)
    assert events[0]["parameters"] == ["gamma", "lift"] and events[0]["trials"] == 8
    trials = [event for event in events if event["event"] == "trial"]
    assert [trial["done"] for trial in trials] == list(range(1, 9))
    assert {trial["state"] for trial in trials} == {"complete", "infeasible"}
    for trial in trials:
        assert (trial["constraints"]["bytes<=120"] > 0) == (trial["state"] == "infeasible")
    bests = [event for event in events if event["event"] == "best"]
    assert bests[-1]["number"] == events[-1]["best"]["number"]
    # Before the first feasible trial an infeasible one is the best there is.
    feasible = [event["value"] for event in bests if event["feasible"]]
    assert feasible == sorted(feasible)


def test_a_resumed_run_tells_only_what_is_new(tmp_path: Path) -> None:
    search = {"strategy": "optuna", "sampler": "random", "trials": 3}
    watched(tmp_path, search=search)
    events = watched(tmp_path, search={**search, "trials": 5})
    assert (events[0]["done"], events[0]["trials"]) == (3, 5)
    assert [event["done"] for event in events if event["event"] == "trial"] == [4, 5]


def test_a_failed_trial_has_its_reason(tmp_path: Path) -> None:
    search = {"strategy": "optuna", "sampler": "random", "trials": 8, "seed": 0}
    events = watched(tmp_path, pipeline={"name": "test.fragile", "search": {"gamma": {}}}, search=search)
    failed = [event for event in events if event.get("state") == "failed"]
    assert failed
    assert all(event["reason"] and event["values"] is None for event in failed)


def documented() -> dict[str, set[str]]:
    rows = re.findall(r"^\| `(\w+)` \|[^|]*\|(.*)\|$", (ROOT / "docs" / "events.md").read_text("utf-8"), re.MULTILINE)
    return {event: set(re.findall(r"`(\w+)`", re.sub(r"\([^)]*\)", "", keys))) for event, keys in rows}


def test_the_page_lists_the_keys_of_every_event(tmp_path: Path) -> None:
    events = watched(tmp_path)
    stream = io.StringIO()
    lines = EventLines(stream)
    lines.stopped()
    lines.failed("no memory")
    events += [json.loads(line) for line in stream.getvalue().splitlines()]
    found = {event["event"]: set(event) - {"event", "time"} for event in events}
    assert found == documented()


def test_the_command_writes_nothing_but_json_lines(tmp_path: Path) -> None:
    answer = tuner("run", recipe_folder(tmp_path, count=1), "--json", "--out", "one", cwd=tmp_path)
    assert (answer.returncode, answer.stderr) == (0, "")
    events = [json.loads(line) for line in answer.stdout.splitlines()]
    assert [event["event"] for event in events if event["event"] != "best"] == ["started", "trial", "trial", "finished"]
    assert Path(events[-1]["report"]).is_file()
