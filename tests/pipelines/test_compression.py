"""Codecs: true bytes, options that do what they say, learned tables in real files, gradients."""

from __future__ import annotations

import io
import json
import os
from pathlib import Path

import numpy as np
import pytest
import torch
from PIL import Image
from scipy.fft import dctn
from scipy.stats import spearmanr

from benchmarks.jpeg_tables import curve, saving
from pipelines import load
from pipelines.compression.base import coded
from pipelines.compression.dct import block_dct, inverse_block_dct
from pipelines.compression.jpeg_rate import estimated_bits
from pipelines.compression.jpeg_tables import JpegTables, save_options
from pipelines.compression.tables import standard_tables
from pixelperfect_models import PixelPerfect
from pixelperfect_models.images import list_images, read_image

ROOT = Path(__file__).parents[2]
CLEAN = ROOT / "recipes/photos/clean"
CODECS = ("jpeg", "webp", "avif", "jpegxl", "jpeg2000")


@pytest.fixture(scope="module")
def photo() -> torch.Tensor:
    return read_image(CLEAN / "dog.png")[..., :192, :224]


@pytest.mark.parametrize("name", CODECS)
def test_better_quality_costs_bytes_and_looks_closer(name: str, photo: torch.Tensor) -> None:
    pipeline = load("compression.codec")
    found = [pipeline.run(photo, {"codec": name, "quality": quality}) for quality in (15, 45, 85)]
    sizes = [output.measures["bytes"] for output in found]
    errors = [float((output.image - photo).square().mean()) for output in found]
    assert sizes == sorted(sizes) and sizes[0] < 0.7 * sizes[2]
    assert errors == sorted(errors, reverse=True)
    assert found[0].measures["bits_per_pixel"] == pytest.approx(sizes[0] * 8 / (192 * 224))
    assert found[0].measures["encode_seconds"] > 0 and found[0].measures["decode_seconds"] > 0


@pytest.mark.parametrize("name", CODECS)
@pytest.mark.parametrize("size", [(16, 16), (17, 31)])
def test_any_size_and_batches(name: str, size: tuple[int, int]) -> None:
    image = torch.rand(2, 3, *size, generator=torch.Generator().manual_seed(0)) * 0.1 + 0.4
    output = load(f"compression.{name}").run(image)
    assert output.image.shape == image.shape
    assert float((output.image - image).abs().mean()) < 0.05


def test_jpeg_is_pillows_own_at_the_same_quality(photo: torch.Tensor) -> None:
    stream = io.BytesIO()
    Image.open(CLEAN / "dog.png").crop((0, 0, 224, 192)).save(stream, "JPEG", quality=70, optimize=True)
    output = load("compression.jpeg").run(photo, {"quality": 70})
    assert output.measures["bytes"] == len(stream.getvalue())
    decoded = np.asarray(Image.open(stream), dtype=np.float32) / 255
    assert np.allclose(output.image[0].permute(1, 2, 0).numpy(), decoded, atol=1e-6)
    for quality in (1, 10, 49, 50, 51, 75, 99):
        stream = io.BytesIO()
        Image.new("RGB", (16, 16)).save(stream, "JPEG", quality=quality)
        tables = Image.open(stream).quantization
        assert [list(tables[0]), list(tables[1])] == [*standard_tables(quality)]


def test_options_reach_the_encoder(photo: torch.Tensor) -> None:
    jpeg = load("compression.jpeg")
    full = jpeg.run(photo, {"subsampling": "4:4:4"}).measures["bytes"]
    assert jpeg.run(photo, {"subsampling": "4:2:0"}).measures["bytes"] < full
    assert jpeg.run(photo, {"chroma_quality": -30}).measures["bytes"] < jpeg.run(photo).measures["bytes"]
    ratio = load("compression.jpeg2000").run(photo, {"ratio": 30.0}).measures["bytes"]
    assert ratio == pytest.approx(192 * 224 * 3 / 30, rel=0.1)


def test_a_written_file_holds_the_learned_tables(tmp_path: Path, photo: torch.Tensor) -> None:
    pipeline = JpegTables()
    parameters = {"quality": 60, "luma_high": 2.0, "chroma_low": 0.5, "luma_tilt": 1.3}
    pipeline.write(tmp_path / "a.jpg", photo, parameters)
    values = {key: torch.tensor(float(value)) for key, value in pipeline.resolve(parameters).items()}
    luma, chroma = pipeline.tables(values.pop("quality"), values.pop("luma_tilt"), values)
    with Image.open(tmp_path / "a.jpg") as written:
        for index, table in enumerate((luma, chroma)):
            assert list(written.quantization[index]) == torch.floor(table + 0.5).int().reshape(-1).tolist()
    with torch.no_grad():
        output = pipeline.run(photo, parameters)
    assert output.measures["bytes"] == (tmp_path / "a.jpg").stat().st_size
    assert torch.allclose(output.image, read_image(tmp_path / "a.jpg"), atol=1e-6)


def test_neutral_factors_are_the_standards_tables(photo: torch.Tensor) -> None:
    with torch.no_grad():
        ours = JpegTables().run(photo, {"quality": 70})
    assert ours.measures["bytes"] == load("compression.jpeg").run(photo, {"quality": 70}).measures["bytes"]


def test_the_differentiable_jpeg_is_near_libjpegs(photo: torch.Tensor) -> None:
    soft = JpegTables().run(photo, {"quality": torch.tensor(70.0, requires_grad=True)})
    with torch.no_grad():
        real = JpegTables().run(photo, {"quality": 70.0})
    assert -10 * torch.log10((soft.image - real.image).square().mean()) > 38


def test_gradients_of_the_rate_agree_with_finite_differences(photo: torch.Tensor) -> None:
    pipeline, image = JpegTables(), photo[..., :64, :64].double()
    for name in ("luma_mid", "chroma_lowest", "luma_tilt", "quality"):

        def rate(at: float, name: str = name) -> tuple[torch.Tensor, torch.Tensor]:
            leaf = torch.tensor(at, dtype=torch.float64, requires_grad=True)
            return leaf, pipeline.run(image, {"quality": 60.0, name: leaf}).graph["bits_per_pixel_estimate"]

        start, step = 60.3 if name == "quality" else 1.1, 1e-5
        leaf, bits = rate(start)
        (gradient,) = torch.autograd.grad(bits, leaf)
        difference = float((rate(start + step)[1] - rate(start - step)[1]).detach()) / (2 * step)
        assert float(gradient) == pytest.approx(difference, rel=0.02, abs=1e-3), name


@pytest.mark.parametrize("quality", [50.0, 80.0])
def test_gradients_of_the_picture_agree_with_what_libjpeg_does(photo: torch.Tensor, quality: float) -> None:
    # No derivative of rounding says what a coarser step does: the truth is the change between two real files.
    pipeline = JpegTables()
    bands = [name for name in pipeline.parameters if name != "quality"]
    leaves = {name: torch.ones((), requires_grad=True) for name in bands}
    torch.manual_seed(0)
    (pipeline(photo, {"quality": quality, **leaves}) - photo).square().mean().backward()
    changes = []
    with torch.no_grad():
        for name in bands:
            finer, coarser = (
                (pipeline(photo, {"quality": quality, name: factor}) - photo).square().mean()
                for factor in (1 / 1.2, 1.2)
            )
            changes.append(float(coarser - finer) / (2 * np.log(1.2)))
    gradients = np.array([float(leaf.grad) for leaf in leaves.values() if leaf.grad is not None])
    assert np.corrcoef(gradients, changes)[0, 1] > 0.97
    assert gradients.sum() == pytest.approx(sum(changes), rel=0.5)


def test_gradients_reach_the_picture(photo: torch.Tensor) -> None:
    image = photo[..., :50, :70].clone().requires_grad_()
    output = JpegTables()(image)
    assert output.shape == image.shape
    output.sum().backward()
    assert image.grad is not None and float(image.grad.mean()) == pytest.approx(1.0, abs=0.1)


def test_the_rate_estimate_follows_the_real_files() -> None:
    rng, pipeline, estimates, truths = np.random.default_rng(1), JpegTables(), [], []
    for path in sorted(CLEAN.glob("*.png")):
        photo = read_image(path)
        for _ in range(8):
            values = {
                k: torch.tensor(float(np.exp(rng.uniform(-0.7, 0.7)))) for k in pipeline.parameters if k != "quality"
            }
            luma, chroma = pipeline.tables(torch.tensor(float(rng.uniform(35, 90))), values.pop("luma_tilt"), values)
            estimates.append(float(estimated_bits(photo, luma, chroma)))
            truths.append(float(coded(photo, "JPEG", save_options(luma, chroma)).measures["bits_per_pixel"]))
    assert spearmanr(estimates, truths).statistic > 0.95
    assert np.mean(np.abs(np.array(estimates) / np.array(truths) - 1)) < 0.15


def test_the_dct_is_scipys() -> None:
    plane = torch.rand(1, 1, 16, 24, dtype=torch.float64)
    blocks = block_dct(plane).view(2, 3, 8, 8)
    expected = dctn(plane[0, 0, 8:, 16:].numpy(), norm="ortho")
    assert np.allclose(blocks[1, 2].numpy(), expected)
    assert torch.allclose(inverse_block_dct(block_dct(plane), plane), plane)


def sheet(names: tuple[str, ...]) -> torch.Tensor:
    """Four crops of recipes/photos, (1, 3, 640, 640): judged at half size as large photos are, 320 pixels are not."""
    crops = [read_image(ROOT / "recipes/photos" / name) for name in names]
    return torch.cat([torch.cat(crops[:2], dim=3), torch.cat(crops[2:], dim=3)], dim=2)


@pytest.mark.slow
@pytest.mark.parametrize("source", ["recipes", "kodak"])
def test_the_learned_tables_save_bytes_on_photos_that_the_search_did_not_see(source: str, judge: PixelPerfect) -> None:
    if source == "recipes":
        names = (
            ("clean/dog.png", "clean/nyc.png", "clean/sumac.png", "train/baby.webp"),
            ("train/bulb.webp", "train/grass.webp", "train/guitar.webp", "train/house.webp"),
        )
        seen = {path.stem for path in (ROOT / "recipes/photos/seen").iterdir()}
        assert not seen & {Path(name).stem for four in names for name in four}
        photos = [sheet(four) for four in names]
    elif "PIXELPERFECT_DATA" in os.environ:
        photos = [
            read_image(path)
            for path in list_images(Path(os.environ["PIXELPERFECT_DATA"]) / "photos/test" / source)[::12]
        ]
    else:
        pytest.skip("PIXELPERFECT_DATA is not set: no photos of the test folders")
    pipeline = JpegTables()
    learned = json.loads((ROOT / "docs/jpeg_tables.json").read_text(encoding="utf-8"))["parameters"]
    saved = []
    for photo in photos:
        with torch.no_grad():
            state = judge.prepare(photo)
        curves = [curve(pipeline, parameters, photo, judge, state) for parameters in ({}, learned)]
        assert saving(curves[0], curves[0], "judge") == pytest.approx(0.0, abs=1e-9)
        saved.append(saving(curves[0], curves[1], "judge"))
    assert min(saved) > 0.0 and np.mean(saved) > 0.05, saved
