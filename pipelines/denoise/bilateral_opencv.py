"""Bilateral filter of OpenCV."""

from __future__ import annotations

from typing import ClassVar

import cv2
import numpy as np

from pipelines.denoise.base import SHARPEN, ArrayDenoiser
from pipelines.parameters import Choice, Parameter, Parameters


class BilateralOpenCV(ArrayDenoiser):
    """``cv2.bilateralFilter`` in float precision: round window, colour distance |R'| + |G'| + |B'|.

    The sum makes ``sigma_color`` up to three times as large as that of ``denoise.bilateral`` for the same
    effect.
    """

    name = "denoise.bilateral_opencv"
    parameters: ClassVar[Parameters] = {
        "sigma_color": Parameter(
            0.01,
            1.2,
            0.25,
            unit="intensity",
            log=True,
            doc="Differences well below this, summed over R'G'B', are smoothed.",
        ),
        "sigma_space": Parameter(
            0.5, 6.0, 1.5, unit="px", doc="Reach of the mean; from about half the diameter on it is a disc."
        ),
        "diameter": Choice(
            (3, 5, 7, 9, 11, 15), 5, unit="px", doc="Diameter of the window; time grows with its square."
        ),
        **SHARPEN,
    }

    def denoise_array(self, array: np.ndarray, sigma_color: float, sigma_space: float, diameter: int) -> np.ndarray:
        """(H, W, 3) to the same."""
        return np.asarray(cv2.bilateralFilter(array, diameter, sigma_color, sigma_space))
