"""The pictures of docs/planted/: a distortion planted in a known place, and the maps that answer.

    python benchmarks/planted_pictures.py --out docs/planted

The distortions are made by Pillow, scikit-image and OpenCV, not by the engine the judges were trained with, on the
recipes' CC0 photos, which may be published with the code. (Figures on photos that no shipped weight was trained on are
in docs/maps_trust.md.)
"""

from __future__ import annotations

import argparse
import io
from collections.abc import Callable
from pathlib import Path

import cv2
import numpy as np
from PIL import Image
from skimage.util import random_noise

from pixelperfect_models import PixelPerfect
from pixelperfect_models.images import list_images, read_array, to_tensor, write_image
from tuner.compare import compare_images

SIDE = 384


def jpeg(image: np.ndarray) -> np.ndarray:
    buffer = io.BytesIO()
    Image.fromarray(np.round(image * 255).astype(np.uint8)).save(buffer, "JPEG", quality=8)
    return np.asarray(Image.open(buffer).convert("RGB"), dtype=np.float32) / 255


def blur(image: np.ndarray) -> np.ndarray:
    return cv2.GaussianBlur(image, (0, 0), 2.5)


def noise(image: np.ndarray) -> np.ndarray:
    grey = random_noise(np.zeros(image.shape[:2]), var=0.06**2, clip=False, rng=0)
    return np.clip(image + grey[:, :, None], 0, 1).astype(np.float32)


# name: (distortion, top, left, bottom, right as shares of the side)
PLANTED: dict[str, tuple[Callable[[np.ndarray], np.ndarray], tuple[float, float, float, float]]] = {
    "jpeg_right_half": (jpeg, (0.0, 0.5, 1.0, 1.0)),
    "blur_centre": (blur, (0.3, 0.3, 0.7, 0.7)),
    "noise_lower_left": (noise, (0.5, 0.0, 1.0, 0.5)),
}


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--out", type=Path, required=True)
    out = parser.parse_args().out
    photos = list_images(Path(__file__).parents[1] / "recipes/photos/clean")
    judge = PixelPerfect.from_pretrained()
    for number, (name, (distort, box)) in enumerate(PLANTED.items()):
        clean = read_array(photos[(5 * number + 3) % len(photos)])[:SIDE, :SIDE]
        top, left, bottom, right = (round(share * clean.shape[0]) for share in box)
        test = clean.copy()
        test[top:bottom, left:right] = distort(clean)[top:bottom, left:right]
        names = (name, photos[(5 * number + 3) % len(photos)].name)
        found = compare_images(to_tensor(test), to_tensor(clean), judge, names)
        write_image(out / f"{name}.jpg", found.picture())
        strongest = sorted(found.rows, key=lambda row: -row.mean)[:3]
        print(name, f"score {found.score:+.2f};", ", ".join(f"{row.type} {row.mean:+.3f}" for row in strongest))


if __name__ == "__main__":
    main()
