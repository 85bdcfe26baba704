"""RAW files: what is read from a small one written here, and that damaged ones end in one line."""

from __future__ import annotations

import os
import resource
import struct
import subprocess
import sys
from collections.abc import Mapping, Sequence
from pathlib import Path
from types import SimpleNamespace
from typing import Any

import numpy as np
import pytest
import rawpy
import tifffile
import torch
from hypothesis import given, settings
from hypothesis import strategies as st

from pipelines.isp.mosaic import Mosaic, MosaicInput, RawFileError, _from_libraw, read_raw
from pixelperfect_models.errors import UserError

ROOT = Path(__file__).parents[2]
REAL = Path(os.environ.get("PIXELPERFECT_DATA", "/nonexistent")) / "raw/nikon_dsc1339_rggb.dng"
DATA = (np.arange(48 * 64).reshape(48, 64) % 3800 + 256).astype(np.uint16)
UNSIGNED_SHORT, UNSIGNED_LONG, ASCII, BYTE, RATIONAL, SIGNED_RATIONAL = "H", "I", "s", "B", "2I", "2i"
ORIENTATION, CFA_SIZE, CFA, DNG_VERSION, WHITE_LEVEL, COLOR_MATRIX, AS_SHOT_NEUTRAL, DEFAULT_SCALE, ACTIVE_AREA = (
    *(274, 33421, 33422, 50706, 50717, 50721, 50728, 50718, 50829),
)
SINGULAR = (SIGNED_RATIONAL, 9, (1, 1, 0, 1, 0, 1) * 3)
X_TRANS = tuple("RGB".index(color) for color in "GGRGGB GGBGGR BRGRBG GGBGGR GGRGGB RBGBRG".replace(" ", ""))
TagValue = tuple[str, int, Any]


def write_dng(
    path: Path,
    data: np.ndarray,
    size: tuple[int, int] | None = None,
    tags: Mapping[int, TagValue] | None = None,
    without: Sequence[int] = (),
    photometric: str | int = "CFA",
) -> Path:
    """A DNG of one uncompressed GBRG mosaic (Adobe DNG 1.4).

    ``size``: what its header says (width, height); ``tags``: number -> (type, count, value), added or in place of those
    below; ``without``: numbers of tags left out.
    """
    identity = (1, 1, 0, 1, 0, 1, 0, 1, 1, 1, 0, 1, 0, 1, 0, 1, 1, 1)
    written: dict[int, TagValue] = {
        CFA_SIZE: (UNSIGNED_SHORT, 2, (2, 2)),
        CFA: (BYTE, 4, (1, 2, 0, 1)),
        DNG_VERSION: (BYTE, 4, (1, 4, 0, 0)),
        50708: (ASCII, 0, "Test"),  # UniqueCameraModel
        50714: (UNSIGNED_SHORT, 1, 256),  # BlackLevel
        WHITE_LEVEL: (UNSIGNED_SHORT, 1, 4095),
        COLOR_MATRIX: (SIGNED_RATIONAL, 9, identity),
        AS_SHOT_NEUTRAL: (RATIONAL, 3, (1, 2, 1, 1, 2, 3)),
        **(tags or {}),
    }
    extra = [(number, *value, True) for number, value in written.items() if number not in without]
    tifffile.imwrite(path, data, photometric=photometric, extratags=extra, metadata=None)
    if size is not None:
        with tifffile.TiffFile(path) as file:
            places = [file.pages[0].tags[name].valueoffset for name in ("ImageWidth", "ImageLength")]
        content = bytearray(path.read_bytes())
        for place, side in zip(places, size, strict=True):
            content[place : place + 4] = struct.pack("<I", side)
        path.write_bytes(content)
    return path


def write_x_trans(path: Path, height: int = 48, width: int = 66) -> Path:
    """A DNG of Fuji's 6 x 6 pattern, flat grey."""
    tags = {CFA_SIZE: (UNSIGNED_SHORT, 2, (6, 6)), CFA: (BYTE, 36, X_TRANS)}
    return write_dng(path, np.full((height, width), 1500, np.uint16), tags=tags)


def write_linear(path: Path) -> Path:
    """A DNG of three colours at every pixel (LinearRaw)."""
    return write_dng(path, np.repeat(DATA[..., None], 3, 2), photometric=34892, without=(CFA_SIZE, CFA))


def test_levels_phase_and_white_balance_come_from_the_file(tmp_path: Path) -> None:
    mosaic = read_raw(write_dng(tmp_path / "a.dng", DATA))
    assert np.allclose(mosaic.data[0, 0].numpy(), (DATA.astype(np.float32) - 256) / (4095 - 256), atol=1e-6)
    assert mosaic.shot.cfa == "GBRG"
    assert torch.allclose(mosaic.shot.white_balance, torch.tensor([2.0, 1.0, 1.5]), atol=1e-3)


def test_without_the_cameras_white_balance_it_is_daylight(tmp_path: Path) -> None:
    """By the matrix: what the camera sees of D65 white, the inverse of it (green 1)."""
    tags = {COLOR_MATRIX: (SIGNED_RATIONAL, 9, (1, 2, 0, 1, 0, 1, 0, 1, 1, 1, 0, 1, 0, 1, 0, 1, 1, 1))}  # red halved
    mosaic = read_raw(write_dng(tmp_path / "a.dng", DATA, tags=tags, without=(AS_SHOT_NEUTRAL,)))
    d65 = torch.tensor([0.95047, 1.0, 1.08883]) * torch.tensor([0.5, 1.0, 1.0])
    assert torch.allclose(mosaic.shot.white_balance, d65[1] / d65, rtol=1e-3)


def test_without_a_usable_matrix_colours_stay_the_cameras(tmp_path: Path) -> None:
    for path in (
        write_dng(tmp_path / "singular.dng", DATA, tags={COLOR_MATRIX: SINGULAR}),
        write_dng(tmp_path / "none.dng", DATA, without=(COLOR_MATRIX,)),
    ):
        assert torch.equal(read_raw(path).shot.color_matrix, torch.eye(3))


@pytest.mark.parametrize("flip", range(8))
@pytest.mark.parametrize("margins", [(0, 0), (1, 0), (0, 3), (5, 7)])
def test_the_phase_is_that_of_the_first_visible_pixel(margins: tuple[int, int], flip: int) -> None:
    """Odd margins too, which LibRaw makes even in a DNG but not in the formats of some cameras."""
    top, left = margins
    colors = np.tile(np.array([[0, 1], [3, 2]], np.uint8), (20, 25))  # of the whole frame: RGGB, second green 3
    visible = (slice(top, top + 31), slice(left, left + 37))
    sizes = SimpleNamespace(top_margin=top, left_margin=left, height=31, width=37, flip=flip)
    raw = SimpleNamespace(
        **{"sizes": sizes, "raw_type": rawpy.RawType.Flat, "raw_pattern": colors[:2, :2], "color_desc": b"RGBG"},
        **{"raw_image_visible": (100 + 10 * colors.astype(np.uint16))[visible], "black_level_per_channel": [100] * 4},
        **{"white_level": 110, "camera_whitebalance": [2.0, 1.0, 1.5, 0.0], "color_matrix": np.eye(3, 4)},
    )
    mosaic = _from_libraw(raw, Path("stub.raw"))
    corner = mosaic.data[0, 0, :2, :2].round().int().ravel().tolist()  # each pixel's value is its colour's number
    assert mosaic.shot.cfa == "".join("RGBG"[color] for color in corner)
    assert mosaic.data.shape[2:] == ((36, 30) if flip & 4 else (30, 36))


def test_other_mosaics_are_refused_by_what_they_are(tmp_path: Path) -> None:
    quad = {CFA_SIZE: (UNSIGNED_SHORT, 2, (4, 4)), CFA: (BYTE, 16, (0, 0, 1, 1, 0, 0, 1, 1, 1, 1, 2, 2, 1, 1, 2, 2))}
    for path, reason in (
        (write_linear(tmp_path / "linear.dng"), "no 2 x 2 Bayer mosaic, expected one"),
        (write_x_trans(tmp_path / "x_trans.dng"), "no 2 x 2 Bayer mosaic, expected one"),
        (write_dng(tmp_path / "quad.dng", DATA, tags=quad), "CFA pattern RRGG, expected one of"),
    ):
        with pytest.raises(RawFileError) as error:
            read_raw(path)
        assert str(error.value).startswith(f"{path}: {reason}") and "\n" not in str(error.value)


@pytest.mark.parametrize("suffix", [".tif", ".png", ".jpg"])
@pytest.mark.parametrize("order", ["<", ">"])
def test_a_dng_under_a_pictures_name_is_called_one(tmp_path: Path, suffix: str, order: str) -> None:
    bare = write_dng(tmp_path / f"bare{suffix}", DATA)
    # Cameras put a preview into the first directory: a reader of pictures would take it for the picture.
    preview = tmp_path / f"preview{suffix}"
    version = (DNG_VERSION, BYTE, 4, (1, 4, 0, 0), True)
    small = np.full((32, 32, 3), 99, np.uint8)
    tifffile.imwrite(preview, small, byteorder=order, photometric="rgb", extratags=[version], metadata=None)
    for path in (bare, preview):
        with pytest.raises(RawFileError, match="a DNG under the name of a picture, expected its name to end in"):
            MosaicInput().read(path)
    tifffile.imwrite(preview, small, byteorder=order, photometric="rgb", metadata=None)
    assert isinstance(MosaicInput().read(preview), Mosaic)
    for keep in (0, 6, 9):
        preview.write_bytes(preview.read_bytes()[:keep])
        with pytest.raises(UserError, match=r"not a picture file|broken or truncated"):
            MosaicInput().read(preview)


@pytest.mark.parametrize("keep", [0.2, 0.5, 0.99])
@pytest.mark.parametrize("real", [False, True])
def test_a_truncated_file_is_called_so(
    tmp_path: Path, capfd: pytest.CaptureFixture[str], keep: float, real: bool
) -> None:
    if real and not REAL.is_file():
        pytest.skip("PIXELPERFECT_DATA is not set: no real RAW file to truncate")
    content = (REAL if real else write_dng(tmp_path / "whole.dng", DATA)).read_bytes()
    path = tmp_path / "cut.dng"
    path.write_bytes(content[: int(keep * len(content))])
    with pytest.raises(RawFileError, match=r"cut\.dng: the RAW data is broken or truncated \(") as error:
        read_raw(path)
    assert "\n" not in str(error.value)
    # LibRaw's own line, which rawpy cannot switch off, and nothing else.
    assert set(capfd.readouterr().err.splitlines()) <= {f"{path}: Unexpected end of file"}


def test_more_pixels_than_any_sensor_has_are_refused(tmp_path: Path) -> None:
    path = write_dng(tmp_path / "huge.dng", DATA, (20_000, 15_000))
    with pytest.raises(RawFileError, match="20000 x 15000 pixels, expected at most 250 megapixels"):
        read_raw(path)


def test_reading_takes_six_bytes_a_pixel(tmp_path: Path) -> None:
    """In a process of its own, by the kernel's high-water mark of its memory.

    Not by ru_maxrss: a process starts with that of the one that started it.
    """
    path = write_dng(tmp_path / "large.dng", np.full((4000, 5000), 1500, np.uint16))
    script = (
        "import sys, pathlib\nfrom pipelines.isp.mosaic import read_raw\n"
        "def peak():\n"
        "    lines = pathlib.Path('/proc/self/status').read_text().splitlines()\n"
        "    return 1024 * int(next(line for line in lines if line.startswith('VmHWM')).split()[1])\n"
        "before = peak()\nread_raw(pathlib.Path(sys.argv[1]))\nprint(peak() - before)"
    )
    done = subprocess.run([sys.executable, "-c", script, str(path)], cwd=ROOT, capture_output=True, check=True)
    taken = int(done.stdout) / (4000 * 5000)
    print(f"reading took {taken:.1f} bytes a pixel")
    assert taken < 8  # LibRaw's 2, ours 4


@pytest.mark.parametrize("size", [(100_000, 100_000), (65_535, 65_535), (64, 2_000_000_000), (0, 0)])
def test_absurd_sizes_end_before_memory_is_taken(tmp_path: Path, size: tuple[int, int]) -> None:
    path = write_dng(tmp_path / "huge.dng", DATA, size)
    before = resource.getrusage(resource.RUSAGE_SELF).ru_maxrss
    with pytest.raises(UserError, match=r"huge\.dng: ") as error:
        read_raw(path)
    assert "\n" not in str(error.value)
    assert resource.getrusage(resource.RUSAGE_SELF).ru_maxrss - before < 100_000  # KiB


@pytest.mark.parametrize("shape", [(1, 1), (14, 64)])
def test_too_small_frames_are_refused(tmp_path: Path, shape: tuple[int, int]) -> None:
    with pytest.raises(UserError, match=r"small\.dng: "):
        read_raw(write_dng(tmp_path / "small.dng", np.full(shape, 1000, np.uint16)))


@pytest.fixture(scope="module")
def whole(tmp_path_factory: pytest.TempPathFactory) -> tuple[Path, bytes]:
    folder = tmp_path_factory.mktemp("raw")
    return folder / "damaged.dng", write_dng(folder / "whole.dng", DATA).read_bytes()


@settings(max_examples=200, deadline=None)
@given(data=st.data())
def test_damaged_files_give_a_mosaic_or_one_line(data: st.DataObject, whole: tuple[Path, bytes]) -> None:
    path, content = whole
    damaged = bytearray(content)
    for place in data.draw(st.lists(st.integers(0, 399), max_size=4)):  # the directory and its values
        damaged[place] = data.draw(st.integers(0, 255))
    keep = data.draw(st.integers(0, len(damaged)) | st.just(len(damaged)))
    path.write_bytes(damaged[:keep])
    try:
        mosaic = read_raw(path)
    except UserError as error:
        assert str(error).startswith(str(path)) and "\n" not in str(error) and len(str(error)) < 600
    else:
        assert mosaic.data.shape[:2] == (1, 1) and bool(torch.isfinite(mosaic.data).all())
        assert bool(torch.isfinite(mosaic.shot.white_balance).all() and (mosaic.shot.white_balance > 0).all())
        assert bool(torch.isfinite(mosaic.shot.color_matrix).all())
