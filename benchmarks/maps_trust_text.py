"""docs/maps_trust.md and its heat map, from the figures that maps_trust.py measured."""

from __future__ import annotations

import textwrap
from typing import Any

import numpy as np
from heat_map import heat_map

from pixelperfect_models.distortions.table import DISTORTIONS
from pixelperfect_models.evaluation.foreign import FOREIGN

HEAD = """# Can the maps be trusted?

Distortions made by other implementations than the engine the judge was trained with, on photos it never saw (the test
part of CID22 and Kodak), TID2013's own pictures, and real camera noise. Every table is one command, shown above it (all
of them: `python benchmarks/maps_trust.py`, with `PIXELPERFECT_DATA` set). What counts as a right answer was decided
from the meaning of the channels before any judge was asked: `pixelperfect_models/evaluation/foreign.py` says why. How
each figure is defined: `pixelperfect_models/evaluation/map_trust.py`. Maps of real artefacts, good and bad ones:
[real_artefacts](real_artefacts/README.md).
"""


def document(results: dict[str, Any]) -> str:
    """The whole document, Markdown; parts that were not measured are left out."""
    parts = (
        ("bars", _bars),
        ("foreign", _foreign),
        ("engine", _engine),
        ("tid", _tid),
        ("noise", _noise),
        ("unseen", _unseen),
        ("shift", _shift),
        ("rank", _rank),
    )
    lines = [HEAD]
    for name, write in parts:
        if name == "bars":
            lines += write(results)
        elif name in results:
            lines += write(results[name])
    return "\n".join(lines).rstrip() + "\n"


def leakage_picture(found: dict[str, Any]) -> np.ndarray:
    """The leakage matrix, planted against channel answering, right answers outlined."""
    rows, columns = list(found["types"]), found["channels"]
    values = np.array([[found["types"][row]["answers"][column] for column in columns] for row in rows])
    right = np.array([[column in FOREIGN[row].right for column in columns] for row in rows])
    title = "Mean |map - 0.5| inside the region: planted (rows) against channel answering; right answers outlined"
    return heat_map(values, rows, columns, right, 0.3, title)


def _text(paragraph: str) -> list[str]:
    return [*textwrap.wrap(paragraph, 118, break_long_words=False, break_on_hyphens=False), ""]


def _table(head: tuple[str, ...], rows: list[tuple[Any, ...]]) -> list[str]:
    lines = ["| " + " | ".join(head) + " |", "|" + "---|" * len(head)]
    return [*lines, *("| " + " | ".join(map(_cell, row)) + " |" for row in rows), ""]


def _cell(value: Any) -> str:
    if isinstance(value, float):
        return "–" if np.isnan(value) else f"{value:.3f}"
    return str(value)


def _part(title: str, found: dict[str, Any]) -> list[str]:
    return [f"## {title}", "", f"    {found['command']}", "", f"Weights: {found['weights']}.", ""]


def _bars(results: dict[str, Any]) -> list[str]:
    rows: list[tuple[Any, ...]] = []

    def bar(what: str, key: str, value: float, least: float, further: float, above: bool = True) -> None:
        reached = value >= least if above else value <= least
        sign = "≥" if above else "≤"
        rows.append((what, f"{sign} {least:g}", f"{further:g}", value, "reached" if reached else "not reached", key))

    if "foreign" in results:
        found = results["foreign"]
        mean = found["mean"]
        bar("top-1 type", "foreign", mean["top1"], 0.85, 0.95)
        bar("location AUC", "foreign", mean["auc"], 0.95, 0.99)
        bar("location IoU (threshold without the truth)", "foreign", mean["iou"], 0.65, 0.8)
        error = f"standard error over photos {mean['srcc_error']:.3f}"
        bar(f"intensity SRCC within a type (within a photo; {error})", "foreign", mean["srcc"], 0.90, 0.97)
        bar("leakage, whole picture", "foreign", mean["leakage_picture"], 0.03, 0.01, False)
        bar("leakage, inside the region", "foreign", mean["leakage"], 0.03, 0.01, False)
    if "engine" in results:
        bar("leakage, whole picture", "engine", results["engine"]["leak_picture"], 0.03, 0.01, False)
        bar("leakage, inside the region", "engine", results["engine"]["leak"], 0.03, 0.01, False)
    if "rank" in results:
        bar("cyclic triples on real outputs", "rank", results["rank"]["share"], 0.01, 0.0, False)
    head = ("what", "bar", "further", "measured", "", "part")
    return ["## The bars", "", *_table(head, rows)] if rows else []


def _answers(strongest: dict[str, float]) -> str:
    top = sorted((item for item in strongest.items() if item[1] > 0), key=lambda item: -item[1])[:3]
    return ", ".join(f"{name} {share:.2f}" for name, share in top)


def _foreign(found: dict[str, Any]) -> list[str]:
    mean, two = found["mean"], found["two"]
    levels = ", ".join(f"{value:.2f}" for value in mean["top1_levels"])
    lines = [
        *_part("Other implementations", found),
        *_text(
            f"{found['pictures']} planted pictures of {found['side']} px ({found['per_type']} photos x 5 levels each), "
            "as many distorted all over. Chance for top-1 is about 0.07. *Strict* accepts the first right answer only. "
            "AUC and IoU are of the right channels' maps against the planted region; IoU at half of the map's own 95th "
            "percentile, which does not know the truth (in brackets: Otsu's threshold). *Plain* is the same of the "
            "smoothed |test - reference|, the baseline that names nothing. SRCC of the level with the answer: within a "
            "photo, and pooled over photos. Leakage is the mean |map - 0.5| of all channels that are no right answer."
        ),
    ]
    rows: list[tuple[Any, ...]] = []
    for name, row in [("**mean**", mean), *found["types"].items()]:
        entry = FOREIGN.get(name)
        rows.append((
            name,
            "" if entry is None else ", ".join(entry.right),
            f"{row['top1']:.2f}", f"{row['strict']:.2f}",
            f"{row['auc']:.3f}", f"{row['iou']:.2f} ({row['iou_otsu']:.2f})",
            f"{row['difference_auc']:.3f}, {row['difference_iou']:.2f}",
            f"{row['srcc']:.2f}, {row['srcc_pooled']:.2f}",
            f"{row['leakage']:.3f}, {row['leakage_picture']:.3f}",
            "" if entry is None else _answers(row["strongest"]),
        ))  # fmt: skip
    head = ("planted", "right answers", "top-1", "strict", "AUC", "IoU (Otsu)", "plain AUC, IoU", "SRCC within, pooled",
            "leakage in region, picture", "strongest channel")  # fmt: skip
    lines += _table(head, rows)
    lines += [
        f"Top-1 by level, faint to severe: {levels}.",
        "",
        "![leakage matrix](maps_trust_leakage.png)",
        "",
        *_text(
            "**Anti-symmetry**: highest |F(a, b) + F(b, a) - 1| over one picture of every type: "
            f"{found['anti_symmetry']:.1e}."
        ),
        *_text(
            "**Independence**: mean absolute correlation between two channels' answers over all planted pictures "
            f"{found['independence']:.3f}; if exactly the right answers spoke it would be "
            f"{found['independence_right']:.3f} (coders own several)."
        ),
        *_text(
            f"**Two distortions in two regions** of one picture, no right answer in common, {two['pairs']} pairs: AUC "
            f"of own against the other's region {two['auc']:.3f}; {100 * two['share']:.0f} % of an answer lies "
            f"in its own region (50 % would be blind), more than half of it in {100 * two['kept']:.0f} % of the cases; "
            f"top-1 inside each region {two['top1']:.2f}."
        ),
        *_text("What each entry does, where it comes from, and what it shares with the engine's implementation:"),
        *_table(
            ("entry", "what it does", "library", "shared with the engine"),
            [(name, FOREIGN[name].doc, FOREIGN[name].library, FOREIGN[name].kinship) for name in found["types"]],
        ),
    ]
    return lines


def _engine(found: dict[str, Any]) -> list[str]:
    rows: list[tuple[Any, ...]] = [("**mean**", *(found[key] for key in _ENGINE_KEYS), "")]
    for name, row in found["types"].items():
        rows.append((name, *(row[key] for key in _ENGINE_KEYS), _answers(row["strongest"])))
    head = ("planted", "top-1", "AUC", "IoU", "SRCC", "leakage in region", "leakage picture", "strongest channel")
    text = (
        f"{found['pairs']} pairs on CID22's test part, intensity 0.4 to 1; here the truth is exact: each type owns one "
        "or two channels."
    )
    return [*_part("The engine's own types", found), *_text(text), *_table(head, rows)]


_ENGINE_KEYS = ("top1", "auc", "iou", "srcc", "leak", "leak_picture")


def _tid(found: dict[str, Any]) -> list[str]:
    rows: list[tuple[Any, ...]] = [("**mean**", *(found["mean"][key] for key in _TID_KEYS), "")]
    for name, row in found["types"].items():
        rows.append((name, *(row[key] for key in _TID_KEYS), _answers(row["strongest"])))
    text = (
        f"{found['pictures']} pictures of the development part, two contents, distorted all over. SRCC is of TID2013's "
        "level with the answer, within each content. No rating is used. The levels of mean shift and contrast change "
        "alternate in direction; those of local block-wise trade the number of blocks against their contrast."
    )
    head = ("type", "top-1", "strict", "SRCC", "leakage", "strongest channel")
    return [*_part("TID2013's own pictures", found), *_text(text), *_table(head, rows)]


_TID_KEYS = ("top1", "strict", "srcc", "leakage")


def _noise(found: dict[str, Any]) -> list[str]:
    return [
        *_part("Real camera noise (PolyU)", found),
        *_text(
            f"{found['pictures']} crops, one shot against the mean of hundreds: top-1 {found['top1']:.2f} (luma or "
            f"chroma noise; luma_noise {found['strict']:.2f}), SRCC of the noise's real strength with the answer "
            f"{found['srcc']:.2f}, leakage {found['leakage']:.3f}. Strongest channel: {_answers(found['strongest'])}. "
            "The crops are JPEG files, so the difference holds coding as well."
        ),
    ]


def _unseen(found: dict[str, Any]) -> list[str]:
    rows = []
    for name, whose, row in _by_type(found):
        loud = sorted(row["leakage"].items(), key=lambda item: -item[1])[:3]
        answers = ", ".join(f"{channel} {value:.2f}" for channel, value in loud)
        rows.append((name, whose, _answers(row["strongest"]), answers, row["top1"], row["auc"], row["any_auc"]))
    head = ("type", "network", "strongest channel", "mean excess inside the region", "own channel strongest",
            "place, own channel (AUC)", "place, any channel (AUC)")  # fmt: skip
    text = (
        "Two types at a time left out of the training (`benchmarks/held_out.py`, from scratch, a shorter schedule than "
        "the shipped weights had): which channel answers what it never saw? Below each, on the same pictures, another "
        "of these trainings, as long, that had the type, and the shipped weights. A channel whose only types were held "
        "out has learnt to be silent. The picture has both directions of a map: what a channel finds in the reference, "
        "too (something sharpened looks less blurred than its reference)."
    )
    picture = ["![which channel answers an unseen type](maps_trust_unseen.png)", ""]
    return [*_part("Unseen categories", found), *_text(text), *_table(head, rows), *picture]


def _by_type(found: dict[str, Any]) -> list[tuple[str, str, dict[str, Any]]]:
    """(type, whose network, its row), all networks of a type one after the other."""
    rows = [(name, run["whose"], row) for run in found["rows"] for name, row in run["types"].items()]
    order = list(dict.fromkeys(name for name, _, _ in rows))
    return sorted(rows, key=lambda row: order.index(row[0]))


def unseen_picture(found: dict[str, Any]) -> np.ndarray:
    """What every channel answers to types held out and trained on; the types' own channels outlined."""
    rows, columns = _by_type(found), found["channels"]
    values = np.array([[row["answers"][column] for column in columns] for _, _, row in rows])
    own = np.array([[column in DISTORTIONS[name].channels for column in columns] for name, _, _ in rows])
    title = "Mean |map - 0.5| inside the region: types held out of the training and not; own channels outlined"
    return heat_map(values, [f"{name}, {whose}" for name, whose, _ in rows], columns, own, 0.3, title)


def _shift(found: dict[str, Any]) -> list[str]:
    scene = list(found["rows"][0]["scene"])
    rows = []
    for row in found["rows"]:
        pairs = [row["encoder"], *(row["scene"][name] for name in scene)]
        cells = [f"{pair['shift']:.3f} / {pair['baseline']:.3f}" for pair in pairs]
        rows.append((row["real"], row["synthetic"], row["pictures"], *cells))
    head = ("real", "synthetic", "pictures", "judge's features", *(name.replace("_", " ") for name in scene))
    text = (
        "Jensen-Shannon divergence in bits (0 the same, 1 apart) between feature histograms of real and synthetic "
        "distortions, each synthetic picture matched to the real one in mean squared error: *shift / baseline*, the "
        "baseline being real against real of other pictures. A shift near its baseline is no shift."
    )
    return [*_part("Synthetic against real: the domain shift", found), *_text(text), *_table(head, rows)]


def _rank(found: dict[str, Any]) -> list[str]:
    rows = []
    for kind, row in found["kinds"].items():
        told = row["agreement"]
        rows.append((
            kind, row["pictures"], row["outputs"], f"{row['cycles']} of {row['triples']}",
            told["score_with_reference"], told["pairs_as_with_reference"], told["vsi"], told["mdsi"], told["vsi_mdsi"],
        ))  # fmt: skip
    head = ("outputs", "pictures", "outputs each", "cyclic triples", "SRCC with the score against the reference",
            "pairs ordered alike", "SRCC with VSI", "SRCC with MDSI", "(VSI with MDSI)")  # fmt: skip
    text = (
        "All pairs of real outputs, the reference kept away, put on one scale as `tuner rank` does: "
        f"{found['cycles']} of {found['triples']} triples are cyclic ({100 * found['share']:.2f} %). The order is "
        "compared with that of the same judge's score against the clean reference, and with VSI and MDSI against it."
    )
    return [*_part("Ranking without a reference", found), *_text(text), *_table(head, rows)]
