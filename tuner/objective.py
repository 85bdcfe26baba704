"""The objective: what a set of parameters is worth on the recipe's pictures, and what that is made of.

    value = score.weight * score - sum of weight * max(0, statistic(excess) - above) - sum of weight * measure

averaged over the pictures and maximised. It is differentiable in the parameters where the pipeline is.
"""

from __future__ import annotations

import math
import time
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from typing import Any, Literal, Protocol

import torch

from pipelines.contract import Output, Pipeline
from pixelperfect_models.channels import SIGNED_CHANNELS
from pixelperfect_models.errors import PixelPerfectError, UserError, suggest
from pixelperfect_models.map_statistics import Penalty, excess, map_table, statistic
from tuner.evaluation import Evaluation, EvaluationError, PictureValue, mean_of
from tuner.pictures import Picture, Regions
from tuner.recipe_objective import Constraint, CostTerm, ParetoTerm


class Judge(Protocol):
    """What the objective needs of :class:`pixelperfect_models.PixelPerfect`."""

    @property
    def types(self) -> tuple[str, ...]:
        """The names of the K maps."""

    def prepare(self, ref: torch.Tensor) -> Any:
        """Whatever depends on the reference alone; has the reference as ``image``."""

    def judge(self, test: torch.Tensor, ref: Any) -> tuple[torch.Tensor, torch.Tensor]:
        """Maps (N, K, H, W) and score (N,)."""

    def difference(self, test: torch.Tensor, ref: Any) -> torch.Tensor:
        """How far apart the two look, (N,) >= 0; asked only where the score's kind is ``difference``."""


class Objective:
    """A pipeline, pictures and a judge as a function of the parameters.

    Args:
        judge: the judge, or anything of its interface.
        pipeline: what is tuned.
        pictures: at least one; each has its reference, or none when candidates are compared with the incumbent.
        penalties: artefacts minded.
        constraints: bounds on measures.
        score_weight: weight of the score.
        score_kind: ``relational``, or ``difference`` where the references are the truth: minus the judge's difference
            stands for the score then.
        seed: torch's generator is put to this before each picture, so that a pipeline which draws random numbers
            draws the same ones in every trial.
        costs: measures that are taken from the value, weighted.
        pareto: measures that are objectives beside the value.

    Attributes:
        amount_names: for each penalty the name of its statistic in ``PictureValue.amounts``; penalties that differ in
            weight or tolerance alone share one.
    """

    def __init__(
        self,
        judge: Judge,
        pipeline: Pipeline,
        pictures: Sequence[Picture],
        penalties: Sequence[Penalty] = (),
        constraints: Sequence[Constraint] = (),
        score_weight: float = 1.0,
        score_kind: Literal["relational", "difference"] = "relational",
        seed: int = 0,
        costs: Sequence[CostTerm] = (),
        pareto: Sequence[ParetoTerm] = (),
    ) -> None:
        self.judge = judge
        self.pipeline = pipeline
        self.pictures = tuple(pictures)
        self.penalties = tuple(penalties)
        self.constraints = tuple(constraints)
        self.costs = tuple(costs)
        self.pareto = tuple(pareto)
        self.score_weight = score_weight
        self.score_kind = score_kind
        self.follows_incumbent = any(picture.reference is None for picture in self.pictures)
        if score_kind == "difference" and self.follows_incumbent:
            raise UserError(
                "objective.score.kind: difference takes the reference for the truth, which images.reference: incumbent "
                "is not; expected relational"
            )
        self.amount_names = _amount_names(self.penalties)
        self._seed = seed
        self._offset = 0.0
        self._references = [
            None if picture.reference is None else judge.prepare(picture.reference) for picture in self.pictures
        ]
        self._regions = [
            None if picture.reference is None else Regions(picture.reference, picture.masks)
            for picture in self.pictures
        ]

    def evaluate(self, parameters: Mapping[str, Any]) -> Evaluation:
        """What these parameters (all of them, fixed ones too) are worth. No gradients.

        Raises:
            EvaluationError: the pipeline raised or returned no picture, or the value is not finite.
            UserError: a constraint names a measure the pipeline does not report.
        """
        with torch.no_grad():
            return self._evaluate(lambda: parameters, backward=False)

    def evaluate_backward(self, parameters: Callable[[], Mapping[str, Any]]) -> Evaluation:
        """Evaluate, and accumulate the gradient of ``-value`` in the leaves that the parameters come from.

        One picture after the other, so that only one picture's graph is held.

        Args:
            parameters: makes the values from the leaves; called once for each picture, since a graph can be
                walked back only once.

        Raises:
            EvaluationError: as :meth:`evaluate`.
            UserError: no gradient reaches the parameters.
        """
        return self._evaluate(parameters, backward=True)

    def promote(self, evaluation: Evaluation) -> None:
        """Make the evaluated candidate the incumbent: later ones are compared with its pictures.

        Its value becomes their offset, so that values of a run form one scale.
        """
        self._offset = evaluation.value
        for index, (picture, output) in enumerate(zip(self.pictures, evaluation.outputs, strict=True)):
            self._references[index] = self.judge.prepare(output)
            self._regions[index] = Regions(output, picture.masks)

    def restore_incumbent(self, parameters: Mapping[str, Any], value: float) -> None:
        """Run the pipeline again at an incumbent found earlier (on resuming) and promote it."""
        outputs = tuple(self._run(picture, parameters).image for picture in self.pictures)
        self.promote(Evaluation(value, 0.0, {}, {}, {}, {}, 0.0, (), outputs=outputs))

    def _evaluate(self, parameters: Callable[[], Mapping[str, Any]], backward: bool) -> Evaluation:
        start = time.perf_counter()
        parts = []
        outputs = []
        for index in range(len(self.pictures)):
            value, part, image = self._one(index, parameters())
            if backward:
                if not value.requires_grad:
                    raise UserError(
                        f"{self.pipeline.name}: no gradient reaches the parameters although the pipeline says it is "
                        "differentiable; use search.strategy: optuna, or set its differentiable to False"
                    )
                (-value / len(self.pictures)).backward()  # type: ignore[no-untyped-call]
            parts.append(part)
            outputs.append(image)
        measures = mean_of([part.measures for part in parts])
        value_mean = sum(part.value.value for part in parts) / len(parts)
        return Evaluation(
            value=self._offset + value_mean,
            score=sum(part.value.score for part in parts) / len(parts),
            penalties=mean_of([part.penalties for part in parts]),
            statistics={name: mean_of([part.statistics[name] for part in parts]) for name in parts[0].statistics},
            measures=measures,
            constraints=self._violations(measures),
            seconds=time.perf_counter() - start,
            pictures=tuple(part.value for part in parts),
            offset=self._offset,
            outputs=tuple(outputs) if self.follows_incumbent else (),
            costs=mean_of([part.costs for part in parts]),
            pareto=tuple(
                float(_known_measure(measures, term.measure, "pareto", self.pipeline.name)) for term in self.pareto
            ),
        )

    def _one(self, index: int, parameters: Mapping[str, Any]) -> tuple[torch.Tensor, _Part, torch.Tensor]:
        picture = self.pictures[index]
        output = self._run(picture, parameters)
        image = output.image
        # Before there is an incumbent the first candidate is compared with itself, which gives 0.
        reference, regions = self._references[index], self._regions[index]
        if reference is None or regions is None:
            reference, regions = self.judge.prepare(image.detach()), Regions(image.detach(), picture.masks)
        maps, score = self.judge.judge(image, reference)
        if self.score_kind == "difference":
            score = -self.judge.difference(image, reference)
        value = self.score_weight * score[0]
        penalties: dict[str, float] = {}
        amounts: dict[str, float] = {}
        signed: dict[str, float] = {}
        over = excess(maps, self.judge.types)
        for penalty, name in zip(self.penalties, self.amount_names, strict=True):
            channel = self.judge.types.index(penalty.type)
            weight = regions.weight(penalty)
            amount = statistic(over[:, channel : channel + 1], weight, penalty.statistic)[0, 0]
            cost = penalty.weight * (amount - penalty.above).clamp(min=0.0)
            value = value - cost
            amounts[name] = float(amount.detach())
            unclamped = "mean" if penalty.type in SIGNED_CHANNELS else penalty.statistic
            signed[name] = float(statistic(2.0 * maps.detach()[:, channel : channel + 1] - 1.0, weight, unclamped))
            penalties[penalty.label] = penalties.get(penalty.label, 0.0) + float(cost.detach())
        costs: dict[str, float] = {}
        for term in self.costs:
            spent = term.weight * _measured(output, term.measure, "costs", self.pipeline.name)
            value = value - spent
            costs[term.measure] = costs.get(term.measure, 0.0) + float(torch.as_tensor(spent).detach())
        number = float(value.detach())
        if not math.isfinite(number):
            raise EvaluationError(f"the objective is {number} on {picture.name}")
        part = _Part(
            PictureValue(picture.name, number, float(score[0].detach()), amounts, signed),
            penalties,
            map_table(maps, self.judge.types)[0],
            {name: float(measure) for name, measure in output.measures.items()},
            costs,
        )
        return value, part, image.detach()

    def _run(self, picture: Picture, parameters: Mapping[str, Any]) -> Output:
        with torch.random.fork_rng(devices=[]):
            _seed_torch(self._seed)
            try:
                return self.pipeline.run(picture.image, parameters)
            except Exception as error:  # whatever a pipeline raises, the search must go on
                reason = str(error) if isinstance(error, PixelPerfectError) else f"{type(error).__name__}: {error}"
                raise EvaluationError(f"{' '.join(reason.split())} (picture {picture.name})") from error

    def _violations(self, measures: Mapping[str, float]) -> dict[str, float]:
        """How far each limit is broken, as a share of it: comparable across measures, <= 0 when met."""
        violations = {}
        for constraint in self.constraints:
            measured = _known_measure(measures, constraint.measure, "constraints", self.pipeline.name)
            for sign, symbol, limit in ((1, "<=", constraint.at_most), (-1, ">=", constraint.at_least)):
                if limit is not None:
                    violations[f"{constraint.measure}{symbol}{limit:g}"] = (
                        sign * (measured - limit) / (abs(limit) or 1.0)
                    )
        return violations


def _amount_names(penalties: Sequence[Penalty]) -> tuple[str, ...]:
    """For each penalty the name of its statistic: its label, numbered where masks of one name lie in two folders."""
    names: dict[tuple[str, str], str] = {}
    for penalty in penalties:
        key = (penalty.label, str(penalty.mask))
        if key not in names:
            namesakes = sum(label == penalty.label for label, _ in names)
            names[key] = f"{penalty.label}#{namesakes + 1}" if namesakes else penalty.label
    return tuple(names[penalty.label, str(penalty.mask)] for penalty in penalties)


@dataclass(frozen=True)
class _Part:
    value: PictureValue
    penalties: dict[str, float]
    statistics: dict[str, dict[str, float]]
    measures: dict[str, float]
    costs: dict[str, float]


def _seed_torch(seed: int) -> None:
    """As ``torch.manual_seed``, which takes 6 ms a call in a build with CUDA where CUDA was not used yet."""
    torch.default_generator.manual_seed(seed)
    if torch.cuda.is_initialized():
        torch.cuda.manual_seed_all(seed)


def _known_measure(measures: Mapping[str, Any], name: str, key: str, pipeline: str) -> Any:
    if name not in measures:
        raise UserError(
            f"objective.{key}: {pipeline} reports no measure '{name}', expected one of {', '.join(measures)}"
            f"{suggest(name, measures)}"
        )
    return measures[name]


def _measured(output: Output, name: str, key: str, pipeline: str) -> float | torch.Tensor:
    """A measure of one output: with its gradient where it has one."""
    number = _known_measure(output.measures, name, key, pipeline)
    return output.graph.get(name, number)
