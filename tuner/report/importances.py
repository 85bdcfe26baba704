"""Parameter importances, by two evaluators that ask different questions."""

from __future__ import annotations

import warnings
from collections.abc import Callable, Sequence
from dataclasses import dataclass

import optuna
from optuna.importance import BaseImportanceEvaluator, FanovaImportanceEvaluator, PedAnovaImportanceEvaluator
from optuna.study import StudyDirection
from optuna.trial import FrozenTrial, TrialState

ENOUGH_TRIALS = 10
"""Completed trials below which importances would be an accident of the sampling; then a note stands in their place."""

TOP_TRIALS = 5
"""Trials that PED-ANOVA needs among the best to say what they have in common (Optuna's own advice)."""


@dataclass(frozen=True)
class Importances:
    """Shares of one objective, in the order of the first evaluator; or why there are none.

    Attributes:
        objective: its name, "" where there is one alone.
        evaluators: names of the columns.
        shares: parameter, and its share by each evaluator, 0 to 1, each column adding up to 1.
        note: what the shares mean, or why there are none.
    """

    objective: str
    evaluators: Sequence[str]
    shares: Sequence[tuple[str, tuple[float, ...]]]
    note: str


def importances(study: optuna.Study, objectives: Sequence[str], gradient: bool) -> list[Importances]:
    """Parameter importances for every objective of a study.

    fANOVA: the share of the objective's variance over the whole searched range that a parameter explains (F. Hutter,
    H. Hoos, K. Leyton-Brown, *An Efficient Approach for Assessing Hyperparameter Importance*, ICML 2014). PED-ANOVA:
    how much a parameter's settings in the best tenth of the trials differ from those of all trials (S. Watanabe, A.
    Bansal, F. Hutter, *PED-ANOVA: Efficiently Quantifying Hyperparameter Importance in Arbitrary Subspaces*, IJCAI
    2023). A parameter that only ruins the picture when it is far off leads the first; one that must be set well to be
    among the best leads the second. Both as in ``optuna.importance``.

    Args:
        study: the run's study.
        objectives: their names, in the study's order.
        gradient: the trials are steps along a gradient, which is said beside the figures.
    """
    done = [t for t in study.get_trials(deepcopy=False) if t.state == TrialState.COMPLETE]
    if len(done) < ENOUGH_TRIALS:
        note = f"{len(done)} completed trials are too few to tell importances from chance; {ENOUGH_TRIALS} are needed."
        return [Importances("", (), (), note)]
    found = []
    for place, name in enumerate(objectives):
        found.append(_one(study, place, name if len(objectives) > 1 else "", done, gradient))
    return found


def _one(study: optuna.Study, place: int, name: str, done: Sequence[FrozenTrial], gradient: bool) -> Importances:
    if len({trial.values[place] for trial in done}) < 2:
        return Importances(name, (), (), "All trials have the same value, so no parameter explains a difference.")
    sign = -1.0 if study.directions[place] == StudyDirection.MAXIMIZE else 1.0
    # Optuna's 64 trees of depth 64 take over a minute for 500 trials; these take a second and gave the same shares.
    asked: list[tuple[str, BaseImportanceEvaluator]] = [
        ("fANOVA", FanovaImportanceEvaluator(n_trees=32, max_depth=7, seed=0))
    ]
    best_share = max(0.1, TOP_TRIALS / len(done))
    if best_share <= 0.25 and not gradient:
        asked.append(("PED-ANOVA", PedAnovaImportanceEvaluator(target_quantile=best_share)))
    columns = {}
    for label, evaluator in asked:
        try:
            columns[label] = _shares(study, evaluator, lambda trial: sign * trial.values[place])
        except (ValueError, RuntimeError) as error:
            if label == "fANOVA":
                return Importances(name, (), (), f"Importances could not be computed: {error}")
    names = sorted(columns["fANOVA"], key=lambda parameter: -columns["fANOVA"][parameter])
    shares = [(parameter, tuple(column.get(parameter, 0.0) for column in columns.values())) for parameter in names]
    note = "fANOVA: share of the variation over the searched range that the parameter explains."
    if "PED-ANOVA" in columns:
        note += f" PED-ANOVA: how far its settings in the best {100 * best_share:.0f} % of the trials set them apart."
    if gradient:
        note += " The trials follow a gradient, so they cover the range unevenly: read these shares as a rough order."
    return Importances(name, tuple(columns), shares, note)


def _shares(
    study: optuna.Study, evaluator: BaseImportanceEvaluator, loss: Callable[[FrozenTrial], float]
) -> dict[str, float]:
    with warnings.catch_warnings():
        # PED-ANOVA warns whenever it is given a target that low is good; ``loss`` is made so.
        warnings.simplefilter("ignore", UserWarning)
        return optuna.importance.get_param_importances(study, evaluator=evaluator, target=loss)
