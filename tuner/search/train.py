"""Training a network end to end through the judge: every checkpoint is a trial, judged on the recipe's pictures."""

from __future__ import annotations

import copy
import datetime
import logging
import time
from pathlib import Path

import torch
from torch import Tensor, nn

from pipelines.network import Network, checkpoint_file, write_weights
from pixelperfect_models.errors import UserError
from pixelperfect_models.loss import PerceptualLoss
from tuner import interrupts
from tuner.evaluation import Evaluation, EvaluationError
from tuner.objective import Objective
from tuner.parameter_space import ParameterSpace
from tuner.recipe import CHECKPOINTS
from tuner.recipe_search import TrainSearch
from tuner.search.base import Task
from tuner.search.network_trainer import Losses, Trainer
from tuner.search.training_pairs import TrainingPairs

STATE = "training.safetensors"
"""Below the run's ``checkpoints``: what resuming needs."""
_SAVE_SECONDS = 60.0


class Training:
    """Minimises a fidelity term and the judge's loss on the training photos.

    The judge's term is :class:`PerceptualLoss`: the weight of the recipe's score times the difference, which takes the
    clean picture for the truth, and the recipe's penalties. Trial 0 is the untrained network.
    """

    def check(self, objective: Objective, space: ParameterSpace, spec: TrainSearch) -> None:
        """Raise UserError unless the pipeline is ``network`` and ``step`` alone is searched, from 0 to all steps."""
        if not isinstance(objective.pipeline, Network):
            raise UserError(f"search.strategy: train, but {objective.pipeline.name} is no network, expected network")
        if space.names != ("step",):
            raise UserError(
                f"search.strategy: train searches step alone, found {', '.join(space.names)}; hold the others by "
                "pipeline.fixed"
            )
        dimension = space.dimensions[0]
        if dimension.low > 0 or dimension.high < spec.steps:
            raise UserError(
                f"pipeline.search.step: from {dimension.low:g} to {dimension.high:g}, expected 0 to at least the "
                f"{spec.steps} of search.steps"
            )
        if objective.follows_incumbent:
            raise UserError(
                "search.strategy: train compares all checkpoints with one reference, expected images.reference: files "
                "or input instead of incumbent"
            )
        if not any(parameter.requires_grad for parameter in objective.pipeline.trainable().parameters()):
            raise UserError(f"pipeline.options.network: {objective.pipeline.network} has no parameters to train")
        if spec.perceptual > 0 and objective.score_weight == 0 and not objective.penalties:
            raise UserError(
                f"search.perceptual: {spec.perceptual:g}, but the objective has neither a score nor penalties to train "
                "by, expected objective.score.weight > 0, objective.penalties, or perceptual: 0"
            )
        masked = [penalty.label for penalty in objective.penalties if penalty.mask is not None]
        if masked and spec.perceptual > 0:
            raise UserError(
                f"objective.penalties: {', '.join(masked)} has a mask, which fits no training photo; expected a named "
                "region"
            )

    def budget(self, space: ParameterSpace, spec: TrainSearch) -> int:
        """The untrained network and every checkpoint."""
        return 1 + -(-spec.steps // spec.evaluate_every)

    def run(self, task: Task) -> None:
        """Train on from the last state. After Ctrl-C the state of the last whole step is on disk."""
        spec, pipeline = task.spec, task.objective.pipeline
        assert isinstance(pipeline, Network)  # checked
        folder = pipeline.checkpoints = task.folder / CHECKPOINTS
        trained = {int(trial.params["step"]) for trial in task.study.counted}
        trainer = self._trainer(pipeline, task.objective, spec)
        state = folder / STATE
        if state.is_file():
            trainer.restore(state)
        elif trained - {0}:
            raise UserError(f"{state}: is missing, the training cannot go on; start a new run")
        # A kill between the two leaves a checkpoint whose trial is not recorded.
        for step in sorted({0, trainer.done} - trained):
            if step == 0 or _due(step, spec):
                _record(task, step, {})
        kept, saved = _Means(), time.monotonic()
        try:
            while trainer.done < spec.steps and not task.out_of_time:
                with interrupts.shielded():
                    kept.add(trainer.step(trainer.done / spec.steps))
                if _due(trainer.done, spec):
                    self._checkpoint(task, trainer, folder, kept)
                    kept, saved = _Means(), time.monotonic()
                elif time.monotonic() - saved > _SAVE_SECONDS:
                    with interrupts.shielded():
                        trainer.save(state)
                    saved = time.monotonic()
        except KeyboardInterrupt:
            with interrupts.shielded():
                trainer.save(state)
            raise
        if kept.values:  # the time was up between two checkpoints
            self._checkpoint(task, trainer, folder, kept)

    @staticmethod
    def _trainer(pipeline: Network, objective: Objective, spec: TrainSearch) -> Trainer:
        # Fabric takes seconds to import, and other searches need none.
        from pixelperfect_models.training.loop import make_fabric

        logging.getLogger("lightning_fabric").setLevel(logging.WARNING)  # it tells the precision on standard error
        fabric = make_fabric(spec.precision, devices=1)
        pairs = TrainingPairs(
            [Path(path) for path in spec.photos],
            None if spec.inputs is None else [Path(path) for path in spec.inputs],
            spec.crop,
            (spec.photons[0], spec.photons[1]),
            (spec.read_noise[0], spec.read_noise[1]),
            spec.seed,
        )
        judge = objective.judge
        if fabric.device.type != "cpu" and isinstance(judge, nn.Module):
            judge = copy.deepcopy(judge).to(fabric.device)  # the objective keeps its own, beside its pictures
        perceptual = Perceptual(
            PerceptualLoss(objective.penalties, objective.score_weight, judge),  # type: ignore[arg-type]  # of its interface
            fabric.device.type,
        )
        losses = Losses(spec.l1, spec.perceptual, spec.perceptual_every, perceptual)
        return Trainer(pipeline.trainable(), pairs.batch, losses, fabric, spec.batch, spec.learning_rate, spec.seed)

    @staticmethod
    def _checkpoint(task: Task, trainer: Trainer, folder: Path, kept: _Means) -> None:
        with interrupts.shielded():
            write_weights(trainer.network, checkpoint_file(folder, trainer.done))
            trainer.save(folder / STATE)
        _record(task, trainer.done, kept.values)


class Perceptual:
    """The judge's loss in float32, whatever the network computes in."""

    def __init__(self, loss: PerceptualLoss, device: str) -> None:
        self._loss, self._device = loss, device

    def __call__(self, output: Tensor, clean: Tensor) -> Tensor:
        with torch.autocast(self._device, enabled=False):
            return self._loss(output.float(), clean)  # type: ignore[no-any-return]  # a module's call


class _Means:
    """Running means of the loss's terms since the last checkpoint."""

    def __init__(self) -> None:
        self._sums: dict[str, list[float]] = {}

    def add(self, terms: dict[str, float]) -> None:
        """Another step's terms."""
        for name, value in terms.items():
            self._sums.setdefault(name, []).append(value)

    @property
    def values(self) -> dict[str, float]:
        """Name to mean."""
        return {name: sum(values) / len(values) for name, values in self._sums.items()}


def _due(step: int, spec: TrainSearch) -> bool:
    return step > 0 and (step % spec.evaluate_every == 0 or step == spec.steps)


def _record(task: Task, step: int, losses: dict[str, float]) -> None:
    """Judge the network after ``step`` steps on the recipe's pictures, and keep the answer as a trial."""
    started = datetime.datetime.now()
    outcome: Evaluation | str
    try:
        outcome = task.objective.evaluate(task.space.full({"step": step}))
    except EvaluationError as error:
        outcome = str(error)
    attributes = {"role": "search" if step else "defaults", **({"training": losses} if losses else {})}
    task.study.add({"step": step}, task.space.distributions, outcome, started, attributes)
