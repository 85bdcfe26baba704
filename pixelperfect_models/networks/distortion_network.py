"""F(test, ref): one map a distortion channel, anti-symmetric by construction."""

from __future__ import annotations

import math
from collections.abc import Sequence

import torch
import torch.nn.functional as nnf
from torch import nn

from pixelperfect_models.channels import CHANNELS
from pixelperfect_models.networks import inference
from pixelperfect_models.networks.antisymmetric import at_least_float32
from pixelperfect_models.networks.decoders import MaskAttentionDecoder, PyramidDecoder
from pixelperfect_models.networks.encoders import CompactEncoder, TimmEncoder
from pixelperfect_models.networks.enlarge import enlarge_by_four


class DistortionNetwork(nn.Module):
    """Siamese encoder and odd/even decoder.

    Args:
        encoder: gives features at strides 4, 8, ...
        decoder: gives logits at stride 4.
        channels: names of the K maps.
    """

    def __init__(
        self,
        encoder: CompactEncoder | TimmEncoder,
        decoder: PyramidDecoder | MaskAttentionDecoder,
        channels: Sequence[str] = CHANNELS,
    ) -> None:
        super().__init__()
        self.encoder = encoder
        self.decoder = decoder
        self.channels = tuple(channels)

    def encode(self, image: torch.Tensor) -> list[torch.Tensor]:
        """Features of (N, 3, H, W) in [0, 1], any H, W >= 16; borders are replicated up to the encoder's stride."""
        stride = self.encoder.stride
        bottom, right = -image.shape[-2] % stride, -image.shape[-1] % stride
        if bottom or right:
            image = nnf.pad(image, (0, right, 0, bottom), mode="replicate")
        return self.encoder(image)

    def decode(self, test: list[torch.Tensor], ref: list[torch.Tensor]) -> torch.Tensor:
        """Logits (N, K, h, w) at stride 4 of the padded pictures; a reference batch of one serves every test."""
        count = test[0].shape[0]
        if ref[0].shape[0] != count:
            ref = [feature.expand(count, -1, -1, -1) for feature in ref]
        if inference.decodes(self.decoder, [*test, *ref]):
            assert isinstance(self.decoder, PyramidDecoder)
            return inference.decode(self.decoder, test, ref)
        return self.decoder(test, ref)

    def to_maps(self, logits: torch.Tensor, size: tuple[int, int]) -> torch.Tensor:
        """Logits at stride 4 to maps (N, K, H, W) in [0, 1] for pictures of ``size`` (H, W)."""
        return self.enlarge(self.coarse(logits), size)

    def coarse(self, logits: torch.Tensor) -> torch.Tensor:
        """Logits at stride 4 to maps in [0, 1] at stride 4, float32 (or float64)."""
        return torch.sigmoid(at_least_float32(logits))

    def enlarge(self, coarse: torch.Tensor, size: tuple[int, int]) -> torch.Tensor:
        """Maps at stride 4 to maps (N, K, H, W) for pictures of ``size`` (H, W), bilinearly."""
        # The sigmoid came first: it is 16 times cheaper there, and interpolation keeps maps(a, b) = 1 - maps(b, a).
        return enlarge_by_four(coarse)[..., : size[0], : size[1]]

    @property
    def grid(self) -> int:
        """Pixels after which the network's strides and upsamplings repeat: tiles begin on multiples of it."""
        return math.lcm(self.encoder.stride, self.decoder.grid)

    @property
    def reach(self) -> int | None:
        """How many pixels away a picture can move a map, at most; None where there is no bound."""
        features = self.encoder.reaches()
        logits = None if features is None else self.decoder.reach(features)
        return None if logits is None else logits + 4  # what enlarging adds

    def forward(self, test: torch.Tensor, ref: torch.Tensor) -> torch.Tensor:
        """Maps (N, K, H, W) of two batches (N, 3, H, W) in [0, 1]."""
        logits = self.decode(self.encode(test), self.encode(ref))
        return self.to_maps(logits, (test.shape[-2], test.shape[-1]))
