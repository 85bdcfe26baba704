"""The map channels: which artefacts the distortion network tells apart.

Each of the engine's distortion types writes into one or two of these channels
(:mod:`pixelperfect_models.distortions.table`). A channel is what an engineer acts on: two types that call for
the same remedy share one. The order is the order of the K maps and is stored with the weights.
"""

from __future__ import annotations

CHANNEL_DOCS: dict[str, str] = {
    "blur": "loss of sharpness by defocus, motion or a smoothing kernel, edges included",
    "detail_loss": "fine texture smeared away while edges stay: over-smoothing denoisers, strong WebP/AVIF",
    "luma_noise": "random grey-level variation, white or correlated, impulses included",
    "chroma_noise": "random colour variation at constant lightness",
    "blocking": "visible block borders and lost or repeated blocks: JPEG, transmission errors",
    "ringing": "oscillation beside edges from quantised wavelet or transform coefficients",
    "banding": "contours in smooth gradients from too few tone levels",
    "oversharpening": "halos and exaggerated local contrast at edges",
    "aliasing": "stair-steps, moire, zipper edges and false colour from sampling and demosaicing",
    "color_shift": "a cast from wrong white balance; signed, more is warmer",
    "exposure": "too dark or too bright; signed, more is brighter",
    "contrast": "tone curve too steep or too flat, wrong gamma; signed, more is steeper",
    "saturation": "colours too vivid or too dull; signed, more is more vivid",
    "chromatic_aberration": "colour fringes from channels scaled or shifted against each other",
    "ghosting": "doubled or displaced content: misregistration, merged motion",
}

CHANNELS: tuple[str, ...] = tuple(CHANNEL_DOCS)
"""The K channel names, in the order of the maps."""

SIGNED_CHANNELS: frozenset[str] = frozenset({"color_shift", "exposure", "contrast", "saturation"})
"""Channels whose maps say which way a picture differs, not which picture is worse.

A map must change sides when the pictures swap. Of two pictures one is brighter, but nothing in them says whether that
one is too bright or the other too dark; so above 0.5 means brighter (steeper, more vivid, warmer) than the reference,
and penalties mind both directions.
"""
