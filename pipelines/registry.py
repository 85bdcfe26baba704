"""Finding pipelines by name: the table of built-ins, installed plug-ins, and ``package.module:Class``."""

from __future__ import annotations

import importlib
import inspect
import sys
import warnings
from collections.abc import Mapping
from importlib.metadata import EntryPoint, entry_points
from pathlib import Path
from typing import Any

from pipelines.contract import Pipeline
from pipelines.inputs import InputKind
from pipelines.parameters import Choice, Parameter
from pixelperfect_models.errors import UserError, suggest

ENTRY_POINT_GROUP = "pixelperfect.pipelines"

BUILT_INS: dict[str, str] = {
    "burst": "pipelines.burst:BurstMerge",
    "command": "pipelines.external:Command",
    "compression.avif": "pipelines.compression.avif:Avif",
    "compression.codec": "pipelines.compression.codec:AnyCodec",
    "compression.jpeg": "pipelines.compression.jpeg:Jpeg",
    "compression.jpeg2000": "pipelines.compression.jpeg2000:Jpeg2000",
    "compression.jpeg_tables": "pipelines.compression.jpeg_tables:JpegTables",
    "compression.jpegxl": "pipelines.compression.jpegxl:JpegXL",
    "compression.webp": "pipelines.compression.webp:WebP",
    "denoise.bayes_shrink": "pipelines.denoise.bayes_shrink:BayesShrink",
    "denoise.bilateral": "pipelines.denoise.bilateral:Bilateral",
    "denoise.bilateral_opencv": "pipelines.denoise.bilateral_opencv:BilateralOpenCV",
    "denoise.gaussian": "pipelines.denoise.gaussian:Gaussian",
    "denoise.guided": "pipelines.denoise.guided:Guided",
    "denoise.joint_bilateral": "pipelines.denoise.joint_bilateral:JointBilateral",
    "denoise.nlm_opencv": "pipelines.denoise.nlm_opencv:NonLocalMeansOpenCV",
    "denoise.nlm_skimage": "pipelines.denoise.nlm_skimage:NonLocalMeansSkimage",
    "denoise.total_variation": "pipelines.denoise.total_variation:TotalVariation",
    "denoise.tv_chambolle": "pipelines.denoise.tv_chambolle:TVChambolle",
    "denoise.wavelet": "pipelines.denoise.wavelet:Wavelet",
    "isp": "pipelines.isp.pipeline:ISP",
    "network": "pipelines.network:Network",
    "tone.gamma": "pipelines.tone.gamma:Gamma",
}
"""Every built-in: name -> where its class is. To add one, write its file and add its line."""


class OptionsError(UserError):
    """The options that a pipeline was given are not those it takes."""


def load(name: str, options: Mapping[str, Any] | None = None) -> Pipeline:
    """Return a pipeline, ready to call.

    Args:
        name: a built-in or installed plug-in (see :func:`available`), or ``"package.module:Class"``, which is
            imported as ``python -m`` would: from what is installed and from the current folder.
        options: keyword arguments of its constructor; most pipelines take none.

    Raises:
        OptionsError: it does not take these options.
        UserError: no such pipeline (the nearest name is given), it cannot be imported, or it breaks the
            contract (the message says which part).

    Examples:
        >>> load("denoise.bilateral").parameters["sigma_color"].log
        True
    """
    return _instance(find(name), name, options)


def find(name: str) -> type[Pipeline]:
    """The class that :func:`load` would make an instance of. Raises UserError as it does."""
    if not isinstance(name, str) or not name:
        raise UserError(f"pipeline name {name!r}, expected text such as 'denoise.bilateral' or 'package.module:Class'")
    found = BUILT_INS.get(name) or _installed().get(name)
    if isinstance(found, EntryPoint):
        return _load_entry_point(found)
    if found is not None or ":" in name:
        return import_class(found or name)  # type: ignore[no-any-return]  # checked by _instance
    known = sorted([*BUILT_INS, *_installed()])
    raise UserError(
        f"no pipeline '{name}'{suggest(name, known)} (known: {', '.join(known)}; "
        "your own is named 'package.module:Class')"
    )


def available() -> dict[str, type[Pipeline]]:
    """Every built-in and installed plug-in, name -> class, sorted by name.

    A plug-in that cannot be imported or breaks the contract is left out with a warning, so that one broken
    package does not hide the others; ``load`` of its name raises.
    """
    classes = {name: import_class(target) for name, target in BUILT_INS.items()}
    for name, entry in _installed().items():
        try:
            cls = _load_entry_point(entry)
            if not _required_options(cls):  # else it can be made, and checked, only with options
                _instance(cls, name)
        except UserError as error:
            warnings.warn(f"plug-in left out: {error}", stacklevel=2)
        else:
            classes[name] = cls
    return dict(sorted(classes.items()))


def _installed() -> dict[str, EntryPoint]:
    entries: dict[str, EntryPoint] = {}
    for entry in entry_points(group=ENTRY_POINT_GROUP):
        if entry.name in BUILT_INS:
            warnings.warn(f"plug-in '{entry.name}' ({entry.value}) has a built-in's name and is left out", stacklevel=3)
        else:
            entries[entry.name] = entry
    return entries


def _load_entry_point(entry: EntryPoint) -> type[Pipeline]:
    try:
        return entry.load()  # type: ignore[no-any-return]  # checked by _instance
    except Exception as error:
        raise UserError(
            f"pipeline '{entry.name}': its entry point {entry.value} cannot be loaded ({type(error).__name__}: {error})"
        ) from error


def import_class(target: str, what: str = "pipeline") -> Any:
    """What ``"package.module:Class"`` names, looked for in what is installed and in the current folder.

    ``what`` is what an error message calls it. Raises UserError when it is not written so or cannot be imported.
    """
    module_name, _, class_name = target.partition(":")
    if not all(part.isidentifier() for part in [*module_name.split("."), class_name]):
        raise UserError(f"{what} '{target}', expected 'package.module:Class'")
    folder = str(Path.cwd())
    if folder not in sys.path and "" not in sys.path:
        sys.path.insert(0, folder)  # kept, as `python -m` does: the plug-in may import its neighbours later
    importlib.invalidate_caches()  # the module file may be younger than the last look into its folder
    try:
        module = importlib.import_module(module_name)
    except Exception as error:  # whatever a plug-in's top level raises is the plug-in's author's to read
        raise UserError(
            f"{what} '{target}': cannot import {module_name} ({type(error).__name__}: {error}); "
            f"looked in the installed packages and in {folder}"
        ) from error
    try:
        return getattr(module, class_name)
    except AttributeError:
        raise UserError(
            f"{what} '{target}': {module.__file__ or module_name} has no '{class_name}'"
            f"{suggest(class_name, vars(module))}"
        ) from None


def _required_options(cls: Any) -> list[str]:
    """The constructor's arguments that have no default."""
    if not inspect.isclass(cls):
        return []
    kinds = (inspect.Parameter.POSITIONAL_OR_KEYWORD, inspect.Parameter.KEYWORD_ONLY)
    arguments = inspect.signature(cls).parameters.values()
    return [each.name for each in arguments if each.kind in kinds and each.default is inspect.Parameter.empty]


def _check_options(cls: type[Pipeline], name: str, options: Mapping[str, Any]) -> None:
    known = list(inspect.signature(cls).parameters)
    takes = f"it takes {', '.join(known)}" if known else "it takes none"
    for key in options:
        if key not in known:
            raise OptionsError(f"pipeline '{name}': no option '{key}'{suggest(str(key), known)} ({takes})")
    missing = [key for key in _required_options(cls) if key not in options]
    if missing:
        raise OptionsError(f"pipeline '{name}': the option {', '.join(missing)} is missing ({takes})")


def _instance(cls: Any, name: str, options: Mapping[str, Any] | None = None) -> Pipeline:
    """Make one pipeline of ``cls``. Raises UserError that says which part of the contract ``cls`` breaks."""

    def broken(reason: str) -> UserError:
        return UserError(f"pipeline '{name}' breaks the contract of a pipeline: {reason}")

    if not inspect.isclass(cls):
        raise broken(f"it is of type {type(cls).__name__}, expected a class")
    if not issubclass(cls, Pipeline):
        raise broken(f"{cls.__name__} is not a subclass of pipelines.Pipeline")
    if not callable(getattr(cls, "process", None)) or getattr(cls.process, "__isabstractmethod__", False):
        raise broken(f"{cls.__name__} is not callable: it has no method process(self, image, ...)")
    _check_options(cls, name, options or {})
    try:
        pipeline = cls(**(options or {}))
    except UserError as error:
        raise OptionsError(f"pipeline '{name}': {error}") from error
    except Exception as error:
        raise broken(f"{cls.__name__}() raised {type(error).__name__}: {error}") from error
    parameters = getattr(pipeline, "parameters", None)
    if not isinstance(parameters, dict):
        kind = _described(parameters)
        raise broken(f"{cls.__name__}.parameters is {kind}, expected a dict name -> Parameter or Choice")
    for key, parameter in parameters.items():
        if not isinstance(key, str) or not key.isidentifier():
            raise broken(f"parameters has the key {key!r}, expected a Python name")
        if not isinstance(parameter, (Parameter, Choice)):
            raise broken(f"parameters['{key}'] is {_described(parameter)}, expected a Parameter or a Choice")
    if not isinstance(pipeline.differentiable, bool):
        raise broken(f"differentiable is {_described(pipeline.differentiable)}, expected True or False")
    if not isinstance(pipeline.input, InputKind):
        raise broken(f"input is {_described(pipeline.input)}, expected an InputKind (pipelines.inputs)")
    if not isinstance(pipeline.name, str):
        raise broken(f"name is {_described(pipeline.name)}, expected text")
    try:
        inspect.signature(pipeline.process).bind(None, **dict.fromkeys(parameters))
    except TypeError as error:
        names = ", ".join(parameters)
        raise broken(f"process does not take the image and its parameters {names} ({error})") from None
    pipeline.name = pipeline.name or name
    return pipeline


def _described(value: object) -> str:
    return "missing" if value is None else f"of type {type(value).__name__}"
