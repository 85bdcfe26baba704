"""Training pairs and ordinal sets: the target is what was planted."""

from __future__ import annotations

from collections.abc import Callable
from typing import Literal

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from pixelperfect_models.channels import CHANNELS, SIGNED_CHANNELS
from pixelperfect_models.distortions import engine as engine_module
from pixelperfect_models.distortions import severity
from pixelperfect_models.distortions.engine import (
    DistortionEngine,
    Layer,
    apply_layers,
    channel_intensity,
)
from pixelperfect_models.distortions.table import DISTORTIONS
from pixelperfect_models.errors import UserError


@pytest.fixture(scope="module")
def picture() -> np.ndarray:
    """Tones, edges and texture, 64 x 72."""
    y, x = np.mgrid[0:64, 0:72].astype(np.float32)
    base = np.stack([0.2 + x / 150, 0.7 - y / 150, 0.4 + 0.2 * np.sin(x / 5)], axis=-1)
    base[(x // 10 + y // 13) % 2 == 0] *= 0.6
    grain = np.random.default_rng(0).normal(0, 0.05, base.shape)
    return np.clip(base + grain, 0, 1).astype(np.float32)


@settings(max_examples=60, deadline=None)
@given(seed=st.integers(0, 2**32 - 1))
def test_pairs_are_in_range_and_reproduce(seed: int, picture: np.ndarray) -> None:
    engine = DistortionEngine()
    test, ref, target = engine.pair(picture, np.random.default_rng(seed))
    assert target.shape == (len(CHANNELS), 64, 72)
    for array in (test, ref, target):
        assert array.dtype == np.float32 and array.min() >= 0.0 and array.max() <= 1.0
    again = engine.pair(picture, np.random.default_rng(seed))
    for first, second in zip((test, ref, target), again, strict=True):
        np.testing.assert_array_equal(first, second)


@settings(max_examples=25, deadline=None)
@given(seed=st.integers(0, 2**32 - 1))
def test_swapping_is_antisymmetric(seed: int, picture: np.ndarray) -> None:
    plain = DistortionEngine(p_swap=0.0).pair(picture, np.random.default_rng(seed))
    swapped = DistortionEngine(p_swap=1.0).pair(picture, np.random.default_rng(seed))
    np.testing.assert_array_equal(swapped[0], plain[1])
    np.testing.assert_array_equal(swapped[1], plain[0])
    np.testing.assert_allclose(swapped[2], 1.0 - plain[2], atol=1e-6)


def test_shares(picture: np.ndarray) -> None:
    engine = DistortionEngine(types=("exposure", "luma_noise", "jpeg", "saturation"), p_8_bit=0.0)
    pristine_ref, pristine_test, nothing, identical = 0, 0, 0, 0
    count = 400
    for seed in range(count):
        test, ref, target = engine.pair(picture, np.random.default_rng(seed))
        same_ref, same_test = np.array_equal(ref, picture), np.array_equal(test, picture)
        nothing += same_ref and same_test
        pristine_ref += same_ref and not same_test
        pristine_test += same_test and not same_ref
        if np.array_equal(test, ref):
            identical += not same_ref
            np.testing.assert_allclose(target, 0.5, atol=1e-6)
    both = 1 - (pristine_ref + pristine_test + nothing) / count
    assert 0.30 < both < 0.48
    assert 0.005 < nothing / count < 0.07
    assert 0.18 < pristine_test / (pristine_ref + pristine_test) < 0.33
    assert 0.03 < identical / count < 0.11


def test_only_the_named_types_appear(picture: np.ndarray) -> None:
    engine = DistortionEngine(types=("exposure", "jpeg"))
    used = np.zeros(len(CHANNELS), dtype=bool)
    for seed in range(20):
        used |= np.any(np.abs(engine.pair(picture, np.random.default_rng(seed))[2] - 0.5) > 1e-6, axis=(1, 2))
    assert {name for name, seen in zip(CHANNELS, used, strict=True) if seen} == {"exposure", "blocking"}


def test_the_target_is_neutral_where_nothing_was_done(picture: np.ndarray) -> None:
    engine = DistortionEngine(types=("gaussian_blur", "luma_noise", "exposure"), p_both=0.0, p_swap=0.0, p_8_bit=0.0)
    for seed in range(15):
        test, _, target = engine.pair(picture, np.random.default_rng(seed))
        untouched = np.all(target == 0.5, axis=0)
        np.testing.assert_array_equal(test[untouched], picture[untouched])


def test_noise_is_drawn_independently(picture: np.ndarray, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(engine_module, "BOTH_SHARES", {"same": 1.0})
    engine = DistortionEngine(types=("luma_noise",), p_both=1.0, p_nothing=0.0, p_8_bit=0.0)
    for seed in range(5):
        test, ref, _ = engine.pair(picture, np.random.default_rng(seed))
        first, second = (test - picture).ravel(), (ref - picture).ravel()
        assert abs(np.corrcoef(first, second)[0, 1]) < 0.25


def test_half_of_the_pictures_are_8_bit(picture: np.ndarray) -> None:
    engine = DistortionEngine(types=("exposure",), p_both=0.0, p_swap=0.0, p_nothing=0.0)
    tests = [engine.pair(picture, np.random.default_rng(seed))[0] * 255 for seed in range(60)]
    share = np.mean([np.abs(test - np.round(test)).max() < 1e-3 for test in tests])
    assert 0.3 < share < 0.7


def test_types_of_one_channel_combine() -> None:
    one = np.full((4, 4), 0.5, dtype=np.float32)
    found = channel_intensity([Layer("gaussian_blur", one, 0), Layer("motion_blur", one * 0.4, 0)], (4, 4))
    assert found[CHANNELS.index("blur")] == pytest.approx(1 - 0.5 * 0.8)
    assert np.count_nonzero(found) == 16
    found = channel_intensity([Layer("correlated_noise", one, 0)], (4, 4))
    assert found[CHANNELS.index("luma_noise"), 0, 0] == pytest.approx(0.5)
    share = DISTORTIONS["correlated_noise"].channels["chroma_noise"]
    assert found[CHANNELS.index("chroma_noise"), 0, 0] == pytest.approx(0.5 * share)


def test_layers_act_in_physical_order(picture: np.ndarray) -> None:
    full = np.full(picture.shape[:2], 0.5, dtype=np.float32)
    blur, noise = Layer("gaussian_blur", full, 1), Layer("luma_noise", full, 2)
    expected = apply_layers(apply_layers(picture, [blur]), [noise])
    for order in ([blur, noise], [noise, blur]):
        np.testing.assert_array_equal(apply_layers(picture, order), expected)
    modules = {entry.function.__module__.rpartition(".")[2] for entry in DISTORTIONS.values()}
    assert modules == set(engine_module.STAGES)


@pytest.mark.parametrize("name", sorted(DISTORTIONS))
def test_planted_maps(name: str, picture: np.ndarray) -> None:
    intensity = np.zeros(picture.shape[:2], dtype=np.float32)
    intensity[:, 40:] = 0.3
    test, target = DistortionEngine().planted(picture, name, intensity, np.random.default_rng(0))
    np.testing.assert_array_equal(test[:, :40], picture[:, :40])
    for channel, share in DISTORTIONS[name].channels.items():
        found = target[CHANNELS.index(channel)] - 0.5
        if channel in SIGNED_CHANNELS:
            found = found * np.sign(found[0, -1])
        np.testing.assert_allclose(found, 0.5 * share * intensity, atol=1e-6)
    others = [index for index, channel in enumerate(CHANNELS) if channel not in DISTORTIONS[name].channels]
    assert np.all(target[others] == 0.5)


def test_planted_above_the_cap_is_cut(picture: np.ndarray, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(severity, "cap", lambda name: 0.25)
    _, target = DistortionEngine().planted(picture, "jpeg", np.ones((64, 72)), np.random.default_rng(0))
    assert target[CHANNELS.index("blocking")] == pytest.approx(0.625)


@settings(max_examples=30, deadline=None)
@given(seed=st.integers(0, 2**32 - 1), levels=st.integers(2, 6), mixed=st.booleans())
def test_ordinal_sets(seed: int, levels: int, mixed: bool, picture: np.ndarray) -> None:
    engine = DistortionEngine()
    found = engine.ordinal_set(picture, np.random.default_rng(seed), levels, mixed)
    assert len(found.images) == len(found.intensities) == len(found.types) == levels
    np.testing.assert_array_equal(found.images[0], picture)
    assert found.intensities[0] == 0.0 and found.types[0] == () and np.all(np.diff(found.intensities) > 0)
    assert mixed or len(set(found.types[1:])) == 1
    again = engine.ordinal_set(picture, np.random.default_rng(seed), levels, mixed)
    np.testing.assert_array_equal(again.images[-1], found.images[-1])


@pytest.mark.parametrize("name", sorted(DISTORTIONS))
def test_ordinal_sets_move_away_from_the_photo(name: str, picture: np.ndarray) -> None:
    engine = DistortionEngine(types=(name,), p_8_bit=0.0)
    error = np.zeros(4)
    for seed in range(6):
        images = engine.ordinal_set(picture, np.random.default_rng(seed), levels=4).images
        error += [float(np.mean((image - picture) ** 2)) for image in images]
    assert np.all(np.diff(error) > 0), error


def test_beyond_the_scale_the_picture_goes_on_and_the_target_stays(picture: np.ndarray) -> None:
    for seed in range(20):
        inside, beyond = (
            DistortionEngine(("luma_noise",), p_swap=0.0, p_both=0.0, p_nothing=0.0, p_8_bit=0.0, p_beyond=share)
            for share in (0.0, 1.0)
        )
        plain = inside.pair(picture, np.random.default_rng(seed))
        ruined = beyond.pair(picture, np.random.default_rng(seed))
        assert np.abs(ruined[0] - picture).mean() > np.abs(plain[0] - picture).mean()
        assert ruined[2].max() == pytest.approx(1.0, abs=1e-6)  # its peak is above 1, so the channel is at its end
        assert np.all(ruined[2] >= plain[2] - 1e-6)


@pytest.mark.parametrize("masks", ["uniform", "perlin"])
def test_masks_of_one_kind(masks: Literal["uniform", "perlin"], picture: np.ndarray) -> None:
    engine = DistortionEngine(("luma_noise",), p_swap=0.0, p_both=0.0, p_nothing=0.0, masks=masks)
    noise = CHANNELS.index("luma_noise")
    spans = [np.ptp(engine.pair(picture, np.random.default_rng(seed))[2][noise]) for seed in range(12)]
    assert all(span == 0.0 for span in spans) if masks == "uniform" else all(span > 0.01 for span in spans)


def test_emphasis_is_how_often_a_type_is_drawn(picture: np.ndarray) -> None:
    engine = DistortionEngine(("exposure", "luma_noise"), p_swap=0.0, p_both=0.0, p_nothing=0.0,
                              emphasis={"luma_noise": 4.0})  # fmt: skip
    noise, exposure = CHANNELS.index("luma_noise"), CHANNELS.index("exposure")
    noisy = exposed = 0
    for seed in range(300):
        target = engine.pair(picture, np.random.default_rng(seed))[2]
        one = (target[noise].max() > 0.5) != (np.abs(target[exposure] - 0.5).max() > 0.0)
        noisy += one and target[noise].max() > 0.5
        exposed += one and target[noise].max() <= 0.5
    assert 2.5 < noisy / exposed < 6.5


def test_refusals(picture: np.ndarray) -> None:
    with pytest.raises(ValueError, match="emphasis of jpeg: 0"):
        DistortionEngine(emphasis={"jpeg": 0.0})
    with pytest.raises(UserError, match="did you mean 'jpeg'"):
        DistortionEngine(emphasis={"jpg": 2.0})
    with pytest.raises(ValueError, match="masks: 'stripes'"):
        DistortionEngine(masks="stripes")  # type: ignore[arg-type]
    with pytest.raises(ValueError, match=r"p_beyond=1\.5"):
        DistortionEngine(p_beyond=1.5)
    with pytest.raises(UserError, match="did you mean 'jpeg'"):
        DistortionEngine(types=("jpg",))
    with pytest.raises(ValueError, match="at least one"):
        DistortionEngine(types=())
    with pytest.raises(ValueError, match="p_swap"):
        DistortionEngine(p_swap=2.0)
    with pytest.raises(ValueError, match="float32"):
        DistortionEngine().pair(picture.astype(np.float64), np.random.default_rng(0))
    with pytest.raises(ValueError, match="levels=1"):
        DistortionEngine().ordinal_set(picture, np.random.default_rng(0), levels=1)


@pytest.mark.parametrize(
    ("name", "amount"),
    [
        ("exposure", lambda x: x.mean()),
        ("contrast", lambda x: x.std()),
        ("saturation", lambda x: (x.max(2) - x.min(2)).mean()),
        ("color_cast", lambda x: (x[..., 0] - x[..., 2]).mean()),
    ],
)
def test_signed_targets_say_which_way(name: str, amount: Callable[[np.ndarray], float]) -> None:
    photo = np.random.default_rng(0).random((48, 48, 3)).astype(np.float32) * 0.5 + 0.25
    photo[:, :, 2] *= 0.8
    (channel,) = DISTORTIONS[name].channels
    seen = set()
    for seed in range(12):
        where = np.full((48, 48), 0.6, np.float32)
        test, target = DistortionEngine().planted(photo, name, where, np.random.default_rng(seed))
        sign = np.sign(target[CHANNELS.index(channel)].mean() - 0.5)
        assert sign == np.sign(amount(test) - amount(photo))
        seen.add(float(sign))
    assert seen == {-1.0, 1.0}
