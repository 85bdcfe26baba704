"""How the pictures of the denoising recipes were made: `python make_noisy.py FOLDER_OF_CLEAN_PHOTOS`.

Takes a crop of each named CC0 photo and simulates one high-ISO shot of it (pipelines/sensor_shot.py). The clean file is
the same crop through the same chain without the noise, so that the pair differs by noise alone. The photos in train/
are crops of other photos, as they are: training a network simulates shots of them by itself.
"""

from __future__ import annotations

import sys
from pathlib import Path

import numpy as np
from PIL import Image

sys.path.insert(0, str(Path(__file__).parents[2]))
from pipelines.sensor_shot import shoot
from pixelperfect_models.images import read_array, write_image

SIDE = 320
# name: (top, left, photons at white, read noise in units of white)
SHOTS = {"dog": (60, 120, 250.0, 0.010), "nyc": (250, 200, 300.0, 0.008), "sumac": (150, 130, 220.0, 0.012)}

# name: (top, left) of the crop to train on
TRAIN = {
    "baby": (120, 100), "bulb": (0, 130), "city": (130, 0), "flowers": (60, 200), "girl": (40, 240), "grass": (220, 60),
    "guitar": (60, 40), "house": (200, 150), "mies": (140, 200), "path": (160, 40), "prudential": (200, 40),
    "reflect": (130, 220), "sand": (200, 200), "waves": (200, 100),
}  # fmt: skip


def main(folder: str) -> None:
    here = Path(__file__).parent
    for name, (top, left) in TRAIN.items():
        crop = read_array(Path(folder) / f"{name}.webp")[top : top + SIDE, left : left + SIDE]
        Image.fromarray(np.round(crop * 255.0).astype(np.uint8)).save(here / "train" / f"{name}.webp", lossless=True)
    for index, (name, (top, left, photons, read_noise)) in enumerate(SHOTS.items()):
        crop = read_array(Path(folder) / f"{name}.webp")[top : top + SIDE, left : left + SIDE]
        write_image(here / "clean" / f"{name}.png", shoot(crop, photons, read_noise, None))
        write_image(here / "noisy" / f"{name}.png", shoot(crop, photons, read_noise, np.random.default_rng(index)))


if __name__ == "__main__":
    main(sys.argv[1])
