"""Encoders: one picture to features at several scales. Both pictures of a pair go through the same one."""

from __future__ import annotations

import hashlib
from collections.abc import Sequence
from itertools import pairwise
from pathlib import Path
from typing import Any

import timm
import torch
import torch.nn.functional as nnf
from safetensors.torch import load_file
from torch import nn

from pixelperfect_models.errors import UserError, suggest
from pixelperfect_models.networks import stem
from pixelperfect_models.networks.energy import joined, log_energy, log_energy_and_positive


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


class FineStem(nn.Module):
    """Learned 6 x 6 filters at stride 2 and, at stride 4, the local log-energy of their answers.

    Noise, blur and texture differ in energy, over orders of magnitude, long before they differ in anything a few
    layers can see; and the finest grain must be measured before anything is averaged.
    """

    def __init__(self, width: int) -> None:
        super().__init__()
        self.filters = stem.filters(width)

    def forward(self, image: torch.Tensor) -> tuple[torch.Tensor, torch.Tensor]:
        """(N, 3, H, W) in [0, 1], even sides, to (N, width, H / 2, W / 2) and (N, width, H / 4, W / 4)."""
        x = self.filtered(image)
        return x, log_energy(x)

    def filtered(self, image: torch.Tensor) -> torch.Tensor:
        """The first of these."""
        return stem.filtered(image, self.filters)


class CompactEncoder(nn.Module):
    """Dense 3 x 3 convolutions, each scale reading the scale before and its energy: fast on a CPU for what it computes.

    Args:
        widths: channels at strides 2, 4, 8, ...; at least two entries.
        blocks: residual blocks at each scale from stride 4 on.

    Input (N, 3, H, W) in [0, 1], sides a multiple of ``stride``; output from stride 4 on one
    (N, widths[i] + widths[i - 1], H / 2^(i + 1), ...) each: the features, and the local log-energy of the scale before.
    """

    def __init__(self, widths: Sequence[int] = (16, 24, 48), blocks: Sequence[int] = (0, 0)) -> None:
        super().__init__()
        if len(widths) != len(blocks) + 1 or len(widths) < 2:
            raise UserError(f"encoder: {len(widths)} widths and {len(blocks)} blocks; expected one block count fewer")
        self.channels = tuple(a + b for a, b in pairwise(widths))
        self.stride = 2 ** len(widths)
        self.stem = FineStem(widths[0])
        reads = (widths[0], *self.channels[:-1])
        self.reduce = nn.ModuleList(
            nn.Conv2d(a, b, 3, stride=2, padding=1) for a, b in zip(reads, widths[1:], strict=True)
        )
        self.stages = nn.ModuleList(
            nn.Sequential(*(ResidualBlock(width) for _ in range(count)))
            for width, count in zip(widths[1:], blocks, strict=True)
        )

    def forward(self, image: torch.Tensor) -> list[torch.Tensor]:
        x = self.stem.filtered(image)
        energy, read = log_energy_and_positive(x)
        features: list[torch.Tensor] = []
        for reduce, stage in list(zip(self.reduce, self.stages, strict=True))[:-1]:
            x = stage(reduce(read))
            feature, read = joined(x, energy)
            features.append(feature)
            energy = log_energy(x)
        x = self.stages[-1](self.reduce[-1](read))
        return [*features, torch.cat([x, energy.to(x.dtype)], dim=1)]

    def reaches(self) -> tuple[int, ...] | None:
        """For the features at strides 4, 8, ...: how many pixels away the picture can still move one, at most."""
        # Counted from pixel i * stride, of which feature i is; a 3 x 3 convolution over features ``step`` pixels apart
        # adds ``step``, the 4 x 4 pooling of the energy twice that. The 6 x 6 stem reads pixels 2 i - 2 to 2 i + 3.
        here, step, energy = 3, 2, 0
        reaches: list[int] = []
        for index, stage in enumerate(self.stages):
            read = here if index == 0 else max(here, energy)
            energy = here + 2 * step
            here = read + step
            step *= 2
            here += 2 * step * len(stage)  # type: ignore[arg-type]
            reaches.append(max(here, energy))
        return tuple(reaches)


class TimmEncoder(nn.Module):
    """Any timm ``features_only`` model by name, for example ``swinv2_tiny_window8_256``.

    Weights start at random unless the configuration's ``pretrained`` says otherwise (which needs a network), or
    :meth:`load_body` is called. A :class:`FineStem` stands beside it: transformer patch embeddings start at stride 4
    and lose the fine grain that noise and aliasing live in.
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
        reductions = tuple(self.body.feature_info.reduction())
        # A convolutional body's stride-2 features are left out: the stem stands in for them.
        self.skip = sum(1 for reduction in reductions if reduction < 4)
        self.stem = FineStem(stem_width)
        self.down = nn.Conv2d(stem_width, stem_width, 3, stride=2, padding=1)
        widths = self.body.feature_info.channels()[self.skip :]
        self.channels = (widths[0] + 2 * stem_width, *widths[1:])
        # Window attention pads inside timm, but patch merging wants sides that divide to the last scale.
        self.stride = max(reductions)

    def forward(self, image: torch.Tensor) -> list[torch.Tensor]:
        x, energy = self.stem(image)
        features: list[torch.Tensor] = []
        infos = self.body.feature_info.channels()
        found = self.body((image * 2.0 - 1.0).contiguous(memory_format=torch.channels_last))
        for channels, feature in list(zip(infos, found, strict=True))[self.skip :]:
            nhwc = feature.shape[-1] == channels and feature.shape[1] != channels
            features.append(feature.permute(0, 3, 1, 2).contiguous() if nhwc else feature)
        features[0] = torch.cat([features[0], self.down(nnf.relu(x)), energy.to(features[0].dtype)], dim=1)
        return features

    def load_body(self, file: Path) -> str:
        """Start the body from a safetensors file of the same timm model; its SHA-256.

        What the file holds beyond the body, such as a classifier, is left out. Raises UserError for a file that lacks
        any of the body's weights, or holds them in other shapes.
        """
        if not file.is_file():
            raise UserError(f"{file}: no such weights file")
        stored, own = load_file(file), self.body.state_dict()
        wrong = [name for name, value in own.items() if name not in stored or stored[name].shape != value.shape]
        if wrong:
            raise UserError(f"{file}: {len(wrong)} weights of the encoder are missing or of another shape: {wrong[0]}")
        self.body.load_state_dict({name: stored[name] for name in own})
        return hashlib.sha256(file.read_bytes()).hexdigest()

    def reaches(self) -> tuple[int, ...] | None:
        """None: attention and normalisation over windows or whole pictures have no bound that is worth a tile."""
        return None


ENCODERS: dict[str, type[CompactEncoder] | type[TimmEncoder]] = {"compact": CompactEncoder, "timm": TimmEncoder}
