"""The page docs/perceptual_training.md from the figures of benchmarks/perceptual_training.py."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

import numpy as np

from pixelperfect_models.evaluation.classical import METRICS, TITLES

JUDGE = {
    "judge_difference": "difference",
    "map_luma_noise": "map: luma noise",
    "map_chroma_noise": "map: chroma noise",
    "map_blur": "map: blur",
    "map_detail_loss": "map: detail loss",
}
"""The judge's own figures and what they are called; lower is better."""
_RESAMPLES = 10_000

_HEAD = """# L1 alone against L1 and the judge, at equal training time

    {command}

{network}, trained from nothing by L1 alone and by L1 plus 0.01 x
`PerceptualLoss` (at every second step), each for {seconds:g} s of processor time, the judge's included:
{steps} steps. Seeds: {seeds}; the same first weights, crops
and noise for both. Judged on {count} photos that were never trained on nor chosen by (Kodak, CID22's validation part),
256 x 256 centre crops, the networks' outputs rounded to 8 bits. Means over pictures and seeds; *gain* is how much
better the network trained through the judge is (its sign turned where lower is better), with a 95 % bootstrap interval
over the pictures; *better on* counts pictures. *L1, as many steps*: L1 alone with as many steps as the judge's network
had time for, which takes less time; what the judge's network does better or worse than that is the judge's doing.

"""


def document(result: dict[str, Any], assumed: Sequence[str], unseen: Sequence[str], head: dict[str, str]) -> str:
    """The page. ``head``: what the heading says of command and network."""
    figures = result["figures"]
    seeds = len(figures["l1"])
    steps = " and ".join(
        f"{', '.join(str(made) for made in result['steps'][arm])} ({title})"
        for arm, title in (("l1", "L1"), ("perceptual", "L1 + judge"))
    )
    text = _HEAD.format(**head, seconds=result["seconds"], steps=steps, seeds=seeds, count=len(result["pictures"]))
    groups = (
        ("The metrics that the issue names (the scoring network learned its order of pictures from these)", assumed),
        ("Metrics that nothing in the judge was trained with", unseen),
        ("The judge itself (trained with; lower is better)", tuple(JUDGE)),
    )
    for title, names in groups:
        text += f"**{title}**\n\n| metric | noisy | L1 | L1 + judge | gain | better on | L1, as many steps |\n"
        text += "|---|---|---|---|---|---|---|\n"
        text += "".join(_row(name, figures) for name in names) + "\n"
    return text.rstrip() + "\n"


def gains(name: str, figures: dict[str, Any]) -> np.ndarray:
    """How much better the judge's network is, a picture each (P,), mean over seeds."""
    l1, perceptual = (np.mean([row[name] for row in figures[arm]], axis=0) for arm in ("l1", "perceptual"))
    sign = METRICS[name][1] if name in METRICS else -1
    return np.asarray(sign * (perceptual - l1))


def interval(values: np.ndarray) -> tuple[float, float]:
    """95 % bootstrap interval of the mean of ``values`` (P,)."""
    rng = np.random.default_rng(0)
    means = values[rng.integers(len(values), size=(_RESAMPLES, len(values)))].mean(axis=1)
    return float(np.quantile(means, 0.025)), float(np.quantile(means, 0.975))


def _row(name: str, figures: dict[str, Any]) -> str:
    means = [float(np.mean([row[name] for row in figures[arm]])) for arm in ("noisy", "l1", "perceptual")]
    gain = gains(name, figures)
    low, high = interval(gain)
    lower = " (lower)" if name in METRICS and METRICS[name][1] < 0 else ""
    title = JUDGE.get(name) or TITLES[name] + lower
    cells = [f"{mean:.4g}" for mean in means]
    cells += [f"{gain.mean():+.2g} ({low:+.2g} to {high:+.2g})", f"{int((gain > 0).sum())} of {len(gain)}"]
    cells.append(f"{float(np.mean([row[name] for row in figures['l1_as_many_steps']])):.4g}")
    return f"| {title} | " + " | ".join(cells) + " |\n"
