"""The pictures of docs/real_artefacts/: the judge's maps on real, unplanted artefacts, good ones and bad ones.

    PIXELPERFECT_DATA=... python benchmarks/real_artefacts.py [--weights DIR] [--out docs/real_artefacts] [--photos]

Three families: PolyU camera noise, TID2013's own pictures, and real codecs (Pillow, OpenCV) on Kodak photos. Which
pictures are shown is a rule, not a choice: by how much the strongest right channel leads the strongest wrong one (mean
excess; negative: the judge names it wrongly), the best, the median and the worst picture of PolyU and of the codecs,
and the best, the quartiles and the worst of TID2013's types at level 4. None of these photos may be published with the
code, so the maps stand alone unless ``--photos`` is given, for a folder of your own.
"""

from __future__ import annotations

import argparse
import os
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path

import numpy as np
from PIL import Image, ImageDraw, ImageFont

from pixelperfect_models import PixelPerfect
from pixelperfect_models.allocator import tune_allocator
from pixelperfect_models.evaluation.datasets import read_dataset
from pixelperfect_models.evaluation.foreign import FOREIGN
from pixelperfect_models.evaluation.map_reality import TID2013_RIGHT, middle, real_noise_pairs
from pixelperfect_models.evaluation.map_trust import ask, map_excess
from pixelperfect_models.images import list_images, read_array, write_image
from tuner.overlays import overlay, signed_excess

SIDE = 384
CODECS = ("pillow_jpeg", "opencv_jpeg", "pillow_webp", "pillow_avif", "pillow_jpeg2000")
SHOWN = 4  # the strongest maps of a panel
QUANTILES = {"noise": (1.0, 0.5, 0.0), "tid": (1.0, 0.75, 0.5, 0.25, 0.0), "codec": (1.0, 0.5, 0.0)}


@dataclass(frozen=True)
class Case:
    """One real artefact: its name, the pictures (H, W, 3) in [0, 1], and the channels that are right answers."""

    name: str
    test: np.ndarray
    ref: np.ndarray
    right: tuple[str, ...]


def cases(family: str, data: Path) -> Iterator[Case]:
    """All candidates of a family (``noise``, ``tid``, ``codec``)."""
    if family == "noise":
        names = [path.stem for path in list_images(data / "real_noise/polyu/noisy")]
        pairs = real_noise_pairs(data / "real_noise/polyu", SIDE)
        for name, (noisy, clean) in list(zip(names, pairs, strict=True))[::4]:
            yield Case(f"polyu_{name}", noisy, clean, ("luma_noise", "chroma_noise"))
    elif family == "tid":
        for row in read_dataset(data / "ratings/tid2013")[1]:
            if row.level == 4 and row.content == "i02":
                pictures = (middle(read_array(path), SIDE) for path in (row.distorted, row.reference))
                yield Case(f"tid2013_{row.type}", *pictures, TID2013_RIGHT[row.type])
    else:
        photos = list_images(data / "photos/test/kodak")
        for place, name in enumerate(CODECS):
            for level in (2, 4):
                path = photos[(7 * place + 3 * level) % len(photos)]
                ref = middle(read_array(path), SIDE)
                test = FOREIGN[name](ref, level, np.random.default_rng(0))
                yield Case(f"codec_{name}_{level}_{path.stem}", test, ref, FOREIGN[name].right)


def lead(judge: PixelPerfect, case: Case) -> float:
    """How far the strongest right channel is ahead of the strongest wrong one, in mean excess."""
    means = map_excess(ask(judge, [case.test], case.ref), judge.types)[0].mean((1, 2))
    right = np.array([name in case.right for name in judge.types])
    return float(means[right].max() - means[~right].max())


def panel(judge: PixelPerfect, case: Case, ahead: float, photos: bool) -> np.ndarray:
    """The strongest maps side by side, captioned, with ``photos`` over the test picture and with it and its reference
    beside them: (H, W, 3) in [0, 1].
    """
    maps = ask(judge, [case.test], case.ref)
    means = map_excess(maps, judge.types)[0].mean((1, 2))
    signed = signed_excess(maps[0])
    tiles = [("reference", case.ref), ("test", case.test)] if photos else []
    ground = case.test if photos else np.full_like(case.test, 0.25)
    for index in np.argsort(-means)[:SHOWN]:
        name = judge.types[index]
        mark = "right" if name in case.right else "wrong"
        tiles.append((f"{name.replace('_', ' ')} {means[index]:.2f} ({mark})", overlay(ground, signed[index])))
    width, gap, top = 250, 6, 52
    sheet = Image.new("RGB", (len(tiles) * (width + gap) + gap, top + width + gap), (24, 26, 31))
    draw = ImageDraw.Draw(sheet)
    title = f"{case.name.replace('_', ' ')}: right answers {', '.join(case.right)}; lead {ahead:+.2f}"
    draw.text((gap, 5), title.replace("_", " "), fill=(238, 240, 244), font=ImageFont.load_default(16))
    for place, (caption, picture) in enumerate(tiles):
        left = gap + place * (width + gap)
        draw.text((left, 30), caption, fill=(190, 195, 205), font=ImageFont.load_default(14))
        pixels = Image.fromarray(np.round(np.clip(picture, 0, 1) * 255).astype(np.uint8))
        sheet.paste(pixels.resize((width, width), Image.Resampling.LANCZOS), (left, top))
    return np.asarray(sheet, dtype=np.float32) / 255


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--weights", type=Path, help="folder of the weights; the shipped ones by default")
    parser.add_argument("--out", type=Path, default=Path(__file__).parents[1] / "docs/real_artefacts")
    parser.add_argument("--photos", action="store_true", help="show the photos too; they may not be published")
    options = parser.parse_args()
    if "PIXELPERFECT_DATA" not in os.environ:
        parser.error("PIXELPERFECT_DATA is not set; it names the folder that holds photos/, ratings/ and real_noise/")
    tune_allocator()
    judge, data = PixelPerfect.from_pretrained(options.weights), Path(os.environ["PIXELPERFECT_DATA"])
    for old in options.out.glob("*_panel.jpg"):  # another judge has other best and worst pictures
        old.unlink()
    lines = [
        "# Maps on real, unplanted artefacts", "", "    python benchmarks/real_artefacts.py", "",
        "Camera noise (PolyU), TID2013's own pictures and real codecs; nothing here was planted by the engine. The",
        "pictures are picked by rule, so that good and bad ones show: by the *lead* of the strongest right channel",
        "over the strongest wrong one, in mean excess, where negative means that the judge names the artefact wrongly.",
        "Each panel: the four strongest maps (warm: the test has more; see [reading a map](../reading_a_map.md)). The",
        "photos may not be published with the code: `--photos --out DIR` draws them too.", "",
    ]  # fmt: skip
    for family, quantiles in QUANTILES.items():
        found = sorted(((lead(judge, case), case) for case in cases(family, data)), key=lambda item: item[0])
        wrong = sum(ahead < 0 for ahead, _ in found)
        title = {"noise": "Camera noise", "tid": "TID2013, level 4 of content 02", "codec": "Codecs on Kodak"}[family]
        lines += [f"## {title}", "", f"{len(found)} candidates, {wrong} named wrongly. From best to worst:", ""]
        for share in quantiles:
            ahead, case = found[round(share * (len(found) - 1))]
            file = write_image(options.out / f"{case.name}_panel.jpg", panel(judge, case, ahead, options.photos))
            lines += [f"![{case.name}]({file.name})", ""]
            print(f"{ahead:+.3f} {file}", flush=True)
    (options.out / "README.md").write_text("\n".join(lines).rstrip() + "\n", encoding="utf-8")


if __name__ == "__main__":
    main()
