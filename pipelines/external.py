"""Any program as a pipeline: it is given a picture file and writes another."""

from __future__ import annotations

import re
import shutil
import string
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any, ClassVar

import torch
from torch import Tensor

from pipelines.contract import Output, Pipeline, PipelineError
from pipelines.inputs import PICTURES
from pipelines.parameters import Choice, Parameter, Parameters
from pipelines.process import ProgramError, quoted, run_program, work_folder
from pipelines.raw_path import RawPath, RawPathInput
from pixelperfect_models.errors import UserError, suggest
from pixelperfect_models.images import SUFFIXES, picture_size, read_image, write_image

PACKAGES = {
    "cjpeg": "libjpeg-turbo-progs",
    "djpeg": "libjpeg-turbo-progs",
    "cwebp": "webp",
    "dwebp": "webp",
    "avifenc": "libavif-bin",
    "avifdec": "libavif-bin",
    "cjxl": "libjxl-tools",
    "djxl": "libjxl-tools",
    "opj_compress": "libopenjp2-tools",
    "dcraw_emu": "libraw-bin",
    "rawtherapee-cli": "rawtherapee",
}
"""The Debian package that carries a program."""

_FILES = ("input", "output", "encoded")
_SPEC = re.compile(r"(0?\d*)(\.\d+)?[dfgex]?")
_KEPT = 2000
"""Characters kept of what the programs said since it was taken last: the last ones."""


class Command(Pipeline):
    """Any executable, by an argument list with {input}, {output} and {parameter} in it.

    Numbers are written with six significant digits, or as a format says: ``{quality:.0f}``. A program that encodes and
    another that decodes are two argument lists with {encoded} between them. Reported measures: ``bytes`` of the encoded
    file (of the output, where there is none) and ``bits_per_pixel``.

    Args:
        command: the argument list, or a list of argument lists that run one after another.
        parameters: name -> ``{low, high, default, unit, log, integer, doc}`` or ``{choices, default, doc}``.
        input_format, output_format, encoded_format: file name endings, such as "png".
        timeout: seconds for each program.
        most_megabytes: largest file a program may write; all its files together may be four times that.
        memory_gigabytes: address space of each process of a program: one that forks has it more than once.
        raw: the program is given the RAW file itself (a copy) instead of a picture.

    Raises:
        UserError: a program is not installed (names the Debian package where known), or an option is wrong.
    """

    name = "command"
    parameters: ClassVar[Parameters] = {}
    options: ClassVar[dict[str, str]] = {
        "command": "Argument list with {input}, {output} and {parameter} in it, or a list of such lists.",
        "parameters": "NAME: {low, high, default, unit, log, integer, doc} or NAME: {choices, default, doc}.",
        "input_format": "What the input is written as; default png.",
        "output_format": "What the program writes; default png.",
        "encoded_format": "Ending of the {encoded} file between two programs.",
        "timeout": "Seconds until a program is ended; default 60.",
        "most_megabytes": "Largest file a program may write, and a quarter of all its files; default 256.",
        "memory_gigabytes": "Address space of each process of a program; default 8.",
        "raw": "true: the program is given the RAW file itself.",
    }

    def __init__(
        self,
        command: Sequence[Any],
        parameters: Mapping[str, Any] | None = None,
        input_format: str = "png",
        output_format: str = "png",
        encoded_format: str = "bin",
        timeout: float = 60.0,
        most_megabytes: float = 256.0,
        memory_gigabytes: float = 8.0,
        raw: bool = False,
    ) -> None:
        made_of = {name: _parameter(name, given) for name, given in (parameters or {}).items()}
        vars(self)["parameters"] = made_of  # of the class elsewhere; here they follow from the options
        self._commands = _argument_lists(command, made_of)
        self._formats = {"input": input_format, "output": output_format, "encoded": encoded_format}
        for key in ("input", "output"):
            if f".{self._formats[key]}".lower() not in SUFFIXES:
                known = ", ".join(suffix[1:] for suffix in SUFFIXES)
                raise UserError(f"{key}_format: {self._formats[key]!r}, expected one of {known}")
        if not re.fullmatch(r"[A-Za-z0-9]+", encoded_format):
            raise UserError(f"encoded_format: {encoded_format!r}, expected letters and digits such as jxl")
        for option, value in (
            ("timeout", timeout),
            ("most_megabytes", most_megabytes),
            ("memory_gigabytes", memory_gigabytes),
        ):
            if isinstance(value, bool) or not isinstance(value, int | float) or value <= 0:
                raise UserError(f"{option}: {value!r}, expected a number above 0")
        self._timeout = float(timeout)
        self._most_bytes, self._memory = int(most_megabytes * 1e6), int(memory_gigabytes * 1e9)
        self.input = RawPathInput() if raw else PICTURES
        self._said = ""

    def files(self) -> tuple[Path, ...]:
        """The programs, and whatever else the argument lists name that is there: scripts, profiles."""
        named = dict.fromkeys(Path(argument) for arguments in self._commands for argument in arguments)
        return tuple(path for path in named if path.is_file())

    def take_said(self) -> str:
        """What the programs wrote to standard error since this was last called: ``program: text``, a line for each run.

        At most the last 2000 characters; empty where they wrote nothing. A search keeps it with its trial.
        """
        said, self._said = self._said, ""
        return said

    def process(self, image: Any, **values: Any) -> Output:
        """Each picture of the batch through the programs, in a folder of its own that is removed afterwards."""
        if isinstance(image, RawPath):
            picture, size = self._one(image, values)
            top, left, height, width = image.box
            return Output(picture[..., top : top + height, left : left + width], _sizes([size], picture))
        results = [self._one(each, values) for each in image.split(1)]
        output = torch.cat([picture for picture, _ in results]).to(image)
        return Output(output, _sizes([size for _, size in results], image[:1]))

    def _one(self, given: Tensor | RawPath, values: Mapping[str, Any]) -> tuple[Tensor, int]:
        with work_folder() as folder:
            files = {key: folder / f"{key}.{self._formats[key]}" for key in _FILES}
            if isinstance(given, RawPath):
                files["input"] = folder / f"input{given.path.suffix}"
                shutil.copyfile(given.path, files["input"])
                size = (given.height, given.width)
            else:
                write_image(files["input"], given)
                size = (given.shape[-2], given.shape[-1])
            said: list[str] = []
            for command in self._commands:
                arguments = [_filled(argument, files, values) for argument in command]
                try:
                    said.append(self._keep(command, self._run(arguments, folder)))
                except ProgramError as error:
                    self._keep(command, error.said)
                    raise PipelineError(self.name, str(error)) from None
            try:
                return self._result(files, size)
            except PipelineError as error:
                raise PipelineError(self.name, error.reason + quoted("; ".join(filter(None, said)))) from None

    def _run(self, arguments: Sequence[str], folder: Path) -> str:
        return run_program(arguments, folder, self._timeout, self._most_bytes, self._memory)

    def _keep(self, command: Sequence[str], said: str) -> str:
        """Keep what a program said for :meth:`take_said`; returns it, with the program's name where there are more."""
        named = f"{Path(command[0]).name}: {said}" if said else ""
        self._said = "\n".join(filter(None, (self._said, named)))[-_KEPT:]
        return named if len(self._commands) > 1 else said

    def _result(self, files: Mapping[str, Path], size: tuple[int, int]) -> tuple[Tensor, int]:
        output = files["output"]
        if not output.is_file() or output.is_symlink():
            raise PipelineError(self.name, f"{Path(self._commands[-1][0]).name} exited with 0 but wrote no output")
        if output.stat().st_size > self._most_bytes:
            raise PipelineError(self.name, f"the output has {output.stat().st_size} bytes, more than most_megabytes")
        try:
            found = picture_size(output)  # looked at before the pixels are: they may be many
            picture = read_image(output) if found == size else None
        except UserError as error:
            said = str(error).replace(str(output.parent), "")
            raise PipelineError(self.name, f"the output is no picture: {said}") from None
        if picture is None:
            sizes = [f"{width} x {height}" for height, width in (found, size)]
            raise PipelineError(self.name, f"the output is {sizes[0]} pixels, expected {sizes[1]} as the input")
        measured = files["encoded"] if files["encoded"].is_file() else output
        return picture, measured.stat().st_size


def _sizes(sizes: Sequence[int], like: Tensor) -> dict[str, float]:
    mean = sum(sizes) / len(sizes)
    return {"bytes": mean, "bits_per_pixel": 8.0 * mean / (like.shape[-2] * like.shape[-1])}


def _parameter(name: str, given: Any) -> Parameter | Choice:
    if name in _FILES or not str(name).isidentifier():
        raise UserError(f"parameters.{name}: expected a name other than {', '.join(_FILES)}, of letters and digits")
    if not isinstance(given, Mapping):
        raise UserError(f"parameters.{name}: {given!r}, expected {{low, high, default}} or {{choices, default}}")
    kind: type[Parameter | Choice] = Choice if "choices" in given else Parameter
    known = kind.__dataclass_fields__
    for key in given:
        if key not in known:
            raise UserError(
                f"parameters.{name}.{key} is unknown, expected {', '.join(known)}{suggest(str(key), known)}"
            )
    try:
        return kind(**{**given, "choices": tuple(given["choices"])} if kind is Choice else given)
    except (TypeError, ValueError) as error:
        raise UserError(f"parameters.{name}: {error}") from None


def _argument_lists(command: Any, parameters: Mapping[str, Any]) -> list[list[str]]:
    """The command as checked argument lists, with programs as absolute paths."""
    if isinstance(command, str) or not isinstance(command, Sequence) or not command:
        raise UserError(
            f"command: {command!r}, expected a list of arguments, such as [cwebp, '{{input}}', -o, '{{output}}']"
        )
    lists = [list(each) for each in command] if isinstance(command[0], list) else [list(command)]
    seen: set[str] = set()
    for arguments in lists:
        for index, argument in enumerate(arguments):
            if isinstance(argument, bool) or not isinstance(argument, str | int | float):
                raise UserError(f"command: {argument!r} is a {type(argument).__name__}, expected text or a number")
            arguments[index] = str(argument)
            seen |= _fields(str(argument), parameters)
        found = shutil.which(arguments[0])
        if found is None:
            package = PACKAGES.get(arguments[0])
            hint = (
                f"; Debian has it in the package {package}" if package else "; expected a program on the PATH or a path"
            )
            raise UserError(f"command: {arguments[0]} is not installed{hint}")
        arguments[0] = str(Path(found).absolute())
    for needed in ("input", "output", *parameters):
        if needed not in seen:
            raise UserError(f"command: {{{needed}}} is nowhere in it, expected it in an argument")
    return lists


def _fields(argument: str, parameters: Mapping[str, Any]) -> set[str]:
    known = [*_FILES, *parameters]
    try:
        parts = [part[1:] for part in string.Formatter().parse(argument) if part[1] is not None]
    except ValueError as error:
        raise UserError(f"command: {argument!r}: {error}; a brace itself is written twice") from None
    for field, spec, conversion in parts:
        if field not in known:
            raise UserError(f"command: {{{field}}} is unknown, expected {', '.join(known)}{suggest(str(field), known)}")
        if conversion or not _SPEC.fullmatch(spec or ""):
            raise UserError(f"command: {argument!r}, expected a format such as {{quality:.0f}}")
    return {str(field) for field, _, _ in parts}


def _filled(argument: str, files: Mapping[str, Path], values: Mapping[str, Any]) -> str:
    written: list[str] = []
    for text, field, spec, _ in string.Formatter().parse(argument):
        written.append(text)
        if field is None:
            continue
        if field in files:
            written.append(str(files[field]))
        else:
            value = values[field]
            written.append(format(value, spec) if spec else f"{value:.6g}" if isinstance(value, float) else str(value))
    return "".join(written)
