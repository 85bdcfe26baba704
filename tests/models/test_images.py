"""Reading every kind of picture file people have, and saying plainly what is wrong with the others."""

from __future__ import annotations

import resource
import struct
import zlib
from collections.abc import Callable
from pathlib import Path

import cv2
import numpy as np
import pytest
import torch
from hypothesis import given, settings
from hypothesis import strategies as st
from PIL import ExifTags, Image

from pixelperfect_models.errors import UserError
from pixelperfect_models.images import (
    ImageFileError,
    list_images,
    picture_size,
    read_array,
    read_image,
    read_mask,
    to_array,
    write_image,
)

GREY = np.tile(np.arange(32, dtype=np.uint8) * 8, (24, 1))


def colour() -> np.ndarray:
    return np.stack([GREY, GREY[::-1], 255 - GREY], axis=2)


def test_rgb_round_trip_is_exact(tmp_path: Path) -> None:
    Image.fromarray(colour()).save(tmp_path / "a.png")
    image = read_image(tmp_path / "a.png")
    assert image.shape == (1, 3, 24, 32) and image.dtype == torch.float32
    write_image(tmp_path / "deep" / "b.png", image)
    assert np.array_equal(np.asarray(Image.open(tmp_path / "deep" / "b.png")), colour())


@pytest.mark.parametrize("suffix", ["png", "tif"])
def test_16_bit_keeps_its_precision(tmp_path: Path, suffix: str) -> None:
    deep = (np.arange(24 * 32 * 3, dtype=np.uint16) * 28).reshape(24, 32, 3)
    cv2.imwrite(str(tmp_path / f"deep.{suffix}"), deep[:, :, ::-1])
    assert np.allclose(to_array(read_image(tmp_path / f"deep.{suffix}")), deep / 65535.0, atol=1e-7)


@pytest.mark.parametrize("suffix", ["png", "tif", "tiff", "PNG"])
@pytest.mark.parametrize("bits", [8, 16])
def test_what_is_written_is_read_back_to_half_a_step(tmp_path: Path, suffix: str, bits: int) -> None:
    image = torch.rand(1, 3, 24, 32, generator=torch.Generator().manual_seed(0)) * 1.2 - 0.1
    file = write_image(tmp_path / "deep" / f"a.{suffix}", image, bits=bits)
    expected = image.clamp(0, 1).double()
    again = read_image(file).double()
    assert float((again - expected).abs().max()) <= 0.5 / (2**bits - 1) + 1e-7
    assert torch.equal(again == 0, expected < 0.5 / (2**bits - 1))  # black stays black
    assert cv2.imread(str(file), cv2.IMREAD_UNCHANGED).dtype == (np.uint8 if bits == 8 else np.uint16)
    assert picture_size(file) == (24, 32)


@settings(max_examples=40, deadline=None)
@given(
    steps=st.sampled_from([255, 1023, 4095, 65535]), seed=st.integers(0, 2**20), suffix=st.sampled_from(["png", "tif"])
)
def test_levels_of_up_to_16_bits_are_exact_in_16_bit_files(
    steps: int, seed: int, suffix: str, tmp_path_factory: pytest.TempPathFactory
) -> None:
    levels = np.random.default_rng(seed).integers(0, steps + 1, (16, 20, 3))
    file = tmp_path_factory.getbasetemp() / f"levels.{suffix}"
    write_image(file, levels / steps, bits=16)
    assert np.array_equal(np.round(read_array(file).astype(np.float64) * steps), levels)


@pytest.mark.parametrize("suffix", ["jpg", "webp", "avif", "bmp", "ppm", "jp2", "xyz"])
def test_16_bits_are_refused_where_the_file_holds_8(tmp_path: Path, suffix: str) -> None:
    file = tmp_path / "out" / f"a.{suffix}"
    with pytest.raises(UserError, match=rf"a\.{suffix}: 16 bits can be written as \.png, \.tif, \.tiff"):
        write_image(file, torch.zeros(1, 3, 16, 16), bits=16)
    assert not file.parent.exists()
    with pytest.raises(ValueError, match="bits = 10, expected 8 or 16"):
        write_image(tmp_path / "a.png", torch.zeros(1, 3, 16, 16), bits=10)


def test_16_bit_grey_becomes_three_channels(tmp_path: Path) -> None:
    deep = (np.arange(24 * 32, dtype=np.uint16) * 80).reshape(24, 32)
    cv2.imwrite(str(tmp_path / "grey.png"), deep)
    image = read_image(tmp_path / "grey.png")
    assert image.shape == (1, 3, 24, 32)
    assert np.allclose(image[0, 1].numpy(), deep / 65535.0, atol=1e-7)


def test_grey_palette_cmyk_and_opaque_alpha_are_taken(tmp_path: Path) -> None:
    Image.fromarray(GREY).save(tmp_path / "grey.png")
    Image.fromarray(colour()).quantize(64).save(tmp_path / "palette.png")
    Image.fromarray(colour()).convert("CMYK").save(tmp_path / "cmyk.tif")
    opaque = np.dstack([colour(), np.full_like(GREY, 255)])
    Image.fromarray(opaque).save(tmp_path / "alpha.png")
    assert torch.equal(read_image(tmp_path / "grey.png")[:, 0], read_image(tmp_path / "grey.png")[:, 2])
    assert read_image(tmp_path / "palette.png").shape == (1, 3, 24, 32)
    expected = colour() / 255.0
    assert np.abs(to_array(read_image(tmp_path / "cmyk.tif")) - expected).max() < 0.02
    assert np.allclose(to_array(read_image(tmp_path / "alpha.png")), expected)


@pytest.mark.parametrize("channels", [1, 3])
@pytest.mark.parametrize("orientation", [1, 6])
def test_float_tiff_files_are_read_as_they_are(tmp_path: Path, channels: int, orientation: int) -> None:
    file = tmp_path / "float.tif"
    pixels = np.random.default_rng(0).uniform(0.2, 0.8, (20, 30, channels)).astype(np.float32)
    cv2.imwrite(str(file), pixels[..., ::-1].squeeze())
    _write_tiff_orientation(file, orientation)
    expected = np.rot90(pixels, -1) if orientation == 6 else pixels
    np.testing.assert_allclose(read_array(file), np.broadcast_to(expected, (*expected.shape[:2], 3)), atol=1e-7)
    assert picture_size(file) == expected.shape[:2]
    cv2.imwrite(str(file), 2.0 * pixels[..., ::-1].squeeze())
    with pytest.raises(ImageFileError, match=r"float pixels outside \[0, 1\]"):
        read_array(file)
    file.write_bytes(file.read_bytes()[:30])
    with pytest.raises(ImageFileError, match=r"float\.tif"):
        read_array(file)


def test_a_float_tiff_file_of_absurd_size_is_refused_before_memory_is_taken(tmp_path: Path) -> None:
    file = tmp_path / "bomb.tif"
    fields = [(256, 100_000), (257, 100_000), (258, 32), (277, 3), (339, 3)]
    directory = b"".join(struct.pack("<HHII", tag, 4, 1, value) for tag, value in fields)
    file.write_bytes(b"II*\0" + struct.pack("<IH", 8, len(fields)) + directory + bytes(4))
    before = resource.getrusage(resource.RUSAGE_SELF).ru_maxrss
    with pytest.raises(ImageFileError, match="megapixels"):
        read_array(file)
    assert resource.getrusage(resource.RUSAGE_SELF).ru_maxrss - before < 50_000


@pytest.mark.parametrize("suffix", ["png", "tif"])
@pytest.mark.parametrize("orientation", range(1, 9))
def test_exif_orientation_of_16_bit_files_is_applied_as_to_8_bit_ones(
    tmp_path: Path, suffix: str, orientation: int
) -> None:
    corner = np.zeros((20, 32, 3), dtype=np.uint8)
    corner[:7, :11] = (250, 120, 30)
    exif = Image.Exif()
    exif[ExifTags.Base.Orientation] = orientation
    Image.fromarray(corner).save(tmp_path / f"shallow.{suffix}", exif=exif)
    cv2.imwrite(str(tmp_path / f"deep.{suffix}"), corner[..., ::-1].astype(np.uint16) * 257)
    if suffix == "png":  # OpenCV writes no EXIF: the chunk of the other file
        _copy_exif_chunk(tmp_path / "shallow.png", tmp_path / "deep.png")
    else:
        _write_tiff_orientation(tmp_path / "deep.tif", orientation)
    shallow, deep = (read_array(tmp_path / f"{name}.{suffix}") for name in ("shallow", "deep"))
    assert np.allclose(shallow, deep, atol=1e-4)
    assert picture_size(tmp_path / f"deep.{suffix}") == deep.shape[:2]
    assert picture_size(tmp_path / f"shallow.{suffix}") == shallow.shape[:2]


def _copy_exif_chunk(source: Path, target: Path) -> None:
    data, deep = source.read_bytes(), target.read_bytes()
    place = data.index(b"eXIf") - 4
    chunk = data[place : place + 12 + int.from_bytes(data[place : place + 4], "big")]
    target.write_bytes(deep[:33] + chunk + deep[33:])  # behind the header


def _write_tiff_orientation(path: Path, orientation: int) -> None:
    """Change the tag in place where OpenCV's encoder wrote it, else add it to the directory at the file's end."""
    data = bytearray(path.read_bytes())
    order = "little" if data[:2] == b"II" else "big"

    def number(at: int, size: int) -> int:
        return int.from_bytes(data[at : at + size], order)  # type: ignore[arg-type]

    start = number(4, 4)
    count = number(start, 2)
    entries = [bytes(data[start + 2 + 12 * i : start + 14 + 12 * i]) for i in range(count)]
    tag = (274).to_bytes(2, order) + (3).to_bytes(2, order) + (1).to_bytes(4, order)  # type: ignore[arg-type]
    tag += orientation.to_bytes(2, order) + b"\0\0"  # type: ignore[arg-type]
    entries = [entry for entry in entries if int.from_bytes(entry[:2], order) != 274]  # type: ignore[arg-type]
    entries = sorted([*entries, tag], key=lambda entry: int.from_bytes(entry[:2], order))  # type: ignore[arg-type]
    data += b"\0" * (len(data) % 2)
    data[4:8] = len(data).to_bytes(4, order)  # type: ignore[arg-type]
    data += len(entries).to_bytes(2, order) + b"".join(entries) + bytes(4)  # type: ignore[arg-type]
    path.write_bytes(bytes(data))


def test_exif_orientation_is_applied(tmp_path: Path) -> None:
    picture = Image.fromarray(colour())
    exif = picture.getexif()
    exif[274] = 6  # turned by 90 degrees
    picture.save(tmp_path / "turned.jpg", exif=exif)
    assert read_image(tmp_path / "turned.jpg").shape == (1, 3, 32, 24)
    assert picture_size(tmp_path / "turned.jpg") == (32, 24)


def test_transparent_missing_truncated_tiny_and_foreign_files_are_named(tmp_path: Path) -> None:
    Image.fromarray(np.dstack([colour(), GREY])).save(tmp_path / "see_through.png")
    noise = np.random.default_rng(0).integers(0, 256, (64, 64, 3), dtype=np.uint8)
    Image.fromarray(noise).save(tmp_path / "whole.png")
    data = (tmp_path / "whole.png").read_bytes()
    (tmp_path / "cut.png").write_bytes(data[: len(data) // 2])
    (tmp_path / "text.png").write_text("no picture")
    Image.fromarray(colour()[:8, :8]).save(tmp_path / "tiny.png")
    for name, reason in {
        "see_through.png": "transparent",
        "absent.png": "no such file",
        "cut.png": "broken or truncated",
        "text.png": "not a picture",
        "tiny.png": "at least 16 x 16",
    }.items():
        with pytest.raises(ImageFileError, match=reason) as caught:
            read_image(tmp_path / name)
        assert name in str(caught.value) and "\n" not in str(caught.value)


def test_a_folder_in_place_of_a_file_is_refused(tmp_path: Path) -> None:
    with pytest.raises(ImageFileError, match="a folder"):
        read_image(tmp_path)


def test_a_file_in_the_way_of_the_output_folder_is_named(tmp_path: Path) -> None:
    (tmp_path / "out").write_text("in the way")
    for bits in (8, 16):
        with pytest.raises(UserError, match=r"out/a\.png: cannot be written"):
            write_image(tmp_path / "out" / "a.png", torch.zeros(1, 3, 16, 16), bits=bits)


def test_masks_are_one_channel_and_folders_list_only_pictures(tmp_path: Path) -> None:
    Image.fromarray(GREY).save(tmp_path / "mask.png")
    (tmp_path / "notes.txt").write_text("x")
    assert read_mask(tmp_path / "mask.png").shape == (1, 1, 24, 32)
    assert [p.name for p in list_images(tmp_path)] == ["mask.png"]


def png_header(width: int, height: int) -> bytes:
    """A PNG whose header says any size and whose data is that of a few pixels."""
    chunks = [(b"IHDR", struct.pack(">IIBBBBB", width, height, 8, 2, 0, 0, 0)), (b"IDAT", zlib.compress(bytes(100)))]
    body = b"".join(
        struct.pack(">I", len(data)) + kind + data + struct.pack(">I", zlib.crc32(kind + data)) for kind, data in chunks
    )
    return b"\x89PNG\r\n\x1a\n" + body


def ppm_header(width: int, height: int) -> bytes:
    return f"P6 {width} {height} 255\n".encode() + bytes(100)


@pytest.mark.parametrize("header", [png_header, ppm_header])
def test_absurd_sizes_are_refused_before_memory_is_taken(tmp_path: Path, header: Callable[[int, int], bytes]) -> None:
    before = resource.getrusage(resource.RUSAGE_SELF).ru_maxrss
    for side in (100_000, 2**31 - 1):
        (tmp_path / "huge.png").write_bytes(header(side, side))
        with pytest.raises(ImageFileError, match=r"huge.png: (more than 178 megapixels|not a picture|the picture is)"):
            read_image(tmp_path / "huge.png")
    assert resource.getrusage(resource.RUSAGE_SELF).ru_maxrss - before < 100_000  # KiB


@pytest.mark.parametrize("header", [png_header, ppm_header])
def test_sizes_come_from_headers_alone(tmp_path: Path, header: Callable[[int, int], bytes]) -> None:
    (tmp_path / "huge.png").write_bytes(header(12_000, 10_000))
    before = resource.getrusage(resource.RUSAGE_SELF).ru_maxrss
    assert picture_size(tmp_path / "huge.png") == (10_000, 12_000)
    assert resource.getrusage(resource.RUSAGE_SELF).ru_maxrss - before < 50_000  # KiB; the pixels are 360 megabytes


def test_an_orientation_behind_the_pixels_of_a_png_turns_its_size(tmp_path: Path) -> None:
    exif = Image.Exif()
    exif[0x0112] = 6
    Image.fromarray(colour()).save(tmp_path / "a.png", exif=exif)
    data = (tmp_path / "a.png").read_bytes()
    start = data.index(b"eXIf") - 4
    end = start + 12 + struct.unpack(">I", data[start : start + 4])[0]
    last = data.index(b"IEND") - 4
    (tmp_path / "a.png").write_bytes(data[:start] + data[end:last] + data[start:end] + data[last:])
    assert picture_size(tmp_path / "a.png") == read_array(tmp_path / "a.png").shape[:2] == colour().shape[1::-1]


def test_a_text_chunk_that_unpacks_to_megabytes_is_refused(tmp_path: Path) -> None:
    Image.fromarray(colour()).save(tmp_path / "bomb.png")
    data = (tmp_path / "bomb.png").read_bytes()
    text = b"Comment\0\0" + zlib.compress(bytes(5_000_000))
    chunk = struct.pack(">I", len(text)) + b"zTXt" + text + struct.pack(">I", zlib.crc32(b"zTXt" + text))
    (tmp_path / "bomb.png").write_bytes(data[:33] + chunk + data[33:])
    with pytest.raises(ImageFileError, match="broken or truncated"):
        read_image(tmp_path / "bomb.png")


def test_empty_one_pixel_and_misnamed_files(tmp_path: Path) -> None:
    (tmp_path / "empty.jpg").write_bytes(b"")
    Image.fromarray(colour()[:1, :1]).save(tmp_path / "one.webp", lossless=True)
    for name, reason in {"empty.jpg": "not a picture", "one.webp": "1 x 1 pixels, expected at least 16 x 16"}.items():
        with pytest.raises(ImageFileError, match=reason):
            read_image(tmp_path / name)
    Image.fromarray(colour()).save(tmp_path / "a.jpg", format="PNG")  # read for what it is, not for its name
    assert np.array_equal(np.round(to_array(read_image(tmp_path / "a.jpg")) * 255), colour())


def whole_files(folder: Path) -> dict[str, bytes]:
    """A small file of every format, and of the kinds that are read by other code."""
    picture = Image.fromarray(colour())
    exif = picture.getexif()
    exif[274] = 6
    for suffix in ("png", "jpg", "webp", "bmp", "ppm", "jp2", "avif", "tif"):
        picture.save(folder / f"a.{suffix}", **({"exif": exif} if suffix in ("png", "jpg", "webp") else {}))
    picture.save(folder / "progressive.jpg", progressive=True)
    picture.save(folder / "lzw.tif", compression="tiff_lzw")
    picture.quantize(16).save(folder / "palette.png")
    picture.convert("CMYK").save(folder / "cmyk.jpg")
    for suffix in ("png", "tif"):
        cv2.imwrite(str(folder / f"deep.{suffix}"), colour().astype(np.uint16) * 200)
    return {path.name: path.read_bytes() for path in sorted(folder.iterdir())}


@pytest.fixture(scope="module")
def broken_folder(tmp_path_factory: pytest.TempPathFactory) -> tuple[Path, dict[str, bytes]]:
    folder = tmp_path_factory.mktemp("whole")
    return tmp_path_factory.mktemp("broken"), whole_files(folder)


@settings(max_examples=300, deadline=None)
@given(data=st.data())
def test_damaged_files_give_a_picture_or_one_line(
    data: st.DataObject, broken_folder: tuple[Path, dict[str, bytes]]
) -> None:
    folder, whole = broken_folder
    name = data.draw(st.sampled_from(sorted(whole)))
    damaged = bytearray(whole[name])
    # Where headers are, damage does more than among the pixels.
    for place in data.draw(st.lists(st.integers(0, min(len(damaged), 300) - 1), max_size=4)):
        damaged[place] = data.draw(st.integers(0, 255))
    keep = data.draw(st.integers(0, len(damaged)) | st.just(len(damaged)))
    (folder / name).write_bytes(damaged[:keep])
    try:
        image = read_image(folder / name)
    except ImageFileError as error:
        assert str(error).startswith(str(folder / name)) and "\n" not in str(error) and len(str(error)) < 600
    else:
        assert image.shape[:2] == (1, 3) and bool(torch.isfinite(image).all())
        assert float(image.min()) >= 0.0 and float(image.max()) <= 1.0
