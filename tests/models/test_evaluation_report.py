"""What an evaluation on rated pictures writes down, and the command that makes it."""

from __future__ import annotations

import json
import os
import re
import subprocess
import sys
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import rated_sets

from pixelperfect_models.errors import UserError
from pixelperfect_models.evaluation.agreement import Rated, agreement
from pixelperfect_models.evaluation.canvas import Axis, Canvas, palette
from pixelperfect_models.evaluation.datasets import LAYOUTS
from pixelperfect_models.evaluation.plots import METHOD_COLORS, scatter, type_dots
from pixelperfect_models.evaluation.report import by_srcc, compared, markdown, write_report
from pixelperfect_models.images import read_array
from tuner.cli import main

ROOT = Path(__file__).resolve().parents[2]


@pytest.fixture(scope="module")
def result() -> dict[str, Any]:
    """A hundred made-up pictures of four types; the judge is right, VSI nearly, MS-SSIM could not measure."""
    rng = np.random.default_rng(0)
    mos = rng.uniform(2, 8, 100)
    answers = {
        "judge": mos / 10,
        "judge, relational": mos + rng.normal(0, 0.2, 100),
        "consensus": mos + rng.normal(0, 1, 100),
        "vsi": mos + rng.normal(0, 2, 100),
        "ms_ssim": np.full(100, np.nan),
    }
    kinds = [("jpeg", "gaussian_blur", "noise_a", "noise_b")[index % 4] for index in range(100)]
    table = agreement(Rated(mos, kinds, ["scene"] * 100), answers, bootstrap=50, compare="judge")
    rows = [
        {"type": kinds[i], "mos": float(mos[i]), "answers": {name: float(a[i]) for name, a in answers.items()}}
        for i in range(100)
    ]
    about = {"kind": "ratings", "title": "A set", "orientation": "as it is", "pictures": 100, "references": 1}
    return {**about, **table, "rows": rows}


def test_the_report_holds_every_figure(result: dict[str, Any], tmp_path: Path) -> None:
    files = {path.name for path in write_report(result, tmp_path / "out", "tuner evaluate set")}
    drawn = {f"scatter_{name}.png" for name in ("judge", "judge_relational", "consensus", "vsi")}
    assert files == {"results.json", "results.md", "types.png", *drawn}
    loaded = json.loads((tmp_path / "out" / "results.json").read_text())
    assert loaded["overall"]["vsi"]["srcc"] == pytest.approx(result["overall"]["vsi"]["srcc"])
    assert loaded["overall"]["ms_ssim"]["srcc"] is None and len(loaded["rows"]) == 100
    text = (tmp_path / "out" / "results.md").read_text()
    for name in (
        "types.png",
        "scatter_vsi.png",
        "    tuner evaluate set",
        "| judge | 1.000 (1.000, 1.000)",
        "| gaussian_blur |",
    ):
        assert name in text
    lead = result["lead"]["vsi"]
    assert f"{lead['srcc']:+.3f} ({lead['interval'][0]:+.3f}, {lead['interval'][1]:+.3f})" in text
    assert "MS-SSIM: measured on 0 of 100 pictures" in text
    widths = {line.count("|") for line in text.splitlines() if line.startswith("| ")}
    assert len(widths) == 2  # the table of figures, and those by type and content
    for name in re.findall(r"\((\w+\.png)\)", text):
        height, width, _ = read_array(tmp_path / "out" / name).shape
        assert width > 600 and height > 180


def test_methods_stand_best_first(result: dict[str, Any]) -> None:
    assert by_srcc(result) == ["judge", "judge, relational", "consensus", "vsi", "ms_ssim"]
    assert compared(result) == ["judge", "judge, relational", "consensus", "vsi", "ms_ssim"]
    assert "| – |" in markdown(result, {})


def _painted(picture: np.ndarray, color: tuple[int, int, int]) -> np.ndarray:
    """(n, 2) rows and columns of the pixels that have a colour."""
    return np.argwhere(np.abs(picture - np.array(color, dtype=np.float32) / 255).max(2) < 0.02)


def test_a_scatter_shows_every_type_where_it_belongs(result: dict[str, Any]) -> None:
    picture = scatter(result, "judge", "judge")
    kinds = list(dict.fromkeys(row["type"] for row in result["rows"]))
    plot = picture[:, :650]
    for color, _ in palette(len(kinds)):
        # 25 marks each, of which the fitted curve, on which they lie, hides the middle.
        assert len(_painted(plot, color)) >= 25 and len(_painted(picture[:, 660:], color)) > 10
    # Good pictures, by rating and by the judge, lie upper right: the places go along the falling diagonal.
    places = np.concatenate([_painted(plot, color) for color, _ in palette(len(kinds))])
    assert np.corrcoef(places[:, 0], places[:, 1])[0, 1] < -0.9


def test_the_dots_stand_at_their_srcc(result: dict[str, Any]) -> None:
    methods = compared(result)[:4]
    picture = type_dots(result, methods, {})
    heights = _painted(picture, METHOD_COLORS[0])
    columns = heights[heights[:, 0] > 75][:, 1]
    assert columns.min() > picture.shape[1] - 60  # the judge has 1.0 in every type
    vsi = _painted(picture, METHOD_COLORS[3])
    assert vsi[vsi[:, 0] > 75][:, 1].mean() < columns.mean() - 20


def test_ticks_are_round_and_inside() -> None:
    assert Axis(0.0, 1.0, 0, 100).ticks(5) == pytest.approx([0, 0.2, 0.4, 0.6, 0.8, 1.0])
    axis = Axis.around(np.array([0.9312, 0.9998]), 0, 100)
    assert all(axis.low <= tick <= axis.high for tick in axis.ticks()) and 3 <= len(axis.ticks()) <= 8
    flat = Axis.around(np.array([2.0, 2.0]), 0, 100)
    assert flat.low < 2 < flat.high and flat.at(2.0) == pytest.approx(50)
    assert Canvas(40, 30).array().shape == (30, 40, 3)


def test_a_folder_that_cannot_be_written_is_named(result: dict[str, Any], tmp_path: Path) -> None:
    (tmp_path / "file").write_text("")
    with pytest.raises(UserError, match="cannot be written"):
        write_report(result, tmp_path / "file" / "out")


def test_the_command_prints_the_table_and_writes_the_report(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    from test_evaluation_datasets import ByError

    folder = rated_sets.kadid10k(tmp_path / "set")
    monkeypatch.setattr("tuner.cli.evaluate.load_judge", lambda weights: ByError())
    options = ["--metrics", "psnr,ms_ssim", "--bootstrap", "20", "--fit", "5", "--cache", str(tmp_path / "cache")]
    assert main(["evaluate", str(folder), *options, "--out", str(tmp_path / "out")]) == 0
    printed = capsys.readouterr()
    lines = printed.out.splitlines()
    assert lines[0].split("\t")[:3] == ["method", "SRCC", "95 % low"] and "KADID-10k: 6 rated pictures" in printed.err
    judge = next(line for line in lines if line.startswith("judge\t")).split("\t")
    assert float(judge[1]) > 0.9 and "gaussian_blur\t1\t1" in printed.out
    assert (tmp_path / "out" / "results.md").is_file() and (tmp_path / "cache" / "answers.jsonl").is_file()
    assert main(["evaluate", str(folder), *options, "--json"]) == 0
    told = json.loads(capsys.readouterr().out)
    assert told["kind"] == "ratings" and told["overall"]["ms_ssim"]["srcc"] is None
    assert main(["evaluate", str(folder), "--metrics", "psmr"]) == 2
    assert "did you mean 'psnr'" in capsys.readouterr().err
    assert main(["evaluate", str(folder), "--dataset", "tid2013"]) == 2
    assert main(["evaluate", str(tmp_path)]) == 2
    assert "Looked for:" in capsys.readouterr().err


def test_the_help_names_every_layout(capsys: pytest.CaptureFixture[str]) -> None:
    assert main(["evaluate", "--help"]) == 0
    shown = re.sub(r"[\s│]+", " ", capsys.readouterr().out)
    assert ", ".join([*LAYOUTS, "or planted"]) in shown


@pytest.mark.slow
def test_the_shipped_judge_in_a_process_of_its_own(tmp_path: Path) -> None:
    folder = rated_sets.tid2013(tmp_path / "set")
    command = [
        sys.executable,
        "-m",
        "tuner",
        "evaluate",
        str(folder),
        "--metrics",
        "psnr",
        "--bootstrap",
        "20",
        "--json",
    ]
    environment = {**os.environ, "PYTHONPATH": str(ROOT), "OMP_NUM_THREADS": "1"}
    done = subprocess.run(command, cwd=tmp_path, env=environment, capture_output=True, text=True, timeout=300)
    assert done.returncode == 0, done.stderr
    told = json.loads(done.stdout)
    assert told["dataset"] == "tid2013" and told["pictures"] == 12
    assert all(np.isfinite(row["answers"]["judge"]) for row in told["rows"])
