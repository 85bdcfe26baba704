"""The ISP: stages composed by name, from a RAW mosaic to sRGB."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Any, ClassVar

import torch
from torch import Tensor

from pipelines.contract import Pipeline
from pipelines.isp.inverse import Simulation
from pipelines.isp.mosaic import Mosaic, MosaicInput
from pipelines.isp.stage import Stage, fixed_at
from pipelines.isp.table import STAGES
from pipelines.parameters import Parameters
from pixelperfect_models.errors import UserError, suggest


class ISP(Pipeline):
    """RAW mosaic to sRGB through stages composed by name, with gradients to every continuous parameter.

    Parameters are called ``<stage>_<parameter>``. A stage is fixed by fixing its parameters, and left out by leaving it
    out of ``stages``.

    Args:
        stages: names of :data:`pipelines.isp.table.STAGES` in the order in which they run; default: all of them.
        simulate: how an ordinary picture becomes a mosaic (:class:`pipelines.isp.inverse.Simulation`).
        output_bits: 8 or 10 rounds the output to that many bits (gradients pass straight through); None does not.
    """

    name = "isp"
    parameters: ClassVar[Parameters] = {}
    differentiable = True
    options: ClassVar[dict[str, str]] = {
        "stages": f"List of stages in order, of {', '.join(STAGES)}; default: all.",
        "simulate": "For pictures instead of RAW files: shot_noise, read_noise, red_gain, blue_gain, cfa, seed.",
        "output_bits": "8 or 10: round the output to so many bits; default: no rounding.",
    }

    def __init__(
        self,
        stages: Sequence[str] | None = None,
        simulate: Mapping[str, Any] | None = None,
        output_bits: int | None = None,
    ) -> None:
        if output_bits not in (None, 8, 10):
            raise UserError(f"output_bits: {output_bits!r}, expected 8, 10 or nothing")
        self.input = MosaicInput(Simulation.of(simulate or {}))
        self.output_bits = output_bits
        self.stages = compose(list(STAGES) if stages is None else stages)
        made_of = {f"{s.name}_{key}": value for s in self.stages for key, value in s.parameters.items()}
        vars(self)["parameters"] = made_of  # of the class elsewhere; here they follow from the stages

    def process(self, image: Mosaic, **values: Any) -> Tensor:
        """A mosaic (N, 1, H, W) to (N, 3, H, W) sRGB."""
        pixels = image.data
        for stage in self.stages:
            own = {key: values[f"{stage.name}_{key}"] for key in stage.parameters}
            if stage.takes == stage.gives and _does_nothing(stage, own):
                continue
            pixels = stage.apply(pixels, image.shot, **own)
        pixels = pixels.clamp(0.0, 1.0)
        if self.output_bits is None:
            return pixels
        steps = 2**self.output_bits - 1
        return pixels + (torch.round(pixels * steps) / steps - pixels).detach()

    def neutral(self) -> dict[str, Any]:
        """The parameters at which every stage does nothing beyond its plain conversion."""
        return {f"{stage.name}_{key}": value for stage in self.stages for key, value in stage.neutral.items()}


def _does_nothing(stage: Stage, values: Mapping[str, Any]) -> bool:
    """Whether the values are the neutral ones and no gradient is asked for. The file's white balance always counts."""
    if not stage.neutral or stage.name == "white_balance":
        return False
    return all(fixed_at(values[key], value) for key, value in stage.neutral.items())


def compose(names: Sequence[str]) -> tuple[Stage, ...]:
    """The stages of these names. Raises UserError: unknown, twice, or out of place (and then which)."""
    if isinstance(names, str) or not isinstance(names, Sequence):
        raise UserError(f"stages: {names!r}, expected a list of {', '.join(STAGES)}")
    stages: list[Stage] = []
    domain = "mosaic"
    for name in names:
        if name not in STAGES:
            raise UserError(f"stages: '{name}' is unknown, expected {', '.join(STAGES)}{suggest(str(name), STAGES)}")
        stage = STAGES[name]()
        if any(other.name == name for other in stages):
            raise UserError(f"stages: '{name}' stands there twice, expected each stage once")
        if stage.takes != domain:
            before = f"after {stages[-1].name}" if stages else "at the start"
            raise UserError(f"stages: '{name}' is out of place: it takes {stage.takes}, but {before} comes {domain}")
        stages.append(stage)
        domain = stage.gives
    if domain != "display":
        raise UserError(f"stages: end with {domain} values, expected display (the stage 'tone' gives it)")
    return tuple(stages)
