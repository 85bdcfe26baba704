"""The ISP: its stages' neutral settings and finite gradients, composition, simulation of mosaics, broken files."""

from __future__ import annotations

from dataclasses import replace
from pathlib import Path

import numpy as np
import pytest
import torch
from hypothesis import given, settings
from hypothesis import strategies as st

import pipelines
from pipelines.isp.cfa import PATTERNS, color_masks
from pipelines.isp.inverse import Simulation, camera_matrix
from pipelines.isp.mosaic import Mosaic, MosaicInput, linear_rendering
from pipelines.isp.stage import Shot
from pipelines.isp.table import STAGES
from pipelines.isp.tone_curve import srgb_decode, srgb_encode
from pipelines.parameters import Choice
from pixelperfect_models.errors import UserError
from pixelperfect_models.images import read_image, write_image

CLEAN = Path(__file__).parents[2] / "recipes/photos/clean"
SHOT = Shot("GRBG", torch.tensor([1.9, 1.0, 1.4]), camera_matrix(), 1e-3, 1e-5)


def stage_input(name: str, seed: int = 0, side: int = 24) -> torch.Tensor:
    """Smooth structure and noise, as the stage takes it, away from 0 and 1."""
    generator = torch.Generator().manual_seed(seed)
    channels = 1 if STAGES[name].takes == "mosaic" else 3
    waves = torch.sin(torch.arange(side, dtype=torch.float64) / 3.0)
    base = 0.35 + 0.1 * waves[:, None] * waves[None, :]
    noise = 0.1 * torch.rand(1, channels, side, side, generator=generator, dtype=torch.float64)
    return base + noise


def stage_values(name: str, share: float) -> dict[str, object]:
    """Every parameter at ``share`` of its way from low to high; choices at their default."""
    values: dict[str, object] = {}
    for key, parameter in STAGES[name].parameters.items():
        if isinstance(parameter, Choice):
            values[key] = parameter.default
        else:
            number = parameter.low + share * (parameter.high - parameter.low)
            values[key] = torch.tensor(number, dtype=torch.float64)
    return values


@pytest.mark.parametrize("name", [name for name in STAGES if STAGES[name].takes == STAGES[name].gives])
@settings(max_examples=10, deadline=None)
@given(seed=st.integers(0, 2**20), share=st.floats(0.0, 1.0))
def test_neutral_changes_nothing_whatever_the_other_parameters_are(name: str, seed: int, share: float) -> None:
    stage = STAGES[name]()
    image = stage_input(name, seed).clamp(0.0, 0.999)
    neutral = {key: torch.tensor(value, dtype=torch.float64) for key, value in stage.neutral.items()}
    shot = replace(SHOT, white_balance=torch.ones(3))
    assert torch.allclose(stage.apply(image, shot, **{**stage_values(name, share), **neutral}), image, atol=1e-9)


@settings(max_examples=25, deadline=None)
@given(
    st.integers(0, 2**20), st.sampled_from(sorted(STAGES)), st.floats(0.0, 1.0), st.sampled_from((0.0, 0.5, 1.0, None))
)
def test_output_and_gradients_are_finite_anywhere(seed: int, name: str, share: float, level: float | None) -> None:
    stage = STAGES[name]()
    image = torch.rand(stage_input(name).shape, generator=torch.Generator().manual_seed(seed)) * 1.3 - 0.1
    if level is not None:
        image = torch.full_like(image, level)
    image.requires_grad_()
    values = {
        k: v.float().requires_grad_() if isinstance(v, torch.Tensor) else v
        for k, v in stage_values(name, share).items()
    }
    output = stage.apply(image, SHOT, **values)
    output.sum().backward()
    assert torch.isfinite(output).all()
    assert image.grad is not None and torch.isfinite(image.grad).all()
    assert all(
        torch.isfinite(v.grad).all() for v in values.values() if isinstance(v, torch.Tensor) and v.grad is not None
    )


def test_the_transfer_function_is_srgb() -> None:
    # IEC 61966-2-1 in numbers: 18 % grey is level 118 of 255.
    assert float(srgb_encode(torch.tensor(0.18))) * 255 == pytest.approx(117.65, abs=0.05)
    values = torch.linspace(0.0, 1.0, 1001)
    assert torch.allclose(srgb_decode(srgb_encode(values)), values, atol=1e-6)


@pytest.mark.parametrize("cfa", PATTERNS)
def test_a_noiseless_mosaic_renders_to_the_picture_again(cfa: str) -> None:
    picture = read_image(CLEAN / "dog.png")
    mosaic = Mosaic(*Simulation(0.0, 0.0, cfa=cfa).shoot(picture, "dog"))
    again = srgb_encode(linear_rendering(mosaic, "edge_aware")).clamp(0, 1)
    assert (
        -10 * torch.log10((again - picture).square().mean()) > 33
    )  # what edge-aware demosaicing leaves of this texture
    sampled = color_masks(mosaic.data, cfa)
    camera = linear_rendering(mosaic, "bilinear")
    flat = torch.full_like(picture, 0.5)
    grey = linear_rendering(Mosaic(*Simulation(0.0, 0.0, cfa=cfa).shoot(flat, "flat")))
    assert torch.allclose(srgb_encode(grey), flat, atol=1e-4)
    assert sampled.sum() == picture.shape[-1] * picture.shape[-2] and torch.isfinite(camera).all()


def test_the_simulated_noise_has_the_variance_it_says_and_is_the_files_own() -> None:
    flat = torch.full((1, 3, 200, 200), 0.6)
    simulation = Simulation(shot_noise=0.004, read_noise=0.01)
    clean, _ = Simulation(0.0, 0.0).shoot(flat, "a")
    noisy, shot = simulation.shoot(flat, "a")
    masks = color_masks(clean, "RGGB").bool()
    for color in range(3):
        signal = float(clean[masks[:, color : color + 1]].mean())
        measured = float((noisy - clean)[masks[:, color : color + 1]].var())
        assert measured == pytest.approx(0.004 * signal + 0.01**2, rel=0.06)
        assert float((noisy - clean)[masks[:, color : color + 1]].mean()) == pytest.approx(0.0, abs=2e-3)
    assert shot.shot_noise == 0.004 and shot.read_noise == pytest.approx(1e-4)
    assert torch.equal(noisy, simulation.shoot(flat, "a")[0])
    assert not torch.equal(noisy, simulation.shoot(flat, "b")[0])


def test_a_crop_is_the_same_mosaic_in_its_frame() -> None:
    kind = MosaicInput(Simulation(0.0, 0.0))
    whole = kind.read(CLEAN / "nyc.png")
    part = kind.crop(kind.crop(whole, 10, 20, 200, 180), 6, 4, 100, 90)
    assert part.shot.frame == (16, 24, 320, 320)
    assert torch.equal(part.data, whole.data[..., 16:116, 24:114])
    shading = pipelines.load("isp", {"stages": ["shading", "demosaic", "color_matrix", "tone"]})
    values = {"shading_quadratic": 1.0, "demosaic_method": "bilinear", "demosaic_chroma_smooth": 0.0}
    inside = (slice(None), slice(None), slice(4, -4), slice(4, -4))
    assert torch.allclose(shading(part, values)[inside], shading(whole, values)[..., 16:116, 24:114][inside], atol=1e-5)


def test_stages_are_composed_and_refused_where_they_do_not_fit() -> None:
    short = pipelines.load("isp", {"stages": ["white_balance", "demosaic", "color_matrix", "tone"], "output_bits": 8})
    assert set(short.parameters) == {
        *("white_balance_red", "white_balance_blue", "demosaic_method", "demosaic_chroma_smooth"),
        *("color_matrix_strength", "tone_gamma", "tone_contrast", "tone_pivot"),
    }
    output = short(short.input.read(CLEAN / "dog.png"))
    assert torch.allclose(output * 255, (output * 255).round(), atol=1e-3)
    for stages, reason in (
        (
            ["demosaic", "white_balance"],
            "'white_balance' is out of place: it takes mosaic, but after demosaic comes camera",
        ),
        (["demosaic", "color_matrix"], "end with linear values"),
        (["demosiac"], "did you mean 'demosaic'"),
        (["level", "level"], "stands there twice"),
    ):
        with pytest.raises(UserError, match=reason):
            pipelines.load("isp", {"stages": stages})
    with pytest.raises(UserError, match=r"simulate\.red_gain: 0, expected a number > 0"):
        pipelines.load("isp", {"simulate": {"red_gain": 0}})


def test_halo_control_and_shading_do_what_they_say() -> None:
    edge = torch.full((1, 3, 48, 48), 0.3)
    edge[..., 24:] = 0.7
    one = torch.ones(())
    sharpen = STAGES["sharpen"]()
    free = sharpen.apply(edge, SHOT, amount=2 * one, sigma=one, threshold=0.001 * one, halo=0 * one)
    held = sharpen.apply(edge, SHOT, amount=2 * one, sigma=one, threshold=0.001 * one, halo=one)
    assert float(free.max()) > 0.75 and float(held.max()) <= 0.7 + 1e-5 and float(held.min()) >= 0.3 - 1e-5
    spot = torch.full((1, 1, 32, 32), 0.4)
    spot[..., 16, 16] = 1.0
    mended = STAGES["defect"]().apply(spot, SHOT, strength=one, threshold=0.05 * one)
    assert float(mended.max()) == pytest.approx(0.4, abs=1e-3)


@pytest.mark.parametrize(
    "content",
    [b"", b"II*\0garbage", b"\0" * 5000, b"II*\0\x08\0\0\0" + b"\xff" * 4000],
    ids=["empty", "short", "zeros", "broken directory"],
)
def test_broken_raw_files_are_one_clear_line(tmp_path: Path, content: bytes) -> None:
    path = tmp_path / "shot.dng"
    path.write_bytes(content)
    with pytest.raises(UserError, match=r"shot\.dng: not a RAW file that LibRaw can read") as error:
        MosaicInput().read(path)
    assert "\n" not in str(error.value)


def test_other_files_under_a_raw_name_are_refused(tmp_path: Path) -> None:
    picture = write_image(tmp_path / "picture.png", torch.rand(1, 3, 32, 32))
    picture.rename(tmp_path / "picture.nef")
    for name in ("picture.nef", "missing.cr2", "."):
        with pytest.raises(UserError, match=r"RAW file|no such file"):
            MosaicInput().read(tmp_path / name / "x.dng" if name == "." else tmp_path / name)


def test_noise_goes_down_by_raw_denoising() -> None:
    picture = torch.linspace(0.1, 0.9, 128).expand(1, 3, 96, 128)
    clean, _ = Simulation(0.0, 0.0).shoot(picture, "s")
    noisy, shot = Simulation(0.003, 0.002).shoot(picture, "s")
    one = torch.ones(())
    better = STAGES["raw_denoise"]().apply(noisy, shot, strength=0.7 * one, threshold=1.5 * one)
    assert float((better - clean).square().mean()) < 0.5 * float((noisy - clean).square().mean())
    assert np.isfinite(better.numpy()).all()
