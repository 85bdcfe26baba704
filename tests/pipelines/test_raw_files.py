"""RAW files: what is read from a small one written here, and that damaged ones end in one line."""

from __future__ import annotations

import resource
import struct
from pathlib import Path

import numpy as np
import pytest
import tifffile
import torch
from hypothesis import given, settings
from hypothesis import strategies as st

from pipelines.isp.mosaic import read_raw
from pixelperfect_models.errors import UserError

DATA = (np.arange(48 * 64).reshape(48, 64) % 3800 + 256).astype(np.uint16)
UNSIGNED_SHORT, ASCII, BYTE, RATIONAL, SIGNED_RATIONAL = "H", "s", "B", "2I", "2i"


def write_dng(path: Path, data: np.ndarray, size: tuple[int, int] | None = None) -> Path:
    """A DNG of one uncompressed GBRG mosaic (Adobe DNG 1.4); ``size``: what its header says (width, height)."""
    identity = (1, 1, 0, 1, 0, 1, 0, 1, 1, 1, 0, 1, 0, 1, 0, 1, 1, 1)
    tags = [
        (33421, UNSIGNED_SHORT, 2, (2, 2), True),  # CFARepeatPatternDim
        (33422, BYTE, 4, (1, 2, 0, 1), True),  # CFAPattern
        (50706, BYTE, 4, (1, 4, 0, 0), True),  # DNGVersion
        (50708, ASCII, 0, "Test", True),  # UniqueCameraModel
        (50714, UNSIGNED_SHORT, 1, 256, True),  # BlackLevel
        (50717, UNSIGNED_SHORT, 1, 4095, True),  # WhiteLevel
        (50721, SIGNED_RATIONAL, 9, identity, True),  # ColorMatrix1
        (50728, RATIONAL, 3, (1, 2, 1, 1, 2, 3), True),  # AsShotNeutral
    ]
    tifffile.imwrite(path, data, photometric="CFA", extratags=tags, metadata=None)
    if size is not None:
        with tifffile.TiffFile(path) as file:
            places = [file.pages[0].tags[name].valueoffset for name in ("ImageWidth", "ImageLength")]
        content = bytearray(path.read_bytes())
        for place, side in zip(places, size, strict=True):
            content[place : place + 4] = struct.pack("<I", side)
        path.write_bytes(content)
    return path


def test_levels_phase_and_white_balance_come_from_the_file(tmp_path: Path) -> None:
    mosaic = read_raw(write_dng(tmp_path / "a.dng", DATA))
    assert np.allclose(mosaic.data[0, 0].numpy(), (DATA.astype(np.float32) - 256) / (4095 - 256), atol=1e-6)
    assert mosaic.shot.cfa == "GBRG"
    assert torch.allclose(mosaic.shot.white_balance, torch.tensor([2.0, 1.0, 1.5]), atol=1e-3)


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
