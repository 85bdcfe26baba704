"""The objective: what a set of parameters is worth on the recipe's pictures, and what that is made of.

    value = score.weight * score - sum of weight * max(0, statistic(excess) - above) - sum of weight * measure

averaged over the pictures and maximised. It is differentiable in the parameters where the pipeline is. Where there is
no reference, candidates are compared with earlier bests instead (:mod:`tuner.incumbent`).
"""

from __future__ import annotations

import math
import time
from collections.abc import Callable, Mapping, Sequence
from typing import Any, Literal, Protocol

import torch

from pipelines.contract import Output, Pipeline
from pixelperfect_models.channels import SIGNED_CHANNELS
from pixelperfect_models.errors import PixelPerfectError, UserError, suggest
from pixelperfect_models.map_statistics import Penalty, excess, map_table, statistic
from tuner.evaluation import Evaluation, EvaluationError, PictureValue, mean_of
from tuner.incumbent import Incumbents
from tuner.parts import Judged, Part, compared, least
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

    def maps(self, test: torch.Tensor, ref: Any) -> torch.Tensor:
        """The maps alone, (N, K, H, W); asked only where the score's kind is ``difference``."""

    def difference(self, test: torch.Tensor, ref: Any) -> torch.Tensor:
        """How far apart the two look, (N,) >= 0; asked only where the score's kind is ``difference``."""


class Race(Protocol):
    """Looks on while the pictures are evaluated one after another (:mod:`tuner.search.pruning`)."""

    @property
    def order(self) -> Sequence[int]:
        """The pictures' indices in the order in which they are evaluated."""

    def hopeless(self, seen: Mapping[int, PictureValue]) -> bool:
        """True when the pictures seen so far, by index, say that the rest need not be looked at."""


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
        anchors: with how many earlier bests a candidate is compared where pictures have no reference.

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
        anchors: int = 3,
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
        self.anchors = anchors
        self._incumbents: Incumbents | None = None
        if self.follows_incumbent:
            self._incumbents = Incumbents(judge, self.pictures, self.penalties, score_weight, anchors)
        referenced = [(picture, picture.reference) for picture in self.pictures if picture.reference is not None]
        self._references = [judge.prepare(reference) for _, reference in referenced]
        self._regions = [Regions(reference, picture.masks) for picture, reference in referenced]

    def evaluate(self, parameters: Mapping[str, Any], race: Race | None = None) -> Evaluation:
        """What these parameters (all of them, fixed ones too) are worth. No gradients.

        Args:
            parameters: name to value.
            race: says in which order the pictures are evaluated and when to stop; the evaluation is then one of the
                pictures seen, and its ``left_out`` says how many were not.

        Raises:
            EvaluationError: the pipeline raised or returned no picture, or the value is not finite.
            UserError: a constraint names a measure the pipeline does not report.
        """
        with torch.no_grad():
            return self._evaluate(lambda: parameters, backward=False, race=race)

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
        """Make the evaluated candidate the incumbent: later ones are compared with its pictures, too."""
        assert self._incumbents is not None
        self._incumbents.promote(evaluation.outputs, evaluation.worth)

    def restore_incumbent(self, parameters: Mapping[str, Any], worth: Sequence[float]) -> None:
        """Run the pipeline again at an incumbent found earlier (on resuming) and promote it.

        Args:
            parameters: all of them.
            worth: what its evaluation had as ``worth``.
        """
        assert self._incumbents is not None
        outputs = [self._run(picture, parameters).image.detach() for picture in self.pictures]
        self._incumbents.promote(outputs, worth)

    def _evaluate(
        self, parameters: Callable[[], Mapping[str, Any]], backward: bool, race: Race | None = None
    ) -> Evaluation:
        start = time.perf_counter()
        found: dict[int, Part] = {}
        images: dict[int, torch.Tensor] = {}
        for index in range(len(self.pictures)) if race is None else race.order:
            value, part, image = self._one(index, parameters())
            if backward:
                if not value.requires_grad:
                    raise UserError(
                        f"{self.pipeline.name}: no gradient reaches the parameters although the pipeline says it is "
                        "differentiable; use search.strategy: optuna, or set its differentiable to False"
                    )
                (-value / len(self.pictures)).backward()  # type: ignore[no-untyped-call]
            found[index], images[index] = part, image
            left = len(self.pictures) - len(found)
            if left and race is not None and race.hopeless({i: each.value for i, each in found.items()}):
                break
        # In the recipe's order, so that a mean is the same number in whatever order the pictures were seen.
        parts = [found[index] for index in sorted(found)]
        measures = mean_of([part.measures for part in parts])
        pictures = [part.value for part in parts]
        worth: tuple[float, ...] = ()
        if self._incumbents is not None:
            pictures, worth = least(parts)
        mean = sum(picture.value for picture in pictures) / len(parts)
        penalties = mean_of([part.penalties for part in parts])
        costs = mean_of([part.costs for part in parts])
        score = sum(part.value.score for part in parts) / len(parts)
        made_of = self.score_weight * score - sum(penalties.values()) - sum(costs.values())
        return Evaluation(
            value=mean,
            score=score,
            penalties=penalties,
            statistics={name: mean_of([part.statistics[name] for part in parts]) for name in parts[0].statistics},
            measures=measures,
            constraints=self._violations(measures),
            seconds=time.perf_counter() - start,
            pictures=tuple(pictures),
            offset=mean - made_of if worth else 0.0,
            outputs=tuple(images[index] for index in sorted(images)) if self.follows_incumbent else (),
            costs=costs,
            pareto=tuple(
                float(_known_measure(measures, term.measure, "pareto", self.pipeline.name)) for term in self.pareto
            ),
            left_out=len(self.pictures) - len(parts),
            worth=worth,
        )

    def _one(self, index: int, parameters: Mapping[str, Any]) -> tuple[torch.Tensor, Part, torch.Tensor]:
        picture = self.pictures[index]
        output = self._run(picture, parameters)
        image = output.image
        judged = self._judged(index, image) if self._incumbents is None else compared(self._incumbents, index, image)
        value = judged.value
        costs: dict[str, float] = {}
        for term in self.costs:
            spent = term.weight * _measured(output, term.measure, "costs", self.pipeline.name)
            value = value - spent
            costs[term.measure] = costs.get(term.measure, 0.0) + float(torch.as_tensor(spent).detach())
        number = float(value.detach())
        if not math.isfinite(number):
            raise EvaluationError(f"the objective is {number} on {picture.name}")
        part = Part(
            PictureValue(picture.name, number, judged.score, judged.amounts, judged.signed),
            judged.penalties,
            map_table(judged.maps, self.judge.types)[0],
            {name: float(measure) for name, measure in output.measures.items()},
            costs,
            judged.worth,
        )
        return value, part, image.detach()

    def _judged(self, index: int, image: torch.Tensor) -> Judged:
        """A picture against its reference."""
        reference = self._references[index]
        if self.score_kind == "difference":
            maps, score = self.judge.maps(image, reference), -self.judge.difference(image, reference)
        else:
            maps, score = self.judge.judge(image, reference)
        value = self.score_weight * score[0]
        penalties: dict[str, float] = {}
        amounts: dict[str, float] = {}
        signed: dict[str, float] = {}
        channels = dict(zip(self.judge.types, maps.split(1, dim=1), strict=True))
        for penalty, name in zip(self.penalties, self.amount_names, strict=True):
            channel = channels[penalty.type]
            weight = self._regions[index].weight(penalty)
            over = excess(channel, (penalty.type,))
            amount = statistic(over, weight, penalty.statistic)[0, 0]
            cost = penalty.weight * (amount - penalty.above).clamp(min=0.0)
            value = value - cost
            amounts[name] = float(amount.detach())
            unclamped = "mean" if penalty.type in SIGNED_CHANNELS else penalty.statistic
            signed[name] = float(statistic(2.0 * channel.detach() - 1.0, weight, unclamped))
            penalties[penalty.label] = penalties.get(penalty.label, 0.0) + float(cost.detach())
        return Judged(value, float(score[0].detach()), penalties, maps, amounts, signed)

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
