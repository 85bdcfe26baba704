"""Total-variation denoising of scikit-image."""

from __future__ import annotations

from typing import ClassVar

import numpy as np
from skimage.restoration import denoise_tv_chambolle

from pipelines.denoise.base import SHARPEN, ArrayDenoiser
from pipelines.parameters import Parameter, Parameters


class TVChambolle(ArrayDenoiser):
    """``skimage.restoration.denoise_tv_chambolle`` on each of R', G', B' (Chambolle, JMIV 2004)."""

    name = "denoise.tv_chambolle"
    parameters: ClassVar[Parameters] = {
        "weight": Parameter(
            0.002, 0.5, 0.05, unit="intensity * px", log=True, doc="Strength; larger flattens more texture."
        ),
        "max_iterations": Parameter(10, 400, 200, log=True, integer=True, doc="Steps after which the solver gives up."),
        **SHARPEN,
    }

    def denoise_array(self, array: np.ndarray, weight: float, max_iterations: int) -> np.ndarray:
        """(H, W, 3) to the same."""
        denoised = denoise_tv_chambolle(array, weight=weight, max_num_iter=max_iterations, channel_axis=-1)
        return np.asarray(denoised, dtype=np.float32)
