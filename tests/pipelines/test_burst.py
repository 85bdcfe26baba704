"""Bursts: alignment, merging without ghosts, simulation and folders."""

from __future__ import annotations

import os
import subprocess
import sys
from pathlib import Path

import cv2
import numpy as np
import pytest
import torch
from PIL import Image
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
    others = {"sharpen_amount": 0.7}  # at 0 the scale of sharpening would have no effect
    starts = {
        "merge": 0.6,
        "tolerance": 0.1,
        "noise": 0.05,
        "chroma": 2.0,
        "sharpen_amount": 0.7,
        "sharpen_sigma": 1.2,
    }
    assert set(starts) == set(pipeline.parameters) - {"tile", "reach"}
    for name, start in starts.items():
        leaf = torch.tensor(start, dtype=torch.float64, requires_grad=True)
        pipeline(burst, {**others, name: leaf}).square().sum().backward()
        up, down = (float(pipeline(burst, {**others, name: start + s}).square().sum()) for s in (1e-5, -1e-5))
        assert float(leaf.grad) == pytest.approx((up - down) / 2e-5, rel=0.02, abs=1e-3), name
        assert abs(float(leaf.grad)) > 0.01, name


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


def header_only(path: Path, width: int, height: int) -> None:
    """A PPM of any size by its header, with a few bytes of data."""
    path.write_bytes(f"P6 {width} {height} 255\n".encode() + bytes(100))


def read_elsewhere(folder: Path) -> tuple[str, float]:
    """What reading a burst ends with in a process of its own, and by how many megabytes its largest size grew."""
    program = """
import resource, sys
from pathlib import Path
from pipelines.burst_input import BurstInput
from pixelperfect_models.errors import UserError

before = resource.getrusage(resource.RUSAGE_SELF).ru_maxrss
try:
    kind = BurstInput()
    burst = kind.read(Path(sys.argv[1]))
    kind.check(burst)
    part = kind.crop(burst, 0, 0, 64, 64)
    print(tuple(kind.like(burst).shape), tuple(part.frames.shape), tuple(kind.preview(part).shape))
except UserError as error:
    print(error)
print((resource.getrusage(resource.RUSAGE_SELF).ru_maxrss - before) / 1024)  # of KiB
"""
    done = subprocess.run(
        [sys.executable, "-c", program, str(folder)],
        capture_output=True,
        text=True,
        cwd=Path(__file__).parents[2],
        env={**os.environ, "OMP_NUM_THREADS": "1"},
        timeout=120,
    )
    assert done.returncode == 0, done.stderr
    *said, grown = done.stdout.splitlines()
    return "\n".join(said), float(grown)


def test_sizes_are_compared_before_any_frame_is_read(tmp_path: Path) -> None:
    for name in ("large", "unequal"):
        (tmp_path / name).mkdir()
        for index in range(6):
            header_only(tmp_path / name / f"{index}.ppm", 10_000, 8_000)
    said, grown = read_elsewhere(tmp_path / "large")
    assert said == f"{tmp_path}/large: 6 frames of 10000 x 8000 pixels, 480 megapixels in all, expected at most 250"
    assert grown < 50
    # The first frame is sound: where frames were read as they come, its pixels would be in memory before the others.
    Image.new("RGB", (4000, 3000)).save(tmp_path / "unequal" / "0.ppm")
    said, grown = read_elsewhere(tmp_path / "unequal")
    assert said == f"{tmp_path}/unequal/1.ppm: 10000 x 8000 pixels, expected 4000 x 3000 as 0.ppm"
    assert grown < 50


def test_frames_of_8_bits_are_held_as_such(tmp_path: Path) -> None:
    for index in range(12):
        Image.new("RGB", (2000, 1500), (index, 100, 200)).save(tmp_path / f"{index:02}.bmp")
    said, grown = read_elsewhere(tmp_path)
    assert said == "(1, 3, 1500, 2000) (12, 3, 64, 64) (1, 3, 64, 64)"
    # 12 frames of 3 megapixels: 108 MB in 8 bits, 432 MB as float, twice that while they are put together.
    assert grown < 330


def test_frames_are_what_their_files_hold_at_any_depth(tmp_path: Path, photo: torch.Tensor) -> None:
    kind, rng = BurstInput(), np.random.default_rng(0)
    levels = rng.integers(0, 256, (3, 40, 48, 3), dtype=np.uint8)
    levels[0].flat[:256] = np.arange(256)
    for index, frame in enumerate(levels):
        Image.fromarray(frame).save(tmp_path / f"{index}.png")
    burst = kind.read(tmp_path)
    assert burst.stored.dtype == torch.uint8 and kind.like(burst).dtype == torch.float32
    expected = torch.cat([read_image(file) for file in sorted(tmp_path.iterdir())])
    assert torch.equal(kind.crop(burst, 8, 4, 16, 20).frames, expected[..., 8:24, 4:24])
    assert torch.equal(kind.preview(burst), expected[:1])
    kind.check(burst)
    assert torch.equal(burst.frames, expected) and burst.frames is burst.frames
    assert torch.equal(load("burst")(kind.read(tmp_path)), load("burst")(Burst(expected)))
    # One deeper frame among them keeps its depth, and the others are what they were.
    deep = rng.integers(0, 65536, (40, 48, 3), dtype=np.uint16)
    assert cv2.imwrite(str(tmp_path / "1.png"), deep)
    mixed = kind.read(tmp_path).frames
    assert torch.equal(mixed[[0, 2]], expected[[0, 2]])
    assert torch.equal(mixed[1], torch.from_numpy(deep[:, :, ::-1].astype(np.float32) / 65535.0).permute(2, 0, 1))


@pytest.mark.parametrize("place", [0, 2])
def test_a_frame_that_cannot_be_read_is_named(tmp_path: Path, photo: torch.Tensor, place: int) -> None:
    for index in range(4):
        write_image(tmp_path / f"{index}.png", photo)
    broken = tmp_path / f"{place}.png"
    whole = broken.read_bytes()
    for content, expected in (
        (whole[: len(whole) // 2], "the picture is broken or truncated"),
        (whole[:20], "(the picture is broken or truncated|not a picture file)"),
        (b"these are notes, no picture\n" * 20, "not a picture file that can be read"),
        (b"", "not a picture file that can be read"),
    ):
        broken.write_bytes(content)
        with pytest.raises(UserError, match=rf"{place}\.png: {expected}") as caught:
            BurstInput().read(tmp_path)
        assert "\n" not in str(caught.value)
