"""How deep the files are that ``tuner apply`` and a run write."""

from __future__ import annotations

from pathlib import Path

import pytest
import torch

import pipelines
from pixelperfect_models.images import read_image
from tests.tuner.fake_judge import FakeJudge
from tests.tuner.recipe_data import picture
from tuner import load_recipe, run
from tuner.cli import main

ISP = "pipeline: {name: isp, options: {output_bits: %s, simulate: {shot_noise: 0, read_noise: 0}}}\n"


def apply(run: Path, recipe: str, best: str, *arguments: str) -> Path:
    """Apply a run of this recipe and these best parameters to a picture; the file that it wrote."""
    run.mkdir()
    (run / "recipe.yaml").write_text(recipe)
    (run / "best_parameters.yaml").write_text(best)
    assert main(["apply", str(run), str(picture(run / "in/shot.png", noise=0.05)), *arguments]) == 0
    return run / "applied" / "shot.png"


def depth(file: Path) -> int:
    """Bits per colour, from the PNG header."""
    return file.read_bytes()[24]


def test_ten_bits_of_output_are_written_into_sixteen(tmp_path: Path) -> None:
    written = apply(tmp_path / "run", ISP % 10, "exposure_gain: 0.3\n")
    assert depth(written) == 16
    isp = pipelines.load("isp", {"output_bits": 10, "simulate": {"shot_noise": 0, "read_noise": 0}})
    expected = isp(isp.input.read(tmp_path / "run/in/shot.png"), {"exposure_gain": 0.3})
    got = read_image(written)
    assert float((got - expected).abs().max()) <= 0.5 / 65535 + 1e-7
    levels = got.double() * 1023
    assert float((levels - levels.round()).abs().max()) < 0.01  # each still is one of the ten bits' levels
    eighths = got.double() * 255
    assert float((eighths - eighths.round()).abs().max()) > 0.4  # which eight bits would have lost


@pytest.mark.parametrize(
    ("recipe", "arguments", "bits"),
    [
        (ISP % 8, (), 8),
        (ISP % "null", (), 8),
        (ISP % 10, ("--bits", "8"), 8),
        ("pipeline: {name: denoise.gaussian}\n", (), 8),
        ("pipeline: {name: denoise.gaussian}\n", ("--bits", "16"), 16),
    ],
)
def test_the_depth_follows_the_output_or_what_is_asked_for(
    recipe: str, arguments: tuple[str, ...], bits: int, tmp_path: Path
) -> None:
    best = "exposure_gain: 0.0\n" if "isp" in recipe else "sigma: 1.3\n"
    written = apply(tmp_path / "run", recipe, best, *arguments)
    assert depth(written) == bits
    if bits == 16:
        blur = pipelines.load("denoise.gaussian")
        expected = blur(read_image(tmp_path / "run/in/shot.png"), {"sigma": 1.3})
        assert torch.allclose(read_image(written), expected, rtol=0, atol=0.5 / 65535 + 1e-7)


def test_other_depths_are_refused_in_one_line(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    assert main(["apply", str(tmp_path), "a.png", "--bits", "12"]) == 2
    out, err = capsys.readouterr()
    (line,) = err.splitlines()
    assert out == "" and "--bits" in line and "'8', '16'" in line


def test_outputs_of_a_run_are_as_deep_as_the_pipeline_makes_them(tmp_path: Path) -> None:
    picture(tmp_path / "in/shot.png", 48, 40)
    options = {"output_bits": 10, "stages": ["demosaic", "color_matrix", "exposure", "tone"]}
    recipe = {
        "pipeline": {"name": "isp", "options": options, "search": {"exposure_gain": {}}},
        "images": {"input": "in/*.png", "reference": "in/*.png"},
        "search": {"strategy": "optuna", "sampler": "random", "trials": 1},
    }
    run(load_recipe(recipe, folder=tmp_path), tmp_path / "run", quiet=True, judge=FakeJudge())
    written = tmp_path / "run/outputs/shot.png"
    assert depth(written) == 16
    levels = read_image(written).double() * 1023
    assert float((levels - levels.round()).abs().max()) < 0.01
