"""Tuning without a truth: anti-symmetric comparisons, bests that never contradict the judge, no circles."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import numpy as np
import pytest
import torch
from hypothesis import given, settings
from hypothesis import strategies as st
from hypothesis.extra.numpy import arrays
from optuna.trial import TrialState
from torch import Tensor

from pipelines.contract import Output, Pipeline
from pipelines.parameters import Parameter
from pixelperfect_models.channels import CHANNELS
from pixelperfect_models.errors import UserError
from pixelperfect_models.map_statistics import Penalty
from tests.tuner.fake_judge import FakeJudge
from tests.tuner.tiny_pipelines import make_pictures, make_recipe, register
from tuner.incumbent import Incumbents
from tuner.objective import Objective
from tuner.pictures import Picture
from tuner.recipe_objective import CostTerm
from tuner.runner import Result, run

COUNT = 7
LEVELS = 16.0
PENALTIES = (Penalty("luma_noise", 3.0, 0.1), Penalty("blur", 2.0), Penalty("exposure", 5.0, 0.2))
TABLES = arrays(float, (COUNT, COUNT), elements=st.floats(-1, 1).map(lambda x: round(x, 3)))


def antisymmetric(table: np.ndarray) -> np.ndarray:
    return np.triu(table, 1) - np.triu(table, 1).T


class TableJudge:
    """Knows candidates by their grey level; scores and the excess of every channel come from tables."""

    types = CHANNELS

    def __init__(self, scores: np.ndarray, excess: dict[str, np.ndarray] | None = None) -> None:
        self._scores = scores
        self._excess = excess or {}

    def prepare(self, ref: Tensor) -> Tensor:
        return ref

    def judge(self, test: Tensor, ref: Tensor) -> tuple[Tensor, Tensor]:
        i, j = (round(float(image.mean()) * LEVELS) for image in (test, ref))
        maps = torch.full((1, len(CHANNELS), *test.shape[-2:]), 0.5)
        for name, table in self._excess.items():
            maps[:, CHANNELS.index(name)] += 0.5 * float(table[i, j])
        return maps, torch.tensor([float(self._scores[i, j])])


def candidate(number: int) -> Tensor:
    return torch.full((1, 3, 16, 16), number / LEVELS)


def incumbents(judge: Any, count: int = COUNT, penalties: tuple[Penalty, ...] = PENALTIES) -> Incumbents:
    return Incumbents(judge, [Picture("p", candidate(0), None)], penalties, 1.0, count)


def bests(anchors: Incumbents, order: list[int]) -> list[tuple[int, float]]:
    """The candidates that become the best, with what they are worth, as a run does it."""
    found: list[tuple[int, float]] = []
    for number in order:
        worth = min(anchors.compare(0, candidate(number)).worth)
        if not found or worth > found[-1][1]:
            anchors.promote([candidate(number)], [worth])
            found.append((number, worth))
    return found


@settings(deadline=None, max_examples=30)
@given(TABLES, TABLES, TABLES)
def test_a_comparison_is_anti_symmetric(scores: np.ndarray, noise: np.ndarray, blur: np.ndarray) -> None:
    judge = TableJudge(antisymmetric(scores), {"luma_noise": antisymmetric(noise), "blur": antisymmetric(blur)})
    for i in range(COUNT):
        for j in range(i):
            one, other = incumbents(judge), incumbents(judge)
            one.promote([candidate(j)], [0.0])
            other.promote([candidate(i)], [0.0])
            forth, back = one.compare(0, candidate(i)), other.compare(0, candidate(j))
            assert forth.worth[0] == pytest.approx(-back.worth[0], abs=1e-5)


@settings(deadline=None, max_examples=60)
@given(TABLES, st.permutations(range(COUNT)))
def test_every_best_beats_every_earlier_best_directly(table: np.ndarray, order: list[int]) -> None:
    scores = antisymmetric(table)
    found = bests(incumbents(TableJudge(scores)), order)
    for later in range(len(found)):
        for earlier in range(later):
            assert scores[found[later][0], found[earlier][0]] >= found[later][1] - found[earlier][1] - 1e-6
            assert found[later][1] > found[earlier][1]


@settings(deadline=None, max_examples=60)
@given(TABLES, st.permutations(range(COUNT)), st.integers(2, COUNT))
def test_what_looks_like_an_anchor_is_worth_at_most_as_much(table: np.ndarray, order: list[int], count: int) -> None:
    anchors = incumbents(TableJudge(antisymmetric(table)), count)
    found = bests(anchors, order)
    kept = [found[0], *found[1:][1 - count :]]
    for number, worth in kept:
        assert min(anchors.compare(0, candidate(number)).worth) <= worth + 1e-6
    last, worth = found[-1]
    assert min(anchors.compare(0, candidate(last)).worth) == pytest.approx(worth, abs=1e-6)


@settings(deadline=None, max_examples=30)
@given(arrays(float, COUNT, elements=st.floats(-1, 1).map(lambda x: round(x, 3))), st.permutations(range(COUNT)))
def test_a_judge_with_one_scale_gives_that_scale(utility: np.ndarray, order: list[int]) -> None:
    anchors = incumbents(TableJudge(utility[:, None] - utility[None, :]), 3)
    found = bests(anchors, order)
    for number in range(COUNT):
        worth = min(anchors.compare(0, candidate(number)).worth)
        assert worth == pytest.approx(utility[number] - utility[order[0]], abs=1e-5)
    assert utility[found[-1][0]] == utility.max()


def test_a_judge_that_goes_round_in_a_circle_does_not_take_the_search_with_it() -> None:
    scores = np.zeros((COUNT, COUNT))
    for number in range(3):  # each beats the one before it, the first beats the last
        scores[(number + 1) % 3, number], scores[number, (number + 1) % 3] = 1.0, -1.0
    found = bests(incumbents(TableJudge(scores)), [0, 1, 2] * 5)
    assert found == [(0, 0.0), (1, 1.0)]


def test_tolerances_do_not_add_up() -> None:
    # Each candidate is a little sharper noise and a little more blurred than the one before; 0.2 blur is tolerated.
    steps = np.arange(COUNT)
    blur = 0.15 * (steps[:, None] - steps[None, :])
    judge = TableJudge(0.1 * (steps[:, None] - steps[None, :]), {"blur": blur})
    found = bests(incumbents(judge, 3, (Penalty("blur", 2.0, 0.2),)), list(range(COUNT)))
    assert found[1] == (1, pytest.approx(0.1))
    assert found[-1][0] == 1  # the second step would pass against the incumbent, and not against the start


def test_less_of_an_artefact_than_the_incumbent_is_a_gain() -> None:
    noise = np.zeros((COUNT, COUNT))
    noise[1, 0], noise[0, 1] = -0.5, 0.5
    anchors = incumbents(TableJudge(np.zeros((COUNT, COUNT)), {"luma_noise": noise}))
    anchors.promote([candidate(0)], [0.0])
    found = anchors.compare(0, candidate(1))
    assert found.worth == (pytest.approx(3.0 * (0.5 - 0.1)),)
    assert found.penalties["luma_noise/mean/all"] == pytest.approx(-1.2)


def test_tone_is_held_to_what_the_search_started_with() -> None:
    steps = np.arange(COUNT)
    exposure = 0.15 * (steps[:, None] - steps[None, :])
    anchors = incumbents(TableJudge(np.zeros((COUNT, COUNT)), {"exposure": exposure}), 2)
    for number in range(3):
        anchors.promote([candidate(number)], [0.0])
    for number, drift in ((0, 0.0), (1, 0.0), (2, 5.0 * 0.1), (3, 5.0 * 0.25)):
        found = anchors.compare(0, candidate(number))
        assert found.drift == pytest.approx(drift, abs=1e-5)
        assert found.worth == (pytest.approx(0.0, abs=1e-6),) * 2


class Level(Pipeline):
    """A grey picture of a level, at a price."""

    name = "level"
    parameters = {"level": Parameter(0.0, 1.0, 0.0)}  # noqa: RUF012

    def process(self, image: Tensor, level: Tensor) -> Output:
        """Grey."""
        return Output(torch.zeros_like(image) + level, {"price": float(level)})


def test_costs_are_counted_once_however_many_bests_there_were() -> None:
    steps = np.arange(17.0)
    target = Objective(
        TableJudge(0.5 * (steps[:, None] - steps[None, :])),  # half a unit a level, and a price of 1/16 a level
        Level(),
        [Picture("p", candidate(0), None)],
        costs=[CostTerm(measure="price", weight=4.0)],
    )
    for level in (0, 3, 5, 8):
        evaluation = target.evaluate({"level": level / 16})
        assert evaluation.value == pytest.approx(0.5 * level - 4.0 * level / 16)
        own = evaluation.score - sum(evaluation.penalties.values()) - sum(evaluation.costs.values())
        assert evaluation.value == pytest.approx(own + evaluation.offset)
        assert evaluation.pictures[0].value == pytest.approx(evaluation.value)
        target.promote(evaluation)


class HiddenTruth(FakeJudge):
    """A relational score of one scale: minus the distance of the mean level from a level that nobody else knows."""

    def judge(self, test: Tensor, ref: Any) -> tuple[Tensor, Tensor]:
        image = getattr(ref, "image", ref)
        distance = [(each.mean((1, 2, 3)) - 0.35).abs() for each in (test, image)]
        return super().judge(test, ref)[0], distance[1] - distance[0]


def search(folder: Path, out: str = "run", trials: int = 16, **options: Any) -> Result:
    if not (folder / "in").exists():
        make_pictures(folder, sizes=((16, 20),) * 5)
    resume = options.pop("resume", False)
    recipe = make_recipe(
        folder,
        images={"input": "in/*.png", "reference": "incumbent"},
        pipeline={"name": "test.power", "search": {"gamma": {}}},
        search={"strategy": "optuna", "sampler": "random", "trials": trials, "seed": 1, **options},
    )
    return run(recipe, folder / out, resume=resume, quiet=True, judge=HiddenTruth())


def test_a_run_finds_what_the_judge_likes_and_resumes_on_its_scale(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    register(monkeypatch)
    whole = search(tmp_path, "whole")
    assert whole.start["value"] == 0.0
    assert len({tuple(t.user_attrs["worth"]) for t in whole.trials}) > 10
    search(tmp_path, trials=9)
    resumed = search(tmp_path, resume=True)
    assert [t.params for t in resumed.trials] == [t.params for t in whole.trials]
    assert [t.value for t in resumed.trials] == pytest.approx([t.value for t in whole.trials], abs=1e-6)

    pruned = search(tmp_path, "pruned", prune=True)
    assert pruned.best_parameters == whole.best_parameters
    assert any(trial.state == TrialState.PRUNED for trial in pruned.trials)


def test_fewer_than_two_anchors_are_refused(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    register(monkeypatch)
    with pytest.raises(UserError, match=r"images\.anchors: found 1, expected >= 2"):
        make_recipe(tmp_path, images={"input": "in/*.png", "reference": "incumbent", "anchors": 1})
