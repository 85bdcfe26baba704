"""Content in the wrong place: colour planes against each other, frames against each other."""

from __future__ import annotations

import cv2
import numpy as np

from .common import Image, finish, nothing_to_do


def chromatic_aberration(image: Image, strength: float, rng: np.random.Generator) -> Image:
    """Red and blue displaced against green by up to ``strength`` px: shifted, and scaled about a random centre.

    Imitates lateral chromatic aberration, which looks like a shift in a crop and like a scale in a whole picture.
    Source: lateral colour as a difference in magnification, e.g. Kang 2007; TID2013 type 23.
    """
    angle = rng.uniform(0.0, 2 * np.pi)
    radial_share = rng.uniform(0.2, 0.8)
    blue_ratio = -rng.uniform(0.4, 1.0)  # blue goes the other way, rarely as far
    centre = rng.uniform(0.3, 0.7, 2)
    if nothing_to_do(strength):
        return image.copy()
    height, width = image.shape[:2]
    centre_x, centre_y = centre[0] * width, centre[1] * height
    reach = max(np.hypot(width, height) / 2, 1.0)
    result = image.copy()
    for channel, ratio in ((0, 1.0), (2, blue_ratio)):
        scale = strength * ratio * radial_share / reach
        shift = strength * ratio * (1 - radial_share)
        matrix = np.array([
            [1 + scale, 0.0, shift * np.cos(angle) - scale * centre_x],
            [0.0, 1 + scale, shift * np.sin(angle) - scale * centre_y],
        ])  # fmt: skip
        plane = np.ascontiguousarray(image[..., channel])
        moved = cv2.warpAffine(plane, matrix, (width, height), borderMode=cv2.BORDER_REFLECT_101,
                               flags=cv2.INTER_CUBIC | cv2.WARP_INVERSE_MAP)  # fmt: skip
        result[..., channel] = moved
    return finish(result)


def misregistration(image: Image, strength: float, rng: np.random.Generator) -> Image:
    """The picture mixed with a copy displaced by up to ``strength`` px; one time in four only the displaced copy.

    The displacement is a shift, a smoothly varying field, a wild one (local warping), or a turn about a far point.
    Imitates ghosting of burst and HDR merging and of temporal denoising when alignment failed, and content that
    a warp moved.
    Source: the merge of misaligned frames, Hasinoff et al. 2016 (HDR+), section 5; displacements of our own.
    """
    angle = rng.uniform(0.0, 2 * np.pi)
    alone = rng.random() < 0.25
    mix = np.float32(1.0 if alone else rng.uniform(0.3, 0.6))
    kind = rng.choice(("shift", "smooth", "wild", "turn"), p=(0.3, 0.3, 0.2, 0.2))
    coarse = rng.standard_normal((int(rng.integers(5, 10)),) * 2 + (2,)) if kind == "wild" else (
        0.5 * rng.standard_normal((4, 4, 2)) + (np.cos(angle), np.sin(angle))
    )  # fmt: skip
    centre = rng.uniform(-1.0, 2.0, 2)
    if nothing_to_do(strength):
        return image.copy()
    if alone:  # a picture that is only displaced differs about twice as much as a double image
        strength = 0.5 * strength
    height, width = image.shape[:2]
    if kind == "shift":
        field = np.full((height, width, 2), (np.cos(angle), np.sin(angle)), dtype=np.float32)
    elif kind == "turn":
        down, right = np.mgrid[0:height, 0:width].astype(np.float32)
        field = np.stack([down - np.float32(centre[1] * height), np.float32(centre[0] * width) - right], axis=-1)
    else:
        field = cv2.resize(coarse.astype(np.float32), (width, height), interpolation=cv2.INTER_CUBIC)
    field = field * np.float32(strength / np.sqrt(np.max(np.sum(field**2, axis=-1))))
    x = np.arange(width, dtype=np.float32)[None, :] + field[..., 0]
    y = np.arange(height, dtype=np.float32)[:, None] + field[..., 1]
    moved = cv2.remap(image, x, y, cv2.INTER_LINEAR, borderMode=cv2.BORDER_REFLECT_101)
    return finish(image + mix * (moved - image))
