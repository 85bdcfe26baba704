"""From a configuration's ``network`` section to a network."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Any

from pixelperfect_models.channels import CHANNELS
from pixelperfect_models.errors import UserError, suggest
from pixelperfect_models.networks.decoders import DECODERS
from pixelperfect_models.networks.distortion_network import DistortionNetwork
from pixelperfect_models.networks.encoders import ENCODERS
from pixelperfect_models.networks.scoring_network import ScoringNetwork


def build_distortion_network(
    encoder: Mapping[str, Any], decoder: Mapping[str, Any], channels: Sequence[str] = CHANNELS
) -> DistortionNetwork:
    """Build F with random weights.

    Args:
        encoder: ``kind`` (a key of ENCODERS) and that class's arguments.
        decoder: ``kind`` (a key of DECODERS) and that class's arguments.
        channels: names of the K maps.

    Raises:
        UserError: an unknown kind, argument or timm model.
    """
    trunk = _construct("encoder", encoder, ENCODERS)
    head = _construct("decoder", decoder, DECODERS, channels=trunk.channels, types=len(channels))
    return DistortionNetwork(trunk, head, channels)


def build_scoring_network(options: Mapping[str, Any]) -> ScoringNetwork:
    """Build S with random weights. Raises UserError on an unknown option."""
    try:
        return ScoringNetwork(**options)
    except TypeError as error:
        raise UserError(f"score network: {error}") from None


def _construct(part: str, options: Mapping[str, Any], table: Mapping[str, Any], **given: Any) -> Any:
    arguments = dict(options)
    kind = arguments.pop("kind", None)
    if kind not in table:
        raise UserError(
            f"{part} kind: '{kind}' is unknown, expected one of {', '.join(table)}{suggest(str(kind), table)}"
        )
    try:
        return table[kind](**given, **arguments)
    except TypeError as error:
        raise UserError(f"{part} '{kind}': {error}") from None
