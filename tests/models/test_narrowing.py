"""A narrower network keeps the channels that count, and learns from a teacher."""

from __future__ import annotations

import hashlib
import json
from pathlib import Path

import pytest
import torch
from torch import nn

from pixelperfect_models.errors import UserError
from pixelperfect_models.networks import DistortionNetwork, build_distortion_network
from pixelperfect_models.training import train_distortion
from pixelperfect_models.training.config import load_config
from pixelperfect_models.training.narrowing import narrow
from tests.models.test_training import QUIET, tiny_config

WIDE = ([8, 12, 10], 12, [12, 16])
NARROW = ([4, 6, 7], 5, [8, 9])


def network(
    widths: list[int], width: int, trunk: list[int], blocks: tuple[int, int] = (1, 1), seed: int = 0
) -> DistortionNetwork:
    torch.manual_seed(seed)
    encoder = {"kind": "compact", "widths": widths, "blocks": [1, 0]}
    built = build_distortion_network(encoder, {"kind": "pyramid", "width": width, "trunk": trunk, "blocks": blocks})
    for module in built.modules():  # residual blocks start as the identity, magnitudes near nothing
        if isinstance(module, nn.Conv2d):
            nn.init.normal_(module.weight, std=(module.in_channels * module.kernel_size[0] ** 2) ** -0.5)
    return built.eval()


def pairs(count: int = 3, seed: int = 1) -> list[tuple[torch.Tensor, torch.Tensor, torch.Tensor]]:
    generator = torch.Generator().manual_seed(seed)
    shapes = [(1, 3, 32, 32), (1, 3, 32, 32), (1, len(network(*NARROW).channels), 32, 32)]
    return [tuple(torch.rand(shape, generator=generator) for shape in shapes) for _ in range(count)]  # type: ignore


def quiet_channels(wide: DistortionNetwork, narrower: DistortionNetwork, seed: int) -> None:
    """Of every group of ``wide`` let nobody read a random choice of channels, as many as ``narrower`` lacks."""
    generator = torch.Generator().manual_seed(seed)
    encoder, decoder, small = wide.encoder, wide.decoder, narrower.decoder

    def choice(has: int, keeps: int) -> torch.Tensor:
        mask = torch.zeros(has)
        mask[torch.randperm(has, generator=generator)[:keeps]] = 1.0
        return mask

    def read(convolution: nn.Conv2d, *masks: torch.Tensor) -> None:
        convolution.weight.data *= torch.cat(masks)[None, :, None, None]

    scales = [choice(a, b) for a, b in zip(WIDE[0], NARROW[0], strict=True)]
    odd, even = choice(WIDE[1], NARROW[1]), choice(WIDE[1], NARROW[1])
    trunk = [choice(a, b) for a, b in zip(WIDE[2], NARROW[2], strict=True)]
    read(encoder.reduce[0], scales[0])
    read(encoder.reduce[1], scales[1], scales[0])
    read(encoder.stages[0][0].first, scales[1])
    for merge, features in zip([decoder.fine, *decoder.merges], [scales[1::-1], scales[:0:-1]], strict=True):
        read(merge.odd, *features)
        read(merge.even, *features, *features)
    read(decoder.enter[0], odd)
    read(decoder.down[0], even, odd)
    read(decoder.down[1], trunk[0])
    for stage, mask in zip(decoder.stages, trunk, strict=True):
        read(stage[0].first, mask)
    read(decoder.lateral[0], trunk[1])
    read(decoder.smooth, trunk[0])
    read(decoder.gate, even)
    read(decoder.direction, odd)
    read(decoder.magnitude, even)
    for part, other in ((encoder.stages[0][0], narrower.encoder.stages[0][0]),
                        *((a[0], b[0]) for a, b in zip(decoder.stages, small.stages, strict=True))):  # fmt: skip
        read(part.second, choice(part.second.in_channels, other.second.in_channels))


@pytest.mark.parametrize("seed", range(3))
def test_what_nobody_reads_is_left_out_and_the_maps_stay_as_they_were(seed: int) -> None:
    wide, narrower = network(*WIDE, seed=seed), network(*NARROW, seed=9)
    quiet_channels(wide, narrower, seed)
    narrow(wide, narrower, pairs(16))  # a channel may be shut by its rectifier in a few pictures
    with torch.no_grad():
        for test, ref, _ in pairs(16):
            before, after = wide(test, ref), narrower(test, ref)
            assert (before - 0.5).abs().max() > 0.05
            torch.testing.assert_close(after, before, atol=2e-5, rtol=0)


@pytest.mark.parametrize(
    ("narrower", "message"),
    [
        (network([4, 6, 7], 13, [8, 9]), "odd would be wider, 13 of 12"),
        (network([4, 6, 7], 5, [8, 9], (1, 0)), "other scales, blocks or maps"),
    ],
)
def test_refuses_networks_that_are_not_the_same_but_narrower(narrower: DistortionNetwork, message: str) -> None:
    with pytest.raises(UserError, match=message):
        narrow(network(*WIDE), narrower, pairs())


def test_training_of_a_narrower_network_under_a_teacher(tmp_path: Path) -> None:
    taught = {"narrowed_from": "shipped", "teacher": "shipped", "teacher_share": 0.5, "steps": 2}
    config = tiny_config(tmp_path, **taught)  # type: ignore[arg-type]
    with pytest.raises(UserError, match="only widths may differ"):
        train_distortion(config, tmp_path / "out", console=QUIET)
    first = train_distortion(tiny_config(tmp_path, steps=2), tmp_path / "first", console=QUIET)
    taught |= {"narrowed_from": str(tmp_path / "first"), "teacher": str(tmp_path / "first"), "teacher_share": 1.0}
    # Narrowed to its own widths it is its own teacher: there is nothing to learn.
    second = train_distortion(tiny_config(tmp_path, **taught), tmp_path / "second", console=QUIET)  # type: ignore
    card = json.loads(second.with_suffix(".json").read_text())
    sha256 = hashlib.sha256(first.read_bytes()).hexdigest()
    assert card["started_from"] == card["taught_by"] == sha256
    assert json.loads(first.with_suffix(".json").read_text())["taught_by"] is None
    assert card["metrics"]["train_loss"] < 1e-6


@pytest.mark.parametrize(
    ("changes", "message"),
    [
        ({"teacher": "shipped"}, "teacher_share: neither does anything alone"),
        ({"teacher_share": 0.5}, "teacher_share: neither does anything alone"),
        ({"start_from": "shipped", "narrowed_from": "shipped"}, "expected one of them"),
    ],
)
def test_settings_that_contradict_each_other_are_refused(
    tmp_path: Path, changes: dict[str, object], message: str
) -> None:
    with pytest.raises(UserError, match=message):
        load_config(tiny_config(tmp_path, **changes))  # type: ignore[arg-type]
