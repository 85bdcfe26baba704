"""What an ISP stage is, and what it may know of the shot."""

from __future__ import annotations

from abc import ABC, abstractmethod
from dataclasses import dataclass
from typing import Any, ClassVar, Literal

from torch import Tensor

from pipelines.parameters import Parameters

Domain = Literal["mosaic", "camera", "linear", "display"]
"""What a stage's tensor holds: ``mosaic`` (N, 1, H, W), sensor values scaled so that black is 0 and white 1;
``camera`` (N, 3, H, W), demosaiced, linear, in the camera's own colours; ``linear`` the same in linear sRGB;
``display`` sRGB-encoded. Values above 1 and below 0 may occur before the last stage and must be passed on."""


@dataclass(frozen=True)
class Shot:
    """What a RAW file says of the shot, beside its mosaic.

    Attributes:
        cfa: the colours of the upper left 2 x 2 pixels, row by row: "RGGB", "GRBG", "GBRG" or "BGGR".
        white_balance: gains (3,) of camera red, green and blue, green 1: what the camera or the file says.
        color_matrix: (3, 3), white-balanced camera colours to linear sRGB (D65); each row sums to 1.
        shot_noise: variance of the noise for a signal of 1 at unit signal (scaled values); None where unknown.
        read_noise: variance of the noise at black, scaled values squared; None where unknown.
        frame: (top, left, height, width): where the mosaic's first pixel lies in the whole frame, and the frame's
            size; None: the mosaic is the whole frame.
    """

    cfa: str
    white_balance: Tensor
    color_matrix: Tensor
    shot_noise: float | None = None
    read_noise: float | None = None
    frame: tuple[int, int, int, int] | None = None


class Stage(ABC):
    """One step of an ISP, with its own parameters. Stateless; one file each, one line in ``pipelines.isp.table``.

    Attributes:
        name: such as "white_balance"; the pipeline's parameters are called ``<stage>_<parameter>``.
        parameters: as of a pipeline. At the defaults marked neutral in their ``doc`` the stage changes nothing.
        neutral: values of the parameters at which the stage does nothing (or, for demosaicing and the like, the plain
            conversion and nothing more).
        takes, gives: domain of the tensor that goes in and comes out.
    """

    name: ClassVar[str]
    parameters: ClassVar[Parameters]
    neutral: ClassVar[dict[str, Any]] = {}
    takes: ClassVar[Domain]
    gives: ClassVar[Domain]

    @abstractmethod
    def apply(self, image: Tensor, shot: Shot, *args: Any, **values: Any) -> Tensor:
        """The stage's output. Continuous values are 0-dim tensors, choices and integers plain; gradients flow."""


def fixed_at(value: Any, neutral: Any) -> bool:
    """Whether a parameter's value is this one and no gradient to it is asked for: what it does may be left out."""
    return not value.requires_grad and float(value) == neutral
