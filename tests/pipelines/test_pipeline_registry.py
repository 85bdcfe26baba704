"""Finding pipelines: built-ins, installed plug-ins, ``package.module:Class``, and how broken ones are refused."""

from __future__ import annotations

import sys
from itertools import count
from pathlib import Path

import pytest
import torch

from pipelines import Choice, OptionsError, Parameter, Pipeline, PipelineError, available, load
from pipelines.registry import BUILT_INS
from pixelperfect_models.errors import UserError

HEADER = "import torch\nfrom pipelines import Choice, Output, Parameter, Pipeline\n"
GOOD = """
class Good(Pipeline):
    parameters = {"strength": Parameter(0.0, 1.0, 0.5)}
    def process(self, image, strength):
        return image * strength
"""
NUMBERS = count()
IMAGE = torch.rand(1, 3, 16, 16)


@pytest.fixture
def plug_in(tmp_path: Path, monkeypatch: pytest.MonkeyPatch):
    """Write a module into the current folder (a temporary one); returns its name, new for each test."""
    monkeypatch.chdir(tmp_path)
    monkeypatch.setattr(sys, "path", [entry for entry in sys.path if entry])

    def write(source: str) -> str:
        module = f"plug_in_{next(NUMBERS)}"
        Path(f"{module}.py").write_text(HEADER + source)
        return module

    return write


# What those take that cannot be made without options.
OPTIONS = {"command": {"command": ["true", "{input}", "{output}"]}}


def test_every_built_in_loads_and_is_available() -> None:
    classes = available()
    assert set(BUILT_INS) <= set(classes)
    for name in BUILT_INS:
        pipeline = load(name, OPTIONS.get(name))
        assert isinstance(pipeline, Pipeline)
        assert type(pipeline) is classes[name]
        assert pipeline.name == name


def test_the_names_the_design_fixes() -> None:
    pipeline = load("denoise.bilateral")
    assert pipeline.differentiable
    color, space, window = (pipeline.parameters[key] for key in ("sigma_color", "sigma_space", "window"))
    assert isinstance(color, Parameter)
    assert isinstance(space, Parameter)
    assert isinstance(window, Choice)
    assert (color.low, color.high, color.log) == (0.01, 0.4, True)
    assert (space.low, space.high) == (0.5, 6.0)
    assert 7 in window.choices


@pytest.mark.parametrize("name", sorted(BUILT_INS))
def test_every_parameter_is_documented(name: str) -> None:
    pipeline = load(name, OPTIONS.get(name))
    assert pipeline.__doc__
    for key, parameter in pipeline.parameters.items():
        assert parameter.doc.endswith("."), key
        assert parameter.unit or "strength" in parameter.doc.lower() or isinstance(parameter, Choice) or key in (
            "iterations",
            "max_iterations",
            "levels",
        ), f"{key} has no unit"  # fmt: skip


def test_unknown_names_are_refused_with_the_nearest() -> None:
    with pytest.raises(UserError, match=r"no pipeline 'denoise.bilatral'; did you mean 'denoise.bilateral'\?"):
        load("denoise.bilatral")


@pytest.mark.parametrize("name", ["", None, 3])
def test_what_is_no_name_is_refused(name: object) -> None:
    with pytest.raises(UserError, match="expected text"):
        load(name)  # type: ignore[arg-type]


@pytest.mark.parametrize("name", ["a b:C", "a..b:C", "a:", ":C", "a:b:c", "a:b.c"])
def test_malformed_class_names_are_refused(name: str) -> None:
    with pytest.raises(UserError, match=r"expected 'package\.module:Class'"):
        load(name)


def test_a_class_in_the_current_folder_loads(plug_in) -> None:
    module = plug_in(GOOD)
    assert module not in sys.modules
    pipeline = load(f"{module}:Good")
    assert pipeline.name == f"{module}:Good"
    assert torch.allclose(pipeline(IMAGE, {"strength": 0.25}), IMAGE * 0.25)


def test_a_class_in_a_package_of_the_current_folder_loads(plug_in) -> None:
    Path("lab_package").mkdir()
    Path("lab_package/__init__.py").touch()
    Path("lab_package/blocks.py").write_text(HEADER + GOOD)
    assert load("lab_package.blocks:Good")(IMAGE).shape == IMAGE.shape


def test_its_own_name_is_kept(plug_in) -> None:
    module = plug_in(GOOD.replace("parameters =", "name = 'lab.good'\n    parameters ="))
    assert load(f"{module}:Good").name == "lab.good"


@pytest.mark.parametrize(
    ("source", "reason"),
    [
        ("Broken = 3", "it is of type int, expected a class"),
        ("class Broken: pass", "not a subclass of pipelines.Pipeline"),
        (GOOD.replace("process", "run_it"), "not callable: it has no method process"),
        (GOOD.replace("def process(self, image, strength)", "process = 3\n    def other(self, image, strength)"),
         "not callable"),
        (GOOD.replace("parameters", "settings"), "parameters is missing, expected a dict"),
        (GOOD.replace('{"strength": Parameter(0.0, 1.0, 0.5)}', "[1]"), "parameters is of type list"),
        (GOOD.replace("Parameter(0.0, 1.0, 0.5)", "0.5"), r"parameters\['strength'\] is of type float"),
        (GOOD.replace('"strength":', '"my strength":'), "key 'my strength', expected a Python name"),
        (GOOD.replace("image, strength", "image, amount"), "process does not take .* strength"),
        (GOOD.replace("parameters =", "differentiable = 'yes'\n    parameters ="), "differentiable is of type str"),
        (GOOD.replace("parameters =", "name = 3\n    parameters ="), "name is of type int"),
        (GOOD + "    def __init__(self): int(None)\n", r"Good\(\) raised TypeError"),
        (GOOD.replace("parameters =", "input = 'raw'\n    parameters ="), "input is of type str"),
    ],
)  # fmt: skip
def test_broken_plug_ins_are_refused_with_the_part_they_break(plug_in, source: str, reason: str) -> None:
    module = plug_in(source.replace("class Good", "class Broken"))
    with pytest.raises(UserError, match=f"'{module}:Broken' breaks the contract.*{reason.replace('Good', 'Broken')}"):
        load(f"{module}:Broken")


def test_options_reach_the_constructor_and_wrong_ones_are_refused(plug_in) -> None:
    module = plug_in(GOOD + "    def __init__(self, path, side=3): self.made_of = (path, side)\n")
    assert load(f"{module}:Good", {"path": "a"}).made_of == ("a", 3)
    with pytest.raises(OptionsError, match=r"the option path is missing \(it takes path, side\)"):
        load(f"{module}:Good")
    with pytest.raises(OptionsError, match="no option 'sid'; did you mean 'side'"):
        load(f"{module}:Good", {"path": "a", "sid": 4})
    with pytest.raises(OptionsError, match=r"no option 'side'.*takes none"):
        load("denoise.gaussian", {"side": 4})


@pytest.mark.parametrize(
    ("body", "reason"),
    [
        ("raise ValueError('lens')", "raised ValueError: lens"),
        ("return image * float('nan')", "NaN"),
        ("return image[..., :-1]", "shape"),
        ("return None", "NoneType"),
    ],
)
def test_plug_ins_that_break_while_running(plug_in, body: str, reason: str) -> None:
    module = plug_in(GOOD.replace("return image * strength", body))
    pipeline = load(f"{module}:Good")
    with pytest.raises(PipelineError, match=reason):
        pipeline(IMAGE)


def test_import_failures_say_why(plug_in) -> None:
    with pytest.raises(UserError, match=r"cannot import not_there_at_all .*ModuleNotFoundError.*looked in"):
        load("not_there_at_all:Good")
    module = plug_in("1 / 0")
    with pytest.raises(UserError, match=f"cannot import {module} .*ZeroDivisionError"):
        load(f"{module}:Good")
    module = plug_in("def broken(:")
    with pytest.raises(UserError, match="SyntaxError"):
        load(f"{module}:Good")
    module = plug_in("STRENGTH = Parameter(1.0, 0.0, 0.5)")
    with pytest.raises(UserError, match=r"low = 1.0 is not below high = 0.0"):
        load(f"{module}:Good")


def test_a_missing_class_names_the_nearest(plug_in) -> None:
    module = plug_in(GOOD)
    with pytest.raises(UserError, match=r"has no 'Goood'; did you mean 'Good'"):
        load(f"{module}:Goood")


def install(folder: Path, lines: str) -> None:
    """Make ``folder`` look like site-packages with one distribution that has these entry points."""
    info = folder / "lab-1.0.dist-info"
    info.mkdir(exist_ok=True)
    (info / "METADATA").write_text("Metadata-Version: 2.1\nName: lab\nVersion: 1.0\n")
    (info / "entry_points.txt").write_text(f"[pixelperfect.pipelines]\n{lines}\n")


def test_installed_plug_ins_are_found_by_name(plug_in, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    module = plug_in(GOOD)
    install(tmp_path, f"lab.good = {module}:Good")
    monkeypatch.syspath_prepend(str(tmp_path))
    assert load("lab.good").name == "lab.good"
    assert available()["lab.good"].__name__ == "Good"
    with pytest.raises(UserError, match=r"did you mean 'lab.good'"):
        load("lab.goood")


def test_broken_installed_plug_ins_do_not_hide_the_others(
    plug_in, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    module = plug_in(GOOD + "class Wrong: pass\n")
    install(tmp_path, f"lab.good = {module}:Good\nlab.wrong = {module}:Wrong\nlab.gone = not_there:Gone")
    monkeypatch.syspath_prepend(str(tmp_path))
    with pytest.warns(UserWarning, match="plug-in left out") as warned:
        names = set(available())
    assert {str(w.message).split("'")[1] for w in warned} == {"lab.wrong", "lab.gone"}
    assert {"lab.good", "denoise.bilateral"} <= names
    assert not {"lab.wrong", "lab.gone"} & names
    with pytest.raises(UserError, match=r"'lab.gone': its entry point not_there:Gone cannot be loaded"):
        load("lab.gone")
    with pytest.raises(UserError, match=r"'lab.wrong' breaks the contract"):
        load("lab.wrong")


def test_a_plug_in_cannot_take_a_built_in_name(plug_in, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    module = plug_in(GOOD)
    install(tmp_path, f"denoise.bilateral = {module}:Good")
    monkeypatch.syspath_prepend(str(tmp_path))
    with pytest.warns(UserWarning, match="built-in's name"):
        assert available()["denoise.bilateral"].__name__ == "Bilateral"
    assert type(load("denoise.bilateral")).__name__ == "Bilateral"
