"""Synthetic distortions of known type, place and intensity: the training data of the judges.

Public names: ``DISTORTIONS`` (the table of types), :class:`DistortionEngine` (training pairs and ordinal sets),
:func:`contact_sheet` (all of it as a picture). One type under an intensity map: :mod:`.render`.
"""

from __future__ import annotations

from pixelperfect_models.distortions.engine import DistortionEngine, OrdinalSet
from pixelperfect_models.distortions.sheet import contact_sheet
from pixelperfect_models.distortions.table import DISTORTIONS, Distortion

__all__ = ["DISTORTIONS", "Distortion", "DistortionEngine", "OrdinalSet", "contact_sheet"]
