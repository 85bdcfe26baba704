"""BayesShrink wavelet denoising of scikit-image."""

from __future__ import annotations

from typing import ClassVar

import numpy as np
from skimage.restoration import denoise_wavelet

from pipelines.denoise.base import SHARPEN, ArrayDenoiser
from pipelines.parameters import Choice, Parameter, Parameters


class BayesShrink(ArrayDenoiser):
    """``skimage.restoration.denoise_wavelet`` with BayesShrink thresholds, on YCbCr.

    One threshold a subband, from the noise's and the subband's deviation (Chang, Yu and Vetterli, IEEE TIP
    2000).
    """

    name = "denoise.bayes_shrink"
    parameters: ClassVar[Parameters] = {
        "sigma": Parameter(
            0.002,
            0.3,
            0.05,
            unit="intensity",
            log=True,
            doc="Deviation of the noise in R'G'B'; larger smooths more.",
        ),
        "wavelet": Choice(("db1", "db2", "sym4", "sym8", "coif2"), "sym4", doc="Wavelet family of PyWavelets."),
        "mode": Choice(("soft", "hard"), "soft", doc="Soft shrinks all coefficients, hard only drops small ones."),
        **SHARPEN,
    }

    def denoise_array(self, array: np.ndarray, sigma: float, wavelet: str, mode: str) -> np.ndarray:
        """(H, W, 3) to the same."""
        denoised = denoise_wavelet(
            array,
            sigma=sigma,
            wavelet=wavelet,
            mode=mode,
            method="BayesShrink",
            convert2ycbcr=True,
            channel_axis=-1,
        )
        return np.asarray(denoised, dtype=np.float32)
