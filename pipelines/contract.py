"""What a pipeline is: named, bounded, documented parameters and a function from pictures to pictures.

An *image* is a float32 (or float64) tensor (N, 3, H, W), sRGB-encoded, in [0, 1], sides at least 16 pixels.
Everything a pipeline is given is checked before it runs, and everything it returns is checked after. A pipeline that
takes something else than pictures says so in ``input`` (:mod:`pipelines.inputs`).
"""

from __future__ import annotations

import math
import time
from abc import ABC, abstractmethod
from collections.abc import Mapping
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any, ClassVar

import torch
from torch import Tensor

from pipelines.inputs import PICTURES, InputKind
from pipelines.parameters import Choice, Parameters, Value
from pixelperfect_models.errors import PixelPerfectError, UserError, suggest

OVERSHOOT = 4.0
"""How far an output may leave [0, 1] and still be overshoot, not another scale such as 0..255."""


class PipelineError(PixelPerfectError):
    """A pipeline failed on a picture: it raised, or returned something that is no picture.

    Attributes:
        name: the pipeline. reason: what went wrong, one line.
    """

    def __init__(self, name: str, reason: str) -> None:
        super().__init__(f"{name}: {reason}")
        self.name = name
        self.reason = reason

    def __reduce__(self) -> tuple[type[PipelineError], tuple[str, str]]:
        return PipelineError, (self.name, self.reason)  # else unpickling in a parent process fails


@dataclass
class Output:
    """What one run of a pipeline gave.

    Attributes:
        image: (N, 3, H, W), the input's dtype and device, in [0, 1].
        measures: name -> number. ``seconds`` (wall time of the whole batch) is always there after ``run``. A pipeline
            may return a 0-dim tensor; ``run`` makes it a number.
        graph: those measures that came as tensors with a gradient, still tensors: an objective may descend on them.
            Filled in by ``run``.
    """

    image: Tensor
    measures: Mapping[str, float | Tensor] = field(default_factory=dict)
    graph: dict[str, Tensor] = field(default_factory=dict)


class Pipeline(ABC):
    """An image algorithm with named, bounded, documented parameters. Subclass it and write ``process``.

    Attributes:
        name: what it is called in recipes and reports; ``load`` fills it in where a class leaves it empty.
        parameters: name -> ``Parameter`` or ``Choice``.
        differentiable: True where gradients reach the input image and every continuous parameter.
        input: the kind of input it takes; pictures unless a subclass sets another.
        options: name -> what it is, for the keyword arguments of the constructor. A recipe's ``pipeline.options``
            passes them; they say what the pipeline is made of (stages, a command, a network), not what is tuned.
        path_options: those options that name a file: a recipe gives them relative to its own folder.
        output_bits: bits per colour that the output is rounded to; None where it is not.

    Examples:
        >>> from pipelines import load
        >>> blur = load("denoise.gaussian")
        >>> blur(torch.rand(1, 3, 32, 32), {"sigma": 1.5}).shape
        torch.Size([1, 3, 32, 32])
    """

    name: str = ""
    parameters: ClassVar[Parameters]
    differentiable: bool = False
    input: InputKind = PICTURES
    options: ClassVar[Mapping[str, str]] = {}
    path_options: ClassVar[tuple[str, ...]] = ()
    output_bits: int | None = None

    @abstractmethod
    def process(self, image: Any, *args: Any, **kwargs: Any) -> Tensor | Output:
        """Turn (N, 3, H, W) into (N, 3, H, W); a subclass names its parameters as keyword arguments.

        With another kind of ``input``, ``image`` is what that kind reads.

        Every parameter is passed, checked. A ``Choice`` arrives as one of its choices, an integer
        ``Parameter`` as an int. Any other ``Parameter`` arrives as a 0-dim tensor of the image's dtype and
        device where the pipeline is differentiable, else as a float (and gradients are off). Values that
        leave [0, 1] are clamped by ``run``. Return the image, or ``Output(image, {"bytes": 1234.0})`` to
        report measures of your own.
        """

    def classes(self) -> tuple[type, ...]:
        """The classes whose source says what the pipeline does: a study is not gone on with when a user's have changed.

        A pipeline that is made of other classes of the user's names them too.
        """
        return (type(self),)

    def files(self) -> tuple[Path, ...]:
        """Files outside this program that decide what comes out, such as programs it runs; remembered likewise.

        Those that :attr:`path_options` name are remembered anyway.
        """
        return ()

    @property
    def file_bits(self) -> int:
        """Bits per colour of a file that loses nothing of the output: 16 where it is rounded to more than 8, else 8."""
        return 16 if (self.output_bits or 8) > 8 else 8

    def __call__(self, image: Any, parameters: Mapping[str, Any] | None = None) -> Tensor:
        """The output picture alone; see :meth:`run`."""
        return self.run(image, parameters).image

    def run(self, image: Any, parameters: Mapping[str, Any] | None = None) -> Output:
        """Process a batch of pictures and measure it.

        Args:
            image: (N, 3, H, W), float32 or float64, in [0, 1]; or what the pipeline's kind of ``input`` reads.
            parameters: name -> number, 0-dim tensor (may require grad) or choice; missing ones take their
                defaults.

        Returns:
            The picture, clamped to [0, 1], and its measures, among them ``seconds``.

        Raises:
            UserError: unknown parameter, value out of bounds or of the wrong type, or ``image`` is no image.
            PipelineError: the algorithm raised or returned something that is no picture.
        """
        self.input.check(image)
        like = self.input.like(image)
        values = self._typed(self.resolve(parameters), like)
        start = time.perf_counter()
        try:
            with torch.set_grad_enabled(self.differentiable and torch.is_grad_enabled()):
                result = self.process(image, **values)
        except PixelPerfectError:
            raise
        except Exception as error:  # a plug-in may raise anything; the trial fails, the study goes on
            raise PipelineError(self.name, f"raised {type(error).__name__}: {error}") from error
        if like.is_cuda:
            torch.cuda.synchronize(like.device)
        seconds = time.perf_counter() - start
        output = result if isinstance(result, Output) else Output(result)
        check_output(output.image, like, self.name)
        measures = {"seconds": seconds, **_checked_measures(output.measures, self.name)}
        graph = {
            name: value for name, value in output.measures.items() if isinstance(value, Tensor) and value.requires_grad
        }
        return Output(output.image.clamp(0.0, 1.0), measures, graph)

    def resolve(self, parameters: Mapping[str, Any] | None = None) -> dict[str, Value]:
        """All parameters in their declared order: the given ones checked, the missing ones at their defaults.

        Raises:
            UserError: a name this pipeline does not have (the nearest is named), or a value it does not take.
        """
        given = dict(parameters or {})
        for name in given:
            if name not in self.parameters:
                hint = suggest(str(name), self.parameters)
                known = ", ".join(self.parameters)
                raise UserError(f"{self.name}: no parameter '{name}'{hint} (it has: {known})")
        values: dict[str, Value] = {}
        for name, parameter in self.parameters.items():
            value = given.get(name, parameter.default)
            values[name] = parameter.check(value, f"{self.name}: {name}")
        return values

    def _typed(self, values: dict[str, Value], image: Tensor) -> dict[str, Value]:
        typed: dict[str, Value] = {}
        for name, value in values.items():
            parameter = self.parameters[name]
            if isinstance(parameter, Choice) or parameter.integer:
                typed[name] = value
            elif self.differentiable:
                typed[name] = torch.as_tensor(value, dtype=image.dtype, device=image.device)
            else:
                typed[name] = float(value)
        return typed


def check_output(output: Tensor, image: Tensor, name: str = "pipeline") -> None:
    """Raise PipelineError unless ``output`` is a picture that fits the input ``image``.

    It must be a tensor of the input's shape, dtype and device, finite, and on the scale [0, 1] (some
    overshoot is allowed, ``run`` clamps it; values far outside mean another scale).
    """
    if not isinstance(output, Tensor):
        raise PipelineError(name, f"returned a {type(output).__name__}, expected a tensor {tuple(image.shape)}")
    if output.shape != image.shape:
        raise PipelineError(name, f"returned shape {tuple(output.shape)}, expected {tuple(image.shape)}")
    if output.dtype != image.dtype:
        raise PipelineError(name, f"returned {output.dtype}, expected {image.dtype} as the input")
    if output.device != image.device:
        raise PipelineError(name, f"returned a tensor on {output.device}, expected {image.device} as the input")
    finite = torch.isfinite(output)
    if not bool(finite.all()):
        bad = int((~finite).sum())
        raise PipelineError(name, f"returned NaN or infinite values at {bad} of {output.numel()} positions")
    low, high = (float(edge) for edge in torch.aminmax(output.detach()))
    if low < -OVERSHOOT or high > 1.0 + OVERSHOOT:
        raise PipelineError(name, f"returned values from {low:.4g} to {high:.4g}, expected the scale [0, 1]")


def _checked_measures(measures: Mapping[str, float | Tensor], name: str) -> dict[str, float]:
    checked = {}
    for key, value in measures.items():
        try:
            number = float(value.detach() if isinstance(value, Tensor) else value)
        except (TypeError, ValueError, RuntimeError):
            number = math.nan
        if not isinstance(key, str) or not math.isfinite(number):
            raise PipelineError(name, f"reported the measure {key!r} = {value!r}, expected a name and a finite number")
        checked[key] = number
    return checked
