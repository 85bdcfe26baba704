"""The commands that ask the judge about pictures, and everything a person may hand them by mistake.

In this process, so that dozens of cases stay quick: ``main`` returns the exit code that the process would have.
"""

from __future__ import annotations

import errno
import json
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from PIL import Image

import tuner.cli.compare
from pixelperfect_models.channels import CHANNELS
from pixelperfect_models.errors import PixelPerfectError, UserError
from tests.tuner.command import ROOT
from tests.tuner.recipe_data import picture, recipe_folder
from tuner.cli import main
from tuner.cli.app import COMMANDS


@pytest.fixture(autouse=True)
def _one_judge(request: pytest.FixtureRequest, monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> None:
    # The session's judge, loaded by the first command that asks for one.
    monkeypatch.setattr(tuner.cli.compare, "load_judge", lambda weights: request.getfixturevalue("judge"))
    monkeypatch.chdir(tmp_path)


@pytest.fixture
def clean(tmp_path: Path) -> Path:
    return picture(tmp_path / "clean.png")


@pytest.fixture
def noisy(tmp_path: Path) -> Path:
    return picture(tmp_path / "noisy.png", noise=0.1)


def refused(capsys: pytest.CaptureFixture[str], *arguments: str | Path) -> str:
    """The one line on stderr of a command that exits with 2 and prints nothing else."""
    code = main([str(argument) for argument in arguments])
    out, err = capsys.readouterr()
    assert (code, out) == (2, ""), err
    (line,) = err.splitlines()
    return line


def answered(capsys: pytest.CaptureFixture[str], *arguments: str | Path) -> str:
    code = main([str(argument) for argument in arguments])
    out, err = capsys.readouterr()
    assert code == 0, err
    return out


def test_compare_prints_a_line_for_each_type_and_draws_the_maps(
    clean: Path, noisy: Path, capsys: pytest.CaptureFixture[str], tmp_path: Path
) -> None:
    lines = [line.split("\t") for line in answered(capsys, "compare", noisy, clean).splitlines()]
    assert lines[0][0] == "score"
    assert [line[0] for line in lines[2:]] == list(CHANNELS)
    assert Image.open(tmp_path / "noisy_vs_clean.png").width > 64


def test_compare_is_antisymmetric_in_json(clean: Path, noisy: Path, capsys: pytest.CaptureFixture[str]) -> None:
    one = json.loads(answered(capsys, "compare", noisy, clean, "--json"))
    other = json.loads(answered(capsys, "compare", clean, noisy, "--json"))
    assert one["score"] == pytest.approx(-other["score"], abs=1e-5)
    assert {one["better"], other["better"]} == {"test", "reference"}
    assert one["types"]["blur"]["mean"] == pytest.approx(-other["types"]["blur"]["mean"], abs=1e-3)
    assert one["maps"] is None
    assert not list(Path.cwd().glob("*_vs_*"))


def test_a_picture_is_like_itself(clean: Path, capsys: pytest.CaptureFixture[str]) -> None:
    data = json.loads(answered(capsys, "compare", clean, clean, "--json"))
    assert (data["score"], data["better"]) == (0, "alike")


def test_score_gives_one_number_each(clean: Path, noisy: Path, capsys: pytest.CaptureFixture[str]) -> None:
    data = json.loads(answered(capsys, "score", noisy, clean, "--ref", clean, "--json"))
    assert [row["test"] for row in data["scores"]] == [str(noisy), str(clean)]
    assert data["scores"][1]["score"] == 0
    plain = answered(capsys, "score", noisy, clean, "--ref", clean).splitlines()
    assert plain[0] == "picture\tscore"
    assert float(plain[1].split("\t")[1]) == pytest.approx(data["scores"][0]["score"], rel=1e-2)


def test_rank_with_and_without_a_reference(clean: Path, noisy: Path, capsys: pytest.CaptureFixture[str]) -> None:
    with_ref = json.loads(answered(capsys, "rank", noisy, clean, "--ref", clean, "--json"))
    assert {row["name"] for row in with_ref["ranking"]} == {str(noisy), str(clean)}
    alone = json.loads(answered(capsys, "rank", clean, noisy, "--json"))
    assert [row["place"] for row in alone["ranking"]] == [1, 2]
    # two pictures: whoever wins against the other as reference wins the ranking
    score = json.loads(answered(capsys, "score", noisy, "--ref", clean, "--json"))["scores"][0]["score"]
    assert alone["ranking"][0]["name"] == str(noisy if score > 0 else clean)


def variants(folder: Path, kind: str) -> Path:
    """The picture of :func:`picture` in another file type of the same content."""
    source = Image.open(picture(folder / "source.png"))
    path = folder / f"{kind}.png"
    if kind == "16-bit":
        import cv2

        wide = np.asarray(source).astype(np.uint16) * 257
        assert cv2.imwrite(str(path), wide[:, :, ::-1])
    elif kind == "palette":
        source.quantize(64).save(path)
    elif kind == "opaque":
        source.convert("RGBA").save(path)
    elif kind == "grey":
        source.convert("L").save(path)
    else:
        path = folder / "cmyk.tif"
        source.convert("CMYK").save(path)
    return path


@pytest.mark.parametrize("kind", ["16-bit", "palette", "opaque", "grey", "cmyk"])
def test_pictures_of_other_kinds_are_read(kind: str, clean: Path, capsys: pytest.CaptureFixture[str]) -> None:
    path = variants(clean.parent, kind)
    data = json.loads(answered(capsys, "score", path, "--ref", clean, "--json"))
    same = kind in ("16-bit", "opaque", "cmyk")  # these hold the very same colours
    assert (abs(data["scores"][0]["score"]) < 1e-3) or not same


def broken(folder: Path, kind: str) -> tuple[Path, str]:
    """A picture that cannot be judged, and what the error must say."""
    path = folder / "broken.png"
    if kind == "missing":
        return folder / "missing.png", "missing.png: no such file"
    if kind == "truncated":
        whole = picture(path, 256, 256, noise=0.3).read_bytes()
        path.write_bytes(whole[: len(whole) // 2])
        return path, "broken or truncated"
    if kind == "text":
        path.write_text("no picture at all")
        return path, "not a picture"
    if kind == "empty":
        path.touch()
        return path, "broken.png: "
    if kind == "folder":
        path.mkdir()
        return path, "a folder, expected a picture file"
    if kind == "transparent":
        Image.new("RGBA", (64, 48), (255, 0, 0, 128)).save(path)
        return path, "partly transparent"
    if kind == "tiny":
        return picture(path, 8, 8), "8 x 8 pixels, expected at least 16 x 16"
    return picture(path, 48, 64), "48 x 64"


BROKEN = ("missing", "truncated", "text", "empty", "folder", "transparent", "tiny", "other size")


@pytest.mark.parametrize("kind", BROKEN)
@pytest.mark.parametrize("command", ["compare", "score", "rank"])
def test_a_bad_picture_is_one_line(command: str, kind: str, clean: Path, capsys: pytest.CaptureFixture[str]) -> None:
    path, expected = broken(clean.parent, kind)
    arguments: list[str | Path] = [command, path, clean]
    if command == "score":
        arguments = [command, path, "--ref", clean]
    line = refused(capsys, *arguments)
    assert expected in line
    assert str(path) in line


@pytest.mark.parametrize("kind", BROKEN)
def test_a_bad_picture_in_a_recipe_is_one_line(kind: str, tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    recipe = recipe_folder(tmp_path, count=1)
    path, expected = broken(tmp_path / "noisy", kind)
    arguments = ("check", recipe, "--set", f"images.input={path}", "--set", "images.reference=clean/0.png")
    line = refused(capsys, *arguments)
    assert expected in line or (kind == "folder" and "found the folder" in line)
    assert str(path) in line
    assert line.startswith(f"{recipe}: --set images.")


@pytest.mark.parametrize(
    ("arguments", "expected"),
    [
        (("run", "nowhere.yaml"), "nowhere.yaml: no such file"),
        (("check", "."), ".: a folder, expected a recipe file"),
        (("apply", "nowhere", "clean.png"), "nowhere: no such run folder"),
        (("apply", ".", "clean.png"), ".: holds no recipe.yaml"),
        (("export", "nowhere"), "nowhere: no such run folder"),
        (("report", "nowhere"), "nowhere: no such run folder"),
        (("rank", "clean.png"), "expected at least 2"),
        (("score", "clean.png"), "Missing option '--ref'"),
        (("rnu",), "No such command 'rnu'. Did you mean 'run'"),
        (("list", "pipeline"), "'pipelines'"),
        (("run",), "Missing argument 'RECIPE'"),
        (("run", "x.yaml", "--resum"), "No such option: --resum"),
        (("train", "distortion", "nowhere"), "nowhere: neither a file nor a shipped configuration"),
        (("distort", "nowhere.png", "--out", "sheet.png"), "nowhere.png: no such file"),
        (("distort", "clean.png", "--out", "clean.png/sheet.png"), "cannot be written"),
        (("compare", "clean.png", "clean.png", "--out", "clean.png/maps.png"), "cannot be written"),
        (("compare", "clean.png", "clean.png", "--out", "maps.xyz"), "cannot be written"),
    ],
)
def test_a_wrong_argument_is_one_line(
    arguments: tuple[str, ...], expected: str, clean: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    assert expected in refused(capsys, *arguments)


def test_apply_never_overwrites_its_input(clean: Path, tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    run = tmp_path / "run"
    run.mkdir()
    (run / "recipe.yaml").write_text("pipeline: {name: denoise.gaussian}\n")
    assert "holds no best_parameters.yaml" in refused(capsys, "apply", run, clean)
    (run / "best_parameters.yaml").write_text("sigma: 1.0\n")
    before = clean.read_bytes()
    assert "would be overwritten" in refused(capsys, "apply", run, clean, "--out", tmp_path)
    assert clean.read_bytes() == before
    answered(capsys, "apply", run, clean)
    assert (run / "applied" / "clean.png").is_file()
    (run / "best_parameters.yaml").write_text("sigmma: 1.0\n")
    assert "did you mean 'sigma'?" in refused(capsys, "apply", run, clean)


def test_export_writes_what_the_ending_says(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    (tmp_path / "recipe.yaml").write_text("pipeline: {name: denoise.gaussian}\n")
    (tmp_path / "best_parameters.yaml").write_text("sigma: 1.5\nwindow: 7\n")
    assert answered(capsys, "export", tmp_path) == "sigma: 1.5\nwindow: 7\n"
    answered(capsys, "export", tmp_path, "--out", tmp_path / "deep" / "best.json")
    assert json.loads((tmp_path / "deep" / "best.json").read_text()) == {"sigma": 1.5, "window": 7}
    assert "cannot be written" in refused(capsys, "export", tmp_path, "--out", tmp_path / "recipe.yaml" / "x.json")


def test_lists(capsys: pytest.CaptureFixture[str]) -> None:
    types = json.loads(answered(capsys, "list", "types", "--json"))
    assert [row["name"] for row in types] == list(CHANNELS)
    pipelines = {row["name"]: row for row in json.loads(answered(capsys, "list", "pipelines", "--json"))}
    assert pipelines["denoise.bilateral"]["parameters"]["sigma_color"]["log"] is True
    everything = json.loads(answered(capsys, "list", "--json"))
    assert list(everything) == ["pipelines", "types", "searches", "recipes"]
    plain = answered(capsys, "list").splitlines()
    assert [line for line in plain if line in everything] == list(everything)
    assert any(line.startswith("  sigma_color\t") for line in plain)


def test_list_finds_recipes_here(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    (tmp_path / "recipes").mkdir()
    (tmp_path / "recipes" / "mine.yaml").write_text("description: Denoise my\n  night shots\n")
    (tmp_path / "recipes" / "torn.yaml").write_text("{")
    rows = {row["path"]: row["doc"] for row in json.loads(answered(capsys, "list", "recipes", "--json"))}
    assert rows["recipes/mine.yaml"] == "Denoise my night shots"
    assert rows["recipes/torn.yaml"] == "not a readable recipe"


def test_schema(capsys: pytest.CaptureFixture[str]) -> None:
    assert json.loads(answered(capsys, "schema"))["title"] == "Pixel Perfect recipe"
    assert answered(capsys, "schema", "--markdown") == (ROOT / "docs" / "recipe_keys.md").read_text(encoding="utf-8")


def test_distort_draws_a_sheet(clean: Path, tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    answered(capsys, "distort", clean, "--out", tmp_path / "sheet.png")
    assert Image.open(tmp_path / "sheet.png").height > 48 * len(CHANNELS)


def test_train_and_evaluate_hand_over_their_arguments(
    monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    import pixelperfect_models.training as training

    calls: list[tuple[Any, ...]] = []

    def train(config: str, out: Path, photos: list[Path] | None = None, resume: bool = False) -> Path:
        calls.append((config, out, photos, resume))
        return out / "weights"

    monkeypatch.setattr(training, "train_distortion", train)
    monkeypatch.setattr(training, "train_score", train)
    answered(capsys, "train", "distortion", "my/compact.yaml")
    answered(capsys, "train", "score", "compact", "--out", "w", "--resume", "--photos", "a", "--photos", "b")
    assert calls == [
        ("my/compact.yaml", Path("trained/compact"), None, False),
        ("compact", Path("w"), [Path("a"), Path("b")], True),
    ]


@pytest.mark.parametrize("command", [*COMMANDS, "train", "train score", "train distortion"])
def test_every_command_explains_itself(command: str, capsys: pytest.CaptureFixture[str]) -> None:
    text = answered(capsys, *command.split(), "--help")
    assert f"Usage: tuner {command} [" in text
    assert len(text.splitlines()) > 5


@pytest.mark.parametrize(
    ("error", "code", "line"),
    [
        (UserError("x.png: wrong"), 2, "x.png: wrong"),
        (PixelPerfectError("the search failed"), 1, "the search failed"),
        (PermissionError(errno.EACCES, "Permission denied", "runs/a"), 2, "runs/a: Permission denied"),
        (OSError(errno.ENOSPC, "No space left on device", "runs/a"), 1, "runs/a: No space left on device"),
        (KeyboardInterrupt(), 130, "stopped"),
    ],
)
def test_failures_become_a_line_and_an_exit_code(
    error: BaseException, code: int, line: str, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    def fail() -> None:
        raise error

    monkeypatch.setattr("tuner.recipe_schema.json_schema", fail)
    assert main(["schema"]) == code
    assert capsys.readouterr().err == line + "\n"


@pytest.mark.parametrize("error", [RuntimeError("a bug"), OSError(errno.EBADF, "Bad file descriptor")])
def test_only_an_unforeseen_error_shows_its_traceback(
    error: Exception, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    def fail() -> None:
        raise error

    monkeypatch.setattr("tuner.recipe_schema.json_schema", fail)
    assert main(["schema"]) == 1
    assert "Traceback" in capsys.readouterr().err


def test_evaluate_prints_what_was_measured(monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]) -> None:
    # Against ratings: tests/models/test_evaluation_report.py.
    types = {"jpeg": {"top1": 0.75, "auc": 0.875, "leakage": {"blur": 0.1, "blocking": 0.6}}}
    planted = {"kind": "planted", "pairs": 8, "top1": 0.75, "auc": 0.875, "types": types}
    monkeypatch.setattr("tuner.cli.evaluate.load_judge", lambda weights: None)
    monkeypatch.setattr("pixelperfect_models.evaluation.evaluate", lambda folder, judge, **options: planted)
    line = "jpeg\t0.75\t0.875\tblocking 0.60, blur 0.10"
    assert line in answered(capsys, "evaluate", "photos").splitlines()
    assert json.loads(answered(capsys, "evaluate", "photos", "--json")) == planted
