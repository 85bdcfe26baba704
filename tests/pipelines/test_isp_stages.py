"""What each ISP stage does, against its formula in NumPy or against Kornia and OpenCV, and what it must leave alone."""

from __future__ import annotations

from typing import Any

import cv2
import numpy as np
import pytest
import torch
from hypothesis import given, settings
from hypothesis import strategies as st
from kornia.enhance import adjust_saturation_with_gray_subtraction
from kornia.filters import guided_blur
from torch import Tensor

import pipelines
from pipelines.isp.exposure import KNEE
from pipelines.isp.inverse import Simulation, camera_matrix
from pipelines.isp.local_tone import CONTRAST, WINDOW
from pipelines.isp.mosaic import Mosaic
from pipelines.isp.stage import Shot
from pipelines.isp.table import STAGES
from pipelines.parameters import Choice

SHOT = Shot("GRBG", torch.tensor([1.9, 1.0, 1.4]), camera_matrix().double(), 1e-3, 1e-5)
LUMA = torch.tensor([0.299, 0.587, 0.114], dtype=torch.float64).view(1, 3, 1, 1)  # ITU-R BT.601


def apply(name: str, image: Tensor, shot: Shot = SHOT, **values: float) -> Tensor:
    """The stage's output; parameters that are not given are neutral, or at their default."""
    stage = STAGES[name]()
    numbers = {key: p.default for key, p in stage.parameters.items()} | stage.neutral | values
    return stage.apply(image, shot, **{k: torch.tensor(v, dtype=image.dtype) for k, v in numbers.items()})


def colours(side: int = 24, seed: int = 0) -> Tensor:
    """(1, 3, side, side) float64 in [0.25, 0.75], every pixel another colour."""
    generator = torch.Generator().manual_seed(seed)
    return 0.25 + 0.5 * torch.rand(1, 3, side, side, generator=generator, dtype=torch.float64)


def ramp(low: float = 0.0, high: float = 1.0) -> Tensor:
    """(1, 3, 1, 201) float64, grey."""
    return torch.linspace(low, high, 201, dtype=torch.float64).expand(1, 3, 1, 201)


def luma(image: Tensor) -> Tensor:
    return (image * LUMA).sum(1, keepdim=True)


def test_levels_are_taken_away_from_the_pixels_of_their_colour() -> None:
    mosaic = torch.full((1, 1, 16, 16), 0.5, dtype=torch.float64)
    got = apply("level", mosaic, red=0.01, green=-0.01, blue=0.02, white=0.9)
    assert got[0, 0, 0, 0].item() == pytest.approx(0.51 / 0.91)  # GRBG: green and red, blue and green
    assert got[0, 0, 0, 1].item() == pytest.approx(0.49 / 0.89)
    assert got[0, 0, 1, 0].item() == pytest.approx(0.48 / 0.88)
    assert got[0, 0, 1, 1].item() == pytest.approx(0.51 / 0.91)


def test_white_balance_scales_red_and_blue_alone_and_clips_at_white() -> None:
    mosaic = torch.full((1, 1, 16, 16), 0.3, dtype=torch.float64)
    got = apply("white_balance", mosaic, red=1.5, blue=2.0)[0, 0, :2, :2].flatten()
    assert got.tolist() == pytest.approx([0.3, 0.3 * 1.9 * 1.5, 0.3 * 1.4 * 2.0, 0.3])
    assert float(apply("white_balance", 2.0 * mosaic, red=2.0).max()) == 1.0


def test_shading_undoes_a_radial_falloff_of_the_whole_frame() -> None:
    rows, columns = np.mgrid[0:30, 0:40]
    radius = np.hypot(rows - 14.5, columns - 19.5) / np.hypot(15, 20)
    falloff = 1.0 / (1.0 + 0.8 * radius**2 + 0.3 * radius**4)
    shaded = torch.from_numpy(0.4 * falloff)[None, None]
    assert torch.allclose(apply("shading", shaded, quadratic=0.8, quartic=0.3), torch.full_like(shaded, 0.4))
    part = Shot("GRBG", SHOT.white_balance, SHOT.color_matrix, frame=(10, 4, 30, 40))
    flat = apply("shading", shaded[..., 10:28, 4:26], part, quadratic=0.8, quartic=0.3)
    assert torch.allclose(flat, torch.full_like(flat, 0.4))


@pytest.mark.parametrize("strength", [0.0, 0.4, 1.0, 1.5])
def test_the_color_matrix_is_blended_with_the_camera_s_colours_and_grey_stays(strength: float) -> None:
    camera = colours()
    matrix = SHOT.color_matrix.numpy()
    expected = (1 - strength) * camera[0].numpy() + strength * np.einsum("rc,chw->rhw", matrix, camera[0].numpy())
    np.testing.assert_allclose(apply("color_matrix", camera, strength=strength)[0].numpy(), expected, atol=1e-12)
    assert torch.allclose(apply("color_matrix", ramp(), strength=strength), ramp(), atol=1e-6)


def test_exposure_is_a_gain_in_stops_with_a_shoulder_that_never_reaches_white() -> None:
    linear = ramp(-0.1, 1.2)
    assert torch.allclose(apply("exposure", linear, gain=1.5), linear * 2**1.5)
    bent = apply("exposure", linear, gain=1.0, shoulder=1.0)
    x = 2.0 * linear.numpy()
    expected = np.where(x > KNEE, 1 - (1 - KNEE) * np.exp(-(x - KNEE) / (1 - KNEE)), x)
    np.testing.assert_allclose(bent.numpy(), expected, atol=1e-12)
    assert float(bent.max()) < 1.0 and bool((bent.diff(dim=-1) > 0).all())
    halfway = apply("exposure", linear, gain=1.0, shoulder=0.5)
    assert torch.allclose(halfway, (bent + 2.0 * linear) / 2)
    slopes = apply("exposure", ramp(KNEE - 1e-4, KNEE + 1e-4), shoulder=1.0).diff(dim=-1) / 1e-6
    assert torch.allclose(slopes, torch.ones_like(slopes), atol=1e-3)  # no corner where it begins to bend


def encoded(linear: np.ndarray) -> np.ndarray:
    """IEC 61966-2-1."""
    return np.where(linear <= 0.0031308, 12.92 * linear, 1.055 * np.maximum(linear, 0.0031308) ** (1 / 2.4) - 0.055)


def decoded(values: Tensor) -> Tensor:
    """IEC 61966-2-1 backwards: linear light whose encoded values are these."""
    return torch.where(values <= 0.04045, values / 12.92, ((values.clamp(min=0.04045) + 0.055) / 1.055) ** 2.4)


def test_gamma_is_a_power_of_the_encoded_values() -> None:
    got = apply("tone", ramp(1e-3, 1.0), gamma=1.7)
    np.testing.assert_allclose(got.numpy(), encoded(ramp(1e-3, 1.0).numpy()) ** 1.7, atol=1e-9)


@settings(max_examples=100, deadline=None)
@given(st.floats(-1.0, 1.0), st.floats(0.2, 0.8))
def test_contrast_turns_about_its_pivot_and_keeps_the_order_of_tones(contrast: float, pivot: float) -> None:
    curve = apply("tone", decoded(ramp()), contrast=contrast, pivot=pivot)[0, 0, 0]
    assert float(curve.diff().min()) > -1e-9
    assert float(curve[0]) == pytest.approx(0.0, abs=1e-9) and float(curve[-1]) == pytest.approx(1.0, abs=1e-9)
    about = decoded(torch.tensor([pivot - 1e-4, pivot, pivot + 1e-4], dtype=torch.float64).expand(1, 3, 1, 3))
    low, still, high = apply("tone", about, contrast=contrast, pivot=pivot)[0, 0, 0].tolist()
    assert still == pytest.approx(pivot, abs=1e-9)
    slope = 1.0 + contrast * pivot * (1.0 - pivot) / max(pivot, 1.0 - pivot)  # steeper where contrast is positive
    assert (high - low) / 2e-4 == pytest.approx(slope, abs=1e-4)


def test_luma_and_chroma_are_denoised_apart_and_edges_stay() -> None:
    generator = torch.Generator().manual_seed(0)
    clean = torch.full((1, 3, 48, 48), 0.3, dtype=torch.float64)
    clean[..., 24:] = 0.7
    noisy = clean + 0.02 * torch.randn(clean.shape, generator=generator, dtype=torch.float64)

    def chroma(image: Tensor) -> Tensor:
        return image - luma(image)

    smooth = apply("yuv_denoise", noisy, luma=1.0, luma_threshold=0.05)
    expected = guided_blur(luma(noisy), luma(noisy), 5, 0.05**2)
    assert torch.allclose(luma(smooth), expected, atol=1e-9)
    assert torch.allclose(chroma(smooth), chroma(noisy), atol=1e-9)
    assert float((luma(smooth) - luma(clean)).std()) < 0.5 * float((luma(noisy) - luma(clean)).std())
    assert float(luma(smooth)[..., 24:].mean() - luma(smooth)[..., :24].mean()) > 0.395

    plain = apply("yuv_denoise", noisy, chroma=1.0, chroma_threshold=0.1)
    assert torch.allclose(luma(plain), luma(noisy), atol=1e-9)
    assert float(chroma(plain).std()) < 0.4 * float(chroma(noisy).std())
    half = apply("yuv_denoise", noisy, luma=0.5, luma_threshold=0.05)
    assert torch.allclose(half, (noisy + smooth) / 2, atol=1e-9)


def test_shadows_lift_the_dark_and_highlights_the_bright() -> None:
    for level in (0.0, 0.1, 0.25, 0.5, 0.75, 0.9, 1.0):
        flat = torch.full((1, 3, 40, 40), level, dtype=torch.float64)
        got = apply("local_tone", flat, shadows=0.6, highlights=-0.4)
        curve = 2 * (0.6 * level * (1 - level) ** 3 - 0.4 * level**3 * (1 - level))
        assert torch.allclose(got, flat + curve, atol=1e-9)
    dark, bright = (torch.full((1, 3, 40, 40), level, dtype=torch.float64) for level in (0.2, 0.8))
    for key, most, least in (("shadows", dark, bright), ("highlights", bright, dark)):
        lifted, spared = (float((apply("local_tone", x, **{key: 1.0}) - x).mean()) for x in (most, least))
        assert lifted > 5 * spared > 0


@pytest.mark.parametrize("side", [48, 160])
def test_detail_scales_what_the_guided_base_layer_leaves(side: int) -> None:
    picture = torch.nn.functional.interpolate(colours(side // 8), (side, side), mode="bicubic") + 0.1 * colours(side)
    y = luma(picture)
    got = apply("local_tone", picture, detail=2.0)
    base = guided_blur(y, y, WINDOW, CONTRAST**2, subsample=4 if side >= 4 * WINDOW else 1)
    assert torch.allclose(got - picture, y - base, atol=1e-9)
    assert torch.allclose(got[:, :1] - got[:, 1:2], picture[:, :1] - picture[:, 1:2])  # differences of colour stay
    assert float(apply("local_tone", picture, detail=0.5).std()) < float(picture.std()) < float(got.std())


def test_an_even_haze_is_taken_away() -> None:
    """In haze-free pictures one colour of each pixel is dark (He, Sun and Tang); light comes through by a share."""
    scene = colours()
    scene = torch.where(scene == scene.amin(1, keepdim=True), 0.0, scene)
    hazy = 0.7 * scene + 0.3
    assert torch.allclose(apply("dehaze", hazy, amount=1.0), scene, atol=1e-9)
    veil = 0.5 * 0.3
    assert torch.allclose(apply("dehaze", hazy, amount=0.5), (hazy - veil) / (1 - veil), atol=1e-9)
    assert torch.allclose(apply("dehaze", scene, amount=0.9), scene, atol=1e-9)  # there is none
    white = torch.ones_like(scene)
    assert torch.allclose(apply("dehaze", white, amount=0.9), white)


@pytest.mark.parametrize("amount", [0.0, 0.5, 1.3])
def test_saturation_agrees_with_kornia(amount: float) -> None:
    picture = 0.3 + 0.5 * colours()
    expected = adjust_saturation_with_gray_subtraction(picture, amount)
    assert torch.allclose(apply("saturation", picture, amount=amount), expected, atol=1e-6)


def test_hue_turns_chroma_by_its_degrees_and_vibrance_serves_faint_colours() -> None:
    def chroma(image: Tensor) -> np.ndarray:
        ycc = cv2.cvtColor(image[0].permute(1, 2, 0).float().numpy(), cv2.COLOR_RGB2YCrCb)
        return (ycc[..., 2] - 0.5) + 1j * (ycc[..., 1] - 0.5)

    picture = colours()
    turned = chroma(apply("saturation", picture, hue=25.0)) / chroma(picture)
    strong = np.abs(chroma(picture)) > 0.05
    assert np.allclose(np.angle(turned[strong], deg=True), 25.0, atol=0.2)
    assert np.allclose(np.abs(turned[strong]), 1.0, atol=5e-3)
    gain = np.abs(chroma(apply("saturation", picture, vibrance=0.8)) / chroma(picture))
    faint = np.abs(chroma(picture)) < 0.02
    assert faint.any() and gain[faint].min() > 1.78 and 1.0 < gain[np.abs(chroma(picture)) > 0.2].max() < 1.65


SHARES = st.lists(st.floats(0.0, 1.0), min_size=8, max_size=8)
GREY_STAYS = ("exposure", "tone", "yuv_denoise", "local_tone", "dehaze", "saturation", "sharpen", "color_matrix")


def between(name: str, shares: list[float]) -> dict[str, float]:
    """Parameters at these shares of their way from low to high."""
    numbers = STAGES[name].parameters.items()
    return {k: p.low + s * (p.high - p.low) for (k, p), s in zip(numbers, shares, strict=False)}


@settings(max_examples=60, deadline=None)
@given(st.sampled_from(GREY_STAYS), SHARES, st.integers(0, 2**20))
def test_grey_stays_grey_at_any_parameters(name: str, shares: list[float], seed: int) -> None:
    grey = colours(20, seed)[:, :1].expand(1, 3, 20, 20)
    got = apply(name, grey, **between(name, shares))
    assert torch.allclose(got, got.mean(1, keepdim=True).expand_as(got), atol=1e-5)


@settings(max_examples=60, deadline=None)
@given(SHARES, st.integers(0, 2**20))
def test_luma_stays_whatever_becomes_of_the_colours(shares: list[float], seed: int) -> None:
    picture = colours(20, seed)
    assert torch.allclose(luma(apply("saturation", picture, **between("saturation", shares))), luma(picture), atol=1e-9)


@settings(max_examples=12, deadline=None)
@given(st.data())
def test_the_whole_isp_gives_a_picture_in_range_at_any_parameters(data: st.DataObject) -> None:
    isp = pipelines.load("isp", {"output_bits": data.draw(st.sampled_from((None, 8, 10)))})
    values: dict[str, Any] = {
        key: data.draw(st.sampled_from(p.choices) if isinstance(p, Choice) else st.floats(p.low, p.high))
        for key, p in isp.parameters.items()
    }
    picture = torch.rand(1, 3, 24, 24, generator=torch.Generator().manual_seed(data.draw(st.integers(0, 99))))
    output = isp(Mosaic(*Simulation().shoot(picture, "any")), values)
    assert output.shape == picture.shape and bool(torch.isfinite(output).all())
    assert float(output.min()) >= 0.0 and float(output.max()) <= 1.0
