"""A narrower F from a wider one: the channels that count most are kept, as where a training starts.

How much a channel counts is the first-order Taylor estimate of how the loss changes without it (Molchanov et al.,
Importance Estimation for Neural Network Pruning, CVPR 2019): the square of the sum of weight times gradient over all
weights that read the channel, meaned over pairs.
"""

from __future__ import annotations

from collections.abc import Iterable

import torch
from torch import nn

from pixelperfect_models.errors import UserError
from pixelperfect_models.networks.decoders import PyramidDecoder
from pixelperfect_models.networks.distortion_network import DistortionNetwork
from pixelperfect_models.networks.encoders import CompactEncoder
from pixelperfect_models.training.losses import map_loss

# What is along one axis of a weight: groups of channels, one after the other. Channels of one group are added to or
# multiplied with each other somewhere, so they are kept or left out together.
Axes = dict[tuple[str, int], list[str]]


def narrow(
    wide: DistortionNetwork,
    narrower: DistortionNetwork,
    pairs: Iterable[tuple[torch.Tensor, torch.Tensor, torch.Tensor]],
) -> None:
    """Fill ``narrower`` with the channels of ``wide`` that count most, in their order.

    Args:
        wide, narrower: networks of a compact encoder and a pyramid decoder with as many scales and blocks.
        pairs: (test (N, 3, S, S), ref (N, 3, S, S), target (N, K, S, S)) to measure by; N small, since what a channel
            does for one picture may cancel what it does for another.

    Raises:
        UserError: networks of other kinds, of other depths, or ``narrower`` is wider somewhere.
    """
    axes, other = _axes(wide), _axes(narrower)
    if axes != other or wide.channels != narrower.channels:
        raise UserError("narrowed_from: its network has other scales, blocks or maps; only widths may differ")
    sizes, wanted = _sizes(wide, axes), _sizes(narrower, axes)
    too_wide = [group for group, size in wanted.items() if size > sizes[group]]
    if too_wide:
        raise UserError(f"narrowed_from: {too_wide[0]} would be wider, {wanted[too_wide[0]]} of {sizes[too_wide[0]]}")
    counts = _importance(wide, axes, sizes, pairs)
    kept = {group: counts[group].topk(size).indices.sort().values for group, size in wanted.items()}
    state = dict(wide.state_dict())
    for (name, axis), groups in axes.items():
        starts = [sum(sizes[group] for group in groups[:index]) for index in range(len(groups))]
        places = torch.cat([kept[group] + start for group, start in zip(groups, starts, strict=True)])
        state[name] = state[name].index_select(axis, places)
    narrower.load_state_dict(state)


def _importance(
    network: DistortionNetwork,
    axes: Axes,
    sizes: dict[str, int],
    pairs: Iterable[tuple[torch.Tensor, torch.Tensor, torch.Tensor]],
) -> dict[str, torch.Tensor]:
    counts = {group: torch.zeros(size) for group, size in sizes.items()}
    weights = dict(network.named_parameters())
    for test, ref, target in pairs:
        network.zero_grad(set_to_none=True)
        with torch.enable_grad():
            map_loss(network(test, ref), target).backward()  # type: ignore[no-untyped-call]
        change = {group: torch.zeros(size) for group, size in sizes.items()}
        for (name, axis), groups in axes.items():
            weight = weights[name]
            if axis == 1 and weight.grad is not None:
                rest = [dim for dim in range(weight.dim()) if dim != axis]
                read = (weight.detach() * weight.grad).sum(rest)
                for group, part in zip(groups, read.split([sizes[group] for group in groups]), strict=True):
                    change[group] += part
        for group, total in change.items():
            counts[group] += total.square()
    network.zero_grad(set_to_none=True)
    return counts


def _axes(network: DistortionNetwork) -> Axes:
    """The groups along each axis of each weight that narrows."""
    encoder, decoder = network.encoder, network.decoder
    if type(encoder) is not CompactEncoder or type(decoder) is not PyramidDecoder:
        raise UserError("narrowed_from: only networks of a compact encoder and a pyramid decoder can be narrowed")
    axes: Axes = {}

    def convolution(name: str, out: str | None, read: list[str] | None, bias: bool = True) -> None:
        if out is not None:
            axes[f"{name}.weight", 0] = [out]
            if bias:
                axes[f"{name}.bias", 0] = [out]
        if read is not None:
            axes[f"{name}.weight", 1] = read

    def blocks(name: str, stages: nn.ModuleList, of: list[str]) -> None:
        for index, (stage, outer) in enumerate(zip(stages, of, strict=True)):
            for number in range(len(stage)):  # type: ignore[arg-type]
                here = f"{name}.{index}.{number}"
                convolution(f"{here}.first", here, [outer])
                convolution(f"{here}.second", outer, [here])

    scales = [f"encoder scale {index}" for index in range(len(encoder.reduce) + 1)]
    features = [[scales[index + 1], scales[index]] for index in range(len(encoder.reduce))]
    convolution("encoder.stem.filters", scales[0], None)
    for index in range(len(encoder.reduce)):
        convolution(f"encoder.reduce.{index}", scales[index + 1], scales[:1] if index == 0 else features[index - 1])
    blocks("encoder.stages", encoder.stages, scales[1:])

    trunk = [f"trunk {index}" for index in range(len(decoder.down))]
    merges = {"decoder.fine": "even"} | {f"decoder.merges.{i}": trunk[i] for i in range(len(decoder.merges))}
    for (name, even), read in zip(merges.items(), features, strict=True):
        axes[f"{name}.log_gain", 1] = read
        convolution(f"{name}.odd", "odd", read, bias=False)
        convolution(f"{name}.even", even, read + read)
    for index in range(len(decoder.enter)):
        convolution(f"decoder.enter.{index}", trunk[index], ["odd"])
    for index in range(len(trunk)):
        convolution(f"decoder.down.{index}", trunk[index], ["even", "odd"] if index == 0 else [trunk[index - 1]])
    blocks("decoder.stages", decoder.stages, trunk)
    for index in range(len(decoder.lateral)):
        convolution(f"decoder.lateral.{index}", trunk[0], [trunk[index + 1]])
    convolution("decoder.smooth", "even", [trunk[0]])
    convolution("decoder.gate", "odd", ["even"])
    convolution("decoder.direction", None, ["odd"], bias=False)
    convolution("decoder.magnitude", None, ["even"])
    return axes


def _sizes(network: DistortionNetwork, axes: Axes) -> dict[str, int]:
    weights = network.state_dict()
    return {groups[0]: weights[name].shape[axis] for (name, axis), groups in axes.items() if len(groups) == 1}
