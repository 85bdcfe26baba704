"""Foreign codecs, quantisers and lost blocks: (image, strength, rng) -> image, see :mod:`.foreign`."""

from __future__ import annotations

import io
import warnings

import cv2
import numpy as np
import pywt
from PIL import Image as Pillow
from scipy.fft import dctn, idctn
from skimage.color import lab2rgb, rgb2ycbcr, ycbcr2rgb

Image = np.ndarray


def to_bytes(image: Image) -> Image:
    """(H, W, 3) float in [0, 1] to uint8."""
    return np.round(np.clip(image, 0.0, 1.0) * 255.0).astype(np.uint8)


def to_float(pixels: Image | Pillow.Image) -> Image:
    """uint8 pixels or a Pillow picture to (H, W, 3) float32 in [0, 1]."""
    return np.asarray(pixels, dtype=np.float32) / np.float32(255)


def lab_to_rgb(lab: Image) -> Image:
    """CIELAB to sRGB by scikit-image. Colours out of gamut are clipped, as intended here: no warning."""
    with warnings.catch_warnings():
        warnings.simplefilter("ignore", UserWarning)
        return lab2rgb(lab)


def _pillow_codec(image: Image, encoder: str, **options: object) -> Image:
    stream = io.BytesIO()
    Pillow.fromarray(to_bytes(image)).save(stream, encoder, **options)
    with Pillow.open(stream) as decoded:
        return to_float(decoded.convert("RGB"))


def pillow_jpeg(image: Image, quality: float, rng: np.random.Generator) -> Image:
    """JPEG by Pillow at an IJG quality, chroma halved: blocks, rings beside edges, lost texture."""
    return _pillow_codec(image, "JPEG", quality=int(quality))


def opencv_jpeg(image: Image, quality: float, rng: np.random.Generator) -> Image:
    """Progressive JPEG by OpenCV's own encoder build, chroma not halved."""
    options = [cv2.IMWRITE_JPEG_QUALITY, int(quality), cv2.IMWRITE_JPEG_PROGRESSIVE, 1]
    options += [cv2.IMWRITE_JPEG_SAMPLING_FACTOR, cv2.IMWRITE_JPEG_SAMPLING_FACTOR_444]
    _, stream = cv2.imencode(".jpg", cv2.cvtColor(to_bytes(image), cv2.COLOR_RGB2BGR), options)
    return to_float(cv2.cvtColor(cv2.imdecode(stream, cv2.IMREAD_COLOR), cv2.COLOR_BGR2RGB))


def scipy_block_dct(image: Image, step: float, rng: np.random.Generator) -> Image:
    """8 x 8 cosine transform of SciPy with one quantiser step (8-bit levels) for all coefficients but the mean's.

    No encoder at all: what every block transform coder does, without tables, chroma halving or filters. The step
    of a coefficient grows linearly with its frequency, from 1 to 4 times ``step``, as in all published tables.
    """
    height, width = image.shape[:2]
    padded = np.pad(image, ((0, -height % 8), (0, -width % 8), (0, 0)), mode="edge")
    planes = rgb2ycbcr(padded)
    blocks = planes.reshape(padded.shape[0] // 8, 8, padded.shape[1] // 8, 8, 3)
    frequency = np.add.outer(np.arange(8), np.arange(8)) / 14.0
    table = (step * (1.0 + 3.0 * frequency))[:, None, :, None]
    found = dctn(blocks, axes=(1, 3), norm="ortho")
    planes = idctn(np.round(found / table) * table, axes=(1, 3), norm="ortho").reshape(planes.shape)
    return np.clip(ycbcr2rgb(planes), 0.0, 1.0)[:height, :width]


def pillow_webp(image: Image, quality: float, rng: np.random.Generator) -> Image:
    """WebP by Pillow, slowest method: block prediction under an in-loop filter."""
    return _pillow_codec(image, "WEBP", quality=int(quality), method=6)


def pillow_avif(image: Image, quality: float, rng: np.random.Generator) -> Image:
    """AVIF by Pillow, 4:2:0, speed 8: large transforms and strong in-loop filters."""
    return _pillow_codec(image, "AVIF", quality=int(quality), speed=8, max_threads=1)


def pillow_jpeg2000(image: Image, ratio: float, rng: np.random.Generator) -> Image:
    """JPEG 2000 by Pillow's defaults (reversible 5/3 wavelet) at a compression ratio."""
    return _pillow_codec(image, "JPEG2000", quality_mode="rates", quality_layers=[ratio])


def pywavelets_coding(image: Image, step: float, rng: np.random.Generator) -> Image:
    """Dead-zone quantised 9/7 wavelet coefficients by PyWavelets: wavelet coding without an encoder."""
    planes = rgb2ycbcr(image)
    level = max(1, min(4, pywt.dwtn_max_level(image.shape[:2], "bior4.4")))
    for channel, share in enumerate((1.0, 2.0, 2.0)):  # colour is quantised more coarsely, as by every coder
        found = pywt.wavedec2(planes[..., channel], "bior4.4", mode="symmetric", level=level)
        coded = [found[0]]
        for bands in found[1:]:
            coded.append(tuple(_dead_zone(band, step * share) for band in bands))
        planes[..., channel] = pywt.waverec2(coded, "bior4.4")[: image.shape[0], : image.shape[1]]
    return np.clip(ycbcr2rgb(planes), 0.0, 1.0)


def _dead_zone(band: Image, step: float) -> Image:
    index = np.floor(np.abs(band) / step)
    return np.sign(band) * np.where(index > 0, (index + 0.5) * step, 0.0)


def pillow_levels(image: Image, levels: float, rng: np.random.Generator) -> Image:
    """Each channel rounded to a number of levels by a Pillow look-up table: posterisation that keeps brightness."""
    steps = int(levels) - 1
    table = [round(round(value / 255 * steps) / steps * 255) for value in range(256)]
    return to_float(Pillow.fromarray(to_bytes(image)).point(table * 3))


def pillow_palette(image: Image, colours: float, rng: np.random.Generator) -> Image:
    """Pillow's median-cut palette of a number of colours, no dither: contours in gradients."""
    picture = Pillow.fromarray(to_bytes(image))
    chosen = picture.quantize(int(colours), Pillow.Quantize.MEDIANCUT, dither=Pillow.Dither.NONE)
    return to_float(chosen.convert("RGB"))


def numpy_block_dropout(image: Image, share: float, rng: np.random.Generator) -> Image:
    """A share of 16 x 16 blocks replaced by the block two to the left, or, one in three, by their mean colour."""
    side = 16
    rows, columns = -(-image.shape[0] // side), -(-image.shape[1] // side)
    order, flat = rng.permutation(rows * columns), rng.random(rows * columns) < 1 / 3
    result = image.copy()
    for block in order[: max(1, round(share * rows * columns))]:
        top, left = block // columns * side, block % columns * side
        seen = image[top : top + side, left : left + side]
        source = (left - 2 * side) % max(image.shape[1] - side, 1)
        moved = image[top : top + side, source : source + seen.shape[1]]
        result[top : top + side, left : left + side] = seen.mean((0, 1)) if flat[block] else moved
    return result
