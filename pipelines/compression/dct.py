"""The DCT of JPEG's blocks."""

from __future__ import annotations

import math

import torch
from torch import Tensor
from torch.nn.functional import pad


def block_dct(planes: Tensor) -> Tensor:
    """(N, C, H, W) to (blocks, 64): the type-II DCT of every 8 x 8 block, ITU-T T.81, A.3.3; borders are repeated."""
    height, width = planes.shape[-2:]
    padded = pad(planes, (0, -width % 8, 0, -height % 8), mode="replicate")
    rows, columns = padded.shape[-2] // 8, padded.shape[-1] // 8
    blocks = padded.reshape(-1, rows, 8, columns, 8).transpose(2, 3).reshape(-1, 8, 8)
    basis = _basis(planes)
    return (basis @ blocks @ basis.T).reshape(-1, 64)


def inverse_block_dct(coefficients: Tensor, like: Tensor) -> Tensor:
    """The inverse of :func:`block_dct`; ``like`` is (N, C, H, W) of the result, sides multiples of 8."""
    rows, columns = like.shape[-2] // 8, like.shape[-1] // 8
    basis = _basis(like)
    blocks = basis.T @ coefficients.view(-1, 8, 8) @ basis
    return blocks.view(-1, rows, columns, 8, 8).transpose(2, 3).reshape(like.shape)


def _basis(like: Tensor) -> Tensor:
    place = torch.arange(8).to(like)
    basis = 0.5 * torch.cos((2.0 * place[None, :] + 1.0) * place[:, None] * math.pi / 16.0)
    basis[0] = math.sqrt(0.125)
    return basis
