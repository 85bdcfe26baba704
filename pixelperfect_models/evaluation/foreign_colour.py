"""Foreign tone, colour and geometry errors: (image, strength, rng) -> image, see :mod:`.foreign`."""

from __future__ import annotations

from collections.abc import Callable

import numpy as np
from PIL import Image as Pillow
from PIL import ImageEnhance
from scipy import ndimage
from skimage import exposure, transform
from skimage.color import hsv2rgb, rgb2hsv, rgb2lab, rgb2xyz, xyz2rgb

from pixelperfect_models.evaluation.foreign_coding import Image, lab_to_rgb, to_bytes, to_float


def _sign(rng: np.random.Generator) -> float:
    return -1.0 if rng.random() < 0.5 else 1.0


def _enhance(
    tool: Callable[[Pillow.Image], ImageEnhance._Enhance], image: Image, amount: float, rng: np.random.Generator
) -> Image:
    # More or less, at random; a ratio and its inverse are equally far from 1.
    return to_float(tool(Pillow.fromarray(to_bytes(image))).enhance(float(np.exp(_sign(rng) * amount))))


def pillow_brightness(image: Image, amount: float, rng: np.random.Generator) -> Image:
    """ImageEnhance.Brightness of Pillow, factor exp(+-amount)."""
    return _enhance(ImageEnhance.Brightness, image, amount, rng)


def skimage_gamma(image: Image, amount: float, rng: np.random.Generator) -> Image:
    """adjust_gamma of scikit-image, exponent exp(+-amount): a wrong gamma, which is brighter or darker as well."""
    return exposure.adjust_gamma(image, float(np.exp(_sign(rng) * amount)))


def pillow_contrast(image: Image, amount: float, rng: np.random.Generator) -> Image:
    """ImageEnhance.Contrast of Pillow about the mean grey, factor exp(+-amount)."""
    return _enhance(ImageEnhance.Contrast, image, amount, rng)


def skimage_washed_out(image: Image, lift: float, rng: np.random.Generator) -> Image:
    """rescale_intensity of scikit-image into [lift, 1 - lift]: too flat, as through haze."""
    return exposure.rescale_intensity(image, (0.0, 1.0), (lift, 1.0 - lift))


def pillow_colour(image: Image, amount: float, rng: np.random.Generator) -> Image:
    """ImageEnhance.Color of Pillow, factor exp(+-amount)."""
    return _enhance(ImageEnhance.Color, image, amount, rng)


def skimage_hsv_saturation(image: Image, amount: float, rng: np.random.Generator) -> Image:
    """Saturation of HSV (scikit-image) times exp(+-amount)."""
    hsv = rgb2hsv(image)
    hsv[..., 1] = np.clip(hsv[..., 1] * np.exp(_sign(rng) * amount), 0.0, 1.0)
    return hsv2rgb(hsv)


def skimage_temperature(image: Image, amount: float, rng: np.random.Generator) -> Image:
    """Gains exp(+-amount) on X and inversely on Z of CIE XYZ (linear light): warmer or cooler light."""
    gain = np.exp(_sign(rng) * amount * np.array([0.3, 0.0, -1.0]))
    return np.clip(xyz2rgb(rgb2xyz(image) * gain), 0.0, 1.0)


def skimage_lab_cast(image: Image, amount: float, rng: np.random.Generator) -> Image:
    """b* of CIELAB (scikit-image) moved by +-amount, a* by 0.3 of that: a yellow or blue cast, lightness kept."""
    return lab_to_rgb(rgb2lab(image) + _sign(rng) * amount * np.array([0.0, 0.3, 1.0]))


def scipy_channel_shift(image: Image, pixels: float, rng: np.random.Generator) -> Image:
    """Red moved one way and blue the other by ndimage.shift: colour fringes."""
    angle = rng.uniform(0.0, 2.0 * np.pi)
    step = pixels * np.array([np.sin(angle), np.cos(angle)])
    red = ndimage.shift(image[..., 0], step, order=1, mode="nearest")
    blue = ndimage.shift(image[..., 2], -step, order=1, mode="nearest")
    return np.stack([red, image[..., 1], blue], axis=-1)


def skimage_lateral_colour(image: Image, pixels: float, rng: np.random.Generator) -> Image:
    """Red larger and blue smaller about a corner, ``pixels`` at the opposite one, by transform.warp."""
    corner = np.array(image.shape[1::-1]) * (rng.random(2) < 0.5)
    planes = [image[..., 1]]
    for place, channel in ((0, 0), (2, 2)):
        scale = 1.0 + (1 - place) * pixels / float(np.hypot(*image.shape[:2]))
        tool = transform.AffineTransform(scale=scale, translation=(1.0 - scale) * corner)
        planes.insert(place, transform.warp(image[..., channel], tool, order=1, mode="edge"))
    return np.stack(planes, axis=-1)


def numpy_ghost(image: Image, pixels: float, rng: np.random.Generator) -> Image:
    """The picture blended 60 : 40 with a copy of it that np.roll displaced: a double image."""
    angle = rng.uniform(0.0, 2.0 * np.pi)
    down, right = (round(pixels * value) for value in (np.sin(angle), np.cos(angle)))
    reach = int(np.ceil(pixels))
    padded = np.pad(image, ((reach, reach), (reach, reach), (0, 0)), mode="reflect")
    moved = np.roll(padded, (down, right), (0, 1))[reach:-reach, reach:-reach]
    return 0.6 * image + 0.4 * moved


def skimage_rotation_ghost(image: Image, degrees: float, rng: np.random.Generator) -> Image:
    """Half the picture, half the picture rotated about a point outside of it: a burst that was not aligned."""
    centre = np.array(image.shape[1::-1]) * rng.uniform(-0.5, 0.0, 2)
    turned = transform.rotate(image, _sign(rng) * degrees, center=centre, order=1, mode="reflect")
    return 0.5 * image + 0.5 * turned


def scipy_warp(image: Image, pixels: float, rng: np.random.Generator) -> Image:
    """Content displaced by a smooth random field of ``pixels`` at most, by ndimage.map_coordinates."""
    height, width = image.shape[:2]
    field = ndimage.gaussian_filter(rng.standard_normal((2, height, width)), (0.0, 24.0, 24.0), mode="wrap")
    field *= pixels / np.hypot(*field).max()
    place = np.mgrid[:height, :width] + field
    return np.stack([ndimage.map_coordinates(image[..., c], place, order=1, mode="reflect") for c in range(3)], -1)
