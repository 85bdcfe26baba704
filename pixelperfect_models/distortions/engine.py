"""The distortion engine: training pairs and ordinally ranked sets from pristine photos.

A pair is two versions of one photo and, per channel and pixel, how much more of that artefact the first has than
the second. The truth is known because the engine did it; no human score is used.
"""

from __future__ import annotations

from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass, replace
from typing import Literal

import numpy as np

from pixelperfect_models.channels import CHANNELS, SIGNED_CHANNELS
from pixelperfect_models.distortions import severity
from pixelperfect_models.distortions.render import layer_sign, render
from pixelperfect_models.distortions.spatial import KINDS, Kind, draw_peak, intensity_map, random_intensity_map
from pixelperfect_models.distortions.table import DISTORTIONS

STAGES = (
    "blur",
    "geometry",
    "sampling",
    "smoothing",
    "sensor",
    "noise",
    "color",
    "tone",
    "sharpening",
    "compression",
    "transmission",
)
"""The modules of the types in the order in which they act on a picture: optics, sensor, rendering, coding.

Whatever smooths comes before noise. A denoiser after the noise would be truer to a camera, but would remove
part of it while the target map still said it was there.
"""

TYPE_COUNT_SHARES = (0.55, 0.30, 0.10, 0.05)
"""How often a distorted picture has 1, 2, 3 or 4 types."""

BOTH_SHARES = {"same": 0.35, "different": 0.25, "extra": 0.25, "identical": 0.15}
"""What the two pictures are where both are distorted: the same types at other intensities, independently drawn
types, one the other plus further types, or one and the same distorted picture."""


@dataclass(frozen=True)
class Layer:
    """One type acting on one picture: its (H, W) intensity map in [0, 2] and the seed of its randomness."""

    name: str
    intensity: np.ndarray
    seed: int


@dataclass(frozen=True)
class OrdinalSet:
    """Versions of one photo from best to worst.

    Attributes:
        images: (H, W, 3) float32 in [0, 1]; the first is the pristine photo.
        intensities: peak intensity of each, strictly rising from 0.
        types: names of the types in each; the first is empty.
    """

    images: list[np.ndarray]
    intensities: list[float]
    types: list[tuple[str, ...]]


def _stage(name: str) -> int:
    module = DISTORTIONS[name].function.__module__.rpartition(".")[2]
    return STAGES.index(module) if module in STAGES else STAGES.index("compression")


def _new_seed(rng: np.random.Generator) -> int:
    return int(rng.integers(2**63))


def _to_8_bit(image: np.ndarray) -> np.ndarray:
    return np.round(image * np.float32(255.0)) / np.float32(255.0)


def apply_layers(photo: np.ndarray, layers: Iterable[Layer]) -> np.ndarray:
    """Apply layers in the order of :data:`STAGES`; (H, W, 3) float32 in [0, 1] in and out."""
    image = photo
    for layer in sorted(layers, key=lambda entry: _stage(entry.name)):
        image = render(image, layer.name, layer.intensity, np.random.default_rng(layer.seed))
    return image


def channel_intensity(layers: Iterable[Layer], shape: tuple[int, int]) -> np.ndarray:
    """Intensity per channel and pixel, (K, H, W) float32 in [0, 1], of signed channels in [-1, 1].

    What a layer has above 1 counts as 1. Types of one channel combine as 1 - (1 - a)(1 - b), each times its share
    in that channel; those of a signed channel add, each with the sign of its direction.
    """
    left: dict[str, np.ndarray] = {}
    directed: dict[str, np.ndarray] = {}
    for layer in layers:
        intensity = np.minimum(layer.intensity, np.float32(1.0))
        for channel, share in DISTORTIONS[layer.name].channels.items():
            if channel in SIGNED_CHANNELS:
                part = np.float32(share * layer_sign(layer.seed)) * intensity
                directed[channel] = directed[channel] + part if channel in directed else part
                continue
            kept = 1.0 - np.float32(share) * intensity
            left[channel] = left[channel] * kept if channel in left else kept
    result = np.zeros((len(CHANNELS), *shape), dtype=np.float32)
    for channel, kept in left.items():
        result[CHANNELS.index(channel)] = 1.0 - kept
    for channel, part in directed.items():
        result[CHANNELS.index(channel)] = np.clip(part, -1.0, 1.0)
    return result


def _against_pristine(
    photo: np.ndarray, layer: Layer, eight_bit: bool, swapped: bool
) -> tuple[np.ndarray, np.ndarray, np.ndarray]:
    # ``test, ref, target`` of one layer on a pristine photo, the two pictures in either order.
    test = apply_layers(photo, [layer])
    test = _to_8_bit(test) if eight_bit else test
    target = 0.5 + 0.5 * channel_intensity([layer], (photo.shape[0], photo.shape[1]))
    return (photo.copy(), test, 1.0 - target) if swapped else (test, photo.copy(), target)


def _check_photo(photo: np.ndarray) -> None:
    if photo.ndim != 3 or photo.shape[2] != 3 or photo.dtype != np.float32:
        raise ValueError(f"photo of shape {photo.shape} and type {photo.dtype}, expected (H, W, 3) float32")


class DistortionEngine:
    """Makes training examples; all randomness comes from the generator passed to each method.

    Args:
        types: names of the types to use; None takes all of ``DISTORTIONS`` (leave some out to hold them back
            for a test on unseen types).
        p_both: share of pairs in which both pictures are distorted.
        p_swap: share of pairs in which test and reference change places.
        p_nothing: share of pairs of two pristine pictures.
        p_8_bit: share of distorted pictures rounded to 8 bit, as files are.
        p_beyond: share of distortions whose peak lies beyond intensity 1, up to the strongest a type is used at; the
            target stays at 1. Without them, maps of ruined pictures would be extrapolated, and fall again.
        masks: where types act: ``mixed``, or one of :data:`.spatial.KINDS` always.
        emphasis: how often a type is drawn relative to the others, 1 where it is not named.

    Raises:
        UserError: an unknown type.
        ValueError: no type at all, a share outside [0, 1], or an emphasis that is not above 0.
    """

    def __init__(
        self,
        types: Sequence[str] | None = None,
        *,
        p_both: float = 0.4,
        p_swap: float = 0.25,
        p_nothing: float = 0.03,
        p_8_bit: float = 0.5,
        p_beyond: float = 0.0,
        masks: Kind | Literal["mixed"] = "mixed",
        emphasis: Mapping[str, float] | None = None,
    ) -> None:
        self.types = tuple(severity.find(name).name for name in (DISTORTIONS if types is None else types))
        if not self.types:
            raise ValueError("types is empty: expected at least one distortion type")
        self.p_both, self.p_swap, self.p_nothing, self.p_8_bit = p_both, p_swap, p_nothing, p_8_bit
        self.p_beyond = p_beyond
        if masks != "mixed" and masks not in KINDS:
            raise ValueError(f"masks: '{masks}' is unknown, expected mixed, {', '.join(KINDS)}")
        self.masks = masks
        named = {severity.find(name).name: float(value) for name, value in (emphasis or {}).items()}
        for name, value in named.items():
            if not value > 0.0:
                raise ValueError(f"emphasis of {name}: {value:g}, expected above 0")
        # An emphasis on a type that is left out of ``types`` does nothing.
        shares = np.array([named.get(name, 1.0) for name in self.types])
        self._shares = shares / shares.sum()
        for name in ("p_both", "p_swap", "p_nothing", "p_8_bit", "p_beyond"):
            if not 0.0 <= getattr(self, name) <= 1.0:
                raise ValueError(f"{name}={getattr(self, name)}: expected 0 to 1")

    def pair(self, photo: np.ndarray, rng: np.random.Generator) -> tuple[np.ndarray, np.ndarray, np.ndarray]:
        """Draw a pair of versions of one photo.

        Args:
            photo: pristine, (H, W, 3) float32 in [0, 1], H and W at least 16.
            rng: source of all randomness.

        Returns:
            ``test, ref, target``: two (H, W, 3) float32 pictures in [0, 1] and (K, H, W) float32 in [0, 1],
            0.5 + 0.5 * (intensity in test - intensity in ref) per channel of ``CHANNELS``.
        """
        _check_photo(photo)
        shape = photo.shape[:2]
        if rng.random() < self.p_nothing:
            return photo.copy(), photo.copy(), np.full((len(CHANNELS), *shape), 0.5, dtype=np.float32)
        layers = self._draw_layers(photo, rng)
        other: list[Layer] = []
        kind = "one"
        if rng.random() < self.p_both:
            kind = str(rng.choice(list(BOTH_SHARES), p=list(BOTH_SHARES.values())))
            layers, other = self._partner(kind, layers, photo, rng)
        test = self._finish(apply_layers(photo, layers), rng)
        if kind == "identical":
            ref = test.copy()
        else:
            ref = self._finish(apply_layers(photo, other), rng) if other else photo.copy()
        target = channel_intensity(layers, shape)
        target -= channel_intensity(other, shape)
        # Two pictures can be wrong in opposite directions, which is further apart than a map can say.
        target = 0.5 + 0.5 * np.clip(target, -1.0, 1.0)
        if rng.random() < self.p_swap:
            return ref, test, 1.0 - target
        return test, ref, target

    def _finish(self, image: np.ndarray, rng: np.random.Generator) -> np.ndarray:
        return _to_8_bit(image) if rng.random() < self.p_8_bit else image

    def _draw_names(self, rng: np.random.Generator, count: int | None = None) -> list[str]:
        if count is None:
            count = 1 + int(rng.choice(len(TYPE_COUNT_SHARES), p=TYPE_COUNT_SHARES))
        picked = rng.choice(len(self.types), size=min(count, len(self.types)), replace=False, p=self._shares)
        return [self.types[int(index)] for index in picked]

    def _draw_layer(self, name: str, photo: np.ndarray, rng: np.random.Generator) -> Layer:
        # A map must not promise more than the type can render.
        peak = draw_peak(rng, severity.cap(name))
        intensity = self._map(photo, rng, peak)
        return Layer(name, self._beyond(intensity, peak, rng), _new_seed(rng))

    def _map(self, photo: np.ndarray, rng: np.random.Generator, peak: float) -> np.ndarray:
        if self.masks == "mixed":
            return random_intensity_map(photo.shape[:2], rng, peak, photo)
        return intensity_map(photo.shape[:2], rng, self.masks, peak, photo)

    def _beyond(self, intensity: np.ndarray, peak: float, rng: np.random.Generator) -> np.ndarray:
        # Now and then the same map with its peak beyond the end of the scale.
        if self.p_beyond > 0.0 and rng.random() < self.p_beyond:
            return intensity * np.float32(rng.uniform(1.0, severity.BEYOND) / peak)
        return intensity

    def _draw_layers(self, photo: np.ndarray, rng: np.random.Generator) -> list[Layer]:
        return [self._draw_layer(name, photo, rng) for name in self._draw_names(rng)]

    def _partner(
        self, kind: str, layers: list[Layer], photo: np.ndarray, rng: np.random.Generator
    ) -> tuple[list[Layer], list[Layer]]:
        # The layers of (test, ref) where both are distorted, from one drawn set of layers.
        if kind == "identical":
            return layers, layers
        if kind == "different":
            return layers, self._draw_layers(photo, rng)
        if kind == "extra":
            extra = [self._draw_layer(name, photo, rng) for name in self._draw_names(rng, 1)]
            # Two outputs of one noisy input share its noise; two shots of a scene do not.
            base = layers if rng.random() < 0.5 else [replace(one, seed=_new_seed(rng)) for one in layers]
            return layers + extra, base
        other = []
        for layer in layers:
            if rng.random() < 0.5:  # what moving one parameter does
                scaled = layer.intensity * np.float32(rng.uniform(0.2, 1.0))
                other.append(Layer(layer.name, scaled, _new_seed(rng)))
            else:
                other.append(self._draw_layer(layer.name, photo, rng))
        return (layers, other) if rng.random() < 0.5 else (other, layers)

    def planted(
        self, photo: np.ndarray, name: str, intensity: np.ndarray, rng: np.random.Generator
    ) -> tuple[np.ndarray, np.ndarray]:
        """One type under a known (H, W) intensity map, for measuring predicted maps; the photo is the reference.

        Returns:
            ``test, target``, shaped like those of :meth:`pair`. Intensities above the type's cap are cut to it.
        """
        _check_photo(photo)
        limited = np.minimum(np.asarray(intensity, dtype=np.float32), np.float32(severity.cap(name)))
        layer = Layer(name, limited, _new_seed(rng))
        return apply_layers(photo, [layer]), 0.5 + 0.5 * channel_intensity([layer], photo.shape[:2])

    def single(self, photo: np.ndarray, rng: np.random.Generator) -> tuple[np.ndarray, np.ndarray, np.ndarray]:
        """One type at an intensity of 0.2 or more against the pristine photo, swapped like :meth:`pair`.

        The easy examples that a training starts with; arguments and returns as :meth:`pair`.
        """
        _check_photo(photo)
        name = self._draw_names(rng, 1)[0]
        peak = min(severity.cap(name), float(rng.uniform(0.2, 1.0)))
        if rng.random() < 0.5:
            intensity = np.full(photo.shape[:2], peak, dtype=np.float32)
        else:
            intensity = self._map(photo, rng, peak)
        layer = Layer(name, self._beyond(intensity, peak, rng), _new_seed(rng))
        return _against_pristine(photo, layer, rng.random() < self.p_8_bit, rng.random() < self.p_swap)

    def graded(
        self, photo: np.ndarray, rng: np.random.Generator, stronger: bool
    ) -> tuple[np.ndarray, np.ndarray, np.ndarray, np.ndarray]:
        """One of two pictures that have one type, map and randomness at two strengths, against the pristine photo.

        Beyond the end of the maps' scale the two targets are equal although the second picture is worse.

        Args:
            photo: pristine, (H, W, 3) float32 in [0, 1].
            rng: the same state for both pictures.
            stronger: which of them.

        Returns:
            ``test, ref, target`` as :meth:`pair` and ``order``, (K, 1, 1) float32: whether the stronger one's map of a
            channel has to be higher (above 0) or lower, by the type's share in that channel.
        """
        _check_photo(photo)
        name = self._draw_names(rng, 1)[0]
        top = severity.BEYOND if rng.random() < self.p_beyond else severity.cap(name)
        low = rng.uniform(0.1, 0.8 * top)
        high = rng.uniform(1.25 * low, top)
        shape_map = np.ones(photo.shape[:2], dtype=np.float32) if rng.random() < 0.5 else self._map(photo, rng, 1.0)
        eight_bit, swapped, seed = rng.random() < self.p_8_bit, rng.random() < self.p_swap, _new_seed(rng)
        layer = Layer(name, shape_map * np.float32(high if stronger else low), seed)
        order = channel_intensity([replace(layer, intensity=np.ones((1, 1), dtype=np.float32))], (1, 1))
        return *_against_pristine(photo, layer, eight_bit, swapped), -order if swapped else order

    def ordinal_set(
        self, photo: np.ndarray, rng: np.random.Generator, levels: int = 5, mixed: bool = False
    ) -> OrdinalSet:
        """Versions of ``photo`` from pristine to bad.

        Args:
            photo: pristine, (H, W, 3) float32 in [0, 1].
            rng: source of all randomness.
            levels: pictures in all, the pristine one included; at least 2.
            mixed: False takes one or two types with one map and one random state at rising severity; True draws
                another type for every level, which makes scores comparable across types.

        Raises:
            ValueError: fewer than two levels.
        """
        _check_photo(photo)
        if levels < 2:
            raise ValueError(f"levels={levels}: expected at least 2 (the pristine photo and one more)")
        names = self._draw_names(rng, int(rng.integers(1, 3)))
        steps = np.cumsum(rng.uniform(0.5, 1.5, levels - 1))
        top = rng.uniform(0.15, 0.4) if rng.random() < 0.4 else rng.uniform(0.4, 1.0)
        if not mixed:
            top = min(top, *(severity.cap(name) for name in names))
        intensities = [float(value) for value in steps / steps[-1] * top]
        shape_map = self._map(photo, rng, 1.0)
        layers = [Layer(name, shape_map, _new_seed(rng)) for name in names]
        eight_bit = rng.random() < self.p_8_bit
        images = [photo.copy()]
        types: list[tuple[str, ...]] = [()]
        for level in intensities:
            if mixed:
                able = [name for name in self.types if severity.cap(name) >= level] or list(self.types)
                layers = [Layer(able[int(rng.integers(len(able)))], shape_map, _new_seed(rng))]
            image = apply_layers(photo, [replace(one, intensity=one.intensity * np.float32(level)) for one in layers])
            images.append(_to_8_bit(image) if eight_bit else image)
            types.append(tuple(layer.name for layer in layers))
        return OrdinalSet(images, [0.0, *intensities], types)
