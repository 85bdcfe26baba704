"""Loading recipes: what a good one becomes, and one clear line for each thing that is wrong with a bad one."""

from __future__ import annotations

import re
from pathlib import Path
from typing import Any

import pytest
import yaml

from pixelperfect_models.errors import UserError
from tests.tuner.recipe_data import RECIPE, picture, recipe_folder
from tuner import load_recipe
from tuner.recipe_search import CompositeSearch, GradientSearch, HybridSearch, OptunaSearch, Search


@pytest.fixture
def recipe(tmp_path: Path) -> Path:
    return recipe_folder(tmp_path)


def problems(path: Path, *overrides: str) -> list[str]:
    with pytest.raises(UserError) as caught:
        load_recipe(path, overrides)
    return str(caught.value).splitlines()


def the_problem(path: Path, *overrides: str) -> str:
    lines = problems(path, *overrides)
    assert len(lines) == 1, lines
    return lines[0]


def test_paths_ranges_and_pairs_are_resolved(recipe: Path) -> None:
    loaded = load_recipe(recipe)
    folder = recipe.parent
    assert [(pair.name, pair.input, pair.reference) for pair in loaded.pairs] == [
        ("0", folder / "noisy/0.png", folder / "clean/0.png"),
        ("1", folder / "noisy/1.png", folder / "clean/1.png"),
    ]
    sigma = loaded.pipeline.search["sigma"]
    assert (sigma.low, sigma.high, sigma.choices) == (0.3, 2.0, None)
    assert isinstance(sigma.log, bool)  # filled in from the pipeline
    assert loaded.name == "recipe"


def test_resolved_recipe_loads_to_the_same_from_another_folder(recipe: Path, tmp_path: Path) -> None:
    first = load_recipe(recipe, ["images.limit=1", "objective.penalties.0.region=clean/0.png"])
    other = tmp_path / "run" / "recipe.yaml"
    other.parent.mkdir()
    other.write_text(yaml.safe_dump(first.resolved()))
    second = load_recipe(other)
    assert second.resolved() == first.resolved()
    assert second.pairs == first.pairs
    assert second.objective.penalties[0].region == str(recipe.parent / "clean/0.png")


def test_without_pictures(recipe: Path) -> None:
    for file in recipe.parent.glob("*/*.png"):
        file.unlink()
    assert load_recipe(recipe, check_images=False).pairs == ()
    assert "no picture" in the_problem(recipe)


def test_a_mapping_is_a_recipe_too(recipe: Path) -> None:
    data = yaml.safe_load(RECIPE)
    loaded = load_recipe(data, folder=recipe.parent)
    assert len(loaded.pairs) == 2
    assert loaded.path is None
    assert "resolved" not in data
    with pytest.raises(UserError, match=r"^recipe: pipeline\.nam: unknown key"):
        load_recipe({**data, "pipeline": {**data["pipeline"], "nam": "x"}}, folder=recipe.parent)


def test_variables(recipe: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    recipe.write_text(RECIPE.replace("noisy/*.png", "${PPT_TEST_PHOTOS}/*.png"))
    monkeypatch.setenv("PPT_TEST_PHOTOS", str(recipe.parent / "noisy"))
    assert len(load_recipe(recipe).pairs) == 2
    monkeypatch.delenv("PPT_TEST_PHOTOS")
    assert the_problem(recipe) == (
        f"{recipe}:6: images.input: found ${{PPT_TEST_PHOTOS}}, expected an environment variable that is set"
    )


def test_exponents_without_a_point_are_numbers(recipe: Path) -> None:
    # PyYAML alone reads 3e-1 as text
    recipe.write_text(RECIPE.replace("low: 0.3", "low: 3e-1"))
    assert load_recipe(recipe).pipeline.search["sigma"].low == pytest.approx(0.3)


@pytest.mark.parametrize(
    ("override", "pattern"),
    [
        ("pipelin.name=x", r"pipelin: unknown key, expected .*; did you mean 'pipeline'\?"),
        ("pipeline.name=denoise.gausian", r"pipeline\.name: .*; did you mean 'denoise\.gaussian'\?"),
        ("pipeline.search.sigm={}", r"pipeline\.search\.sigm: unknown parameter .*; did you mean 'sigma'\?"),
        ("pipeline.fixed.sgma=1", r"pipeline\.fixed\.sgma: unknown parameter .*; did you mean 'sigma'\?"),
        ("pipeline.search.sigma.low=-1", r"sigma\.low: found -1 \(number\), expected a number from .* px"),
        ("pipeline.search.sigma.high=1e9", r"sigma\.high: found 1e\+09 \(number\), expected a number from"),
        ("pipeline.search.sigma.low=2.5", r"sigma: found low: 2\.5 and high: 2, expected low < high"),
        ("pipeline.search.sigma={low: 0.5, high: 0.5}", r"sigma: found low: 0\.5 and high: 0\.5, expected low < high"),
        ("pipeline.search.sigma={choices: [1, 2]}", r"sigma\.choices: found choices, expected low and high"),
        ("pipeline.search.sigma={lo: 1}", r"sigma\.lo: unknown key, expected .*; did you mean 'low'\?"),
        ("pipeline.search.sigma.log=1", r"sigma\.log: found 1 \(integer\), expected true or false"),
        ("pipeline.search={}", r"pipeline\.search: found a mapping, expected at least one entry"),
        ("pipeline.fixed={sigma: 1.0}", r"pipeline: found sigma both fixed and searched"),
        ("images.input=[noisy/0.png, 3]", r"images\.input\.1: found 3 \(integer\), expected text"),
        ("images.input=3", r"images\.input: found 3 \(integer\), expected text or a list"),
        ("images.input=nowhere/*.png", r"images\.input: found no picture for /.*nowhere/\*\.png"),
        ("images.input=noisy/9.png", r"images\.input: found /.*noisy/9\.png: no such file"),
        ("images.input=noisy", r"images\.input: found the folder /.*noisy, expected files"),
        ("images.limit=0", r"images\.limit: found 0, expected >= 1"),
        ("images.limit=1.5", r"images\.limit: found 1\.5 \(number\), expected an integer"),
        ("images.skip=2", r"images\.skip: found 2, expected less than the 2 pictures"),
        ("images.crop=8", r"images\.crop: found 8, expected >= 16"),
        ("images.exclude=['*/*.png']", r"images\.exclude: leaves out all 2 pictures"),
        ("objective.score.weight=heavy", r"score\.weight: found 'heavy' \(text\), expected a number"),
        ("objective.score.weight=true", r"score\.weight: found true \(true/false\), expected a number"),
        ("objective.score.weight=.inf", r"score\.weight: found inf \(number\), expected a finite number"),
        ("objective.score.weight=-1", r"score\.weight: found -1, expected >= 0"),
        ("objective={score: {weight: 0}}", r"objective: found score\.weight: 0 and no penalty"),
        ("objective.penalties.0.type=blurr", r"penalties\.0\.type: found 'blurr', .*; did you mean 'blur'\?"),
        ("objective.penalties.0.statistic=p59", r"statistic: found 'p59' .*; did you mean 'p95'\?"),
        ("objective.penalties.0.region=edge", r"region: found 'edge', .*; did you mean 'edges'\?"),
        ("objective.penalties.0.above=1", r"above: found 1, expected < 1"),
        ("objective.constraints=[{measure: seconds}]", r"constraints\.0: found neither at_most nor at_least"),
        ("objective.constraints=[{measure: s, at_most: 1, at_least: 2}]", r"expected at_least <= at_most"),
        ("objective.penalties=blur", r"objective\.penalties: found 'blur' \(text\), expected a list"),
        ("search.strategy=gradeint", r"search\.strategy: found 'gradeint', .*; did you mean 'gradient'\?"),
        ("search.sampler=tpee", r"search\.sampler: found 'tpee', .*; did you mean 'tpe'\?"),
        ("search.steps=3", r"search\.steps: found with strategy: optuna, expected with strategy: gradient"),
        ("search.points=3", r"search: found points with sampler: random"),
        ("search.trials=many", r"search\.trials: found 'many' \(text\), expected an integer"),
        ("search=tpe", r"search: found 'tpe' \(text\), expected a mapping"),
        ("judge.weights=nowhere", r"judge\.weights: found /.*nowhere: no such file or folder"),
    ],
)
def test_one_line_for_one_mistake(recipe: Path, override: str, pattern: str) -> None:
    line = the_problem(recipe, override)
    assert line.startswith(f"{recipe}: --set {override}: ") or line.startswith(f"{recipe}:"), line
    assert re.search(pattern, line), line


def test_all_mistakes_are_listed_with_their_lines(recipe: Path) -> None:
    recipe.write_text(
        RECIPE.replace("sigma: {low", "sgma: {low")
        .replace("noisy/*", "nosy/*")
        .replace("type: blur", "type: bluur")
        .replace("trials: 2", "trials: two")
    )
    lines = problems(recipe)
    assert [line.split(": ")[0:2] for line in lines] == [
        [f"{recipe}:4", "pipeline.search.sgma"],
        [f"{recipe}:6", "images.input"],
        [f"{recipe}:10", "objective.penalties.0.type"],
        [f"{recipe}:11", "search.trials"],
    ]


def test_missing_sections(recipe: Path) -> None:
    recipe.write_text("search: {trials: 3}\n")
    assert problems(recipe) == [
        f"{recipe}: pipeline: missing, expected this key",
        f"{recipe}: images: missing, expected this key",
    ]


def test_missing_key_is_reported_at_its_section(recipe: Path) -> None:
    recipe.write_text(RECIPE.replace("  reference: clean/*.png\n", ""))
    assert the_problem(recipe) == f"{recipe}:5: images.reference: missing, expected this key"


@pytest.mark.parametrize(
    ("text", "expected"),
    [
        ("", ": the file is empty, expected a recipe"),
        ("- a\n- b\n", ":1: found a list, expected a mapping (key: value)"),
        ("pipeline: [1, 2\n", ":2: not valid YAML: "),
        ("pipeline: !!python/object:os.system {}\n", ":1: not valid YAML: could not determine a constructor"),
        ("a: 1\nb: 2\na: 3\n", ":3: a: the key is written twice (also in line 1), expected once"),
        ("pipeline:\n  3: x\n", ":2: found the key 3, expected text (quote it: '3')"),
        ("a: &x [*x]\n", ": an alias contains itself"),
        ("a: 1\n---\nb: 2\n", ":2: not valid YAML: expected a single document"),
    ],
)
def test_files_that_are_no_recipe(tmp_path: Path, text: str, expected: str) -> None:
    path = tmp_path / "bad.yaml"
    path.write_text(text)
    assert the_problem(path).startswith(f"{path}{expected}"), problems(path)


def test_files_that_cannot_be_read(tmp_path: Path) -> None:
    assert the_problem(tmp_path / "no.yaml") == f"{tmp_path / 'no.yaml'}: no such file"
    assert the_problem(tmp_path) == f"{tmp_path}: a folder, expected a recipe file"
    (tmp_path / "binary.yaml").write_bytes(b"\xff\xfe\x00\x80")
    assert "not a text file in UTF-8" in the_problem(tmp_path / "binary.yaml")


@pytest.mark.parametrize(
    ("override", "expected"),
    [
        ("search.trials", "expected key.path=value"),
        ("=3", "expected key.path=value"),
        ("search..trials=3", "expected key.path=value"),
        ("search.trials=[1", "the value is not YAML"),
        ("objective.penalties.4.weight=1", "has 1 entries, found '4', expected a number from 0 to 1"),
        ("pipeline.name.x=1", "pipeline.name is 'denoise.gaussian' (text), it has no keys"),
    ],
)
def test_overrides_that_cannot_be_applied(recipe: Path, override: str, expected: str) -> None:
    line = the_problem(recipe, override)
    assert line.startswith(f"--set {override}: ")
    assert expected in line


def test_overrides_make_what_is_missing_and_append(recipe: Path) -> None:
    loaded = load_recipe(
        recipe,
        ["pipeline.fixed={}", "images.limit=1", "objective.penalties.1.type=ringing", "name=Dusk", "search.trials=7"],
    )
    assert len(loaded.pairs) == 1
    assert [penalty.type for penalty in loaded.objective.penalties] == ["blur", "ringing"]
    assert (loaded.name, loaded.search.trials) == ("Dusk", 7)  # type: ignore[union-attr]


def test_merge_keys_and_anchors_keep_working(recipe: Path) -> None:
    recipe.write_text(
        RECIPE.replace(
            "    - {type: blur, weight: 0.5, statistic: p95, region: edges}\n",
            "    - &first {type: blur, weight: 0.5}\n    - {<<: *first, type: ringing}\n",
        )
    )
    assert [(p.type, p.weight) for p in load_recipe(recipe).objective.penalties] == [("blur", 0.5), ("ringing", 0.5)]


class TestAuto:
    """Which strategy ``auto`` stands for."""

    def load(self, recipe: Path, pipeline: dict[str, Any], search: dict[str, Any]) -> Search:
        data = {**yaml.safe_load(RECIPE), "pipeline": pipeline, "search": search}
        return load_recipe(data, folder=recipe.parent).search

    def test_gradient_where_everything_is_continuous(self, recipe: Path) -> None:
        pipeline = {"name": "denoise.bilateral", "search": {"sigma_color": {}}}
        assert self.load(recipe, pipeline, {}) == GradientSearch()
        budget = self.load(recipe, pipeline, {"trials": 12, "seed": 3})
        assert isinstance(budget, GradientSearch)
        assert (budget.starts * budget.steps, budget.seed) == (12, 3)
        one = self.load(recipe, pipeline, {"trials": 1})
        assert isinstance(one, GradientSearch)
        assert one.starts * one.steps == 1

    def test_composite_for_black_boxes(self, recipe: Path) -> None:
        choice = {"name": "denoise.bilateral", "search": {"window": {}}}
        assert self.load(recipe, choice, {"trials": 5}) == CompositeSearch(trials=5)
        black_box = {"name": "denoise.bilateral_opencv", "search": {"sigma_color": {}}}
        assert self.load(recipe, black_box, {"seed": 4}) == CompositeSearch(seed=4)

    def test_hybrid_for_choices_beside_a_gradient(self, recipe: Path) -> None:
        pipeline = {"name": "denoise.bilateral", "search": {"window": {}, "sigma_color": {}}}
        assert self.load(recipe, pipeline, {"seed": 2}) == HybridSearch(seed=2)
        assert self.load(recipe, pipeline, {"trials": 50}) == HybridSearch(trials=10)

    def test_composite_where_a_limit_must_be_kept(self, recipe: Path) -> None:
        data = yaml.safe_load(RECIPE)
        data["pipeline"] = {"name": "denoise.bilateral", "search": {"sigma_color": {}}}
        data["search"] = {}
        data["objective"]["constraints"] = [{"measure": "seconds", "at_most": 1.0}]
        assert load_recipe(data, folder=recipe.parent).search == CompositeSearch()

    def test_optuna_where_the_reference_is_the_incumbent(self, recipe: Path) -> None:
        data = yaml.safe_load(RECIPE)
        data["images"]["reference"] = "incumbent"
        data["pipeline"] = {"name": "denoise.bilateral", "search": {"sigma_color": {}}}
        data["search"] = {}
        assert isinstance(load_recipe(data, folder=recipe.parent).search, OptunaSearch)

    def test_gradient_is_refused_where_it_cannot_work(self, recipe: Path) -> None:
        with pytest.raises(UserError, match=r"search\.strategy: found gradient, but window is not continuous"):
            self.load(recipe, {"name": "denoise.bilateral", "search": {"window": {}}}, {"strategy": "gradient"})
        with pytest.raises(UserError, match=r"is not differentiable, expected composite, optuna or auto"):
            name = "denoise.bilateral_opencv"
            self.load(recipe, {"name": name, "search": {"sigma_color": {}}}, {"strategy": "gradient"})


def test_choices(recipe: Path) -> None:
    def load(space: dict[str, Any], **fixed: Any) -> Any:
        pipeline = {"name": "denoise.bilateral", "search": {"window": space}, "fixed": fixed}
        return load_recipe({**yaml.safe_load(RECIPE), "pipeline": pipeline}, folder=recipe.parent)

    assert load({}).pipeline.search["window"].choices == [3, 5, 7, 9, 11]
    assert load({"choices": [5, 9]}).pipeline.search["window"].choices == [5, 9]
    with pytest.raises(UserError, match=r"window\.choices\.1: found 6 \(integer\), expected"):
        load({"choices": [5, 6]})
    with pytest.raises(UserError, match=r"window\.choices\.1: found 5 \(integer\) twice"):
        load({"choices": [5, 5]})
    with pytest.raises(UserError, match=r"window\.low: found low, but window is one of"):
        load({"low": 1.0})
    with pytest.raises(UserError, match=r"fixed\.sigma_color: found 'a' \(text\), expected a number from"):
        load({}, sigma_color="a")


def test_masks_must_have_the_pictures_size(recipe: Path) -> None:
    picture(recipe.parent / "mask.png", 32, 32)
    line = the_problem(recipe, "objective.penalties.0.region=mask.png")
    assert "mask.png (32 x 32) beside" in line
    assert "noisy/0.png (64 x 48), expected the same size" in line


def test_custom_code_needs_a_module_and_a_class(recipe: Path) -> None:
    assert "no pipeline 'os.system'" in the_problem(recipe, "pipeline.name=os.system")
    assert "breaks the contract" in the_problem(recipe, "pipeline.name=os:system")
