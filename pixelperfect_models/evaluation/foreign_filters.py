"""Foreign noise, blur, smoothing, sampling and sharpening: (image, strength, rng) -> image, see :mod:`.foreign`."""

from __future__ import annotations

import cv2
import numpy as np
from PIL import Image as Pillow
from PIL import ImageEnhance, ImageFilter
from scipy import ndimage
from skimage.color import rgb2lab
from skimage.restoration import denoise_tv_chambolle
from skimage.util import random_noise

from pixelperfect_models.evaluation.foreign_coding import Image, lab_to_rgb, to_bytes, to_float


def skimage_grey_noise(image: Image, deviation: float, rng: np.random.Generator) -> Image:
    """Gaussian noise of scikit-image, the same in all three channels."""
    grey = random_noise(np.zeros(image.shape[:2]), "gaussian", rng=rng, clip=False, var=deviation**2)
    return image + grey[..., None]


def skimage_rgb_noise(image: Image, deviation: float, rng: np.random.Generator) -> Image:
    """Gaussian noise of scikit-image, independent in R, G and B: lightness and colour vary alike."""
    return random_noise(image, "gaussian", rng=rng, var=deviation**2)


def skimage_speckle(image: Image, deviation: float, rng: np.random.Generator) -> Image:
    """Multiplicative Gaussian noise of scikit-image, independent in R, G and B."""
    return random_noise(image, "speckle", rng=rng, var=deviation**2)


def skimage_salt_pepper(image: Image, share: float, rng: np.random.Generator) -> Image:
    """Salt and pepper of scikit-image: a share of all samples becomes 0 or 1, each channel for itself."""
    return random_noise(image, "s&p", rng=rng, amount=share)


def numpy_photon_noise(image: Image, fullness: float, rng: np.random.Generator) -> Image:
    """Poisson noise of NumPy in linear light (gamma 2.2) with 1 / ``fullness`` photons at white."""
    photons = rng.poisson(image.astype(np.float64) ** 2.2 / fullness)
    return np.clip(photons * fullness, 0.0, 1.0) ** (1 / 2.2)


def skimage_lab_noise(image: Image, deviation: float, rng: np.random.Generator) -> Image:
    """Gaussian noise in a* and b* of CIELAB (scikit-image) in soft spots of 1 px, lightness kept."""
    lab = rgb2lab(image)
    spots = ndimage.gaussian_filter(rng.standard_normal((*image.shape[:2], 2)), (1.0, 1.0, 0.0))
    lab[..., 1:] += deviation * spots / spots.std()
    return lab_to_rgb(lab)


def opencv_gaussian(image: Image, sigma: float, rng: np.random.Generator) -> Image:
    """GaussianBlur of OpenCV."""
    return cv2.GaussianBlur(image, (0, 0), sigma)


def pillow_gaussian(image: Image, radius: float, rng: np.random.Generator) -> Image:
    """GaussianBlur of Pillow, which is three box filters."""
    return to_float(Pillow.fromarray(to_bytes(image)).filter(ImageFilter.GaussianBlur(radius)))


def opencv_box(image: Image, side: float, rng: np.random.Generator) -> Image:
    """Box filter of OpenCV, ``side`` pixels wide."""
    return cv2.blur(image, (int(side), int(side)))


def opencv_motion(image: Image, length: float, rng: np.random.Generator) -> Image:
    """A line of OpenCV, at a random angle, as the kernel of filter2D: camera shake."""
    angle, side = rng.uniform(0.0, np.pi), 2 * int(length) + 1
    along = np.array([np.cos(angle), np.sin(angle)]) * length / 2
    kernel = np.zeros((side, side), np.float32)
    ends = [tuple(int(v) for v in np.round(int(length) + sign * along)) for sign in (-1, 1)]
    cv2.line(kernel, ends[0], ends[1], 1.0, 1, cv2.LINE_8)
    return cv2.filter2D(image, -1, kernel / kernel.sum())


def pillow_rescale(image: Image, factor: float, rng: np.random.Generator) -> Image:
    """Filtered down (Lanczos) by a factor and up again (bicubic) by Pillow: no stair-steps, only softness."""
    picture = Pillow.fromarray(to_bytes(image))
    small = picture.resize(_smaller(image, factor), Pillow.Resampling.LANCZOS)
    return to_float(small.resize(picture.size, Pillow.Resampling.BICUBIC))


def scipy_zoom(image: Image, factor: float, rng: np.random.Generator) -> Image:
    """Down by linear sampling without a filter and up again by ndimage.zoom: moire, stair-steps and softness."""
    width, height = _smaller(image, factor)
    down = (height / image.shape[0], width / image.shape[1], 1.0)
    small = ndimage.zoom(image, down, order=1, mode="nearest", grid_mode=True)
    up = (image.shape[0] / small.shape[0], image.shape[1] / small.shape[1], 1.0)
    return ndimage.zoom(small, up, order=1, mode="nearest", grid_mode=True)


def pillow_nearest(image: Image, factor: float, rng: np.random.Generator) -> Image:
    """Nearest-neighbour down and up by Pillow: stair-steps."""
    picture = Pillow.fromarray(to_bytes(image))
    small = picture.resize(_smaller(image, factor), Pillow.Resampling.NEAREST)
    return to_float(small.resize(picture.size, Pillow.Resampling.NEAREST))


def _smaller(image: Image, factor: float) -> tuple[int, int]:
    return max(1, round(image.shape[1] / factor)), max(1, round(image.shape[0] / factor))


def opencv_demosaicing(image: Image, amount: float, rng: np.random.Generator) -> Image:
    """Bayer mosaic demosaicked by OpenCV; the error times ``amount``: zipper edges and false colour."""
    deep = np.round(image * 65535.0).astype(np.uint16)
    mosaic = deep[..., 1].copy()
    mosaic[0::2, 0::2], mosaic[1::2, 1::2] = deep[0::2, 0::2, 0], deep[1::2, 1::2, 2]
    # OpenCV names the pattern by the second row's second and third pixel: red first is its BG.
    rebuilt = cv2.cvtColor(mosaic, cv2.COLOR_BayerBG2RGB).astype(np.float32) / np.float32(65535)
    return np.clip(image + amount * (rebuilt - image), 0.0, 1.0)


def opencv_median(image: Image, side: float, rng: np.random.Generator) -> Image:
    """Median filter of OpenCV: texture and thin lines go, strong edges stay but round off."""
    return to_float(cv2.medianBlur(to_bytes(image), int(side)))


def opencv_bilateral(image: Image, sigma: float, rng: np.random.Generator) -> Image:
    """Bilateral filter of OpenCV at full size, 9 px window: texture goes, edges stay."""
    return cv2.bilateralFilter(image, 9, sigma, 3.0)


def opencv_non_local_means(image: Image, strength: float, rng: np.random.Generator) -> Image:
    """fastNlMeansDenoisingColored of OpenCV (in CIELAB) on a clean picture: texture goes, edges stay."""
    return to_float(cv2.fastNlMeansDenoisingColored(to_bytes(image), None, strength, strength, 5, 13))


def skimage_total_variation(image: Image, weight: float, rng: np.random.Generator) -> Image:
    """Chambolle's total variation of scikit-image on a clean picture: texture goes, edges stay."""
    return denoise_tv_chambolle(image, weight=weight, max_num_iter=60, channel_axis=-1)


def pillow_unsharp(image: Image, percent: float, rng: np.random.Generator) -> Image:
    """UnsharpMask of Pillow, radius 2: halos at edges."""
    return to_float(Pillow.fromarray(to_bytes(image)).filter(ImageFilter.UnsharpMask(2, int(percent), 0)))


def pillow_sharpness(image: Image, factor: float, rng: np.random.Generator) -> Image:
    """ImageEnhance.Sharpness of Pillow: the picture pushed away from its 3 x 3 smoothed version."""
    return to_float(ImageEnhance.Sharpness(Pillow.fromarray(to_bytes(image))).enhance(factor))
