"""Agreement of a recipe with its pipeline: names, values and ranges; which strategy ``auto`` stands for."""

from __future__ import annotations

from collections.abc import Mapping
from pathlib import Path
from typing import TYPE_CHECKING, Any

import pipelines
from pipelines import Choice, Parameter
from pixelperfect_models.errors import UserError, suggest
from tuner.recipe import PipelineSpec, Scalar, SearchSpace
from tuner.recipe_search import (
    AutoSearch,
    CompositeSearch,
    GradientSearch,
    HybridSearch,
    OptunaSearch,
    Search,
)
from tuner.recipe_yaml import Source, found

if TYPE_CHECKING:
    from pipelines import Pipeline

_KEY = "pipeline"


def load_pipeline(spec: PipelineSpec, source: Source, folder: Path) -> tuple[PipelineSpec, Pipeline | None]:
    """``spec`` with its options' paths absolute, and the pipeline it names.

    A problem is recorded and None returned for the pipeline when there is none.
    """
    try:
        spec = spec.model_copy(update={"options": absolute_options(spec.name, spec.options, folder)})
        return spec, pipelines.load(spec.name, spec.options)
    except pipelines.OptionsError as error:
        source.problem((_KEY, "options") if spec.options else (_KEY,), str(error))
    except UserError as error:
        source.problem((_KEY, "name"), str(error))
    return spec, None


def absolute_options(name: str, options: Mapping[str, Any], folder: Path) -> dict[str, Any]:
    """A pipeline's options with those that are paths absolute; they are relative to ``folder``, the recipe's.

    Raises:
        UserError: there is no pipeline of this name.
    """
    resolved = dict(options)
    # Not what is found is a pipeline: load says which part of the contract is broken.
    for key in getattr(pipelines.find(name), "path_options", ()):
        if isinstance(resolved.get(key), str):
            resolved[key] = str((folder / Path(resolved[key]).expanduser()).absolute())
    return resolved


def resolve_parameters(spec: PipelineSpec, pipeline: Pipeline, source: Source) -> PipelineSpec:
    """``spec`` with every searched range filled in from the pipeline; disagreements are recorded as problems."""
    known = pipeline.parameters
    for name, value in spec.fixed.items():
        if name not in known:
            source.problem((_KEY, "fixed", name), _unknown(name, pipeline))
        elif message := _wrong_value(known[name], value):
            source.problem((_KEY, "fixed", name), message)
    search: dict[str, SearchSpace] = {}
    for name, space in spec.search.items():
        parameter = known.get(name)
        if parameter is None:
            source.problem((_KEY, "search", name), _unknown(name, pipeline))
        elif isinstance(parameter, Choice):
            search[name] = _resolve_choice(name, space, parameter, source)
        else:
            search[name] = _resolve_range(name, space, parameter, source)
    return spec.model_copy(update={"search": search})


def resolve_search(
    search: Search,
    spec: PipelineSpec,
    pipeline: Pipeline,
    source: Source,
    incumbent: bool = False,
    pareto: bool = False,
    limits: bool = False,
) -> Search:
    """What ``auto`` stands for here; a gradient search that this pipeline cannot have is recorded as a problem.

    ``incumbent``: candidates are compared with the best so far, a reference that changes under a descent.
    ``pareto``: there are several objectives, of which a descent has one.
    ``limits``: there are constraints, which a descent stops at and composite goes along.
    """
    steps = [name for name in spec.search if not _continuous(pipeline.parameters.get(name))]
    if isinstance(search, GradientSearch):
        if not pipeline.differentiable:
            source.problem(
                ("search", "strategy"),
                f"found gradient, but {spec.name} is not differentiable, expected composite, optuna or auto",
            )
        elif steps:
            source.problem(
                ("search", "strategy"),
                f"found gradient, but {', '.join(steps)} is not continuous, expected hybrid, composite or auto",
            )
        elif pareto:
            source.problem(
                ("search", "strategy"),
                "found gradient, which climbs one objective, beside objective.pareto, expected optuna or auto",
            )
        return search
    if not isinstance(search, AutoSearch):
        return search
    common: dict[str, Any] = {"seed": search.seed, "timeout": search.timeout}
    budget: dict[str, Any] = {} if search.trials is None else {"trials": search.trials}
    if incumbent or pareto:
        return OptunaSearch(**budget, **common)
    if limits:
        return CompositeSearch(**budget, **common)
    if pipeline.differentiable and 0 < len(steps) < len(spec.search):
        ascents = HybridSearch(**common)
        return (
            ascents
            if search.trials is None
            else ascents.model_copy(update={"trials": max(2, search.trials // ascents.steps)})
        )
    if steps or not pipeline.differentiable:
        return CompositeSearch(**budget, **common)
    chosen = GradientSearch(seed=search.seed, timeout=search.timeout)
    if search.trials is None:
        return chosen
    starts = min(chosen.starts, search.trials)
    return chosen.model_copy(update={"starts": starts, "steps": search.trials // starts})


def _continuous(parameter: Parameter | Choice | None) -> bool:
    return isinstance(parameter, Parameter) and not parameter.integer


def _unknown(name: str, pipeline: Pipeline) -> str:
    known = pipeline.parameters
    return f"unknown parameter of {pipeline.name}, expected {', '.join(known)}{suggest(name, known)}"


def _range(parameter: Parameter) -> str:
    unit = f" {parameter.unit}" if parameter.unit else ""
    kind = "an integer" if parameter.integer else "a number"
    return f"{kind} from {parameter.low:g} to {parameter.high:g}{unit}"


def _listed(values: tuple[Scalar, ...] | list[Scalar]) -> str:
    return ", ".join(str(value) for value in values)


def _same(one: Scalar, other: Scalar) -> bool:
    # True == 1 in Python, not in a recipe
    return isinstance(one, bool) == isinstance(other, bool) and one == other


def _wrong_value(parameter: Parameter | Choice, value: Scalar) -> str | None:
    if isinstance(parameter, Choice):
        if any(_same(value, choice) for choice in parameter.choices):
            return None
        names = [str(choice) for choice in parameter.choices]
        return f"found {found(value)}, expected {_listed(parameter.choices)}{suggest(str(value), names)}"
    fits = False
    if isinstance(value, int | float) and not isinstance(value, bool):
        fits = parameter.low <= value <= parameter.high and (not parameter.integer or value == int(value))
    return None if fits else f"found {found(value)}, expected {_range(parameter)}"


def _resolve_choice(name: str, space: SearchSpace, parameter: Choice, source: Source) -> SearchSpace:
    for key in ("low", "high", "log"):
        if getattr(space, key) is not None:
            source.problem(
                (_KEY, "search", name, key),
                f"found {key}, but {name} is one of {_listed(parameter.choices)}, expected choices",
            )
    for index, choice in enumerate(space.choices or ()):
        if message := _wrong_value(parameter, choice):
            source.problem((_KEY, "search", name, "choices", index), message)
        elif any(_same(choice, other) for other in (space.choices or ())[:index]):
            source.problem((_KEY, "search", name, "choices", index), f"found {found(choice)} twice, expected once")
    return SearchSpace(choices=list(space.choices or parameter.choices))


def _resolve_range(name: str, space: SearchSpace, parameter: Parameter, source: Source) -> SearchSpace:
    path = (_KEY, "search", name)
    if space.choices is not None:
        source.problem((*path, "choices"), f"found choices, expected low and high: {name} is {_range(parameter)}")
        return space
    low = float(parameter.low if space.low is None else space.low)
    high = float(parameter.high if space.high is None else space.high)
    log = parameter.log if space.log is None else space.log
    bad = False
    for key, value in (("low", low), ("high", high)):
        if message := _wrong_value(parameter, value):
            source.problem((*path, key), message)
            bad = True
    if bad:
        return space
    if low >= high:
        source.problem(path, f"found low: {low:g} and high: {high:g}, expected low < high")
    elif log and low <= 0:
        source.problem((*path, "log"), f"found log: true with low: {low:g}, expected low > 0")
    # Without validation, which would raise on what has been recorded just now.
    return SearchSpace.model_construct(low=low, high=high, log=log, choices=None)
