"""Measure the severity curves: ``python -m pixelperfect_models.distortions.calibrate PHOTOS... --out curves.json``.

Method. A type is rendered on crops of pristine photos (one photo a crop) at strengths spaced evenly (in ratio where
the type declares it) from a tenth of ``strength_low`` to ``strength_high``. Each picture is measured against its
pristine crop by VSI, MDSI, HaarPSI (piq) and PSNR. Each metric is replaced by its pooled ECDF over all types,
strengths and crops, as a distance from 0 (identical) to 1 (worst), which puts the four on one scale without a
human score; the weighted mean (PSNR 0.5, others 1) is the consensus distance of one picture. Averaged over the
crops and made monotone by isotonic regression it becomes d(strength) of the type.

Why anchors. An ECDF depends on which strengths were pooled, most of all at its ends: a grid with more faint
pictures would move every small distance up. So d is read only relative to two pooled anchors, which shift with it:

* ``d_jnd``: the median of d over :data:`JUST_VISIBLE`, conditions about the threshold of visibility in side-by-side
  viewing. It becomes intensity 0.1.
* ``d_max``: the median of d over :data:`SEVERE`, conditions that anybody calls ruined. It becomes 1.0.

Between them d is linear in intensity; below ``d_jnd`` it goes linearly to 0 at intensity 0. strength(intensity) is
the inverse of the monotone d. Below the faintest strength of the grid strength is proportional to d. A
type that does not reach ``d_max`` has a cap, the intensity it does reach; the engine never asks it for more.
"""

from __future__ import annotations

import argparse
import json
import sys
import time
from dataclasses import dataclass
from pathlib import Path

import numpy as np
import piq
import torch
from scipy.interpolate import PchipInterpolator
from scipy.optimize import isotonic_regression

from pixelperfect_models.distortions.table import DISTORTIONS, Distortion
from pixelperfect_models.errors import PixelPerfectError, UserError
from pixelperfect_models.images import list_images, read_array, to_tensor

METRIC_WEIGHTS = {"VSI": 1.0, "MDSI": 1.0, "HaarPSI": 1.0, "PSNR": 0.5}
"""Weights of the metrics in the consensus; PSNR counts half, being blind to structure."""

JUST_VISIBLE = {
    "gaussian_blur": 0.5,  # px; below half a pixel little is seen at 1:1
    "luma_noise": 2.5 / 255.0,  # white noise of 2 to 3 grey levels
    "jpeg": 0.2,  # IJG quality 90, commonly called visually lossless
    "exposure": 1.0 / 3.0,  # stops; the smallest step of camera controls
    "color_cast": 0.05,  # red over blue 10 % off
}
"""Strengths about the threshold of visibility, from which the low anchor is taken."""

SEVERE = {
    "gaussian_blur": 3.0,  # px
    "luma_noise": 20.0 / 255.0,  # PSNR 22 dB
    "jpeg": 7.0,  # IJG quality 7
    "exposure": 2.5,  # stops
    "color_cast": 0.5,  # red over blue off by a factor 2.7
}
"""Strengths that ruin a picture, from which the high anchor is taken."""

KNOTS = np.concatenate([[0.0, 0.025, 0.05], np.linspace(0.1, 1.0, 19)])
"""Intensities at which the curves are stored."""

MIN_COLOUR = 0.03
"""Least mean spread of R, G and B of a crop: a grey one cannot show wrong saturation and would weaken its curve."""


@dataclass(frozen=True)
class Samples:
    """What was measured of one type: strengths (S,) and metrics (S, crops, 4) in the order of the weights."""

    strengths: np.ndarray
    metrics: np.ndarray


def metrics(test: torch.Tensor, ref: torch.Tensor) -> np.ndarray:
    """VSI, MDSI, HaarPSI and PSNR of (N, 3, H, W) pictures in [0, 1] as distances, (N, 4), 0 being identical.

    VSI and HaarPSI (similarities) count as 1 - value, MDSI (a distance) as it is. PSNR counts as root mean
    square error, which orders pictures as PSNR does and is finite for identical ones.
    """
    with torch.no_grad():
        columns = [
            1.0 - piq.vsi(test, ref, reduction="none"),
            piq.mdsi(test, ref, reduction="none"),
            1.0 - piq.haarpsi(test, ref, reduction="none"),
            (test - ref).square().mean(dim=(1, 2, 3)).sqrt(),
        ]
    return np.clip(torch.stack(columns, dim=1).double().numpy(), 0.0, None)


class Consensus:
    """Pooled normalisation of the four metrics into one distance in [0, 1].

    Args:
        pooled: (samples, 4) distances from :func:`metrics`, of every type and strength.
    """

    def __init__(self, pooled: np.ndarray) -> None:
        count = len(pooled)
        # 0 is put in front: an identical picture has distance 0, and between the knots the ECDF is linear.
        self._sorted = np.concatenate([np.zeros((1, pooled.shape[1])), np.sort(pooled, axis=0)])
        self._rank = np.arange(count + 1) / count
        weights = np.array(list(METRIC_WEIGHTS.values()))
        self._weights = weights / weights.sum()

    def __call__(self, values: np.ndarray) -> np.ndarray:
        """Distances (..., 4) from :func:`metrics` to the consensus distance (...)."""
        ranks = [
            np.interp(values[..., column], self._sorted[:, column], self._rank) for column in range(values.shape[-1])
        ]
        return np.stack(ranks, axis=-1) @ self._weights


def strength_grid(distortion: Distortion, count: int) -> np.ndarray:
    """``count`` strengths of one type, from a tenth of its low end to its high end."""
    low, high = 0.1 * distortion.strength_low, distortion.strength_high
    return np.geomspace(low, high, count) if distortion.log else np.linspace(low, high, count)


def measure(distortion: Distortion, crops: list[np.ndarray], steps: int, seed: int) -> Samples:
    """Render one type on every crop (each its own random variant, the same at every strength) and measure it."""
    strengths = strength_grid(distortion, steps)
    ref = torch.cat([to_tensor(crop) for crop in crops])
    rows = []
    for strength in strengths:
        pictures = [
            distortion.function(crop, float(strength), np.random.default_rng([seed, index]))
            for index, crop in enumerate(crops)
        ]
        rows.append(metrics(torch.cat([to_tensor(picture) for picture in pictures]), ref))
    return Samples(strengths, np.stack(rows))


def monotone(samples: Samples, consensus: Consensus) -> np.ndarray:
    """Mean consensus distance per strength, (S,), made non-decreasing by isotonic regression."""
    return np.asarray(isotonic_regression(consensus(samples.metrics).mean(axis=1)).x)


def _strictly_rising(strengths: np.ndarray, distance: np.ndarray) -> tuple[np.ndarray, np.ndarray]:
    # A plateau of the isotonic fit keeps its weakest strength: more strength that changes nothing is not asked for.
    keep = np.concatenate([[True], np.diff(distance) > 1e-6])
    return np.concatenate([[0.0], strengths[keep]]), np.concatenate([[0.0], distance[keep]])


def distance_at(samples: Samples, distance: np.ndarray, strength: float) -> float:
    """d at a strength between those measured."""
    return float(np.interp(strength, *_with_zero(samples.strengths, distance)))


def _with_zero(strengths: np.ndarray, distance: np.ndarray) -> tuple[np.ndarray, np.ndarray]:
    return np.concatenate([[0.0], strengths]), np.concatenate([[0.0], distance])


def intensity_of(distance: np.ndarray, d_jnd: float, d_max: float) -> np.ndarray:
    """The common scale: d 0 -> 0, d_jnd -> 0.1, d_max -> 1, linear between."""
    return np.interp(distance, [0.0, d_jnd, d_max], [0.0, 0.1, 1.0])


def fit_curve(samples: Samples, distance: np.ndarray, d_jnd: float, d_max: float) -> dict[str, object]:
    """Invert d(strength) at :data:`KNOTS`; returns the entry of the curves file for one type."""
    strengths, rising = _strictly_rising(samples.strengths, distance)
    cap = float(intensity_of(rising[-1:], d_jnd, d_max)[0])
    wanted = np.interp(np.minimum(KNOTS, cap), [0.0, 0.1, 1.0], [0.0, d_jnd, d_max])
    strength = PchipInterpolator(rising, strengths)(np.minimum(wanted, rising[-1]))
    return {
        "intensity": [round(float(value), 4) for value in KNOTS],
        "strength": [float(f"{value:.5g}") for value in np.maximum.accumulate(strength)],
        "cap": round(cap, 3),
    }


def load_crops(folders: list[Path], count: int, size: int, seed: int) -> list[np.ndarray]:
    """``count`` crops of ``size`` px from as many photos in colour, spread evenly over the folders.

    Raises:
        UserError: fewer than 8 colour photos of at least that size.
    """
    rng = np.random.default_rng(seed)
    crops: list[np.ndarray] = []
    for folder in folders:
        paths = list_images(folder)
        wanted = -(-(count - len(crops)) // (len(folders) - folders.index(folder)))
        for index in rng.permutation(len(paths)):
            photo = read_array(paths[int(index)])
            room = np.array(photo.shape[:2]) - size
            if wanted == 0:
                break
            if room.min() < 0:
                continue
            top, left = (int(rng.integers(extent + 1)) for extent in room)
            crop = np.ascontiguousarray(photo[top : top + size, left : left + size])
            if np.ptp(crop, axis=2).mean() < MIN_COLOUR:
                continue
            crops.append(crop)
            wanted -= 1
    if len(crops) < 8:
        raise UserError(f"{', '.join(map(str, folders))}: {len(crops)} colour photos of {size} px or more, expected 8")
    return crops


def calibrate(crops: list[np.ndarray], steps: int, seed: int) -> dict[str, object]:
    """Measure all types and return the contents of the curves file."""
    samples: dict[str, Samples] = {}
    for name, distortion in DISTORTIONS.items():
        started = time.perf_counter()
        samples[name] = measure(distortion, crops, steps, seed)
        print(f"{name}: {time.perf_counter() - started:.1f} s", file=sys.stderr, flush=True)
    consensus = Consensus(np.concatenate([one.metrics.reshape(-1, 4) for one in samples.values()]))
    distance = {name: monotone(one, consensus) for name, one in samples.items()}
    visible, severe = (
        {name: round(distance_at(samples[name], distance[name], value), 4) for name, value in anchors.items()}
        for anchors in (JUST_VISIBLE, SEVERE)
    )
    d_jnd, d_max = float(np.median(list(visible.values()))), float(np.median(list(severe.values())))
    if not 0.0 < d_jnd < d_max:
        raise PixelPerfectError(f"anchors in wrong order: just visible {d_jnd:g}, severe {d_max:g}")
    types = {name: fit_curve(samples[name], distance[name], d_jnd, d_max) for name in DISTORTIONS}
    return {
        "method": "pixelperfect_models/distortions/calibrate.py",
        "crops": len(crops),
        "d_jnd": round(d_jnd, 4),
        "d_max": round(d_max, 4),
        "just_visible": visible,
        "severe": severe,
        "capped": sorted(name for name, entry in types.items() if float(str(entry["cap"])) < 1.0),
        "types": types,
    }


def main(arguments: list[str] | None = None) -> int:
    """Command line entry; returns the exit code."""
    parser = argparse.ArgumentParser(description="Measure the severity curves of all distortion types.")
    parser.add_argument("photos", nargs="+", type=Path, help="folders of pristine photos")
    parser.add_argument("--count", type=int, default=12, help="crops, each of another photo (default 12)")
    parser.add_argument("--size", type=int, default=256, help="side of a crop in pixels (default 256)")
    parser.add_argument("--steps", type=int, default=16, help="strengths per type (default 16)")
    parser.add_argument("--seed", type=int, default=0)
    parser.add_argument("--out", type=Path, default=Path(__file__).with_name("curves.json"))
    options = parser.parse_args(arguments)
    try:
        crops = load_crops(options.photos, options.count, options.size, options.seed)
        result = calibrate(crops, options.steps, options.seed)
    except UserError as error:
        print(error, file=sys.stderr)
        return 2
    options.out.write_text(json.dumps(result, indent=1) + "\n", encoding="utf-8")
    print(f"d_jnd {result['d_jnd']}, d_max {result['d_max']}, capped: {result['capped']}")
    return 0


if __name__ == "__main__":
    sys.exit(main())
