"""Severity curves: monotone, anchored, and the consensus distance against piq itself."""

from __future__ import annotations

import json
from importlib.resources import files
from pathlib import Path

import cv2
import numpy as np
import piq
import pytest
import torch
from hypothesis import given, settings
from hypothesis import strategies as st

from pixelperfect_models.distortions import calibrate, severity
from pixelperfect_models.distortions.table import DISTORTIONS, Distortion
from pixelperfect_models.errors import UserError

NAMES = sorted(DISTORTIONS)


@pytest.mark.parametrize("name", NAMES)
def test_strength_rises_with_intensity_up_to_the_cap(name: str) -> None:
    intensity = np.linspace(0.0, 1.0, 201)
    strength = severity.strength(name, intensity)
    cap = severity.cap(name)
    assert strength[0] == 0.0 and 0.3 < cap <= 1.0
    assert np.all(np.diff(strength)[intensity[1:] <= cap - 0.05] > 0)
    assert np.all(np.diff(strength) >= 0)
    assert strength[-1] <= DISTORTIONS[name].strength_high * 1.001


def test_every_type_is_calibrated() -> None:
    # A type missing here works on its declared range, but must be measured before it ships.
    types = json.loads(files("pixelperfect_models.distortions").joinpath("curves.json").read_text())["types"]
    assert sorted(types) == NAMES
    assert all(len(entry["intensity"]) == len(entry["strength"]) >= 11 for entry in types.values())


@settings(max_examples=50, deadline=None)
@given(name=st.sampled_from(NAMES), intensity=st.floats(0, 1))
def test_numbers_and_arrays_agree(name: str, intensity: float) -> None:
    single = severity.strength(name, intensity)
    assert isinstance(single, float)
    assert severity.strength(name, np.full((2, 3), intensity)) == pytest.approx(np.full((2, 3), single), rel=1e-6)


def test_refusals() -> None:
    with pytest.raises(UserError, match="did you mean 'jpeg'"):
        severity.strength("jpg", 0.5)
    for bad in (-0.1, 2.1, float("nan")):
        with pytest.raises(ValueError, match="expected 0 to 2"):
            severity.strength("jpeg", bad)


@pytest.mark.parametrize("name", sorted(DISTORTIONS))
def test_beyond_the_scale_strength_goes_on_to_the_types_limit(name: str) -> None:
    strengths = severity.strength(name, np.linspace(0.9, severity.BEYOND, 23))
    assert np.all(np.diff(strengths) >= 0.0)
    assert severity.strength(name, severity.BEYOND) == pytest.approx(DISTORTIONS[name].strength_high)
    assert severity.strength(name, 1.0 + 1e-9) == pytest.approx(severity.strength(name, 1.0), rel=1e-6)


def test_a_type_not_yet_calibrated_uses_its_range(monkeypatch: pytest.MonkeyPatch) -> None:
    fresh = Distortion("fresh", DISTORTIONS["jpeg"].function, {"blocking": 1.0}, 0.5, 8.0, "px", True, False)
    monkeypatch.setitem(DISTORTIONS, "fresh", fresh)
    assert [severity.strength("fresh", v) for v in (0.0, 0.1, 1.0)] == pytest.approx([0.0, 0.5, 8.0])
    assert severity.strength("fresh", 0.55) == pytest.approx(2.0, rel=0.02)  # halfway between, in ratio
    severity.curve.cache_clear()


def _crops(count: int) -> list[np.ndarray]:
    rng = np.random.default_rng(0)
    fields = [cv2.GaussianBlur(rng.random((64, 64, 3), dtype=np.float32), (0, 0), 1.5) for _ in range(count)]
    return [np.clip(0.5 + 4 * (field - field.mean()), 0, 1).astype(np.float32) for field in fields]


def test_metrics_are_those_of_piq() -> None:
    ref = torch.from_numpy(np.stack(_crops(2)).transpose(0, 3, 1, 2))
    test = (ref + 0.1 * torch.randn(ref.shape, generator=torch.Generator().manual_seed(0))).clamp(0, 1)
    found = calibrate.metrics(test, ref)
    for index in range(2):
        pair = test[index : index + 1], ref[index : index + 1]
        assert found[index, 0] == pytest.approx(1 - float(piq.vsi(*pair)), abs=1e-5)
        assert found[index, 1] == pytest.approx(float(piq.mdsi(*pair)), abs=1e-5)
        assert found[index, 2] == pytest.approx(1 - float(piq.haarpsi(*pair)), abs=1e-5)
        assert -20 * np.log10(found[index, 3]) == pytest.approx(float(piq.psnr(*pair)), abs=1e-3)
    assert calibrate.metrics(ref, ref) == pytest.approx(np.zeros((2, 4)), abs=1e-3)


def test_consensus_weights_and_range() -> None:
    pooled = np.linspace(0.1, 1.0, 10)[:, None] * np.ones(4)
    consensus = calibrate.Consensus(pooled)
    assert consensus(np.zeros(4)) == 0.0 and consensus(np.full(4, 2.0)) == pytest.approx(1.0)
    # PSNR alone at its worst weighs 0.5 of 3.5, any other 1 of 3.5.
    assert consensus(np.array([0.0, 0.0, 0.0, 1.0])) == pytest.approx(0.5 / 3.5)
    assert consensus(np.array([1.0, 0.0, 0.0, 0.0])) == pytest.approx(1.0 / 3.5)


def test_calibrated_strengths_are_equally_far(monkeypatch: pytest.MonkeyPatch) -> None:
    # Two types calibrated together: at equal intensity their consensus distances agree.
    for name in set(NAMES) - {"gaussian_blur", "luma_noise"}:
        monkeypatch.delitem(DISTORTIONS, name)
    monkeypatch.setattr(calibrate, "JUST_VISIBLE", {"gaussian_blur": 0.5, "luma_noise": 0.01})
    monkeypatch.setattr(calibrate, "SEVERE", {"gaussian_blur": 3.0, "luma_noise": 0.08})
    crops = _crops(3)
    result = calibrate.calibrate(crops, steps=10, seed=0)
    samples = {name: calibrate.measure(DISTORTIONS[name], crops, 10, 0) for name in DISTORTIONS}
    consensus = calibrate.Consensus(np.concatenate([one.metrics.reshape(-1, 4) for one in samples.values()]))
    distances = []
    for name, entry in result["types"].items():  # type: ignore[attr-defined]
        strength = np.interp(0.6, entry["intensity"], entry["strength"])
        distance = calibrate.monotone(samples[name], consensus)
        distances.append(calibrate.distance_at(samples[name], distance, float(strength)))
    assert distances[0] == pytest.approx(distances[1], abs=0.06)
    expected = result["d_jnd"] + (result["d_max"] - result["d_jnd"]) * 0.5 / 0.9  # type: ignore[operator]
    assert distances == pytest.approx([expected] * 2, abs=0.06)


def test_a_type_out_of_reach_is_capped() -> None:
    strengths = np.array([1.0, 2.0, 3.0])
    entry = calibrate.fit_curve(
        calibrate.Samples(strengths, np.zeros((3, 1, 4))), np.array([0.1, 0.3, 0.5]), d_jnd=0.1, d_max=0.9
    )
    assert entry["cap"] == pytest.approx(0.55)
    assert max(entry["strength"]) == pytest.approx(3.0)  # type: ignore[call-overload]


def test_command_line_refuses_too_few_photos(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    cv2.imwrite(str(tmp_path / "one.png"), np.zeros((64, 64, 3), dtype=np.uint8))
    assert calibrate.main([str(tmp_path), "--out", str(tmp_path / "curves.json"), "--size", "64"]) == 2
    assert "expected 8" in capsys.readouterr().err and not (tmp_path / "curves.json").exists()


def test_grey_photos_are_left_out(tmp_path: Path) -> None:
    rng = np.random.default_rng(0)
    for index in range(10):
        pixels = rng.integers(0, 256, (32, 32, 3), dtype=np.uint8)
        cv2.imwrite(str(tmp_path / f"{index}.png"), pixels if index < 9 else pixels[:, :, :1].repeat(3, axis=2))
    crops = calibrate.load_crops([tmp_path], count=10, size=32, seed=0)
    assert len(crops) == 9 and all(np.ptp(crop, axis=2).mean() > 0.1 for crop in crops)
