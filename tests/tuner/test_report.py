"""The report: what is on the page, that it is true, and that it loads nothing."""

from __future__ import annotations

import base64
import io
import itertools
import json
import re
import shutil
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import torch
from hypothesis import given, settings
from hypothesis import strategies as st
from PIL import Image
from report_run import PENALTIES, LoudJudge, make_report, make_run
from tiny_pipelines import Power, make_pictures

from pixelperfect_models.channels import CHANNELS
from pixelperfect_models.errors import UserError
from pixelperfect_models.images import read_image, to_array
from tuner.overlays import PALETTE
from tuner.report import build, encode, write_report
from tuner.report.charts import Axis, value_range
from tuner.report.encode import picture_data
from tuner.report.figures import history, slice_plot
from tuner.report.format import duration, plain, signed
from tuner.report.importances import ENOUGH_TRIALS
from tuner.report.parallel import MOST_LINES, parallel_plot
from tuner.report.pictures import PictureSet, ShownPicture
from tuner.report.records import TrialRow, best_so_far
from tuner.report.tables import _place


@pytest.fixture(scope="module")
def run_dir(tmp_path_factory: pytest.TempPathFactory) -> Path:
    objective = {**PENALTIES, "constraints": [{"measure": "bytes", "at_most": 200.0}]}
    search = {"strategy": "optuna", "sampler": "random", "trials": 14, "seed": 1}
    return make_run(tmp_path_factory.mktemp("report"), name="<b>bold</b> & co", objective=objective, search=search)


@pytest.fixture(scope="module")
def page(run_dir: Path) -> str:
    return make_report(run_dir)


def embedded(page: str) -> dict[str, Any]:
    found = re.search(r'<script type="application/json" id="data">(.*?)</script>', page, re.S)
    assert found is not None
    return json.loads(found[1])


def decode(uri: str) -> Image.Image:
    return Image.open(io.BytesIO(base64.b64decode(uri.split(",", 1)[1])))


def result_of(run_dir: Path) -> dict[str, Any]:
    return json.loads((run_dir / "result.json").read_text())


def test_nothing_is_loaded_from_outside(page: str) -> None:
    assert not re.search(r"""(?:src|href|action)\s*=\s*["']?(?:https?:)?//""", page)
    assert not re.search(r"url\(\s*['\"]?(?!data:)\w|@import|fetch\(|XMLHttpRequest|<link[^>]+stylesheet|<iframe", page)


def test_texts_from_the_recipe_are_escaped(page: str) -> None:
    assert "&lt;b&gt;bold&lt;/b&gt; &amp; co" in page
    assert "<b>bold</b>" not in page


def test_numbers_of_the_summary_are_those_of_the_result(run_dir: Path, page: str) -> None:
    result = result_of(run_dir)
    for side in ("start", "best"):
        assert signed(result[side]["value"]) in page
        assert signed(result[side]["score"]) in page
        assert plain(result[side]["parameters"]["gamma"]) in page
    assert signed(result["best"]["value"] - result["start"]["value"]) in page
    assert f"best: trial {result['best']['number']}" in page
    assert "bytes ≤ 200" in page and ">met<" in page


def test_every_trial_has_its_row(run_dir: Path, page: str) -> None:
    body = page.split('id="trial-table"')[1].split("</table>")[0]
    assert body.count("<tr data-kind=") == 14
    assert body.count('class="chosen"') == 1
    infeasible = body.count('data-kind="infeasible"')
    assert infeasible > 0, "seed 1 draws some that break the constraint"
    assert f"infeasible ({infeasible})" in page


def test_maps_table_names_every_type_before_and_after(run_dir: Path, page: str) -> None:
    result = result_of(run_dir)
    table = page.split('class="maps"')[1].split("</table>")[0]
    for name in CHANNELS:
        assert name.replace("_", " ") in table
    for side in ("start", "best"):
        for key in ("mean", "p95", "max"):
            assert signed(result[side]["statistics"]["exposure"][key]) in table
    assert table.count("penalised by the recipe") == 1


def test_pictures_are_the_pipelines_own(run_dir: Path, page: str) -> None:
    data, result = embedded(page), result_of(run_dir)
    assert [picture["name"] for picture in data["pictures"]] == ["p0", "p1"]
    folder = run_dir.parent
    for picture in data["pictures"]:
        image = read_image(folder / "in" / f"{picture['name']}.png")
        for side in ("start", "best"):
            parameters = {key: result[side]["parameters"][key] for key in ("gamma", "lift")}
            expected = to_array(Power()(image, parameters))
            shown = np.asarray(decode(picture["images"][side]).convert("RGB"), dtype=np.float32) / 255
            np.testing.assert_allclose(shown, expected, atol=0.51 / 255)
        shown = np.asarray(decode(picture["images"]["reference"]).convert("RGB"), dtype=np.float32) / 255
        np.testing.assert_allclose(shown, to_array(read_image(folder / "ref" / f"{picture['name']}.png")), atol=1e-3)
        assert (picture["height"], picture["width"]) == shown.shape[:2]


def test_overlays_are_the_judges_maps(run_dir: Path, page: str) -> None:
    picture = embedded(page)["pictures"][0]
    parameters = result_of(run_dir)["best"]["parameters"]
    image, reference = (read_image(run_dir.parent / name / "p0.png") for name in ("in", "ref"))
    maps, _ = LoudJudge().judge(Power()(image, parameters), reference)
    excess = torch.nn.functional.avg_pool2d(2 * maps - 1, 2)[0].numpy()
    for place, uri in enumerate(picture["maps"]["best"]):
        shown = decode(uri)
        assert shown.size == (excess.shape[2], excess.shape[1]), "half the picture's resolution"
        values = (np.asarray(shown).astype(float) - 128) / 127
        np.testing.assert_allclose(values, excess[place], atol=0.5 / 127 + 1e-5)
        np.testing.assert_array_equal(np.asarray(shown.convert("RGBA")), PALETTE[np.asarray(shown)])


def test_worst_regions_lie_on_warm_places(page: str) -> None:
    for picture in embedded(page)["pictures"]:
        for side in ("start", "best"):
            for uri, region in zip(picture["maps"][side], picture["regions"][side], strict=True):
                if region is None:
                    continue
                values = (np.asarray(decode(uri)).astype(float) - 128) / 127
                rows = slice(region["top"] // 2, -(-(region["top"] + region["height"]) // 2))
                columns = slice(region["left"] // 2, -(-(region["left"] + region["width"]) // 2))
                assert values[rows, columns].mean() > 0.0


def test_failed_trials_come_with_their_reasons(tmp_path: Path) -> None:
    search = {"strategy": "optuna", "sampler": "random", "trials": 12, "seed": 0}
    pipeline = {"name": "test.fragile", "search": {"gamma": {}}}
    page = make_report(make_run(tmp_path, pipeline=pipeline, search=search))
    body = page.split('id="trial-table"')[1].split("</table>")[0]
    failed = body.count('data-kind="failed"')
    assert failed > 0 and f"{failed} failed" in page
    assert "gamma too steep" in body or "NaN" in body or "shape" in body
    assert page.count('class="fail"') == 2 * failed, "a cross each in the wide and the narrow history"
    assert f"{12 - failed} completed trials are too few" in page or 12 - failed >= ENOUGH_TRIALS


def test_few_trials_give_a_note_in_place_of_importances(tmp_path: Path) -> None:
    page = make_report(make_run(tmp_path, search={"strategy": "optuna", "trials": 3}))
    assert "3 completed trials are too few" in page
    assert 'class="bar-row"' not in page


def test_importances_find_the_parameter_that_matters(tmp_path: Path) -> None:
    pipeline = {"name": "test.power", "search": {"gamma": {}, "lift": {"low": -0.001, "high": 0.001}}}
    search = {"strategy": "optuna", "sampler": "qmc", "trials": 24}
    page = make_report(make_run(tmp_path, pipeline=pipeline, search=search))
    shares = re.findall(r'class="bar-row"><code>(\w+)</code>.*?bar-numbers"><span>(\d+) %</span><span>(\d+) %', page)
    assert shares[0][0] == "gamma"
    assert int(shares[0][1]) > 90 and int(shares[0][2]) > 70, "by fANOVA and by PED-ANOVA"


def test_a_gradient_run(tmp_path: Path) -> None:
    search = {"strategy": "gradient", "starts": 1, "steps": 12}
    page = make_report(make_run(tmp_path, search=search))
    assert "start 0, step 3" in page
    assert "follow a gradient" in page


def knob_cells(page: str) -> dict[tuple[str, str], tuple[str, str]]:
    """Parameter and artefact to arrow and amount."""
    table = page.split('class="knobs"')[1].split("</table>")[0]
    names = re.findall(r"<span>([^<]+)</span></th>", table.split("</thead>")[0])
    found = {}
    for row in table.split("<tr>")[2:]:
        parameter = re.search(r"<code>(\w+)</code>", row)
        for name, cell in zip(names, re.findall(r'<td class="knob.*?</td>', row), strict=False):
            shown = re.search(r'aria-hidden="true">(.?)</i>([^<]*)', cell)
            if parameter and shown:
                found[parameter[1], name] = (shown[1], shown[2])
    return found


@pytest.mark.parametrize(
    ("search", "source"),
    [
        ({"strategy": "optuna", "sampler": "qmc", "trials": 24}, "Fitted on 24 trials"),
        ({"strategy": "gradient", "starts": 1, "steps": 6}, "Measured round the best parameters on 2 pictures"),
        ({"strategy": "optuna", "sampler": "random", "trials": 4}, "Measured round the best parameters"),
    ],
)
def test_knobs_move_the_artefacts_they_must(tmp_path: Path, search: dict[str, Any], source: str) -> None:
    # A power above 1 darkens and lifting brightens; the fake judge's exposure is the mean.
    page = make_report(make_run(tmp_path, search=search))
    assert source in page
    cells = knob_cells(page)
    assert cells["gamma", "exposure"][0] == "↓" and cells["gamma", "exposure"][1].startswith("−")
    assert cells["lift", "exposure"][0] == "↑" and cells["lift", "exposure"][1].startswith("+")
    assert "chroma noise" not in {artefact for _, artefact in cells}, "nothing moves it"
    assert "Raise <code>lift</code>: more exposure" in page


def test_a_front_is_drawn_and_listed(tmp_path: Path) -> None:
    objective = {"pareto": [{"measure": "bytes", "goal": "minimize"}]}
    run_dir = make_run(tmp_path, objective=objective, search={"strategy": "optuna", "sampler": "random", "trials": 14})
    page = make_report(run_dir)
    front = {row["number"] for row in json.loads((run_dir / "pareto.json").read_text())["front"]}
    assert 1 < len(front) < 14
    wide = page.split("front-card")[1].split("<svg")[1].split("</svg>")[0]
    assert {int(number) for number in re.findall(r'class="front" [^>]*data-t="(\d+)"', wide)} == front
    assert {int(number) for number in re.findall(r'<tr data-t="(\d+)"', page)} == front
    record = json.loads((run_dir / "pareto.json").read_text())
    record["hypervolume"] = {"hypervolume": 1.0, "share": 0.731, "history": [0.0, 0.5, 0.731]}
    (run_dir / "pareto.json").write_text(json.dumps(record))
    covered = make_report(run_dir)
    assert "They cover 73.1 %" in covered and "Hypervolume over 3 trials, in the end 0.731" in covered
    assert "for value</h3>" in page and "for bytes</h3>" in page, "importances of either objective"


def test_parallel_coordinates_draw_the_better_trials_of_very_many() -> None:
    many = tuple(trial(i, float(i % 500), gamma=1.0 + i / 1000, mode="ab"[i % 2]) for i in range(1000))
    space = {"gamma": {"low": 0.5, "high": 2.0, "log": True}, "mode": {"choices": ["a", "b"]}}
    drawing, count = parallel_plot(many, space, 499, 1080)
    drawn = {int(number) for number in re.findall(r'class="pc [^>]*data-t="(\d+)"', drawing)}
    assert count == MOST_LINES == len(drawn)
    assert {499, 999, 498, 998} <= drawn and min(many[number].value or 0.0 for number in drawn) < 10
    assert drawing.count('class="pc best"') == 1
    assert parallel_plot(many[:1], space, 0, 1080) == ("", 0)


def test_a_run_without_references(tmp_path: Path) -> None:
    page = make_report(make_run(tmp_path, images={"input": "in/*.png", "reference": "incumbent"}))
    picture = embedded(page)["pictures"][0]
    assert picture["images"]["reference"] == picture["images"]["start"]
    assert "the default output stands in its place" in page


def test_choices_and_whole_numbers(tmp_path: Path) -> None:
    pipeline = {"name": "test.steps", "search": {"mode": {}, "levels": {}}}
    page = make_report(make_run(tmp_path, pipeline=pipeline))
    assert "dark, same, bright" in page
    assert 'aria-label="Objective value against mode over' in page


def test_pictures_that_are_gone_leave_a_report_with_a_note(run_dir: Path, tmp_path: Path) -> None:
    copy = shutil.copytree(run_dir, tmp_path / "copy")
    recipe = (copy / "recipe.yaml").read_text().replace("/in/p0.png", "/in/gone.png")
    (copy / "recipe.yaml").write_text(recipe)
    page = make_report(copy)
    assert "could not be read" in page and "gone.png" in page
    assert 'id="viewer"' not in page
    assert page.count("<tr data-kind=") == 14


def test_only_so_many_pictures_are_shown(run_dir: Path) -> None:
    page = make_report(run_dir, most_pictures=1)
    assert len(embedded(page)["pictures"]) == 1
    assert "the first 1 of 2 pictures" in page


def test_beyond_the_budget_pictures_become_jpeg(run_dir: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(encode, "LOSSLESS_BUDGET", 10)
    page = make_report(run_dir)
    picture = embedded(page)["pictures"][0]
    assert picture["images"]["best"].startswith("data:image/jpeg")
    assert "stored here as JPEG" in page


@pytest.mark.parametrize("missing", ["result.json", "study.log", "recipe.yaml"])
def test_a_folder_that_is_no_run_is_refused(run_dir: Path, tmp_path: Path, missing: str) -> None:
    copy = shutil.copytree(run_dir, tmp_path / "copy")
    (copy / missing).unlink()
    with pytest.raises(UserError, match=missing):
        write_report(copy, LoudJudge())
    with pytest.raises(UserError, match="no such run folder"):
        write_report(tmp_path / "nowhere", LoudJudge())


def test_two_pictures_of_512_stay_under_six_megabytes() -> None:
    rng = np.random.default_rng(0)
    rows, columns = np.mgrid[0:512, 0:512] / 512

    def picture(noise: float) -> np.ndarray:
        base = np.stack([rows, columns, 0.5 + 0.3 * np.sin(40 * rows * columns)], axis=-1)
        return (base + noise * rng.standard_normal(base.shape)).clip(0, 1).astype(np.float32)

    def maps() -> np.ndarray:
        coarse = 0.1 * rng.standard_normal((15, 128, 128))  # the judge's maps are a quarter of the picture's size
        return (0.3 * np.sin(12 * rows) + coarse.repeat(4, 1).repeat(4, 2)).astype(np.float32)

    shown = tuple(
        ShownPicture(
            name,
            {"input": picture(0.1), "start": picture(0.04), "best": picture(0.03), "reference": picture(0.01)},
            {"start": maps(), "best": maps()},
            {"start": (None,) * 15, "best": (None,) * 15},
        )
        for name in ("a", "b")
    )
    data, _ = picture_data(PictureSet(shown, 2, CHANNELS, ""))
    assert len(json.dumps(data)) < 5_900_000, "the rest of the page is below 0.1 MB"


def test_a_file_name_cannot_end_the_data_of_the_page() -> None:
    image = np.zeros((16, 16, 3), np.float32)
    excess = np.zeros((15, 16, 16), np.float32)
    name = "<!--<script>&"
    shown = ShownPicture(
        name,
        dict.fromkeys(("input", "start", "best", "reference"), image),
        {"start": excess, "best": excess},
        {"start": (None,) * 15, "best": (None,) * 15},
    )
    data = build._shown(PictureSet((shown,), 1, CHANNELS, ""))["data"]
    assert "<" not in data
    assert json.loads(data)["pictures"][0]["name"] == name


def test_large_pictures_are_shown_smaller() -> None:
    image = np.zeros((200, 3400, 3), np.float32)
    excess = np.zeros((15, 200, 3400), np.float32)
    shown = ShownPicture(
        "wide",
        dict.fromkeys(("input", "start", "best", "reference"), image),
        {"start": excess, "best": excess},
        {"start": (None,) * 15, "best": (None,) * 15},
    )
    data, _ = picture_data(PictureSet((shown,), 1, CHANNELS, ""))
    assert data[0]["width"] == 3400, "the viewer's coordinates stay those of the picture"
    assert decode(data[0]["images"]["best"]).size == (1600, 94)
    assert decode(data[0]["maps"]["best"][0]).size[0] <= 800


def trial(number: int, value: float | None, state: str = "complete", **parameters: Any) -> TrialRow:
    return TrialRow(number, state, value, value, parameters, {}, 0.1, "")


@settings(deadline=None)
@given(st.lists(st.tuples(st.floats(-5, 5), st.booleans()), max_size=30))
def test_best_so_far_only_rises_and_ends_at_the_best(values: list[tuple[float, bool]]) -> None:
    trials = tuple(trial(i, v, "complete" if ok else "infeasible") for i, (v, ok) in enumerate(values))
    steps = best_so_far(trials)
    assert all(a[0] < b[0] and a[1] < b[1] for a, b in itertools.pairwise(steps))
    feasible = [value for value, ok in values if ok]
    assert (steps[-1][1] if steps else None) == (max(feasible) if feasible else None)


@settings(deadline=None)
@given(st.floats(1e-3, 1e3), st.floats(1.01, 1e4), st.booleans(), st.floats(0, 1), st.floats(0, 1))
def test_axis_keeps_order_and_ticks_lie_on_it(low: float, factor: float, log: bool, one: float, two: float) -> None:
    axis = Axis(low, low * factor, 40, 300, log)
    values = sorted(low * factor**share if log else low + share * low * (factor - 1) for share in (one, two))
    assert 40 <= axis.at(values[0]) <= axis.at(values[1]) <= 300
    ticks = axis.ticks()
    assert ticks == sorted(ticks) and 1 <= len(ticks) <= 12
    assert all(low * 0.998 <= tick <= low * factor * 1.002 for tick in ticks)


@settings(deadline=None)
@given(st.lists(st.floats(-1e6, 1e6), min_size=1, max_size=40), st.lists(st.floats(-1e6, 1e6), max_size=3))
def test_value_range_holds_the_best_and_what_must_be_in(values: list[float], always: list[float]) -> None:
    low, high = value_range(values, always)
    assert low < high
    assert all(low <= value <= high for value in [max(values), *always])


def test_plots_of_runs_without_a_value_or_a_spread() -> None:
    assert history((trial(0, None, "failed"),), 0, 400, 200) == ""
    assert "mark-best" in history((trial(0, 1.0),), 0, 400, 200)
    one = slice_plot((trial(0, 1.0, gamma=1.0),), "gamma", {"low": 0.5, "high": 2.0, "log": True}, "", 0)
    assert "mark-best" in one and "NaN" not in one


@pytest.mark.parametrize(("value", "text"), [(0.0, "0.42 s"), (1, "12.3 s"), (2, "3 min 05 s"), (3, "2 h 07 min")])
def test_durations(value: float, text: str) -> None:
    assert duration((0.42, 12.3, 185, 7630)[int(value)]) == text


def test_numbers_as_text() -> None:
    assert [plain(v) for v in (True, 7, 1e-6, -0.25, "db2", None)] == ["True", "7", "1e−06", "−0.25", "db2", "–"]
    assert [signed(v) for v in (0.0004, -0.0004, -0.5, 1.0, None, float("nan"))] == [
        "0.000",
        "0.000",
        "−0.500",
        "+1.000",
        "–",
        "–",
    ]


def test_place_in_the_range_follows_its_scale() -> None:
    assert _place({"low": 0.01, "high": 1.0, "log": True}, 0.1) == pytest.approx(0.5)
    assert _place({"low": 0.0, "high": 4.0}, 1.0) == pytest.approx(0.25)
    assert _place({"low": 0.0, "high": 4.0}, 9.0) == 1.0, "a default outside the searched range stays on the track"


def test_trials_that_were_stopped_early_and_what_that_saved(tmp_path: Path) -> None:
    make_pictures(tmp_path, sizes=((16, 20),) * 8)
    search = {"strategy": "optuna", "sampler": "random", "trials": 20, "seed": 3, "prune": True}
    run_dir = make_run(tmp_path, search=search)
    saved = json.loads((run_dir / "result.json").read_text(encoding="utf-8"))["pruning"]
    page = make_report(run_dir)
    assert saved["pruned"] > 0 and saved["share"] < 0.9
    assert f"stopped early: {100 * saved['share']:.0f} % of the pictures looked at" in page
    assert f"pruned ({saved['pruned']})" in page
    assert "stopped after" in page
