"""The ISP against independent implementations: LibRaw, colour-demosaicing."""

from __future__ import annotations

import os
import warnings
from pathlib import Path

import numpy as np
import pytest
import rawpy
from torch.nn.functional import avg_pool2d

from pipelines.isp.cfa import PATTERNS, color_masks
from pipelines.isp.demosaic import bilinear, malvar
from pipelines.isp.inverse import Simulation
from pipelines.isp.mosaic import Mosaic, linear_rendering, read_raw
from pipelines.isp.tone_curve import srgb_decode
from pixelperfect_models.images import read_image

CLEAN = Path(__file__).parents[2] / "recipes/photos/clean"
RAW = Path(os.environ.get("PIXELPERFECT_DATA", "/nonexistent")) / "raw"
needs_raw = pytest.mark.skipif(not RAW.is_dir(), reason="PIXELPERFECT_DATA is not set: no RAW files to compare on")
FILES = (*(f"nikon_dsc1339_{cfa.lower()}" for cfa in PATTERNS), "sensor_1920x1080_rggb")


def psnr(a: np.ndarray, b: np.ndarray) -> float:
    return float(-10 * np.log10(((a - b) ** 2).mean() + 1e-20))


def libraw(path: Path) -> np.ndarray:
    """LibRaw's own bilinear rendering, linear sRGB, (H, W, 3)."""
    with rawpy.imread(str(path)) as raw:
        levels = raw.postprocess(
            demosaic_algorithm=rawpy.DemosaicAlgorithm.LINEAR,
            no_auto_bright=True,
            gamma=(1, 1),
            output_bps=16,
            use_camera_wb=True,
        )
    return np.asarray(levels, dtype=np.float64) / 65535.0


@needs_raw
@pytest.mark.parametrize("name", FILES)
def test_the_neutral_isp_renders_as_libraw_does(name: str) -> None:
    path = RAW / f"{name}.dng"
    ours = linear_rendering(read_raw(path)).clamp(0, 1)[0].permute(1, 2, 0).double().numpy()
    assert psnr(ours[4:-4, 4:-4], libraw(path)[4:-4, 4:-4]) >= 35.0


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
