"""Training of the two networks from folders of pristine photos, without any human label."""

from __future__ import annotations

from pixelperfect_models.training.distortion import train_distortion
from pixelperfect_models.training.score import train_score

__all__ = ["train_distortion", "train_score"]
