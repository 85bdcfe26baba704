"""A picture turned into the RAW mosaic that a camera might have made it from: the ISP backwards.

Source: Brooks et al., Unprocessing Images for Learned Raw Denoising, CVPR 2019. Left out are their random tone curve
and digital gain: the steps here are exact inverses of the neutral stages, so that a noiseless mosaic renders to the
picture again but for what demosaicing loses, and the picture is the clean truth.
"""

from __future__ import annotations

import hashlib
from collections.abc import Mapping
from dataclasses import dataclass, fields
from typing import Any

import torch
from torch import Tensor

from pipelines.isp.cfa import PATTERNS, color_masks
from pipelines.isp.stage import Shot
from pipelines.isp.tone_curve import srgb_decode
from pixelperfect_models.errors import UserError, suggest

# XYZ (D65) to the colours of one camera, of the four that Brooks et al. sample from; linear sRGB to XYZ (IEC 61966).
_XYZ_TO_CAMERA = ((1.0234, -0.2969, -0.2266), (-0.5625, 1.6328, -0.0469), (-0.0703, 0.2188, 0.6406))
SRGB_TO_XYZ = ((0.4124564, 0.3575761, 0.1804375), (0.2126729, 0.7151522, 0.0721750), (0.0193339, 0.1191920, 0.9503041))


@dataclass(frozen=True)
class Simulation:
    """How a picture becomes a mosaic.

    Attributes:
        shot_noise: variance of the noise per unit of signal, scaled values (1 / electrons at white), >= 0.
        read_noise: standard deviation of the noise at black, scaled values, >= 0.
        red_gain, blue_gain: white balance of the simulated light, > 0.
        cfa: phase of the Bayer pattern.
        seed: of the noise; the same file name and seed give the same noise.
    """

    shot_noise: float = 0.003
    read_noise: float = 0.002
    red_gain: float = 2.0
    blue_gain: float = 1.6
    cfa: str = "RGGB"
    seed: int = 0

    @classmethod
    def of(cls, options: Mapping[str, Any]) -> Simulation:
        """From a recipe's ``pipeline.options.simulate``. Raises UserError that names the key."""
        known = {field.name: field for field in fields(cls)}
        if not isinstance(options, Mapping):
            raise UserError(f"simulate is {options!r}, expected a mapping of {', '.join(known)}")
        for key, value in options.items():
            if key not in known:
                raise UserError(f"simulate.{key} is unknown, expected {', '.join(known)}{suggest(str(key), known)}")
            if key == "cfa":
                if value not in PATTERNS:
                    raise UserError(f"simulate.cfa: {value!r}, expected one of {', '.join(PATTERNS)}")
            elif isinstance(value, bool) or not isinstance(value, int | float) or value < 0:
                raise UserError(f"simulate.{key}: {value!r}, expected a number >= 0")
            elif key in ("red_gain", "blue_gain") and value == 0:
                raise UserError(f"simulate.{key}: 0, expected a number > 0")
        return cls(**options)

    def shoot(self, picture: Tensor, name: str) -> tuple[Tensor, Shot]:
        """A mosaic of ``picture``.

        Args:
            picture: (N, 3, H, W) sRGB in [0, 1], even sides.
            name: what the noise is seeded by, beside ``seed``.

        Returns:
            The mosaic (N, 1, H, W), with noise, and what the ISP may know of it.
        """
        matrix = camera_matrix().to(picture.dtype)
        gains = picture.new_tensor([self.red_gain, 1.0, self.blue_gain])
        camera = torch.einsum("rc,nchw->nrhw", torch.linalg.inv(matrix), srgb_decode(picture))
        signal = (color_masks(picture[:, :1], self.cfa) * camera / gains.view(1, 3, 1, 1)).sum(1, keepdim=True)
        digest = hashlib.sha256(f"{self.seed}/{name}".encode()).digest()
        generator = torch.Generator().manual_seed(int.from_bytes(digest[:8], "big") % 2**63)
        noisy = signal
        if self.shot_noise > 0:
            noisy = torch.poisson(signal.clamp(min=0.0) / self.shot_noise, generator=generator) * self.shot_noise
        if self.read_noise > 0:
            noisy = noisy + self.read_noise * torch.randn(signal.shape, generator=generator, dtype=signal.dtype)
        shot = Shot(self.cfa, gains, matrix, self.shot_noise, self.read_noise**2)
        return noisy, shot


def camera_matrix() -> Tensor:
    """(3, 3): white-balanced colours of the simulated camera to linear sRGB, rows summing to 1."""
    forward = torch.tensor(_XYZ_TO_CAMERA, dtype=torch.float64) @ torch.tensor(SRGB_TO_XYZ, dtype=torch.float64)
    return torch.linalg.inv(forward / forward.sum(1, keepdim=True)).float()
