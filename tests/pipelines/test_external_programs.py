"""The programs of the recipes, each run once, and that pages, recipes and code agree on where they come from."""

from __future__ import annotations

import re
import subprocess
import sys
from pathlib import Path

import pytest
import torch
import yaml

from pipelines import PipelineError, load
from pipelines.external import PACKAGES
from pixelperfect_models.images import read_image, write_image
from tests.needs import need_program

ROOT = Path(__file__).parents[2]
PICTURE = read_image(ROOT / "recipes/photos/clean/dog.png")[..., 40:168, 20:212].contiguous()


@pytest.mark.parametrize(
    ("recipe", "programs", "coarser"),
    [
        ("external_cwebp", ("cwebp",), {"quality": 10}),
        ("external_avifenc", ("avifenc",), {"quantizer": 55}),
        ("external_cjxl", ("cjxl", "djxl"), {"distance": 6}),
    ],
)
def test_a_recipes_program_gives_what_it_gives_by_hand(
    tmp_path: Path, recipe: str, programs: tuple[str, ...], coarser: dict[str, float]
) -> None:
    for name in programs:
        need_program(name)
    options = yaml.safe_load((ROOT / "recipes" / f"{recipe}.yaml").read_text())["pipeline"]["options"]
    pipeline = load("command", options)
    output = pipeline.run(PICTURE)

    files = {
        "input": tmp_path / "input.png",
        "output": tmp_path / f"output.{options.get('output_format', 'png')}",
        "encoded": tmp_path / f"encoded.{options.get('encoded_format', 'bin')}",
    }
    write_image(files["input"], PICTURE)
    given = {name: parameter["default"] for name, parameter in options["parameters"].items()}
    lists = options["command"] if len(programs) > 1 else [options["command"]]
    assert tuple(each[0] for each in lists) == programs
    for arguments in lists:
        line = [str(argument).format(**given, **files) for argument in arguments]
        subprocess.run(line, check=True, capture_output=True)
    assert torch.equal(output.image, read_image(files["output"]))
    measured = files["encoded" if len(programs) > 1 else "output"].stat().st_size
    assert output.measures["bytes"] == measured
    assert output.measures["bits_per_pixel"] == pytest.approx(8 * measured / (128 * 192))
    assert -10 * torch.log10((output.image - PICTURE).square().mean()) > 30
    assert pipeline.run(PICTURE, coarser).measures["bytes"] < 0.7 * measured


def two(tmp_path: Path, encoder: str, decoder: str):
    head = "import pathlib, sys, zlib\nsource, target = map(pathlib.Path, sys.argv[1:3])\n"
    (tmp_path / "encoder.py").write_text(head + encoder)
    (tmp_path / "decoder.py").write_text(head + decoder)
    command = [
        [sys.executable, str(tmp_path / "encoder.py"), "{input}", "{encoded}"],
        [sys.executable, str(tmp_path / "decoder.py"), "{encoded}", "{output}"],
    ]
    return load("command", {"command": command, "encoded_format": "z", "input_format": "ppm", "output_format": "ppm"})


def test_an_encoder_and_a_decoder_meet_in_the_encoded_file(tmp_path: Path) -> None:
    """Its bytes are what is measured, not the output's."""
    encoder = "assert target.suffix == '.z'; target.write_bytes(zlib.compress(source.read_bytes(), 9))"
    pipeline = two(tmp_path, encoder, "target.write_bytes(zlib.decompress(source.read_bytes()))")
    flat = torch.full((1, 3, 64, 64), 0.2)  # 51 of 255
    output = pipeline.run(flat)
    assert torch.allclose(output.image, flat, atol=1e-6)
    assert 10 < output.measures["bytes"] < 200
    assert output.measures["bits_per_pixel"] == pytest.approx(8 * output.measures["bytes"] / 64**2)


def test_a_decoder_without_an_encoded_file_says_so(tmp_path: Path) -> None:
    with pytest.raises(PipelineError, match=r"exited with code 1; it said: .*FileNotFoundError.*encoded\.z"):
        two(tmp_path, "pass", "target.write_bytes(source.read_bytes())")(PICTURE)


def test_pages_recipes_and_code_name_the_same_packages() -> None:
    page = (ROOT / "docs/external.md").read_text()
    rows = re.findall(r"^\| (`[^|]+`) \| ([^|]+) \| `recipes/(\w+)\.yaml` \|$", page, re.MULTILINE)
    listed = {program: row[1] for row in rows for program in re.findall(r"`([\w-]+)`", row[0])}
    assert listed and listed == {program: PACKAGES.get(program) for program in listed}
    recipes = {path.stem for path in (ROOT / "recipes").glob("external_*.yaml")}
    assert {row[2] for row in rows} == recipes
    for programs, package, recipe in rows:
        document = yaml.safe_load((ROOT / "recipes" / f"{recipe}.yaml").read_text())
        command = document["pipeline"]["options"]["command"]
        lists = command if isinstance(command[0], list) else [command]
        assert re.findall(r"`([\w-]+)`", programs) == [each[0] for each in lists]
        assert f"(Debian: {package}" in (ROOT / "recipes" / f"{recipe}.yaml").read_text().splitlines()[0]

    readme = " ".join((ROOT / "README.md").read_text().split())
    named = re.findall(r"([a-z0-9-]+) \(((?:`[\w-]+`(?:, )?)+)\)", readme)
    there = {program: package for package, group in named for program in re.findall(r"`([\w-]+)`", group)}
    assert {program: there.get(program) for program in listed} == listed
