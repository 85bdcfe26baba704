"""docs/recipes.md as text; see benchmarks/recipes.py."""

from __future__ import annotations

from typing import Any

from pixelperfect_models.evaluation.classical import METRICS, TITLES

TEACHERS = ("vsi", "mdsi", "haarpsi", "psnr")
"""The metrics that count. The judge's training pictures were put in order by them, among others (docs/judges.md)."""
OTHERS = ("ssim", "fsim")
"""Metrics that the judge was not taught by; they do not count."""
LIMIT_S = 300.0
"""A recipe is to be done within five minutes."""

INTRODUCTION = """\
# Every recipe, on pictures it did not see

    python benchmarks/recipes.py

Each recipe is run by `tuner run` as it ships (two CPU cores; it is to be done within five minutes). The best
parameters and those it started from then work on pictures that the search did not see, and are compared by
metrics that the search did not use: start → best, means. *better*: by how many of VSI, MDSI, HaarPSI and PSNR.
A codec starts from its defaults, at the bits that the best takes on these pictures (marked =): their quality
is moved until they take as many, by halving. Of a Pareto front the best setting at no more than the start's
bytes is taken.

Those four are not independent of the judge: the strength of its training distortions was set by them, and they
belong to the teacher that put its training pictures in order ([judges.md](judges.md)). So *better* says that
tuning does on other pictures what the judge was taught, not that a metric unknown to it agrees. SSIM and FSIMc
were in neither, though the teacher looks at local contrast too, as SSIM does. They do not count in *better*; an
empty cell has not been measured yet.

A row that loses PSNR trades it for the others: the judge minds texture and structure, while PSNR likes smooth
pictures.
"""
"""What docs/recipes.md says above its table."""


def wins(row: dict[str, Any]) -> int:
    """By how many of the metrics that count the tuned parameters beat the start."""
    return sum(METRICS[name][1] * (row["best"][name] - row["start"][name]) > 0 for name in TEACHERS)


def document(rows: dict[str, Any]) -> str:
    """docs/recipes.md: one line a recipe, start and best by every metric, means over pictures the search did not see.

    A metric that a row lacks, from before it was measured, has an empty cell.
    """
    names = TEACHERS + OTHERS
    heads = [f"{TITLES[name]} {'(lower)' if METRICS[name][1] < 0 else ''}".strip() for name in names]
    lines = [
        *INTRODUCTION.splitlines(),
        "",
        "| recipe | pipeline | trials | s | objective | pictures | " + " | ".join(heads) + " | bits a pixel | better |",
        "|---|---|---|---|---|---|" + "---|" * (len(names) + 2),
    ]
    for name, row in rows.items():
        start, best = row["start"], row["best"]
        cells = [f"{start[each]:.4g} → {best[each]:.4g}" if each in start else "" for each in names]
        bits = f"{start['bits_per_pixel']:.3f} → {best['bits_per_pixel']:.3f}" if "bits_per_pixel" in start else ""
        if row.get("equal_bits"):
            bits = f"= {best['bits_per_pixel']:.3f}"
        late = "" if row["seconds"] <= LIMIT_S else " (late)"
        value = " → ".join(f"{number:.3f}" for number in row["value"])
        head = [f"`{name}`", f"`{row['pipeline']}`", str(row["trials"]), f"{row['seconds']:.0f}{late}", value]
        tail = [bits, f"{wins(row)} of {len(TEACHERS)}"]
        lines.append("| " + " | ".join([*head, str(row["held_out"]), *cells, *tail]) + " |")
    return "\n".join(lines) + "\n"
