"""The two networks: F (distortion maps) and S (relational score), and how a configuration becomes them."""

from __future__ import annotations

from pixelperfect_models.networks.build import build_distortion_network, build_scoring_network
from pixelperfect_models.networks.distortion_network import DistortionNetwork
from pixelperfect_models.networks.scoring_network import ScoringNetwork

__all__ = ["DistortionNetwork", "ScoringNetwork", "build_distortion_network", "build_scoring_network"]
