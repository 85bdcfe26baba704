"""Every distortion type of the table: identity at 0, range, determinism, growth with strength, locality."""

from __future__ import annotations

import inspect
from itertools import pairwise

import cv2
import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from skimage.restoration import denoise_tv_chambolle

from pixelperfect_models.channels import CHANNELS
from pixelperfect_models.distortions.bayer import channel_masks, demosaic_bilinear, mosaic
from pixelperfect_models.distortions.blur import _correlate
from pixelperfect_models.distortions.common import chroma_to_rgb, luma, to_linear, to_srgb
from pixelperfect_models.distortions.noise import blob_noise
from pixelperfect_models.distortions.smoothing import _DENOISERS
from pixelperfect_models.distortions.table import DISTORTIONS, Distortion

TYPES = sorted(DISTORTIONS)
LOCAL_TYPES = [name for name in TYPES if DISTORTIONS[name].local]


def textured(height: int, width: int, seed: int = 0) -> np.ndarray:
    """A colourful picture with smooth gradients, an edge and texture, away from black and white."""
    rng = np.random.default_rng(seed)
    y, x = np.mgrid[0:height, 0:width] / max(height, width)
    base = np.stack([0.35 + 0.3 * x, 0.6 - 0.25 * y, 0.4 + 0.2 * x * y], axis=-1)
    base[:, width // 2 :] += np.array([0.12, -0.08, 0.1])
    grain = cv2.GaussianBlur(rng.standard_normal((height, width, 3)), (0, 0), 0.8)
    return np.clip(base + 0.06 * grain, 0.02, 0.98).astype(np.float32)


def apply(entry: Distortion, image: np.ndarray, strength: object, seed: int = 3) -> np.ndarray:
    return entry.function(image, strength, np.random.default_rng(seed))  # type: ignore[arg-type]


def middle_strength(entry: Distortion) -> float:
    return float(np.sqrt(entry.strength_low * entry.strength_high))


def test_every_type_is_documented_and_names_known_channels() -> None:
    assert len(DISTORTIONS) == 24
    for name, entry in DISTORTIONS.items():
        assert entry.name == name == entry.function.__name__
        assert entry.channels and set(entry.channels) <= set(CHANNELS), name
        assert all(0 < weight <= 1 for weight in entry.channels.values()), name
        assert max(entry.channels.values()) == 1.0, name
        assert 0 < entry.strength_low < entry.strength_high, name
        assert list(inspect.signature(entry.function).parameters) == ["image", "strength", "rng"]
        assert len(entry.doc) > 20 and len(entry.source) > 10 and entry.unit, name
        assert "Imitates" in (entry.function.__doc__ or ""), name


def test_every_channel_has_a_type() -> None:
    assert {channel for entry in DISTORTIONS.values() for channel in entry.channels} == set(CHANNELS)


@pytest.mark.parametrize("name", TYPES)
def test_strength_zero_is_the_identity_to_the_last_bit(name: str) -> None:
    entry, image = DISTORTIONS[name], textured(48, 56)
    for seed in range(6):  # several variants
        result = apply(entry, image, 0.0, seed)
        assert np.array_equal(result, image)
        assert not np.shares_memory(result, image)
        if entry.local:
            assert np.array_equal(apply(entry, image, np.zeros((48, 56, 1), np.float32), seed), image)


@pytest.mark.parametrize("name", TYPES)
@given(data=st.data())
@settings(max_examples=8, deadline=None)
def test_any_size_and_strength_gives_a_valid_picture_and_leaves_the_input_alone(name: str, data: st.DataObject) -> None:
    entry = DISTORTIONS[name]
    height, width = data.draw(st.integers(16, 41)), data.draw(st.integers(16, 41))
    strength = data.draw(st.sampled_from((0.3 * entry.strength_low, entry.strength_low, middle_strength(entry),
                                          entry.strength_high)))  # fmt: skip
    seed = data.draw(st.integers(0, 1000))
    image = data.draw(st.sampled_from((textured(height, width), np.zeros((height, width, 3), np.float32),
                                       np.ones((height, width, 3), np.float32))))  # fmt: skip
    before = image.copy()
    result = apply(entry, image, strength, seed)
    assert result.shape == image.shape and result.dtype == np.float32 and result.flags["C_CONTIGUOUS"]
    assert np.isfinite(result).all() and result.min() >= 0.0 and result.max() <= 1.0
    assert np.array_equal(image, before)
    assert np.array_equal(result, apply(entry, image, strength, seed))


@pytest.mark.parametrize("name", TYPES)
def test_error_grows_with_strength_for_one_generator_state(name: str) -> None:
    entry, image = DISTORTIONS[name], textured(64, 64)
    strengths = np.geomspace(entry.strength_low, entry.strength_high, 6)
    for seed in range(6):
        errors = [float(np.abs(apply(entry, image, float(s), seed) - image).mean()) for s in strengths]
        # Rounding, codecs and a swinging displacement may take a little back between neighbours, never much.
        assert all(later > 0.8 * earlier for earlier, later in pairwise(errors)), errors
        assert errors[-1] > 2 * errors[0] and errors[-1] > 0.008, errors


@pytest.mark.parametrize("name", TYPES)
def test_a_small_step_of_strength_is_a_small_change(name: str) -> None:
    entry, image = DISTORTIONS[name], textured(64, 64)
    for seed in range(4):
        strength = middle_strength(entry)
        here, there = apply(entry, image, strength, seed), apply(entry, image, 1.01 * strength, seed)
        # The same field, direction and variant: two unlike draws would differ by more than the distortion itself.
        assert np.abs(here - there).mean() < 0.5 * np.abs(here - image).mean()


@pytest.mark.parametrize("name", LOCAL_TYPES)
def test_local_types_act_where_the_strength_is_and_as_a_uniform_one_would(name: str) -> None:
    entry, image = DISTORTIONS[name], textured(64, 128)
    strength = np.zeros((64, 128, 1), np.float32)
    strength[:, 64:] = entry.strength_high  # the edge is on every block grid
    for seed in range(4):
        mixed = apply(entry, image, strength, seed)
        uniform = apply(entry, image, entry.strength_high, seed)
        assert np.array_equal(mixed[:, :64], image[:, :64])
        np.testing.assert_allclose(mixed[:, 64:], uniform[:, 64:], atol=2e-6)
        assert np.abs(mixed[:, 64:] - image[:, 64:]).mean() > 0.005


def test_both_directions_of_signed_types_occur_and_do_not_depend_on_strength() -> None:
    image = textured(32, 32)
    entry = DISTORTIONS["exposure"]
    brighter = [apply(entry, image, 1.0, seed).mean() > image.mean() for seed in range(12)]
    assert any(brighter) and not all(brighter)
    assert brighter == [apply(entry, image, 0.1, seed).mean() > image.mean() for seed in range(12)]


def test_exposure_is_in_stops() -> None:
    grey = np.full((16, 16, 3), 0.4, np.float32)
    ratios = {round(float(np.log2((apply(DISTORTIONS["exposure"], grey, 1.0, s) / grey).mean()) * 2.2), 3)
              for s in range(10)}  # fmt: skip
    assert ratios == {-1.0, 1.0}


def test_noise_has_the_deviation_asked_for() -> None:
    grey = np.full((128, 128, 3), 0.5, np.float32)
    assert (apply(DISTORTIONS["luma_noise"], grey, 0.05) - grey).std() == pytest.approx(0.05, rel=0.05)
    assert luma(apply(DISTORTIONS["correlated_noise"], grey, 0.05) - grey).std() == pytest.approx(0.05, rel=0.1)
    for sigma in (0.0, 0.7, 2.5):
        assert blob_noise((256, 256), sigma, np.random.default_rng(0)).std() == pytest.approx(1.0, rel=0.08)


def test_chroma_noise_and_saturation_keep_luma_and_luma_noise_keeps_chroma() -> None:
    grey = np.full((64, 64, 3), 0.5, np.float32)
    noisy = apply(DISTORTIONS["chroma_noise"], grey, 0.03)
    assert noisy.std(axis=-1).mean() > 0.01
    np.testing.assert_allclose(luma(noisy), 0.5, atol=1e-4)
    assert apply(DISTORTIONS["luma_noise"], grey, 0.03).std(axis=-1).max() < 1e-6
    image = textured(64, 64)
    np.testing.assert_allclose(luma(apply(DISTORTIONS["saturation"], image, 0.2)), luma(image), atol=1e-3)


def test_sensor_noise_is_correlated_and_fades_in_highlights() -> None:
    ramp = np.repeat(np.linspace(0.3, 0.95, 128, dtype=np.float32)[None, :, None], 128, 0).repeat(3, 2)
    ratios = []
    for seed in range(8):
        error = luma(apply(DISTORTIONS["sensor_noise"], ramp, 0.02, seed) - ramp)[..., 0]
        neighbours = np.corrcoef(error[:, 1:].ravel(), error[:, :-1].ravel())[0, 1]
        assert 0.25 < neighbours < 0.9
        ratios.append(error[:, -24:].std() / error[:, :40].std())
    assert np.mean(ratios) < 0.85


def test_lost_blocks_are_nested_and_as_many_as_asked_for() -> None:
    image = np.random.default_rng(0).random((64, 64, 3), dtype=np.float32)
    for seed in range(6):
        few = np.any(apply(DISTORTIONS["block_loss"], image, 0.1, seed) != image, axis=-1)
        many = np.any(apply(DISTORTIONS["block_loss"], image, 0.5, seed) != image, axis=-1)
        assert few.any() and not (few & ~many).any()
        assert 0.35 < many.mean() < 0.55


def test_clean_flat_areas_are_not_touched_by_types_about_detail() -> None:
    grey = np.full((32, 32, 3), 0.5, np.float32)
    for name in ("gaussian_blur", "defocus_blur", "motion_blur", "oversharpening", "downsampling", "upscaling",
                 "demosaicing",
                 "chromatic_aberration", "misregistration", "denoiser_smoothing"):  # fmt: skip
        for seed in range(4):
            result = apply(DISTORTIONS[name], grey, middle_strength(DISTORTIONS[name]), seed)
            np.testing.assert_allclose(result, grey, atol=2.1e-3, err_msg=name)  # half an 8-bit step in NLM


@pytest.mark.parametrize("kind", sorted(_DENOISERS))
def test_every_denoiser_takes_texture_and_keeps_edges(kind: str) -> None:
    picture = np.full((48, 64, 3), 0.2, np.float32)
    picture[:, 32:] = 0.8
    grain = 0.02 * np.random.default_rng(0).standard_normal(picture.shape).astype(np.float32)
    smooth = _DENOISERS[kind](picture + grain, 3, 0.06)
    inside = np.s_[8:-8, 8:24]
    assert smooth[inside].std() < 0.6 * grain[inside].std()
    assert (smooth[8:-8, 33] - smooth[8:-8, 30]).mean() > 0.5
    # Towards no strength, towards no change.
    assert np.abs(_DENOISERS[kind](picture + grain, 3, 1e-4) - picture - grain).max() < 0.01


def test_denoisers_of_one_strength_are_about_as_visible() -> None:
    picture = textured(96, 96)
    for strength in (0.02, 0.06, 0.2):
        errors = [np.square(smooth(picture, 3, strength) - picture).mean() for smooth in _DENOISERS.values()]
        assert max(errors) < 10 ** (8 / 10) * min(errors), strength  # 8 dB


def test_total_variation_is_scikit_images_on_a_grey_picture() -> None:
    grey = luma(textured(48, 64))[..., 0]
    smooth = _DENOISERS["total variation"](np.repeat(grey[..., None], 3, axis=-1), 3, 0.04)
    # Three equal channels: sqrt(3) times the variation, three times the squared distance.
    weight = 1.35 * 0.04**1.25 / 3**0.5
    expected = denoise_tv_chambolle(grey, weight=weight, eps=1e-7, max_num_iter=3000)
    assert np.abs(expected - grey).max() > 0.03
    np.testing.assert_allclose(smooth, np.repeat(expected[..., None], 3, axis=-1), atol=2e-3)


def test_jpeg_tables_are_the_annex_k_ones_at_scale_one() -> None:
    from pixelperfect_models.distortions.compression import CHROMA_TABLE, LUMA_TABLE, _scaled

    assert (LUMA_TABLE.sum(), CHROMA_TABLE.sum()) == (3688, 5505)  # sums of tables K.1 and K.2
    assert _scaled(LUMA_TABLE, 1.0)[:4] == [16, 11, 10, 16]
    assert _scaled(LUMA_TABLE, 100.0)[0] == 255 and _scaled(LUMA_TABLE, 1e-6)[0] == 1


@given(st.floats(0.0, 1.0, width=32))
def test_srgb_curve_round_trip_and_anchor_points(value: float) -> None:
    assert to_srgb(to_linear(np.float32([value])))[0] == pytest.approx(value, abs=1e-5)
    assert to_linear(np.float32([0.5]))[0] == pytest.approx(0.21404, abs=1e-4)


def test_chroma_to_rgb_has_no_luma() -> None:
    planes = np.random.default_rng(0).standard_normal((2, 8, 8)).astype(np.float32)
    np.testing.assert_allclose(luma(chroma_to_rgb(planes[0], planes[1])), 0.0, atol=1e-4)


@pytest.mark.parametrize("phase", [(0, 0), (0, 1), (1, 0), (1, 1)])
def test_bayer_masks_and_bilinear_demosaicing_keep_samples_and_planes(phase: tuple[int, int]) -> None:
    masks = channel_masks((17, 18), phase)
    assert np.array_equal(masks.sum(-1), np.ones((17, 18)))
    assert masks[phase[0], phase[1], 0] == 1.0
    image = np.random.default_rng(0).random((17, 18, 3), dtype=np.float32)
    rebuilt = demosaic_bilinear(mosaic(image, masks), masks)
    np.testing.assert_allclose((rebuilt * masks).sum(-1), mosaic(image, masks), atol=1e-6)
    flat = np.broadcast_to(np.float32([0.2, 0.5, 0.7]), (17, 18, 3)).copy()
    np.testing.assert_allclose(demosaic_bilinear(mosaic(flat, masks), masks), flat, atol=1e-6)


@pytest.mark.parametrize("side", [3, 11, 13, 29])
def test_tiled_correlation_is_opencv_s(side: int) -> None:
    image = textured(37, 30)
    kernel = np.random.default_rng(side).random((side, side)).astype(np.float32) / side**2
    expected = cv2.filter2D(image, -1, kernel, borderType=cv2.BORDER_REFLECT_101)
    np.testing.assert_allclose(_correlate(image, kernel), expected, atol=1e-5)
