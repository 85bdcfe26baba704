"""Encoders: one picture to features at several scales. Both pictures of a pair go through the same one."""

from __future__ import annotations

from collections.abc import Sequence
from itertools import pairwise
from typing import Any

import timm
import torch
import torch.nn.functional as nnf
from torch import nn

from pixelperfect_models.errors import UserError, suggest
from pixelperfect_models.networks.antisymmetric import at_least_float32


class ResidualBlock(nn.Module):
    """Two dense 3 x 3 convolutions with a skip: (N, width, H, W) in and out."""

    def __init__(self, width: int) -> None:
        super().__init__()
        self.first = nn.Conv2d(width, width, 3, padding=1)
        self.second = nn.Conv2d(width, width, 3, padding=1)
        # Starting as the identity keeps the deep stack trainable without normalisation, whose batch or picture
        # statistics would make a map depend on far-away content.
        nn.init.zeros_(self.second.weight)
        nn.init.zeros_(self.second.bias)  # type: ignore[arg-type]

    def forward(self, x: torch.Tensor) -> torch.Tensor:
        return x + self.second(nnf.relu(self.first(nnf.relu(x))))


class CompactEncoder(nn.Module):
    """Pixel-unshuffle by two, then dense 3 x 3 convolutions: fast on a CPU for what it computes.

    Args:
        widths: channels at strides 2, 4, 8, ...; one entry a scale.
        blocks: residual blocks at each scale.

    Input (N, 3, H, W) in [0, 1], sides a multiple of ``stride``; output one (N, 2 * widths[i], H / 2^(i+1), ...)
    each: the features, and the local log-energy of each.
    """

    def __init__(self, widths: Sequence[int] = (24, 40), blocks: Sequence[int] = (0, 1)) -> None:
        super().__init__()
        if len(widths) != len(blocks):
            raise UserError(f"encoder: {len(widths)} widths but {len(blocks)} block counts")
        self.channels = tuple(2 * width for width in widths)
        self.stride = 2 ** len(widths)
        self.stem = nn.Conv2d(12, widths[0], 3, padding=1)
        # Each scale is reduced together with the local log-energy of the scale before: noise, blur and texture
        # differ in energy, over orders of magnitude, long before they differ in anything a few layers can see.
        self.reduce = nn.ModuleList(nn.Conv2d(2 * a, b, 3, stride=2, padding=1) for a, b in pairwise(widths))
        self.stages = nn.ModuleList(
            nn.Sequential(*(ResidualBlock(width) for _ in range(count)))
            for width, count in zip(widths, blocks, strict=True)
        )

    def forward(self, image: torch.Tensor) -> list[torch.Tensor]:
        x = self.stages[0](self.stem(nnf.pixel_unshuffle(image * 2.0 - 1.0, 2)))
        energy = _log_energy(x)
        features = [torch.cat([x, energy], dim=1)]
        for reduce, stage in zip(self.reduce, self.stages[1:], strict=False):
            x = stage(reduce(torch.cat([nnf.relu(x), energy], dim=1)))
            energy = _log_energy(x)
            features.append(torch.cat([x, energy], dim=1))
        return features


def _log_energy(x: torch.Tensor) -> torch.Tensor:
    """Log of the energy of each channel in 3 x 3 neighbourhoods, roughly in [-1, 1]; (N, C, H, W) in and out."""
    energy = nnf.avg_pool2d(at_least_float32(x).square(), 3, stride=1, padding=1, count_include_pad=False)
    # The floor is that of 8-bit rounding, (1 / 255)^2 / 12 in the units of the input.
    return 0.15 * torch.log(energy + 5e-6) + 0.5


class TimmEncoder(nn.Module):
    """Any timm ``features_only`` model by name, for example ``swinv2_tiny_window8_256``.

    Weights start at random unless the configuration's ``pretrained`` says otherwise (which needs a network). A
    stem of 3 x 3 convolutions at stride 2 is added before it: transformer patch embeddings start at stride 4 and
    lose the fine grain that noise and aliasing live in.
    """

    def __init__(self, model: str, pretrained: bool = False, stem_width: int = 24, **options: Any) -> None:
        super().__init__()
        known = timm.list_models()
        if model not in known:
            raise UserError(f"encoder model: timm knows no '{model}'{suggest(model, known)}")
        if "swin" in model:
            options = {"strict_img_size": False, **options}
        try:
            self.body = timm.create_model(model, features_only=True, pretrained=pretrained, **options)
        except (RuntimeError, TypeError, AttributeError) as error:
            raise UserError(f"encoder model {model}: timm cannot use it as features_only ({error})") from error
        self.fine = nn.Sequential(nn.Conv2d(12, stem_width, 3, padding=1), ResidualBlock(stem_width))
        self.channels = (stem_width, *self.body.feature_info.channels())
        self.reductions = tuple(self.body.feature_info.reduction())
        # Window attention pads inside timm, but patch merging wants sides that divide to the last scale.
        self.stride = max(self.reductions)

    def forward(self, image: torch.Tensor) -> list[torch.Tensor]:
        x = image * 2.0 - 1.0
        features = [self.fine(nnf.pixel_unshuffle(x, 2))]
        for channels, feature in zip(self.channels[1:], self.body(x), strict=True):
            nhwc = feature.shape[-1] == channels and feature.shape[1] != channels
            features.append(feature.permute(0, 3, 1, 2).contiguous() if nhwc else feature)
        return features


ENCODERS: dict[str, type[CompactEncoder] | type[TimmEncoder]] = {"compact": CompactEncoder, "timm": TimmEncoder}
