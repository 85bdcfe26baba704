"""Comparing two pictures: the table, the worst regions, the colours, the sheet."""

from __future__ import annotations

import io
import json
from pathlib import Path

import numpy as np
import pytest
import torch
from fake_judge import FakeJudge
from hypothesis import given, settings
from hypothesis import strategies as st
from PIL import Image

from pixelperfect_models.channels import CHANNELS
from pixelperfect_models.errors import UserError
from pixelperfect_models.images import ImageFileError, write_image
from tuner.compare import Comparison, compare, compare_images
from tuner.map_sheet import map_sheet
from tuner.map_summary import summarize
from tuner.overlays import PALETTE, diverging, indices, legend_colours, legend_css, overlay, overlay_png
from tuner.regions import NOTICEABLE, worst_region

EXCESS = st.floats(-1.0, 1.0)


def grey(height: int = 64, width: int = 80, value: float = 0.4) -> torch.Tensor:
    return torch.full((1, 3, height, width), value)


def row(comparison: Comparison, name: str):  # type: ignore[no-untyped-def]
    return next(row for row in comparison.rows if row.type == name)


def test_a_brighter_patch_is_found_where_it_is() -> None:
    test = grey()
    test[..., 40:56, 8:28] += 0.5
    comparison = compare_images(test, grey(), FakeJudge())
    found = row(comparison, "exposure")
    assert found.mean == pytest.approx(0.5 * 16 * 20 / (64 * 80), rel=0.02)
    assert found.max == pytest.approx(0.5, abs=1e-5)
    assert found.min == pytest.approx(0.0, abs=1e-5)
    box = found.worst
    assert box is not None
    inside = max(0, min(28, box.left + box.width) - max(8, box.left)) * max(
        0, min(56, box.top + box.height) - max(40, box.top)
    )
    assert inside >= 0.6 * 16 * 20, "the box covers most of the patch"
    assert inside >= 0.6 * box.width * box.height, "and little else"
    assert row(comparison, "saturation").worst is None


def test_swapping_the_pictures_negates_score_and_means(photo: torch.Tensor, noisy_photo: torch.Tensor) -> None:
    one, other = (compare_images(a, b, FakeJudge()) for a, b in ((photo, noisy_photo), (noisy_photo, photo)))
    for forward, backward in zip(one.rows, other.rows, strict=True):
        assert forward.mean == pytest.approx(-backward.mean, abs=1e-6)
        assert forward.max == pytest.approx(-backward.min, abs=1e-6)


def test_equal_pictures_are_alike(photo: torch.Tensor) -> None:
    comparison = compare_images(photo, photo.clone(), FakeJudge())
    assert comparison.score == 0.0
    assert comparison.as_dict()["better"] == "alike"
    assert all((r.mean, r.p95, r.max, r.worst) == (0.0, 0.0, 0.0, None) for r in comparison.rows)


def test_files_and_json(tmp_path: Path, photo: torch.Tensor) -> None:
    noisy_photo = (photo + 0.2 * torch.randn(photo.shape, generator=torch.Generator().manual_seed(0))).clamp(0, 1)
    test, ref = write_image(tmp_path / "noisy.png", noisy_photo), write_image(tmp_path / "clean.png", photo)
    comparison = compare(test, ref, FakeJudge())
    data = json.loads(json.dumps(comparison.as_dict()))
    assert (data["test"], data["reference"], data["better"]) == (str(test), str(ref), "reference")
    assert list(data["types"]) == list(CHANNELS)
    assert set(data["types"]["blur"]) == {"mean", "p95", "max", "min", "worst_region"}
    assert data["types"]["luma_noise"]["mean"] > 0 > data["types"]["blur"]["mean"]
    assert set(data["types"]["luma_noise"]["worst_region"]) == {"left", "top", "width", "height", "excess"}


def test_pictures_of_different_size_are_refused_by_name(tmp_path: Path) -> None:
    write_image(tmp_path / "small.png", grey(32, 48))
    write_image(tmp_path / "large.png", grey(64, 48))
    with pytest.raises(UserError, match=r"large\.png is 48 x 64 pixels but .*small\.png is 48 x 32"):
        compare(tmp_path / "small.png", tmp_path / "large.png", FakeJudge())
    with pytest.raises(ImageFileError, match=r"gone\.png"):
        compare(tmp_path / "gone.png", tmp_path / "large.png", FakeJudge())


@settings(deadline=None)
@given(EXCESS, EXCESS)
def test_colours_say_direction_and_amount(first: float, second: float) -> None:
    one, two = (diverging(np.array([[value]]))[0, 0].astype(int) for value in (first, second))
    steps = [round(127 * value) for value in (first, second)]
    if steps[0] == 0:
        assert one[3] == 0, "alike is clear"
    elif steps[0] > 0:
        assert one[0] > one[2], "more in the test is warm"
    else:
        assert one[2] > one[0], "more in the reference is cool"
    if abs(steps[0]) <= abs(steps[1]):
        assert one[3] <= two[3], "a larger excess is never more transparent"


def test_a_just_visible_excess_shows_and_the_picture_shows_through_the_largest() -> None:
    assert PALETTE[indices(np.array(0.1))][3] > 40
    assert PALETTE[indices(np.array(1.0))][3] < 250
    assert len(np.unique(PALETTE[1:], axis=0)) > 200, "amounts stay apart"


def test_overlay_keeps_the_picture_where_maps_are_neutral() -> None:
    picture = np.random.default_rng(0).random((20, 24, 3)).astype(np.float32)
    excess = np.zeros((20, 24), np.float32)
    excess[5:9] = 0.8
    laid = overlay(picture, excess)
    np.testing.assert_allclose(laid[0, :, 0], picture[0] @ [0.2126, 0.7152, 0.0722], atol=1e-6)
    assert (laid[5:9, :, 0] > laid[5:9, :, 2]).all()


def test_overlay_png_decodes_to_the_same_colours() -> None:
    excess = np.linspace(-1, 1, 60, dtype=np.float32).reshape(6, 10)
    decoded = np.asarray(Image.open(io.BytesIO(overlay_png(excess))).convert("RGBA"))
    np.testing.assert_array_equal(decoded, diverging(excess))


def test_legend_runs_from_cool_over_the_ground_to_warm() -> None:
    colours = legend_colours((128, 128, 128)).astype(int)
    assert colours[0, 2] > colours[0, 0] and colours[-1, 0] > colours[-1, 2]
    assert colours[100].tolist() == [128, 128, 128]
    assert legend_css().startswith("linear-gradient(90deg, rgba(")


def test_summary_is_that_of_the_objective() -> None:
    values = np.arange(400, dtype=np.float32).reshape(20, 20) / 400 - 0.3
    found = summarize(values)
    assert found.p95 == pytest.approx(np.sort(values.ravel())[-20:].mean(), abs=1e-6)
    assert (found.max, found.min) == pytest.approx((values.max(), values.min()))


def test_a_distortion_everywhere_gives_a_box_not_the_whole_picture() -> None:
    box = worst_region(np.full((160, 240), 0.4, np.float32))
    assert box is not None and box.excess == pytest.approx(0.4)
    assert max(box.width, box.height) <= 3 * 20 + 1


@settings(deadline=None)
@given(st.integers(16, 60), st.integers(16, 60), st.integers(0, 10_000))
def test_a_region_lies_inside_and_is_noticeable(height: int, width: int, seed: int) -> None:
    excess = np.random.default_rng(seed).uniform(-0.3, 0.3, (height, width)).astype(np.float32)
    box = worst_region(excess)
    if box is not None:
        assert box.left >= 0 and box.top >= 0 and box.width > 0 and box.height > 0
        assert box.left + box.width <= width and box.top + box.height <= height
        assert box.excess >= NOTICEABLE


@pytest.mark.parametrize("size", [(64, 96), (97, 33), (16, 16), (20, 200)])
def test_the_sheet_holds_every_picture(size: tuple[int, int]) -> None:
    test, ref = torch.rand(1, 3, *size), torch.rand(1, 3, *size)
    sheet = compare_images(test, ref, FakeJudge(), ("a", "a very long name " * 12)).picture()
    assert sheet.dtype == np.float32 and sheet.ndim == 3 and sheet.shape[1] == 1596
    assert sheet.min() >= 0.0 and sheet.max() <= 1.0


def test_the_sheet_shows_the_maps() -> None:
    """Where one map turns from neutral to warm, the sheet changes in that tile and nowhere else but its caption."""
    picture = np.full((64, 64, 3), 0.5, np.float32)
    excess = np.zeros((15, 64, 64), np.float32)
    plain = map_sheet(picture, picture, excess, CHANNELS, 0.0)
    excess[7] = 0.9
    warm = map_sheet(picture, picture, excess, CHANNELS, 0.0)
    rows, columns = np.nonzero(np.abs(warm - plain).sum(2) > 0.05)
    assert columns.min() >= 16 + 2 * 316 and columns.max() <= 16 + 2 * 316 + 300, "the third column"
    assert (warm[rows.max() - 5, columns.min() + 20] - plain[rows.max() - 5, columns.min() + 20])[0] > 0.1, (
        "and is warm"
    )


def test_sheet_refuses_a_wrong_number_of_names() -> None:
    picture = np.zeros((16, 16, 3), np.float32)
    with pytest.raises(ValueError, match="2 type names for 3 maps"):
        map_sheet(picture, picture, np.zeros((3, 16, 16), np.float32), ["a", "b"], 0.0)
