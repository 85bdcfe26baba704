"""YCbCr: exact both ways, and the numbers of the standard."""

from __future__ import annotations

import cv2
import numpy as np
import torch
from torch import Tensor

from pipelines.color import from_ycbcr, plane_values, to_ycbcr


def test_there_and_back_is_exact(noisy: Tensor) -> None:
    assert torch.allclose(from_ycbcr(to_ycbcr(noisy)), noisy, atol=1e-14)


def test_grey_has_no_chroma_and_primaries_are_at_the_edge() -> None:
    planes = to_ycbcr(torch.full((1, 3, 16, 16), 0.3))
    assert torch.allclose(planes[:, 0], torch.tensor(0.3))
    assert planes[:, 1:].abs().max() < 1e-6
    blue, red = torch.zeros(2, 1, 3, 1, 1)
    blue[:, 2], red[:, 0] = 1.0, 1.0
    assert torch.allclose(to_ycbcr(blue).flatten()[:2], torch.tensor([0.114, 0.5]))
    assert torch.allclose(to_ycbcr(red).flatten()[[0, 2]], torch.tensor([0.299, 0.5]))


def test_agrees_with_opencv(noisy: Tensor) -> None:
    array = noisy[0].permute(1, 2, 0).float().numpy()
    theirs = cv2.cvtColor(array, cv2.COLOR_RGB2YCrCb)[..., [0, 2, 1]] - np.array([0, 0.5, 0.5], dtype=np.float32)
    ours = to_ycbcr(noisy)[0].permute(1, 2, 0).numpy()
    assert np.abs(ours - theirs).max() < 1e-3  # OpenCV rounds its constants to three digits


def test_plane_values_go_to_the_right_planes() -> None:
    values = plane_values(torch.tensor(1.0), torch.tensor(2.0))
    assert (torch.ones(2, 3, 4, 5) * values).mean(dim=(0, 2, 3)).tolist() == [1.0, 2.0, 2.0]
