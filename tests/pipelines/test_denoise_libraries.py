"""The denoisers taken from libraries: parameters reach the right arguments, colours are not swapped."""

from __future__ import annotations

import cv2
import numpy as np
import torch
from skimage.restoration import denoise_nl_means, denoise_wavelet
from torch import Tensor

from pipelines import load


def array_of(image: Tensor) -> np.ndarray:
    return np.ascontiguousarray(image[0].permute(1, 2, 0).float().numpy())


def test_nlm_opencv(noisy: Tensor) -> None:
    values = {"h": 4.0, "h_color": 12.0, "template_window": 5, "search_window": 15}
    ours = array_of(load("denoise.nlm_opencv")(noisy.float(), values))
    levels = np.round(array_of(noisy) * 255).astype(np.uint8)
    theirs = cv2.fastNlMeansDenoisingColored(cv2.cvtColor(levels, cv2.COLOR_RGB2BGR), None, 4, 12, 5, 15)
    assert np.array_equal(np.round(ours * 255).astype(np.uint8), cv2.cvtColor(theirs, cv2.COLOR_BGR2RGB))


def test_nlm_skimage(noisy: Tensor) -> None:
    values = {"h": 0.06, "sigma": 0.03, "patch_size": 7, "patch_distance": 4}
    ours = array_of(load("denoise.nlm_skimage")(noisy.float(), values))
    theirs = denoise_nl_means(array_of(noisy), 7, 4, 0.06, fast_mode=True, sigma=0.03, channel_axis=-1)
    assert np.allclose(ours, theirs, atol=1e-6)


def test_bayes_shrink(noisy: Tensor) -> None:
    values = {"sigma": 0.08, "wavelet": "db2", "mode": "hard"}
    ours = array_of(load("denoise.bayes_shrink")(noisy.float(), values))
    theirs = denoise_wavelet(
        array_of(noisy), sigma=0.08, wavelet="db2", mode="hard", method="BayesShrink",
        convert2ycbcr=True, channel_axis=-1,
    )  # fmt: skip
    assert np.allclose(ours, theirs.clip(0, 1), atol=1e-5)


def test_every_choice_of_wavelet_is_known(noisy: Tensor) -> None:
    pipeline = load("denoise.bayes_shrink")
    outputs = [pipeline(noisy, {"wavelet": name}) for name in pipeline.parameters["wavelet"].choices]  # type: ignore[union-attr]
    assert all(not torch.equal(outputs[0], other) for other in outputs[1:])


def test_colours_are_not_swapped() -> None:
    red = torch.zeros(1, 3, 20, 20)
    red[:, 0] = 0.8
    for name in ("denoise.nlm_opencv", "denoise.bilateral_opencv", "denoise.bayes_shrink", "denoise.nlm_skimage"):
        output = load(name)(red)
        assert float((output - red).abs().max()) < 2.5 / 255, name
