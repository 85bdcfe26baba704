"""A judge without networks: deterministic, differentiable, exact, for tests of everything around the judge."""

from __future__ import annotations

from dataclasses import dataclass

import torch
import torch.nn.functional as nnf

from pixelperfect_models.channels import CHANNELS

SCALE = 100.0


@dataclass(frozen=True)
class FakeReference:
    """A prepared reference."""

    image: torch.Tensor


class FakeJudge:
    """score = -SCALE * MSE; maps from local means (exposure), gradients (blur) and variation (luma_noise).

    Anti-symmetric maps: ``maps(a, b) = 1 - maps(b, a)``. The score is 0 for equal pictures. ``prepared`` counts
    how many references were encoded.
    """

    types = CHANNELS

    def __init__(self) -> None:
        self.prepared = 0

    def prepare(self, ref: torch.Tensor) -> FakeReference:
        self.prepared += 1
        return FakeReference(ref.detach())

    def judge(self, test: torch.Tensor, ref: torch.Tensor | FakeReference) -> tuple[torch.Tensor, torch.Tensor]:
        image = ref.image if isinstance(ref, FakeReference) else ref
        score = -SCALE * (test - image).square().mean((1, 2, 3))
        maps = torch.full((test.shape[0], len(CHANNELS), *test.shape[-2:]), 0.5)
        for name, signed in (
            ("exposure", _mean(test) - _mean(image)),
            ("blur", _detail(image) - _detail(test)),
            ("luma_noise", _detail(test) - _detail(image)),
        ):
            channel = torch.zeros(len(CHANNELS))
            channel[CHANNELS.index(name)] = 0.5
            maps = maps + channel.view(1, -1, 1, 1) * signed.clamp(-1.0, 1.0)
        return maps, score

    def maps(self, test: torch.Tensor, ref: torch.Tensor | FakeReference) -> torch.Tensor:
        return self.judge(test, ref)[0]

    def score(self, test: torch.Tensor, ref: torch.Tensor | FakeReference) -> torch.Tensor:
        return self.judge(test, ref)[1]

    def difference(self, test: torch.Tensor, ref: torch.Tensor | FakeReference) -> torch.Tensor:
        image = ref.image if isinstance(ref, FakeReference) else ref
        return (test - image).abs().mean((1, 2, 3))


def _mean(image: torch.Tensor) -> torch.Tensor:
    return nnf.avg_pool2d(image.mean(1, keepdim=True), 5, stride=1, padding=2, count_include_pad=False)


def _detail(image: torch.Tensor) -> torch.Tensor:
    grey = image.mean(1, keepdim=True)
    return nnf.avg_pool2d((grey - _mean(image)).abs(), 5, stride=1, padding=2, count_include_pad=False)
