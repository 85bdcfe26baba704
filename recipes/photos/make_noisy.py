"""How the noisy pictures of recipes/denoise.yaml were made: `python make_noisy.py FOLDER_OF_CLEAN_PHOTOS`.

Takes a crop of each named CC0 photo and simulates one high-ISO shot of it: linear light, RGGB mosaic, Poisson-Gaussian
noise (Foi et al. 2008), OpenCV's edge-aware demosaicing of the noisy mosaic, back to sRGB. The clean file is the same
crop through the same chain without the noise, so that the pair differs by noise alone.
"""

from __future__ import annotations

import sys
from pathlib import Path

import cv2
import numpy as np

sys.path.insert(0, str(Path(__file__).parents[2]))
from pixelperfect_models.images import read_array, write_image

SIDE = 320
# name: (top, left, photons at white, read noise in units of white)
SHOTS = {"dog": (60, 120, 250.0, 0.010), "nyc": (250, 200, 300.0, 0.008), "sumac": (150, 130, 220.0, 0.012)}
# Daylight white balance of a typical sensor, red and blue against green: their noise is amplified by as much.
GAINS = np.array([2.0, 1.0, 1.6], dtype=np.float32)


def to_linear(srgb: np.ndarray) -> np.ndarray:
    return np.where(srgb <= 0.04045, srgb / 12.92, ((srgb + 0.055) / 1.055) ** 2.4)


def to_srgb(linear: np.ndarray) -> np.ndarray:
    linear = np.clip(linear, 0.0, 1.0)
    return np.where(linear <= 0.0031308, linear * 12.92, 1.055 * linear ** (1 / 2.4) - 0.055)


def shoot(photo: np.ndarray, photons: float, read_noise: float, rng: np.random.Generator | None) -> np.ndarray:
    sensor = to_linear(photo) / GAINS
    mosaic = np.empty(photo.shape[:2], dtype=np.float64)
    for (row, column), channel in {(0, 0): 0, (0, 1): 1, (1, 0): 1, (1, 1): 2}.items():
        mosaic[row::2, column::2] = sensor[row::2, column::2, channel]
    if rng is not None:
        mosaic = rng.poisson(mosaic * photons) / photons + rng.normal(0.0, read_noise, mosaic.shape)
    # A pedestal keeps the negative half of the read noise through the unsigned demosaicing.
    pedestal = 4096
    raw = np.clip(mosaic * 40000.0 + pedestal, 0, 65535).astype(np.uint16)
    rgb = cv2.demosaicing(raw, cv2.COLOR_BayerBG2RGB_EA).astype(np.float64)
    return to_srgb((rgb - pedestal) / 40000.0 * GAINS).astype(np.float32)


def main(folder: str) -> None:
    here = Path(__file__).parent
    for index, (name, (top, left, photons, read_noise)) in enumerate(SHOTS.items()):
        crop = read_array(Path(folder) / f"{name}.webp")[top : top + SIDE, left : left + SIDE]
        write_image(here / "clean" / f"{name}.png", shoot(crop, photons, read_noise, None))
        write_image(here / "noisy" / f"{name}.png", shoot(crop, photons, read_noise, np.random.default_rng(index)))


if __name__ == "__main__":
    main(sys.argv[1])
