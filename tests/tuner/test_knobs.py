"""The knob x artefact table: planted effects are found, with their direction, and nothing else is."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

import numpy as np
import pytest

from tuner.parameter_space import Dimension
from tuner.report.knobs import SPAN, Effect, response_surface, unit_of
from tuner.report.knobs_measured import evaluations, local_effects

DIMENSIONS = (
    Dimension("strength", 0.01, 1.0, log=True),
    Dimension("radius", 1, 9, integer=True),
    Dimension("sharpen", -1.0, 1.0),
    Dimension("codec", choices=("jpeg", "webp", "avif")),
    Dimension("idle", 0.0, 1.0),
)


def planted(count: int, noise: float = 0.003, seed: int = 0) -> tuple[list[dict[str, object]], dict[str, list[float]]]:
    """Random settings, and what they do: by ``strength`` (log), ``radius``, ``sharpen`` (a valley) and ``codec``."""
    rng = np.random.default_rng(seed)
    settings = [{d.name: d.at(float(u)) for d, u in zip(DIMENSIONS, rng.random(5), strict=True)} for _ in range(count)]
    rows: dict[str, list[float]] = {"luma_noise": [], "blur": [], "oversharpening": [], "blocking": [], "ghosting": []}
    for setting in settings:
        unit = unit_of(DIMENSIONS[0], setting["strength"])
        rows["luma_noise"].append(0.4 - 0.3 * unit - 0.02 * float(setting["radius"]))  # type: ignore[arg-type]
        rows["blur"].append(0.25 * unit)
        rows["oversharpening"].append(0.2 * float(setting["sharpen"]) ** 2)  # type: ignore[arg-type]
        rows["blocking"].append({"jpeg": 0.3, "webp": 0.1, "avif": 0.0}[str(setting["codec"])])
        rows["ghosting"].append(0.0)
    return settings, {name: [v + noise * rng.standard_normal() for v in row] for name, row in rows.items()}


@pytest.fixture(scope="module")
def effects() -> dict[str, dict[str, Effect]]:
    settings, targets = planted(60)
    found = response_surface(DIMENSIONS, settings, targets)
    assert min(found.explained[name] for name in ("luma_noise", "blur", "oversharpening", "blocking")) > 0.9
    assert found.explained["ghosting"] < 0.2
    return {name: dict(row) for name, row in found.effects.items()}


def test_direction_and_size_of_a_planted_effect(effects: dict[str, dict[str, Effect]]) -> None:
    noise, blur = effects["strength"]["luma_noise"], effects["strength"]["blur"]
    assert (noise.shape, blur.shape) == ("falls", "rises")
    settings, _ = planted(60)
    low, high = np.quantile([unit_of(DIMENSIONS[0], setting["strength"]) for setting in settings], SPAN)
    assert noise.change == pytest.approx(-0.3 * (high - low), abs=0.01) and noise.sure
    assert blur.change == pytest.approx(0.25 * (high - low), abs=0.01) and blur.sure
    low, high = np.quantile([float(setting["radius"]) for setting in settings], SPAN)  # type: ignore[arg-type]
    assert effects["radius"]["luma_noise"].change == pytest.approx(-0.02 * (high - low), abs=0.01)


def test_a_valley_is_no_direction(effects: dict[str, dict[str, Effect]]) -> None:
    found = effects["sharpen"]["oversharpening"]
    assert found.shape == "dips" and found.sure
    assert float(found.low) == pytest.approx(0.0, abs=0.15)  # type: ignore[arg-type]
    assert abs(found.change) < 0.3 * found.reach


def test_choices_are_told_apart(effects: dict[str, dict[str, Effect]]) -> None:
    found = effects["codec"]["blocking"]
    assert (found.shape, found.low, found.high) == ("choice", "avif", "jpeg")
    assert found.reach == pytest.approx(0.3, abs=0.03)


def test_what_does_nothing_moves_nothing(effects: dict[str, dict[str, Effect]]) -> None:
    assert all(effect.reach < 0.012 for effect in effects["idle"].values())
    assert all(row["ghosting"].reach < 0.012 for row in effects.values())
    assert effects["codec"]["blur"].reach < 0.012


def test_settings_that_were_not_tried_are_not_spoken_of() -> None:
    settings, _ = planted(40)
    narrow = [{**setting, "sharpen": 0.5 + 0.02 * index / 40} for index, setting in enumerate(settings)]
    targets = {"blur": [float(setting["sharpen"]) for setting in narrow]}  # type: ignore[arg-type]
    found = response_surface(DIMENSIONS, narrow, targets).effects["sharpen"]["blur"]
    assert 0.49 < float(found.low) < float(found.high) < 0.53  # type: ignore[arg-type]
    assert found.change == pytest.approx(0.018, abs=0.003)


def test_repeated_trials_add_no_certainty() -> None:
    settings, targets = planted(12)
    once = response_surface(DIMENSIONS, settings, targets)
    often = response_surface(DIMENSIONS, settings * 5, {name: row * 5 for name, row in targets.items()})
    assert often.effects["strength"]["blur"] == once.effects["strength"]["blur"]


def test_a_parameter_that_never_moved_has_no_effect() -> None:
    settings, targets = planted(30)
    still = [{**setting, "codec": "jpeg", "idle": 0.5} for setting in settings]
    found = response_surface(DIMENSIONS, still, targets)
    assert found.effects["codec"]["blocking"].reach == 0.0
    assert found.effects["idle"]["blur"].reach == pytest.approx(0.0)


BEST: dict[str, Any] = {"strength": 0.1, "radius": 4, "sharpen": 1.0, "codec": "webp", "idle": 0.5}


def exactly(setting: Mapping[str, Any]) -> dict[str, float]:
    unit = unit_of(DIMENSIONS[0], setting["strength"])
    return {
        "luma_noise": 0.4 - 0.3 * unit - 0.02 * setting["radius"],
        "blur": (setting["idle"] - 0.5) ** 2,
        "oversharpening": 0.2 * setting["sharpen"] ** 2,
        "blocking": {"jpeg": 0.3, "webp": 0.1, "avif": 0.0}[setting["codec"]],
    }


def test_round_the_best_effects_are_measured_for_a_tenth_of_the_range() -> None:
    asked: list[Mapping[str, Any]] = []

    def measure(setting: Mapping[str, Any]) -> dict[str, float]:
        asked.append(setting)
        return exactly(setting)

    found = local_effects(DIMENSIONS, BEST, measure).effects
    assert found["strength"]["luma_noise"].change == pytest.approx(-0.03)
    assert found["strength"]["luma_noise"].shape == "falls"
    # Whole numbers: one up and one down is a quarter of the range, scaled to a tenth.
    assert found["radius"]["luma_noise"].change == pytest.approx(-0.04 * 0.1 / 0.25)
    # On the upper bound the difference is one-sided.
    assert found["sharpen"]["oversharpening"].change == pytest.approx(0.2 * (1 - 0.9**2) * 2)
    assert (found["idle"]["blur"].shape, found["idle"]["blur"].low) == ("dips", 0.5)
    assert (found["codec"]["blocking"].low, found["codec"]["blocking"].high) == ("avif", "jpeg")
    assert found["codec"]["blocking"].change == pytest.approx(-0.3)
    assert found["idle"]["luma_noise"].reach == 0.0
    assert len(asked) <= evaluations(DIMENSIONS)
    assert all(set(setting) == set(BEST) for setting in asked)


def test_a_side_where_the_pipeline_fails_is_left_out() -> None:
    def measure(setting: Mapping[str, Any]) -> dict[str, float] | None:
        return None if setting["strength"] > 0.1 or setting["codec"] == "jpeg" else exactly(setting)

    found = local_effects(DIMENSIONS, BEST, measure).effects
    assert found["strength"]["luma_noise"].change == pytest.approx(-0.03)
    assert (found["codec"]["blocking"].high, found["codec"]["blocking"].reach) == ("webp", pytest.approx(0.1))
    assert not local_effects(DIMENSIONS, BEST, lambda setting: None).effects
