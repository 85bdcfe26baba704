"""The figures of docs/maps_trust.md: can the distortion maps be trusted?

    PIXELPERFECT_DATA=... python benchmarks/maps_trust.py [--weights DIR] [--per-type N] [--only foreign,tid ...]

Each part writes its figures into docs/maps_trust.json and leaves the other parts' there; the document and the heat map
are then drawn from all of them. Parts: foreign (other implementations), engine (the engine's own types), tid (TID2013's
pictures), noise (real camera noise), shift (synthetic against real), rank (contradictions between real outputs), unseen
(types that were held out: one run for each --unseen DIR).
"""

from __future__ import annotations

import argparse
import json
import os
import time
from collections.abc import Callable
from pathlib import Path
from typing import Any

import rank_consistency
import shift_pairs
from maps_trust_text import document, leakage_picture, unseen_picture

from pixelperfect_models import PixelPerfect
from pixelperfect_models.allocator import tune_allocator
from pixelperfect_models.errors import UserError
from pixelperfect_models.evaluation.domain_shift import measure_shift
from pixelperfect_models.evaluation.map_reality import evaluate_real_noise, evaluate_tid2013
from pixelperfect_models.evaluation.map_trust import evaluate_foreign, evaluate_two, read_photos
from pixelperfect_models.evaluation.planted import evaluate_planted, held_out_types
from pixelperfect_models.images import write_image
from pixelperfect_models.judge import DISTORTION_WEIGHTS, load_distortion_network, shipped_weights

SIDE = 256
DOCS = Path(__file__).parents[1] / "docs"


def foreign(judge: PixelPerfect, data: Path, options: argparse.Namespace) -> dict[str, Any]:
    photos = read_photos([data / "photos/test/cid22", data / "photos/test/kodak"], SIDE)
    result = evaluate_foreign(judge, photos, options.per_type, SIDE)
    return {**result, "two": evaluate_two(judge, photos, 20 * options.per_type, SIDE)}


def engine(judge: PixelPerfect, data: Path, options: argparse.Namespace) -> dict[str, Any]:
    return evaluate_planted(data / "photos/test/cid22", judge, options.per_type, SIDE)


def tid(judge: PixelPerfect, data: Path, options: argparse.Namespace) -> dict[str, Any]:
    return evaluate_tid2013(judge, data / "ratings/tid2013")


def noise(judge: PixelPerfect, data: Path, options: argparse.Namespace) -> dict[str, Any]:
    return evaluate_real_noise(judge, data / "real_noise/polyu", SIDE)


def shift(judge: PixelPerfect, data: Path, options: argparse.Namespace) -> dict[str, Any]:
    rows = []
    for real, synthetic, real_pairs, synthetic_pairs in shift_pairs.domains(data, 6 * options.per_type):
        rows.append({"real": real, "synthetic": synthetic, **measure_shift(judge, real_pairs, synthetic_pairs)})
    return {"rows": rows}


def rank(judge: PixelPerfect, data: Path, options: argparse.Namespace) -> dict[str, Any]:
    return rank_consistency.measure(judge, data, max(1, options.per_type // 2))


def unseen(judge: PixelPerfect, data: Path, options: argparse.Namespace) -> dict[str, Any]:
    """For each ``--unseen DIR[=a,b]``: types held out of the training of DIR, asked of it, of the next DIR whose
    training was as long and had them, and of the judge itself."""
    trainings: list[tuple[tuple[str, ...], PixelPerfect]] = []
    for entry in options.unseen:
        folder, _, named = entry.partition("=")
        held = tuple(named.split(",")) if named else held_out_types(folder)
        if not held:
            raise UserError(f"--unseen {folder}: its training left no type out; name them as {folder}=a,b")
        network = load_distortion_network(Path(folder) / DISTORTION_WEIGHTS)
        # Only maps are asked for, so any scoring network will do.
        blind = PixelPerfect(network, judge.scoring).eval().requires_grad_(False)
        trainings.append((held, blind))
    rows = []
    for index, (held, blind) in enumerate(trainings):
        others = trainings[index + 1 :] + trainings[:index]
        had_them = [other for other in others if not set(held) & set(other[0])]
        asked = [("held out", held, blind)]
        asked += [("trained as long on", *other) for other in had_them[:1]]
        asked += [("shipped", (), judge)]
        for whose, without, candidate in asked:
            found = evaluate_planted(data / "photos/test/cid22", candidate, 2 * options.per_type, SIDE, types=held)
            rows.append({"whose": whose, "without": ", ".join(without), "types": found["types"]})
    return {"rows": rows, "channels": list(judge.types)}


PARTS: dict[str, Callable[[PixelPerfect, Path, argparse.Namespace], dict[str, Any]]] = {
    "foreign": foreign,
    "engine": engine,
    "tid": tid,
    "noise": noise,
    "shift": shift,
    "rank": rank,
    "unseen": unseen,
}


def arguments() -> argparse.Namespace:
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--weights", type=Path, help="folder of the weights; the shipped ones by default")
    parser.add_argument("--per-type", type=int, default=3, help="photos a distortion type (default 3)")
    parser.add_argument("--only", default="", help=f"comma-separated parts ({', '.join(PARTS)}); all by default")
    parser.add_argument(
        "--unseen", action="append", default=[], metavar="DIR[=TYPE,TYPE]",
        help="weights trained without some types; the model card names them where the option does not; repeatable",
    )  # fmt: skip
    parser.add_argument("--out", type=Path, default=DOCS, help="folder of maps_trust.md (default docs/)")
    options = parser.parse_args()
    options.parts = options.only.split(",") if options.only else [name for name in PARTS if name != "unseen"]
    if options.unseen and "unseen" not in options.parts:
        options.parts.append("unseen")
    unknown = [name for name in options.parts if name not in PARTS]
    if unknown:
        parser.error(f"--only {unknown[0]}: expected some of {', '.join(PARTS)}")
    if "unseen" in options.parts and not options.unseen:
        parser.error("--only unseen needs --unseen DIR")
    if options.per_type < 1:
        parser.error(f"--per-type {options.per_type}: expected at least 1")
    if "PIXELPERFECT_DATA" not in os.environ:
        parser.error("PIXELPERFECT_DATA is not set; it names the folder that holds photos/, ratings/ and real_noise/")
    return options


def main() -> None:
    options = arguments()
    tune_allocator()
    data = Path(os.environ["PIXELPERFECT_DATA"])
    judge = PixelPerfect.from_pretrained(options.weights)
    kept = options.out / "maps_trust.json"
    results: dict[str, Any] = json.loads(kept.read_text(encoding="utf-8")) if kept.is_file() else {}
    card = json.loads(((options.weights or shipped_weights()) / "distortion.json").read_text(encoding="utf-8"))
    options.out.mkdir(parents=True, exist_ok=True)
    for name in options.parts:
        start = time.perf_counter()
        found = PARTS[name](judge, data, options)
        results[name] = {
            **found,
            "command": f"python benchmarks/maps_trust.py --only {name} --per-type {options.per_type}"
            + "".join(f" --unseen {entry}" for entry in options.unseen if name == "unseen"),
            "weights": f"{card['config']['name']}, {card['steps']} steps, sha256 {card['sha256'][:12]}",
            "seconds": round(time.perf_counter() - start, 1),
        }
        kept.write_text(json.dumps(results, indent=1) + "\n", encoding="utf-8")
        print(f"{name}: {results[name]['seconds']} s", flush=True)
    if "foreign" in results:
        write_image(options.out / "maps_trust_leakage.png", leakage_picture(results["foreign"]))
    if "unseen" in results:
        write_image(options.out / "maps_trust_unseen.png", unseen_picture(results["unseen"]))
    (options.out / "maps_trust.md").write_text(document(results), encoding="utf-8")
    print(options.out / "maps_trust.md")


if __name__ == "__main__":
    main()
