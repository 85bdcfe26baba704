"""The JSON Schema and the page of keys made from it."""

from __future__ import annotations

import re
from pathlib import Path

from pixelperfect_models.channels import CHANNELS
from tuner.recipe_schema import json_schema, markdown
from tuner.recipe_search import OptunaSearch

ROOT = Path(__file__).resolve().parents[2]


def test_the_page_of_keys_is_current() -> None:
    page = (ROOT / "docs" / "recipe_keys.md").read_text(encoding="utf-8")
    assert page == markdown(), "run: tuner schema --markdown > docs/recipe_keys.md"


def test_every_key_is_explained() -> None:
    rows = [re.split(r"(?<!\\)\|", line)[1:-1] for line in markdown().splitlines() if line.startswith("| `")]
    assert len(rows) > 30
    for key, kind, _, meaning in rows:
        assert kind.strip(), key
        assert meaning.strip().endswith("."), key


def test_the_schema_refuses_unknown_keys_and_names_the_channels() -> None:
    schema = json_schema()
    assert schema["additionalProperties"] is False
    assert schema["required"] == ["pipeline", "images"]
    assert all(part["additionalProperties"] is False for part in schema["$defs"].values())
    assert schema["$defs"]["PenaltyTerm"]["properties"]["type"]["enum"] == list(CHANNELS)


def test_only_auto_may_leave_out_its_strategy() -> None:
    # otherwise an editor finds `search: {trials: 3}` to fit two of the alternatives, which oneOf forbids
    parts = json_schema()["$defs"]
    assert "required" not in parts["AutoSearch"]
    assert parts["GradientSearch"]["required"] == parts["OptunaSearch"]["required"] == ["strategy"]


def test_the_samplers_are_those_documented() -> None:
    sampler = json_schema()["$defs"]["OptunaSearch"]["properties"]["sampler"]
    assert sampler["examples"] == list(OptunaSearch.SAMPLERS)
