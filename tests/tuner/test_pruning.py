"""Stopping hopeless trials early: the rules against simulation, what is recorded, what samplers see, resuming."""

from __future__ import annotations

import itertools
import json
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from hypothesis.extra.numpy import arrays
from optuna.pruners import WilcoxonPruner
from optuna.samplers import RandomSampler
from optuna.study import create_study
from optuna.trial import TrialState

from pixelperfect_models.errors import UserError
from tests.tuner.fake_judge import FakeJudge
from tests.tuner.tiny_pipelines import Power, make_pictures, make_recipe, register
from tuner.evaluation import PictureValue
from tuner.recipe_search import PruneSpec
from tuner.runner import Result, run
from tuner.search.pruned_sampler import PrunedAsComplete
from tuner.search.pruning import PictureRace, predicted_mean, signed_rank_chance
from tuner.study import value_of

SEED = np.random.SeedSequence(0)
FINITE = st.floats(-10, 10, allow_nan=False).map(lambda x: round(x, 3))


@pytest.fixture(autouse=True)
def _tiny_pipelines(monkeypatch: pytest.MonkeyPatch) -> None:
    register(monkeypatch)


def search(folder: Path, sampler: str = "random", trials: int = 20, out: str = "run", **sections: Any) -> Result:
    if not (folder / "in").exists():
        make_pictures(folder, sizes=((16, 20),) * 8)
    options = {"strategy": "optuna", "sampler": sampler, "trials": trials, "seed": 3, "prune": True}
    resume = sections.pop("resume", False)
    recipe = make_recipe(folder, search={**options, **sections.pop("options", {})}, **sections)
    return run(recipe, folder / out, resume=resume, quiet=True, judge=FakeJudge())


def race(best: list[float], history: np.ndarray | None = None, **spec: Any) -> PictureRace:
    rows = np.zeros((0, len(best))) if history is None else history
    return PictureRace(PruneSpec(**spec), np.array(best), rows, SEED)


def seen(values: dict[int, float]) -> dict[int, PictureValue]:
    return {index: PictureValue(f"p{index}", value, value) for index, value in values.items()}


class TestRules:
    def test_the_chance_is_the_share_of_simulated_rests_that_win(self) -> None:
        rng = np.random.default_rng(0)
        root = rng.normal(size=(6, 6))
        covariance = root @ root.T + np.eye(6)
        index, given_values = [4, 1, 2], np.array([-1.0, -0.2, 0.3])
        mean, chance = predicted_mean(given_values, index, covariance)
        # Posterior of s^2 under the scale's prior 1/s^2 and three values, then the rest given those.
        among = covariance[np.ix_(index, index)]
        rest = [i for i in range(6) if i not in index]
        scale = given_values @ np.linalg.solve(among, given_values) / rng.chisquare(3, 200_000)
        across = covariance[np.ix_(rest, index)] @ np.linalg.inv(among)
        spread = covariance[np.ix_(rest, rest)] - across @ covariance[np.ix_(index, rest)]
        draws = rng.multivariate_normal(np.zeros(3), spread, 200_000) * np.sqrt(scale)[:, None]
        means = (given_values.sum() + (across @ given_values + draws).sum(1)) / 6
        assert mean == pytest.approx(np.median(means), abs=0.01)
        assert chance == pytest.approx((means > 0).mean(), abs=0.005)

    @settings(deadline=None, max_examples=25)
    @given(arrays(float, 5, elements=FINITE), st.permutations(range(8)), st.floats(1e-3, 1e3))
    def test_the_chance_does_not_depend_on_the_values_unit(
        self, difference: np.ndarray, order: list[int], unit: float
    ) -> None:
        covariance = 0.7 * np.eye(8) + 0.3
        mean, chance = predicted_mean(difference, order[:5], covariance)
        scaled_mean, scaled_chance = predicted_mean(unit * difference, order[:5], covariance)
        assert scaled_mean == pytest.approx(unit * mean, rel=1e-6, abs=1e-9 * unit)
        assert scaled_chance == pytest.approx(chance, abs=1e-9)
        assert predicted_mean(-difference, order[:5], covariance)[1] == pytest.approx(
            1.0 - chance if difference.any() else 0.0, abs=1e-9
        )

    def test_pictures_that_went_together_before_stop_a_trial_sooner(self) -> None:
        rng = np.random.default_rng(1)
        together = rng.normal(size=(40, 1)) + 0.05 * rng.normal(size=(40, 8))
        apart = rng.normal(size=(40, 8))
        bad = seen({0: -1.0, 1: -1.1})
        assert race([0.0] * 8, together).hopeless(bad)
        assert not race([0.0] * 8, apart).hopeless(bad)

    @settings(deadline=None, max_examples=25)
    @given(arrays(float, (10, 6), elements=FINITE), arrays(float, 6, elements=FINITE))
    def test_a_trial_that_is_better_on_average_is_never_stopped(self, history: np.ndarray, values: np.ndarray) -> None:
        for rule in ("gaussian", "wilcoxon"):
            against = race([0.0] * 6, history, rule=rule, level=0.4)
            for count in range(1, 6):
                if values[:count].mean() >= 0:
                    assert not against.hopeless(seen(dict(enumerate(values[:count].tolist()))))

    @settings(deadline=None, max_examples=25)
    @given(arrays(float, 6, elements=st.floats(-3, 1).map(lambda x: round(x, 2))))
    def test_wilcoxon_is_optunas(self, values: np.ndarray) -> None:
        study = create_study(direction="maximize", pruner=WilcoxonPruner(p_threshold=0.1))
        best, trial = study.ask(), None
        for index in range(8):
            best.report(0.0, index)
        study.tell(best, 0.0)
        trial = study.ask()
        against = race([0.0] * 8, rule="wilcoxon", level=0.1)
        found = {}
        for index, value in enumerate(values.tolist()):
            trial.report(value, index)
            found[index] = value
            assert against.hopeless(seen(found)) == trial.should_prune()

    def test_no_difference_is_no_evidence(self) -> None:
        assert signed_rank_chance(np.zeros(5)) == 1.0
        assert not race([1.0] * 8).hopeless(seen(dict.fromkeys(range(7), 1.0)))

    def test_orders_differ_between_trials_and_hold_every_picture(self) -> None:
        orders = [
            PictureRace(PruneSpec(), np.zeros(8), np.zeros((0, 8)), np.random.SeedSequence([0, number])).order
            for number in range(20)
        ]
        assert all(sorted(order) == list(range(8)) for order in orders)
        assert len({tuple(order) for order in orders}) == 20


class TestRun:
    @pytest.mark.parametrize("rule", ["gaussian", "wilcoxon"])
    def test_finds_the_same_best_with_fewer_pictures(self, tmp_path: Path, rule: str) -> None:
        full = search(tmp_path, out="full", options={"prune": False})
        pruned = search(tmp_path, options={"prune": {"rule": rule}})
        assert [t.params for t in pruned.trials] == [t.params for t in full.trials]
        assert pruned.best["number"] == full.best["number"]
        assert pruned.best["value"] == full.best["value"]
        record = json.loads((pruned.run_dir / "result.json").read_text())["pruning"]
        stopped = [trial for trial in pruned.trials if trial.state == TrialState.PRUNED]
        assert record["pruned"] == len(stopped) > 5
        assert record["pictures"] == 20 * 8
        assert record["pictures_seen"] == sum(len(trial.user_attrs["pictures"]) for trial in pruned.trials)
        assert (
            record["share"] == record["pictures_seen"] / record["pictures"] < {"gaussian": 0.6, "wilcoxon": 0.8}[rule]
        )
        assert "pruning" not in json.loads((full.run_dir / "result.json").read_text())
        by_number = {trial.number: trial for trial in full.trials}
        for trial in stopped:
            kept = trial.user_attrs["pruned"]
            whole = {p["name"]: p["value"] for p in by_number[trial.number].user_attrs["pictures"]}
            part = {p["name"]: p["value"] for p in trial.user_attrs["pictures"]}
            assert 0 < kept["seen"] == len(part) < kept["of"] == 8
            assert part == {name: whole[name] for name in part}
            assert kept["partial"] == pytest.approx(np.mean(list(part.values())))
            assert value_of(trial) is None
            assert trial.value == kept["predicted"] < pruned.best["value"]

    @pytest.mark.parametrize("sampler", ["tpe", "gp", "nsga2"])
    def test_a_sampler_repeats_itself_and_goes_on_after_a_stop(
        self, tmp_path: Path, sampler: str, monkeypatch: pytest.MonkeyPatch
    ) -> None:
        trials = 14  # beyond the random start of tpe
        whole = search(tmp_path, sampler, trials, out="whole")
        assert any(trial.state == TrialState.PRUNED for trial in whole.trials)
        process, calls = Power.process, itertools.count(1)

        def stopping(self: Power, image: Any, gamma: Any, lift: Any) -> Any:
            if next(calls) > 40:
                raise KeyboardInterrupt
            return process(self, image, gamma, lift)

        with monkeypatch.context() as patch:
            patch.setattr(Power, "process", stopping)
            with pytest.raises(KeyboardInterrupt):
                search(tmp_path, sampler, trials)
        resumed = search(tmp_path, sampler, trials, resume=True)
        for one, other in zip(whole.trials, resumed.trials, strict=True):
            assert (one.params, one.state) == (other.params, other.state)

    def test_nothing_is_stopped_before_a_trial_keeps_the_constraints(self, tmp_path: Path) -> None:
        # The worse of the values: only gammas far from the true 1.6 are allowed.
        objective = {"constraints": [{"measure": "bytes", "at_most": 60}]}
        result = search(tmp_path, objective=objective)
        allowed = [trial.number for trial in result.trials if trial.user_attrs["feasible"]]
        assert result.best["feasible"]
        states = [trial.state for trial in result.trials]
        assert TrialState.PRUNED not in states[: allowed[0] + 1]
        assert TrialState.PRUNED in states[allowed[0] + 1 :]
        full = search(tmp_path, out="full", objective=objective, options={"prune": False})
        assert result.best["number"] == full.best["number"]

    def test_a_failure_on_a_later_picture_is_a_failure(self, tmp_path: Path) -> None:
        result = search(tmp_path, pipeline={"name": "test.fragile", "search": {"gamma": {}}})
        assert {trial.state for trial in result.trials} == {TrialState.COMPLETE, TrialState.PRUNED, TrialState.FAIL}
        assert all("reason" in trial.user_attrs for trial in result.trials if trial.state == TrialState.FAIL)

    def test_what_cannot_be_stopped_early_is_refused(self, tmp_path: Path) -> None:
        with pytest.raises(UserError, match=r"search\.prune: found with objective\.pareto"):
            search(tmp_path, "nsga2", objective={"pareto": [{"measure": "bytes"}]})
        few = {"input": "in/p[0-2].png", "reference": "ref/p[0-2].png"}
        with pytest.raises(UserError, match=r"search\.prune: the recipe has 3 picture.*at least 5 .* rule wilcoxon"):
            search(tmp_path, images=few, options={"prune": {"rule": "wilcoxon"}})
        search(tmp_path, trials=3, images=few)
        with pytest.raises(UserError, match=r"search\.prune\.rule: found 'wilcox'.*expected 'gaussian' or 'wilcoxon'"):
            search(tmp_path, options={"prune": {"rule": "wilcox"}})
        with pytest.raises(UserError, match=r"search\.prune\.level: found 0.9, expected < 0.5"):
            search(tmp_path, options={"prune": {"level": 0.9}})


def test_samplers_see_a_pruned_trial_as_one_of_its_predicted_value() -> None:
    study = create_study(direction="maximize")
    for value, pruned in ((1.0, False), (-2.0, True), (3.0, False)):
        trial = study.ask()
        trial.suggest_float("x", 0, 1)
        if pruned:
            trial.report(value, 3)
        study.tell(trial, None if pruned else value, state=TrialState.PRUNED if pruned else None)
    lost = study.ask()
    study.tell(lost, state=TrialState.PRUNED)  # nothing is known of it
    view = PrunedAsComplete(RandomSampler(), {})._view(study)
    complete = view.get_trials(states=(TrialState.COMPLETE,))
    assert [trial.value for trial in complete] == [1.0, -2.0, 3.0]
    assert [trial.state.name for trial in view.trials] == ["COMPLETE", "COMPLETE", "COMPLETE", "PRUNED"]
    assert [trial.state.name for trial in study.trials] == ["COMPLETE", "PRUNED", "COMPLETE", "PRUNED"]
