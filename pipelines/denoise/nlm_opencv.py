"""Non-local means of OpenCV."""

from __future__ import annotations

from typing import ClassVar

import cv2
import numpy as np

from pipelines.denoise.base import SHARPEN, ArrayDenoiser
from pipelines.parameters import Choice, Parameter, Parameters


class NonLocalMeansOpenCV(ArrayDenoiser):
    """``cv2.fastNlMeansDenoisingColored``: means over similar patches in CIELAB, lightness and colour apart.

    Works on 8 bits: the picture is rounded to 256 levels before. Source: Buades, Coll and Morel, IPOL 2011.
    """

    name = "denoise.nlm_opencv"
    parameters: ClassVar[Parameters] = {
        "h": Parameter(
            0.5,
            30.0,
            5.0,
            unit="8-bit levels",
            log=True,
            doc="Lightness strength; larger removes texture too.",
        ),
        "h_color": Parameter(0.5, 30.0, 8.0, unit="8-bit levels", log=True, doc="Strength on the colour planes."),
        "template_window": Choice((3, 5, 7), 7, unit="px", doc="Side of the patches that are compared."),
        "search_window": Choice(
            (9, 15, 21, 27), 21, unit="px", doc="Side of the area that is searched for like patches."
        ),
        **SHARPEN,
    }

    def denoise_array(
        self, array: np.ndarray, h: float, h_color: float, template_window: int, search_window: int
    ) -> np.ndarray:
        """(H, W, 3) to the same."""
        levels = np.round(np.clip(array, 0.0, 1.0) * 255.0).astype(np.uint8)
        # The function takes its input for BGR; the luma weights of its CIELAB would be swapped otherwise.
        denoised = cv2.fastNlMeansDenoisingColored(
            levels[..., ::-1].copy(), None, h, h_color, template_window, search_window
        )
        return np.asarray(denoised[..., ::-1], dtype=np.float32) / np.float32(255.0)
