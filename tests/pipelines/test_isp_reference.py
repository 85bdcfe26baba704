"""The ISP against independent implementations: LibRaw, colour-demosaicing. ``pytest -s`` prints the figures."""

from __future__ import annotations

import os
import warnings
from pathlib import Path

import numpy as np
import pytest
import rawpy
import tifffile
from torch.nn.functional import avg_pool2d

import pipelines
from pipelines.isp.cfa import PATTERNS, color_masks
from pipelines.isp.demosaic import bilinear, malvar
from pipelines.isp.inverse import Simulation
from pipelines.isp.mosaic import Mosaic, linear_rendering, read_raw
from pipelines.isp.tone_curve import srgb_decode
from pixelperfect_models.images import read_image
from tests.pipelines.test_raw_files import (
    ACTIVE_AREA,
    AS_SHOT_NEUTRAL,
    BYTE,
    CFA,
    CFA_SIZE,
    COLOR_MATRIX,
    ORIENTATION,
    RATIONAL,
    SIGNED_RATIONAL,
    UNSIGNED_LONG,
    UNSIGNED_SHORT,
    TagValue,
    write_dng,
)

CLEAN = Path(__file__).parents[2] / "recipes/photos/clean"
RAW = Path(os.environ.get("PIXELPERFECT_DATA", "/nonexistent")) / "raw"
needs_raw = pytest.mark.skipif(not RAW.is_dir(), reason="PIXELPERFECT_DATA is not set: no RAW files to compare on")
FILES = (*(f"nikon_dsc1339_{cfa.lower()}" for cfa in PATTERNS), "sensor_1920x1080_rggb")


def psnr(a: np.ndarray, b: np.ndarray) -> float:
    return float(-10 * np.log10(((a - b) ** 2).mean() + 1e-20))


def libraw(path: Path, gamma: tuple[float, float] = (1, 1), daylight: bool = False) -> np.ndarray:
    """LibRaw's own bilinear rendering, linear sRGB or with its gamma (power, slope), (H, W, 3).

    White balance is the camera's (where the file has none LibRaw then guesses by the picture) or daylight.
    """
    with rawpy.imread(str(path)) as raw:
        levels = raw.postprocess(
            demosaic_algorithm=rawpy.DemosaicAlgorithm.LINEAR,
            no_auto_bright=True,
            adjust_maximum_thr=0.0,  # white is the file's white level, not the largest value of the data
            gamma=gamma,
            output_bps=16,
            use_camera_wb=not daylight,
        )
    return np.asarray(levels, dtype=np.float64) / 65535.0


def agreement(path: Path, daylight: bool = False) -> tuple[float, float]:
    """dB between our rendering and LibRaw's: linear, and sRGB-encoded by the whole pipeline at its neutral values.

    Borders are left out, and of odd sides the last row or column, which our mosaics do not have.
    """
    mosaic = read_raw(path)
    isp = pipelines.load("isp")
    ours = (
        linear_rendering(mosaic).clamp(0, 1),
        isp(mosaic, {**isp.neutral(), "demosaic_method": "bilinear"}),
    )
    theirs = (libraw(path, (1, 1), daylight), libraw(path, (2.4, 12.92), daylight))
    figures = []
    for our, their in zip(ours, theirs, strict=True):
        picture = our[0].permute(1, 2, 0).double().numpy()
        assert picture.shape[:2] == tuple(side - side % 2 for side in their.shape[:2])
        inside = (slice(4, picture.shape[0] - 4), slice(4, picture.shape[1] - 4))
        figures.append(psnr(picture[inside], their[inside]))
    print(f"{path.name}: {figures[0]:.1f} dB linear, {figures[1]:.1f} dB sRGB-encoded, against LibRaw")
    return figures[0], figures[1]


def photo_dng(
    path: Path, cfa: str = "GBRG", sides: tuple[int, int] = (320, 320), tags: dict[int, TagValue] | None = None
) -> Path:
    """A DNG of a photo as a camera might have taken it; matrix and white balance are the camera's."""
    mosaic, shot = Simulation(0.0, 0.0, 2.0, 1.6, cfa).shoot(read_image(CLEAN / "nyc.png"), "nyc")
    levels = (mosaic[0, 0].clamp(0, 1).numpy() * (4095 - 256) + 256).round().astype(np.uint16)
    camera = (10234, -2969, -2266, -5625, 16328, -469, -703, 2188, 6406)  # of pipelines.isp.inverse
    gains = shot.white_balance.tolist()
    written = {
        CFA: (BYTE, 4, tuple("RGB".index(color) for color in cfa)),
        COLOR_MATRIX: (SIGNED_RATIONAL, 9, tuple(part for value in camera for part in (value, 10000))),
        AS_SHOT_NEUTRAL: (RATIONAL, 3, tuple(part for gain in gains for part in (10000, round(10000 * gain)))),
        **(tags or {}),
    }
    return write_dng(path, levels[: sides[0], : sides[1]], tags=written)


@needs_raw
@pytest.mark.parametrize("name", FILES)
def test_the_neutral_isp_renders_as_libraw_does(name: str) -> None:
    linear, encoded = agreement(RAW / f"{name}.dng")
    assert linear >= 85.0 and encoded >= 70.0


@pytest.mark.parametrize("cfa", PATTERNS)
def test_the_neutral_isp_renders_a_written_dng_as_libraw_does(tmp_path: Path, cfa: str) -> None:
    linear, encoded = agreement(photo_dng(tmp_path / f"{cfa.lower()}.dng", cfa))
    assert linear >= 85.0 and encoded >= 70.0


@pytest.mark.parametrize("sides", [(160, 192), (161, 193), (160, 193), (161, 192)], ids=lambda s: f"{s[1]}x{s[0]}")
@pytest.mark.parametrize("orientation", range(1, 9))
def test_pictures_stand_as_libraw_turns_and_mirrors_them(
    tmp_path: Path, orientation: int, sides: tuple[int, int]
) -> None:
    tags = {ORIENTATION: (UNSIGNED_SHORT, 1, orientation)}
    linear, encoded = agreement(
        photo_dng(tmp_path / f"orientation_{orientation}_{sides[1]}x{sides[0]}.dng", "GBRG", sides, tags)
    )
    assert linear >= 85.0 and encoded >= 70.0


@pytest.mark.parametrize("area", [(3, 5, 147, 162), (2, 4, 151, 163), (1, 0, 160, 191)])
def test_masked_borders_are_left_out_as_libraw_does(tmp_path: Path, area: tuple[int, int, int, int]) -> None:
    tags = {ACTIVE_AREA: (UNSIGNED_LONG, 4, area), ORIENTATION: (UNSIGNED_SHORT, 1, 6)}
    linear, _ = agreement(photo_dng(tmp_path / "masked.dng", "RGGB", (160, 192), tags))
    assert linear >= 85.0


def test_daylight_stands_in_for_a_missing_white_balance(tmp_path: Path) -> None:
    path = photo_dng(tmp_path / "daylight.dng", tags={AS_SHOT_NEUTRAL: (RATIONAL, 3, (0, 1, 0, 1, 0, 1))})
    assert read_raw(path).shot.white_balance[0] > 2.3  # the camera's own in the other tests is 2.0
    assert agreement(path, daylight=True)[0] >= 85.0


def test_cameras_without_a_matrix_in_the_file_get_the_one_that_libraw_knows(tmp_path: Path) -> None:
    """NEF, CR2, ARW and the like: the matrix is Adobe's for the model, in LibRaw's table."""
    mosaic, _ = Simulation(0.0, 0.0).shoot(read_image(CLEAN / "nyc.png"), "nyc")
    levels = (mosaic[0, 0].clamp(0, 1).numpy() * 65535).round().astype(np.uint16)
    extra = [
        (271, "s", 0, "NIKON CORPORATION", True),  # Make
        (272, "s", 0, "NIKON D3X", True),  # Model
        (CFA_SIZE, UNSIGNED_SHORT, 2, (2, 2), True),
        (CFA, BYTE, 4, (0, 1, 1, 2), True),
    ]
    path = tmp_path / "camera.nef"
    tifffile.imwrite(path, levels, photometric="CFA", extratags=extra, metadata=None)
    assert float(read_raw(path).shot.color_matrix[0, 0]) > 1.2  # not the identity
    assert agreement(path, daylight=True)[0] >= 85.0


@needs_raw
def test_the_four_phases_of_a_picture_render_alike() -> None:
    """The files lie one pixel apart; so laid over each other they must agree as well as LibRaw's renderings do."""
    shifts = {"rggb": (0, 0), "grbg": (0, -1), "gbrg": (-1, 0), "bggr": (-1, -1)}
    ours, theirs = {}, {}
    for cfa, shift in shifts.items():
        path = RAW / f"nikon_dsc1339_{cfa}.dng"
        mosaic = read_raw(path)
        assert mosaic.shot.cfa == cfa.upper()
        rendered = linear_rendering(mosaic).clamp(0, 1)[0].permute(1, 2, 0).double().numpy()
        ours[cfa] = np.roll(rendered, shift, (0, 1))[8:-8, 8:-8]
        theirs[cfa] = np.roll(libraw(path), shift, (0, 1))[8:-8, 8:-8]
    for cfa in ("grbg", "gbrg", "bggr"):
        assert psnr(ours[cfa], ours["rggb"]) > max(30.0, psnr(theirs[cfa], theirs["rggb"]) - 0.5)
        assert np.allclose(ours[cfa].mean((0, 1)), ours["rggb"].mean((0, 1)), rtol=1e-2)


@pytest.mark.parametrize("cfa", PATTERNS)
@pytest.mark.parametrize("method", ["bilinear", "malvar"])
def test_demosaicing_agrees_with_colour_demosaicing(cfa: str, method: str) -> None:
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")  # that Matplotlib is not installed
        import colour_demosaicing
    mosaic, _ = Simulation(0.0, 0.0, 1.0, 1.0, cfa).shoot(read_image(CLEAN / "nyc.png"), "nyc")
    array = mosaic[0, 0].double().numpy()
    other = {
        "bilinear": colour_demosaicing.demosaicing_CFA_Bayer_bilinear,
        "malvar": colour_demosaicing.demosaicing_CFA_Bayer_Malvar2004,
    }[method](array, cfa)
    ours = {"bilinear": bilinear, "malvar": malvar}[method](mosaic.double(), color_masks(mosaic.double(), cfa))
    assert psnr(ours[0].permute(1, 2, 0).numpy()[4:-4, 4:-4], other[4:-4, 4:-4]) >= 45.0


def test_better_demosaicing_is_nearer_to_the_truth() -> None:
    # Halved: the photo itself came out of a demosaicing, and has no detail of one pixel.
    picture = avg_pool2d(read_image(CLEAN / "nyc.png"), 2)
    mosaic = Mosaic(*Simulation(0.0, 0.0).shoot(picture, "nyc"))
    error = {
        method: float((linear_rendering(mosaic, method) - srgb_decode(picture)).square().mean())
        for method in ("bilinear", "malvar", "edge_aware")
    }
    assert error["edge_aware"] < 0.7 * error["bilinear"]
    assert error["malvar"] < 0.7 * error["bilinear"]
