"""Bursts: alignment, merging without ghosts, simulation and folders."""

from __future__ import annotations

from pathlib import Path

import numpy as np
import pytest
import torch
from scipy.signal import wiener as scipy_wiener
from skimage.registration import phase_cross_correlation

from pipelines import load
from pipelines.burst import _lee, align, robust_merge, warp
from pipelines.burst_input import Burst, BurstInput, BurstSimulation
from pixelperfect_models.errors import UserError
from pixelperfect_models.images import read_image, write_image

CLEAN = Path(__file__).parents[2] / "recipes/photos/clean"


@pytest.fixture(scope="module")
def photo() -> torch.Tensor:
    return read_image(CLEAN / "nyc.png")[..., :256, :256]


@pytest.mark.parametrize("shift", [(0, 0), (3, -2), (-6, 5), (9, 7)])
def test_alignment_finds_known_shifts(photo: torch.Tensor, shift: tuple[int, int]) -> None:
    other = torch.roll(photo, shift, (-2, -1)) + 0.01 * torch.randn(
        photo.shape, generator=torch.Generator().manual_seed(0)
    )
    field = align(photo, other, 32, 2)[..., 32:-32, 32:-32]
    assert float((field[0, 0] - shift[0]).abs().median()) < 0.25
    assert float((field[0, 1] - shift[1]).abs().median()) < 0.25


def test_alignment_agrees_with_phase_correlation(photo: torch.Tensor) -> None:
    frames, _ = BurstSimulation(2, shake=2.5, turn=0.0, motion=0.0, shot_noise=0, read_noise=0).shoot(photo, "x")
    reference, other = (frame[:, 24:-24, 24:-24].mean(0).numpy() for frame in frames)
    found, _, _ = phase_cross_correlation(reference, other, upsample_factor=20)
    field = align(frames[:1], frames[1:], 32, 2)[..., 32:-32, 32:-32]
    for axis in (0, 1):
        assert float(field[0, axis].median()) == pytest.approx(-found[axis], abs=0.3)
    laid = warp(frames[1:], align(frames[:1], frames[1:], 32, 2))
    inside = (..., slice(24, -24), slice(24, -24))
    before, after = ((x - frames[:1])[inside].square().mean() for x in (frames[1:], laid))
    assert float(after) < 0.1 * float(before)


def test_merging_static_frames_divides_the_noise(photo: torch.Tensor) -> None:
    simulation = BurstSimulation(8, shake=0, turn=0, motion=0, shot_noise=0.001, read_noise=0.002)
    flat = torch.full((1, 3, 128, 128), 0.5)
    frames, clean = simulation.shoot(flat, "flat")
    merged = robust_merge(frames[:1], frames[1:], torch.tensor(1.0), torch.tensor(0.3))
    assert float((merged - clean).var()) < 1.15 / 8 * float((frames[0] - clean).var())
    alone = robust_merge(frames[:1], frames[1:], torch.tensor(0.0), torch.tensor(0.3))
    assert torch.allclose(alone, frames[:1], atol=1e-5)


def test_what_moves_leaves_no_ghost_where_the_merge_is_robust(photo: torch.Tensor) -> None:
    frames, clean = BurstSimulation(5, shake=0, turn=0, motion=12, shot_noise=0, read_noise=0).shoot(photo, "m")
    errors = {}
    for tolerance in (0.02, 0.5):
        merged = robust_merge(frames[:1], frames[1:], torch.tensor(1.0), torch.tensor(tolerance))
        errors[tolerance] = float((merged - clean).square().mean())
    assert errors[0.02] < 0.15 * errors[0.5]


def test_the_spatial_filter_is_scipys_wiener() -> None:
    plane = torch.rand(1, 1, 40, 40, dtype=torch.float64)
    expected = scipy_wiener(plane[0, 0].numpy(), 5, 0.05)
    ours = _lee(plane, torch.tensor(0.05**0.5, dtype=torch.float64))[0, 0].numpy()
    assert np.allclose(ours[2:-2, 2:-2], expected[2:-2, 2:-2], atol=1e-4)


def test_a_tuned_burst_is_nearer_to_the_truth_than_its_first_frame(photo: torch.Tensor) -> None:
    pipeline = load("burst", {"simulate": {"frames": 6, "motion": 0}})
    frames, clean = pipeline.input.simulation.shoot(photo, "b")
    output = pipeline(Burst(frames), {"noise": 0.01})
    errors = [float((each - clean)[..., 16:-16, 16:-16].square().mean()) for each in (frames[:1], output)]
    assert errors[1] < 0.4 * errors[0]


def test_gradients_agree_with_finite_differences(photo: torch.Tensor) -> None:
    pipeline = load("burst", {"simulate": {"frames": 3}})
    burst = Burst(pipeline.input.simulation.shoot(photo[..., :64, :64].double(), "g")[0])
    for name, start in (("merge", 0.6), ("tolerance", 0.1), ("noise", 0.05), ("chroma", 2.0)):
        leaf = torch.tensor(start, dtype=torch.float64, requires_grad=True)
        pipeline(burst, {name: leaf}).square().sum().backward()
        up, down = (float(pipeline(burst, {name: start + s}).square().sum()) for s in (1e-5, -1e-5))
        assert float(leaf.grad) == pytest.approx((up - down) / 2e-5, rel=0.02, abs=1e-3), name


def test_the_simulation_is_the_files_own(photo: torch.Tensor) -> None:
    simulation = BurstSimulation(3)
    first, clean = simulation.shoot(photo, "a")
    assert torch.equal(first, simulation.shoot(photo, "a")[0])
    assert not torch.equal(first, simulation.shoot(photo, "b")[0])
    noiseless, _ = BurstSimulation(3, shot_noise=0, read_noise=0).shoot(photo, "a")
    assert torch.allclose(noiseless[:1], clean, atol=1e-5)
    with pytest.raises(UserError, match=r"simulate\.frames: 1"):
        BurstSimulation.of({"frames": 1})
    with pytest.raises(UserError, match=r"simulate\.shak is unknown.*did you mean 'shake'"):
        BurstSimulation.of({"shak": 1})


def test_folders_of_frames(tmp_path: Path, photo: torch.Tensor) -> None:
    kind = BurstInput()
    folder = tmp_path / "burst"
    for index in range(3):
        write_image(folder / f"{index}.png", photo * (1 - 0.1 * index))
    burst = kind.read(folder)
    assert burst.frames.shape == (3, 3, 256, 256) and kind.accepts(folder)
    assert torch.allclose(kind.preview(burst), photo, atol=1 / 255)
    assert kind.crop(burst, 8, 16, 32, 48).frames.shape == (3, 3, 32, 48)
    write_image(folder / "9.png", photo[..., :128, :])
    with pytest.raises(UserError, match=r"9\.png: 256 x 128 pixels, expected 256 x 256 as 0\.png"):
        kind.read(folder)
    one = tmp_path / "one"
    write_image(one / "a.png", photo)
    for index in range(65):
        write_image(tmp_path / "many" / f"{index}.png", photo[..., :16, :16])
    with pytest.raises(UserError, match="65 pictures, expected the frames of one burst, at most 64"):
        kind.read(tmp_path / "many")
    with pytest.raises(UserError, match="one frame"):
        kind.read(one)
