"""``raw: true``: RAW files by their path, and a run of LibRaw's own dcraw_emu on them."""

from __future__ import annotations

from collections.abc import Mapping
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import torch

import pipelines
from pipelines.contract import Pipeline
from pipelines.isp.mosaic import MosaicInput, RawFileError
from pipelines.raw_path import RawPathInput
from pixelperfect_models.errors import UserError
from pixelperfect_models.images import to_tensor
from tests.needs import need_program
from tests.pipelines.test_isp_reference import libraw, photo_dng
from tests.pipelines.test_raw_files import (
    ACTIVE_AREA,
    DATA,
    DEFAULT_SCALE,
    ORIENTATION,
    RATIONAL,
    UNSIGNED_LONG,
    UNSIGNED_SHORT,
    write_dng,
    write_linear,
    write_x_trans,
)

SRGB = (2.4, 12.92)
KIND = RawPathInput()
CASES = [(orientation, sides) for orientation in (1, 2, 3, 6, 7) for sides in ((48, 64), (49, 65), (48, 65), (49, 64))]
some = pytest.mark.parametrize(("orientation", "sides"), CASES, ids=[f"{o}-{s[1]}x{s[0]}" for o, s in CASES])


def turned_dng(folder: Path, orientation: int, sides: tuple[int, int]) -> Path:
    return photo_dng(folder / "turned.dng", "GBRG", sides, {ORIENTATION: (UNSIGNED_SHORT, 1, orientation)})


def decibels(one: torch.Tensor, other: torch.Tensor) -> float:
    return float(-10 * torch.log10((one - other).square().mean() + 1e-20))


@some
def test_the_size_and_the_preview_are_libraws(tmp_path: Path, orientation: int, sides: tuple[int, int]) -> None:
    path = turned_dng(tmp_path, orientation, sides)
    given = KIND.read(path)
    KIND.check(given)
    assert (given.height, given.width) == libraw(path).shape[:2]
    assert {given.height, given.width} == set(sides)  # nothing is cut off
    preview = KIND.preview(given)
    assert preview.dtype == torch.float32 and preview.shape == (1, 3, given.height, given.width)
    assert preview.shape == KIND.like(given).shape
    # Our own preview, of even sides, is the independent witness.
    ours = MosaicInput().preview(MosaicInput().read(path))[..., 4:-4, 4:-4]
    rows, columns = ours.shape[-2:]
    assert decibels(preview[..., 4 : 4 + rows, 4 : 4 + columns], ours) >= 60.0


def test_a_crop_of_a_crop_is_a_box_of_the_whole(tmp_path: Path) -> None:
    whole = KIND.read(turned_dng(tmp_path, 6, (49, 65)))
    part = KIND.crop(KIND.crop(whole, 10, 5, 45, 40), 3, 4, 31, 27)
    assert part.box == (13, 9, 31, 27) and (part.height, part.width) == (65, 49)
    assert KIND.like(part).shape == (1, 3, 31, 27)
    assert torch.equal(KIND.preview(part), KIND.preview(whole)[..., 13:44, 9:36])


def test_the_path_stays_right_when_the_folder_changes(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    write_dng(tmp_path / "a.dng", DATA)
    monkeypatch.chdir(tmp_path)
    assert KIND.read(Path("a.dng")).path == tmp_path / "a.dng"


def test_other_mosaics_are_taken_too(tmp_path: Path) -> None:
    """Whether it can develop them is the program's business."""
    for path, size in ((write_x_trans(tmp_path / "x.dng"), (48, 66)), (write_linear(tmp_path / "l.dng"), (48, 64))):
        given = KIND.read(path)
        assert (given.height, given.width) == size
        assert KIND.preview(given).shape == (1, 3, *size)


@pytest.mark.parametrize("orientation", [1, 6])
@pytest.mark.parametrize(("scale", "size"), [((2, 1, 1, 1), (49, 130)), ((1, 1, 3, 2), (73, 65))], ids=["wide", "high"])
def test_pixels_that_are_not_square_are_stretched_as_by_libraw(
    tmp_path: Path, scale: tuple[int, ...], size: tuple[int, int], orientation: int
) -> None:
    tags = {DEFAULT_SCALE: (RATIONAL, 2, scale), ORIENTATION: (UNSIGNED_SHORT, 1, orientation)}
    path = photo_dng(tmp_path / "scaled.dng", "GBRG", (49, 65), tags)
    given = KIND.read(path)
    assert (given.height, given.width) == libraw(path).shape[:2] == (size if orientation == 1 else size[::-1])


def test_what_is_no_sound_raw_file_is_refused_by_name(tmp_path: Path) -> None:
    whole = write_dng(tmp_path / "whole.dng", DATA).read_bytes()
    (tmp_path / "cut.dng").write_bytes(whole[: len(whole) // 2])
    (tmp_path / "text.dng").write_text("no RAW file")
    write_dng(tmp_path / "small.dng", DATA, tags={ACTIVE_AREA: (UNSIGNED_LONG, 4, (0, 0, 14, 64))})
    for name, reason in (
        ("cut.dng", "the RAW data is broken or truncated"),
        ("text.dng", "not a RAW file that LibRaw can read"),
        ("small.dng", "not a RAW file that LibRaw can read"),  # it takes none of less than 22 rows
        ("missing.dng", "no such file"),
    ):
        with pytest.raises(RawFileError) as error:
            KIND.read(tmp_path / name)
        assert str(error.value).startswith(f"{tmp_path / name}: {reason}") and "\n" not in str(error.value)
    with pytest.raises(UserError, match="input is a Tensor, expected a RawPath"):
        KIND.check(torch.zeros(1, 3, 32, 32))


def developer(parameters: Mapping[str, Any] | None = None, *arguments: str) -> Pipeline:
    """dcraw_emu, bilinear, the file's white balance, sRGB, 16 bit; skips without it, but on CI it must be there."""
    need_program("dcraw_emu")
    plain = ["dcraw_emu", "-w", "-W", "-q", "0", "-g", "2.4", "12.92", "-c", "0", "-6", "-T", *arguments]
    options = {"raw": True, "output_format": "tiff", "parameters": parameters or {}}
    return pipelines.load("command", {**options, "command": [*plain, "-Z", "{output}", "{input}"]})


@some
def test_dcraw_emu_develops_odd_and_turned_files(tmp_path: Path, orientation: int, sides: tuple[int, int]) -> None:
    path = turned_dng(tmp_path, orientation, sides)
    pipeline = developer()
    whole = pipeline.input.read(path)
    output = pipeline.run(whole)
    theirs = to_tensor(libraw(path, SRGB).astype(np.float32))
    assert output.image.shape == theirs.shape == (1, 3, whole.height, whole.width)
    figure = decibels(output.image, theirs)
    print(f"dcraw_emu against rawpy's LibRaw, orientation {orientation}, {sides[1]} x {sides[0]}: {figure:.1f} dB")
    assert figure >= 60.0
    part = pipeline(pipeline.input.crop(whole, 7, 5, 33, 31))
    assert torch.equal(part, output.image[..., 7:40, 5:36])


def test_dcraw_emus_parameters_reach_it(tmp_path: Path) -> None:
    pipeline = developer({"bright": {"low": 0.4, "high": 3.0, "default": 1.0}}, "-b", "{bright}")
    given = pipeline.input.read(turned_dng(tmp_path, 8, (49, 65)))
    means = [float(pipeline(given, {"bright": value}).mean()) for value in (0.5, 1.0, 2.0)]
    assert means == sorted(means) and means[2] > 1.2 * means[0]


def test_dcraw_emu_develops_x_trans_and_stretched_files(tmp_path: Path) -> None:
    scaled = write_dng(tmp_path / "scaled.dng", DATA, tags={DEFAULT_SCALE: (RATIONAL, 2, (2, 1, 1, 1))})
    for path, shape in ((write_x_trans(tmp_path / "x.dng"), (48, 66)), (scaled, (48, 128))):
        pipeline = developer()
        assert pipeline(pipeline.input.read(path)).shape == (1, 3, *shape)
