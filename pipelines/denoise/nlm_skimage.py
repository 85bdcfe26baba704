"""Non-local means of scikit-image."""

from __future__ import annotations

from typing import ClassVar

import numpy as np
from skimage.restoration import denoise_nl_means

from pipelines.denoise.base import SHARPEN, ArrayDenoiser
from pipelines.parameters import Choice, Parameter, Parameters


class NonLocalMeansSkimage(ArrayDenoiser):
    """``skimage.restoration.denoise_nl_means`` in its fast mode, on R'G'B' together, in float precision.

    Source: Darbon et al., Fast nonlocal filtering applied to electron cryomicroscopy, ISBI 2008.
    """

    name = "denoise.nlm_skimage"
    parameters: ClassVar[Parameters] = {
        "h": Parameter(
            0.005,
            0.3,
            0.04,
            unit="intensity",
            log=True,
            doc="Strength; about 0.8 times the noise's deviation.",
        ),
        "sigma": Parameter(
            0.0,
            0.2,
            0.04,
            unit="intensity",
            doc="Noise deviation, taken off the patch distances; 0 assumes no noise.",
        ),
        "patch_size": Choice((3, 5, 7), 5, unit="px", doc="Side of the patches that are compared."),
        "patch_distance": Parameter(2, 11, 6, unit="px", integer=True, doc="How far away like patches are looked for."),
        **SHARPEN,
    }

    def denoise_array(
        self, array: np.ndarray, h: float, sigma: float, patch_size: int, patch_distance: int
    ) -> np.ndarray:
        """(H, W, 3) to the same."""
        denoised = denoise_nl_means(
            array,
            patch_size,
            patch_distance,
            h,
            fast_mode=True,
            sigma=sigma,
            channel_axis=-1,
            preserve_range=True,
        )
        return np.asarray(denoised, dtype=np.float32)
