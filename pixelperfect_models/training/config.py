"""The configuration file of a training: both networks, and how each is trained."""

from __future__ import annotations

import os
import re
from importlib import resources
from pathlib import Path
from typing import Any, Literal, Self

import yaml
from pydantic import BaseModel, ConfigDict, Field, PositiveFloat, PositiveInt, ValidationError, model_validator

from pixelperfect_models.errors import UserError, suggest


class _Section(BaseModel):
    model_config = ConfigDict(extra="forbid", frozen=True)


class NetworkConfig(_Section):
    """Arguments of the builders in :mod:`pixelperfect_models.networks.build`."""

    encoder: dict[str, Any]
    decoder: dict[str, Any]
    score: dict[str, Any] = {}


class Schedule(_Section):
    """What both trainings share."""

    crop: int = Field(ge=32, description="side of the square crops, pixels")
    batch: PositiveInt = Field(description="pairs (distortion) or sets (score) a step, on each device")
    steps: PositiveInt
    workers: int = Field(default=0, ge=0, description="processes that prepare batches")
    reuse: PositiveInt = Field(
        default=1, description="steps for each batch rendered: itself, then earlier ones, turned"
    )
    learning_rate: PositiveFloat = 1e-3
    weight_decay: float = Field(default=0.01, ge=0)
    warmup: int = Field(default=0, ge=0, description="steps of linear warm-up before the cosine decay")
    precision: Literal["auto", "32-true", "bf16-mixed", "16-mixed"] = "auto"
    devices: PositiveInt | Literal["auto"] = Field(default="auto", description="GPUs, or processes on a CPU; all GPUs")
    strategy: str = Field(default="auto", description="Fabric's strategy over several devices, such as ddp")
    ema: float = Field(default=0.998, ge=0, lt=1, description="decay of the averaged weights that are shipped")


class DistortionTraining(Schedule):
    validation_pairs: PositiveInt = 64
    w_high: PositiveFloat = 10.0
    beta: float = Field(default=0.05, ge=0, lt=0.5)
    p_swap: float = Field(default=0.25, ge=0, le=1)
    curriculum: float = Field(default=0.0, ge=0, le=1, description="share of the training in which easy pairs fade out")
    easy: float = Field(default=0.0, ge=0, le=1, description="share of easy pairs that stays to the end")
    types: tuple[str, ...] | None = Field(default=None, description="distortion types to train on; all by default")
    masks: Literal["mixed", "uniform", "perlin", "region"] = Field(default="mixed", description="where types act")
    lambda_antisymmetry: float = Field(
        default=0.0, ge=0, description="weight of the squared error of F(a, b) + F(b, a) = 1"
    )
    graded: float = Field(
        default=0.0,
        ge=0,
        le=1,
        description="share of items in twos: one distortion at two strengths; needs an even batch",
    )
    lambda_order: float = Field(default=0.0, ge=0, description="weight of the hinge that keeps those in order")
    p_beyond: float = Field(default=0.0, ge=0, le=1, description="share of distortions beyond the scale's end")
    emphasis: dict[str, PositiveFloat] = Field(default={}, description="how often a type is drawn against the others")
    start_from: str | None = Field(default=None, description="folder of weights to start from, or `shipped`")
    narrowed_from: str | None = Field(
        default=None, description="folder of a wider network's weights, or `shipped`: its most telling channels start"
    )
    teacher: str | None = Field(
        default=None, description="folder of weights (or `shipped`) whose maps are learned beside the targets"
    )
    teacher_share: float = Field(
        default=0.0, ge=0, le=1, description="share of the teacher's maps in what is learned; the rest is the target"
    )
    encoder_weights: str | None = Field(
        default=None, description="safetensors of a timm model that the encoder's body starts from (kind: timm)"
    )

    @model_validator(mode="after")
    def _pairs_fit(self) -> Self:
        if self.graded and self.batch % 2:
            raise ValueError(f"batch: {self.batch} is odd, but with graded above 0 its pictures come in twos")
        if self.lambda_order and not self.graded:
            raise ValueError(f"lambda_order: {self.lambda_order} has no pairs to order, expected graded above 0")
        if (self.teacher is None) != (self.teacher_share == 0.0):
            raise ValueError("teacher and teacher_share: neither does anything alone, expected both or none")
        if self.start_from and self.narrowed_from:
            raise ValueError("start_from and narrowed_from: a training starts from one network, expected one of them")
        return self


class ScoreTraining(Schedule):
    levels: PositiveInt = 3
    types_per_set: PositiveInt = 2
    sets: PositiveInt = 500
    validation_sets: PositiveInt = 30
    delta: PositiveFloat = 1.0
    lambda_rank: float = Field(default=1.0, ge=0)
    tau: PositiveFloat = 0.07
    lambda_con: float = Field(default=0.5, ge=0)
    rare: float = Field(default=0.5, ge=0, le=1, description="share of groups made by distortions without a channel")
    denoised: float = Field(
        default=0.0, ge=0, le=1, description="share of sets in which several denoisers work on one noisy photo"
    )
    direction_sets: PositiveInt = Field(default=1600, description="sets whose pairs the direction is read of")
    direction_steps: PositiveInt = 2000
    direction_triangles: float = Field(default=3.0, ge=0, description="weight of the contradictions within triples")
    direction_decay: float = Field(default=1.0, ge=0, description="weight decay of the direction")
    across_types: bool = Field(default=True, description="rank across types by the teacher; False: severities only")


class TrainingConfig(_Section):
    name: str
    seed: int = 0
    photos: tuple[str, ...] = Field(min_length=1)
    network: NetworkConfig
    distortion: DistortionTraining
    score: ScoreTraining


def shipped_configs() -> dict[str, Path]:
    """The configurations inside the package, by name."""
    folder = Path(str(resources.files("pixelperfect_models").joinpath("configs")))
    return {path.stem: path for path in sorted(folder.glob("*.yaml"))}


def load_config(name_or_path: str | Path) -> TrainingConfig:
    """Read a configuration: a shipped one by name (``compact``, ``swinv2``) or a YAML file.

    Raises:
        UserError: no such configuration, not YAML, or a key that is unknown, missing or out of range.
    """
    shipped = shipped_configs()
    path = shipped.get(str(name_or_path), Path(name_or_path))
    if not path.is_file():
        raise UserError(
            f"{name_or_path}: neither a file nor a shipped configuration ({', '.join(shipped)})"
            f"{suggest(str(name_or_path), shipped)}"
        )
    try:
        data = yaml.safe_load(path.read_text(encoding="utf-8"))
        return TrainingConfig.model_validate(data)
    except yaml.YAMLError as error:
        raise UserError(f"{path}: not YAML ({str(error).splitlines()[0]})") from None
    except ValidationError as error:
        lines = []
        for problem in error.errors():
            key = ".".join(str(part) for part in problem["loc"]) or "the file"
            lines.append(f"{path}: {key}: {problem['msg']}")
        raise UserError("\n".join(lines)) from None


def photo_folders(config: TrainingConfig) -> list[Path]:
    """The configuration's photo folders with ``${VARIABLE}`` filled in. Raises UserError when one is not set."""
    folders = []
    for entry in config.photos:
        for variable in re.findall(r"\$\{(\w+)\}", entry):
            if variable not in os.environ:
                raise UserError(
                    f"photos: {entry}: the environment variable {variable} is not set; set it, or name your folders "
                    "with --photos"
                )
        folders.append(Path(os.path.expandvars(entry)))
    return folders
