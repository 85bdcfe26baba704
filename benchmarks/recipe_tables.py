"""docs/recipes.md as text; see benchmarks/recipes.py."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

from pixelperfect_models.evaluation.classical import METRICS, TITLES


def wins(row: dict[str, Any], names: Sequence[str]) -> int:
    """By how many of the metrics the tuned parameters beat the start."""
    return sum(METRICS[name][1] * (row["best"][name] - row["start"][name]) > 0 for name in names)


def document(rows: dict[str, Any], names: Sequence[str], limit: float) -> str:
    """The page: one line a recipe, start and best by every metric, means over pictures the search did not see."""
    heads = [f"{TITLES[name]} {'(lower)' if METRICS[name][1] < 0 else ''}".strip() for name in names]
    lines = [
        "# Every recipe, on pictures it did not see",
        "",
        "    python benchmarks/recipes.py",
        "",
        "Each recipe is run by `tuner run` as it ships (two CPU cores; within five minutes is the aim). The best",
        "parameters and those it started from then work on pictures that the search did not see, and are judged by",
        "metrics it did not use: start → best, means. *better*: by how many of the four. A codec starts from its",
        "defaults, at the bits that the best takes on these pictures (marked =): their quality is moved until they",
        "take as many, by halving. Of a Pareto front the best setting at no more than the start's bytes is taken.",
        "",
        "| recipe | pipeline | trials | s | objective | pictures | " + " | ".join(heads) + " | bits a pixel | better |",
        "|---|---|---|---|---|---|" + "---|" * (len(names) + 2),
    ]
    for name, row in rows.items():
        start, best = row["start"], row["best"]
        cells = [f"{start[metric]:.4g} → {best[metric]:.4g}" for metric in names]
        bits = f"{start['bits_per_pixel']:.3f} → {best['bits_per_pixel']:.3f}" if "bits_per_pixel" in start else ""
        if row.get("equal_bits"):
            bits = f"= {best['bits_per_pixel']:.3f}"
        late = "" if row["seconds"] <= limit else " (late)"
        value = " → ".join(f"{number:.3f}" for number in row["value"])
        head = [f"`{name}`", f"`{row['pipeline']}`", str(row["trials"]), f"{row['seconds']:.0f}{late}", value]
        tail = [bits, f"{wins(row, names)} of {len(names)}"]
        lines.append("| " + " | ".join([*head, str(row["held_out"]), *cells, *tail]) + " |")
    return "\n".join(lines) + "\n"
