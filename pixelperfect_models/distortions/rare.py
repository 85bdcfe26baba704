"""Distortions that only the scoring network learns from: people rate them, but no map channel answers for them.

The distortion network names what an engineer acts on. A score must also place the rest: errors of transmission,
displaced patches, reduced palettes. Each function has the signature ``(image, amount, rng) -> image`` with an
(H, W, 3) float32 picture in [0, 1] and an amount in [0, 1] from just visible to severe; the same generator state at a
larger amount gives the same picture, only worse. The kinds are those of the public rated sets (Ponomarenko et al.,
*Image database TID2013*, 2015; Lin et al., *KADID-10k*, 2019), reimplemented from their descriptions; no rated picture
and no rating was used.
"""

from __future__ import annotations

import io
from collections.abc import Callable

import cv2
import numpy as np
from PIL import Image as Pil

from .common import Image, finish, luma, to_channels


def _between(low: float, high: float, amount: float) -> float:
    """Geometric from ``low`` at amount 0 to ``high`` at amount 1."""
    return float(low * (high / low) ** amount)


def _gaussian(image: Image, sigma: float) -> Image:
    return np.asarray(cv2.GaussianBlur(image, (0, 0), sigma), dtype=np.float32)


def masked_noise(image: Image, amount: float, rng: np.random.Generator) -> Image:
    """Noise where texture hides it: its deviation follows the local activity."""
    grey = luma(image)[..., 0]
    mean = _gaussian(grey, 3.0)
    activity = np.sqrt(np.maximum(_gaussian(grey * grey, 3.0) - mean * mean, 0.0))
    noise = rng.standard_normal(image.shape, dtype=np.float32)
    return finish(image + _between(0.2, 2.5, amount) * activity[..., None] * noise)


def high_frequency_noise(image: Image, amount: float, rng: np.random.Generator) -> Image:
    """White noise without its low frequencies."""
    noise = rng.standard_normal(image.shape, dtype=np.float32)
    noise -= _gaussian(noise, float(rng.uniform(0.8, 1.6)))
    return finish(image + _between(0.015, 0.3, amount) * noise)


def speckle(image: Image, amount: float, rng: np.random.Generator) -> Image:
    """Multiplicative noise, proportional to the pixel."""
    noise = rng.standard_normal(image.shape, dtype=np.float32)
    return finish(image * (1.0 + _between(0.03, 0.6, amount) * noise))


def quantization(image: Image, amount: float, rng: np.random.Generator) -> Image:
    """Few levels in every colour channel, without dithering."""
    step = _between(1 / 40, 1 / 4, amount)
    offset = float(rng.uniform(0.0, 1.0))
    return finish((np.round(image / step + offset) - offset) * step)


def dithered_palette(image: Image, amount: float, rng: np.random.Generator) -> Image:
    """A palette of few colours, chosen by median cut, with error diffusion."""
    picture = Pil.fromarray(np.round(image * 255).astype(np.uint8))
    colors = max(3, round(_between(128, 5, amount)))
    reduced = picture.quantize(colors, method=Pil.Quantize.MEDIANCUT, dither=Pil.Dither.FLOYDSTEINBERG)
    # Pillow ignores ``dither`` while it makes a palette; mapping the picture onto that palette applies it.
    reduced = picture.quantize(palette=reduced, dither=Pil.Dither.FLOYDSTEINBERG)
    return finish(np.asarray(reduced.convert("RGB"), dtype=np.float32) / 255.0)


def displaced_patches(image: Image, amount: float, rng: np.random.Generator) -> Image:
    """Small patches replaced by their neighbourhood a few pixels away (non-eccentricity pattern noise)."""
    height, width = image.shape[:2]
    side = min(15, height // 2, width // 2)
    most = max(4, round(300 * height * width / (512 * 384)))
    count = round(_between(max(1.0, most / 30), most, amount))
    places = rng.random((most, 4))
    result = image.copy()
    for u, v, angle, far in places[:count]:
        top, left = int(u * (height - side)), int(v * (width - side))
        reach = 2 + 6 * far
        down, right = round(reach * np.sin(2 * np.pi * angle)), round(reach * np.cos(2 * np.pi * angle))
        y, x = np.clip(top + down, 0, height - side), np.clip(left + right, 0, width - side)
        result[top : top + side, left : left + side] = image[y : y + side, x : x + side]
    return result


def local_blocks(image: Image, amount: float, rng: np.random.Generator) -> Image:
    """Square blocks shifted towards one colour each: from many faint ones or a few up to several strong ones."""
    height, width = image.shape[:2]
    side = min(32, height // 3, width // 3)
    count = int(rng.integers(2, 17))
    strength = _between(0.1, 1.0, amount)
    result = image.copy()
    for _ in range(count):
        top, left = int(rng.integers(height - side)), int(rng.integers(width - side))
        color = np.clip(image[top : top + side, left : left + side].mean((0, 1)) + rng.uniform(-0.5, 0.5, 3), 0, 1)
        part = result[top : top + side, left : left + side]
        result[top : top + side, left : left + side] = part + np.float32(strength) * (color.astype(np.float32) - part)
    return finish(result)


def mean_shift(image: Image, amount: float, rng: np.random.Generator) -> Image:
    """A constant added to every pixel, brighter or darker."""
    sign = 1.0 if rng.random() < 0.5 else -1.0
    return finish(image + sign * _between(0.02, 0.35, amount))


def contrast_stretch(image: Image, amount: float, rng: np.random.Generator) -> Image:
    """Contrast about the picture's mean, lower or higher."""
    sign = 1.0 if rng.random() < 0.4 else -1.0
    mean = image.mean((0, 1), keepdims=True)
    return finish(mean + (image - mean) * float(np.exp(sign * _between(0.06, 0.9, amount))))


def chroma_scaling(image: Image, amount: float, rng: np.random.Generator) -> Image:
    """Colourfulness lowered towards grey, past it at the end, or raised."""
    grey = luma(image)
    sign = 1.0 if rng.random() < 0.3 else -1.0
    return finish(grey + (image - grey) * (1.0 + sign * _between(0.1, 1.4, amount)))


def comfort_noise(image: Image, amount: float, rng: np.random.Generator) -> Image:
    """Fine texture replaced by noise of the same local energy, as decoders do that synthesise grain."""
    sigma = _between(0.7, 3.0, amount)
    base = _gaussian(image, sigma)
    detail = image - base
    energy = np.sqrt(np.maximum(_gaussian(luma(detail * detail)[..., 0], 4.0), 0.0))
    noise = rng.standard_normal(image.shape[:2], dtype=np.float32)
    noise -= _gaussian(noise, sigma)
    share = _between(0.3, 1.0, amount)
    return finish(base + (1.0 - share) * detail + share * to_channels(noise * energy * np.float32(1.2)))


def sparse_sampling(image: Image, amount: float, rng: np.random.Generator) -> Image:
    """Most pixels lost and filled in from the rest (normalised convolution)."""
    kept = (rng.random(image.shape[:2]) > _between(0.35, 0.95, amount)).astype(np.float32)
    sigma = 0.45 / np.sqrt(max(kept.mean(), 0.02))
    weight = _gaussian(kept, sigma) + 1e-4
    filled = (_gaussian(image * kept[..., None], sigma) + 1e-4 * _gaussian(image, 4 * sigma)) / weight[..., None]
    return finish(kept[..., None] * image + (1.0 - kept[..., None]) * filled)


def _jpeg(image: Image, quality: int, **options: int) -> bytes:
    stream = io.BytesIO()
    picture = Pil.fromarray(np.round(image * 255).astype(np.uint8))
    picture.save(stream, "JPEG", quality=quality, **options)  # type: ignore[arg-type]
    return stream.getvalue()


def noisy_coded(image: Image, amount: float, rng: np.random.Generator) -> Image:
    """A noisy picture after lossy coding."""
    noise = rng.standard_normal(image.shape, dtype=np.float32)
    noisy = finish(image + _between(0.02, 0.12, amount) * noise)
    data = _jpeg(noisy, round(_between(60, 6, amount)))
    return finish(np.asarray(Pil.open(io.BytesIO(data)).convert("RGB"), dtype=np.float32) / 255.0)


def transmission_errors(image: Image, amount: float, rng: np.random.Generator) -> Image:
    """A JPEG file with damaged bytes between restart markers, decoded as far as it goes."""
    data = _jpeg(image, 75, restart_marker_blocks=16)
    start = data.index(b"\xff\xda") + 14
    places = rng.random(40)
    flips = rng.integers(1, 255, 40)
    broken = bytearray(data)
    for place, flip in zip(places[: round(_between(1, 40, amount))], flips, strict=False):
        index = start + int(place * (len(data) - start - 4))
        # Markers stay: a damaged one would end the picture, which no receiver shows.
        if 0xFF not in (broken[index - 1], broken[index], broken[index + 1]) and broken[index] ^ flip != 0xFF:
            broken[index] ^= int(flip)
    decoded = cv2.imdecode(np.frombuffer(bytes(broken), np.uint8), cv2.IMREAD_COLOR)
    if decoded is None or decoded.shape != image.shape:
        return finish(np.asarray(Pil.open(io.BytesIO(data)).convert("RGB"), dtype=np.float32) / 255.0)
    return finish(decoded[..., ::-1].astype(np.float32) / 255.0)


_ALL: tuple[Callable[[Image, float, np.random.Generator], Image], ...] = (
    masked_noise,
    high_frequency_noise,
    speckle,
    quantization,
    dithered_palette,
    displaced_patches,
    local_blocks,
    mean_shift,
    contrast_stretch,
    chroma_scaling,
    comfort_noise,
    sparse_sampling,
    noisy_coded,
    transmission_errors,
)

RARE: dict[str, Callable[[Image, float, np.random.Generator], Image]] = {entry.__name__: entry for entry in _ALL}
"""Every rare distortion by name."""
