"""The tutorial, run as it is written: its commands and files are taken from docs/tutorial.md.

The example of docs/choosing_penalties.md, on the same pictures, is run after it.

    PIXELPERFECT_DATA=... python benchmarks/tutorial.py [--work DIR] [--write] [--images docs/images]

Every block of YAML or Python whose first line is `# NAME` becomes that file in DIR, every block of shell commands is
run there by bash, in the page's order. `--write` puts what a block printed between the next marks `<!--name-->` and
`<!--/name-->` that stand on lines of their own, and the figures of :data:`FIGURES` between marks within the prose.
`--images` makes the pictures (tutorial_pictures.py). DIR is made anew. About five minutes on one core, without the
pictures.

What the prose says of the figures is checked (:func:`claims`): a run that no longer bears the text out is an error.
"""

from __future__ import annotations

import argparse
import json
import os
import pty
import re
import shutil
import subprocess
import sys
import tempfile
import time
from collections.abc import Callable, Mapping
from pathlib import Path
from typing import Any

ROOT = Path(__file__).parents[1]
PAGES = (ROOT / "docs" / "tutorial.md", ROOT / "docs" / "choosing_penalties.md")
STEP = re.compile(
    r"^```(?P<language>sh|yaml|python)\n(?P<code>.*?)^```$|^<!--(?P<mark>\w+)-->\n.*?^<!--/(?P=mark)-->$",
    re.DOTALL | re.MULTILINE,
)
INLINE = re.compile(r"<!--(\w+)-->[^\n]*?<!--/\1-->")
MADE_ELSEWHERE = ("levels",)
"""Marks that another benchmark fills: difference_scale.py."""
PRELUDE = 'set -e\ntuner() { "$PYTHON" -m tuner "$@"; }\npython() { "$PYTHON" "$@"; }\n'
"""`tuner` and `python` of this checkout and this environment, whatever is on the path."""


def shell(commands: str, work: Path) -> str:
    """What the commands print on a terminal of 100 columns; their progress, on standard error, is passed on."""
    environment = {**os.environ, "PYTHON": sys.executable, "PYTHONPATH": str(ROOT), "COLUMNS": "100", "NO_COLOR": "1"}
    ours, theirs = pty.openpty()
    process = subprocess.Popen(["bash", "-c", PRELUDE + commands], cwd=work, env=environment, stdout=theirs)
    os.close(theirs)
    printed = b""
    while True:
        try:
            piece = os.read(ours, 65536)
        except OSError:  # how Linux says that the other end is closed
            piece = b""
        if not piece:
            break
        printed += piece
    os.close(ours)
    if process.wait():
        raise SystemExit(f"exit code {process.returncode}:\n{commands}\n{printed.decode()}")
    text = re.sub(r"\x1b\[[0-9;?]*[A-Za-z]", "", printed.decode()).replace("\r\n", "\n")
    return "\n".join(line.rstrip() for line in text.replace(f"{work}/", "").splitlines()).strip("\n")


def follow(page: str, work: Path) -> dict[str, str]:
    """Do everything the page says; the name of each mark to what the block before it printed."""
    outputs: dict[str, str] = {}
    printed = ""
    for step in STEP.finditer(page):
        language, code, mark = step["language"], step["code"], step["mark"]
        if mark:
            outputs[mark] = printed
        elif language == "sh":
            start = time.perf_counter()
            printed = shell(code, work)
            print(f"{time.perf_counter() - start:6.1f} s  {code.splitlines()[0]}", flush=True)
        elif name := re.match(r"# (\S+\.(?:yaml|py))\b", code):
            (work / name[1]).write_text(code, encoding="utf-8")
    return outputs


def result(work: Path, run: str) -> dict[str, Any]:
    """result.json of one of the tutorial's runs."""
    return json.loads((work / "runs" / run / "result.json").read_text(encoding="utf-8"))


def unseen(text: str) -> dict[str, dict[str, float]]:
    """The table that unseen.py printed: row to column to number."""
    head, *rows = (re.split(r"\s{2,}", line.strip()) for line in text.splitlines() if line.strip())
    return {name: dict(zip(head, map(float, cells), strict=True)) for name, *cells in rows}


def p95(trial: Mapping[str, Any], kind: str) -> float:
    """The mean of the highest five per cent of a distortion type's map, over the pictures of a trial."""
    return float(trial["statistics"][kind]["p95"])


def share(work: Path, run: str, name: str) -> str:
    """A parameter of the best trial."""
    return f"{result(work, run)['best']['parameters'][name]:.3g}"


def cell(outputs: Mapping[str, str], table: str, row: str, column: str) -> str:
    """A figure of a table that unseen.py printed."""
    return f"{unseen(outputs[table])[row][column]:g}"


FIGURES: Mapping[str, Callable[[Path, Mapping[str, str]], str]] = {
    "start_value": lambda work, out: f"{result(work, 'first')['start']['value']:.3f}",
    "first_value": lambda work, out: f"{result(work, 'first')['best']['value']:.3f}",
    "first_loss_start": lambda work, out: f"{p95(result(work, 'first')['start'], 'detail_loss'):.3f}",
    "first_loss_best": lambda work, out: f"{p95(result(work, 'first')['best'], 'detail_loss'):.3f}",
    "second_loss_best": lambda work, out: f"{p95(result(work, 'second')['best'], 'detail_loss'):.3f}",
    "first_h": lambda work, out: share(work, "first", "h"),
    "second_h": lambda work, out: share(work, "second", "h"),
    "unseen_defaults": lambda work, out: cell(out, "unseen", "defaults", "difference"),
    "unseen_first": lambda work, out: cell(out, "unseen", "runs/first", "difference"),
    "unseen_second": lambda work, out: cell(out, "unseen", "runs/second", "difference"),
    "unseen_blind": lambda work, out: cell(out, "unseen_no_truth", "runs/no_truth", "difference"),
}
"""Figures within the prose, by the name of their marks."""


def claims(work: Path, outputs: Mapping[str, str]) -> dict[str, bool]:
    """What the prose says in words, and whether this run bears it out."""
    first, second = (result(work, run)["best"] for run in ("first", "second"))
    start = result(work, "first")["start"]
    table = unseen(outputs["unseen"])
    defaults, one, two = table["defaults"], table["runs/first"], table["runs/second"]
    blind = unseen(outputs["unseen_no_truth"])["runs/no_truth"]
    losses = [p95(trial, "detail_loss") for trial in (start, first, second)]
    return {
        "detail loss falls from the defaults to the first run and from that to the second": losses
        == sorted(losses, reverse=True),
        "after the first run it is two to three times a just visible change": 0.2 < losses[1] < 0.3,
        "in the second run one picture of five gets worse": [
            before["value"] > after["value"]
            for before, after in zip(result(work, "second")["start"]["pictures"], second["pictures"], strict=True)
        ].count(True)
        == 1,
        "both runs leave sharpening off": first["parameters"]["sharpen_amount"]
        == second["parameters"]["sharpen_amount"]
        == 0,
        "unseen, the difference and both metrics are better than the defaults' after either run": all(
            defaults["difference"] > run["difference"]
            and defaults["PSNR"] < run["PSNR"]
            and defaults["MDSI"] > run["MDSI"]
            for run in (one, two)
        ),
        "between the runs there is little to choose": abs(one["difference"] - two["difference"]) < 0.03,
        "the second loses less detail": two["detail loss"] < 0.9 * one["detail loss"],
        "the noise that both leave is far from visible": max(two["luma noise"], two["chroma noise"]) < 0.01,
        "by rehearsal, most of the way is gone that the truth goes": defaults["difference"] - blind["difference"]
        > 0.5 * (defaults["difference"] - two["difference"]),
    }


def written(page: str, work: Path, outputs: Mapping[str, str]) -> str:
    """The page with this run's outputs and figures."""

    def block(step: re.Match[str]) -> str:
        name = step["mark"]
        if name not in outputs or name in MADE_ELSEWHERE:
            return step[0]
        return f"<!--{name}-->\n```text\n{outputs[name]}\n```\n<!--/{name}-->"

    def figure(found: re.Match[str]) -> str:
        return f"<!--{found[1]}-->{FIGURES[found[1]](work, outputs)}<!--/{found[1]}-->"

    return INLINE.sub(figure, STEP.sub(block, page))


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--work", type=Path, default=Path(tempfile.gettempdir()) / "my_camera")
    parser.add_argument("--write", action="store_true", help="fill the outputs and figures of the pages")
    parser.add_argument("--images", type=Path, help="make the pictures of the page in this folder")
    options = parser.parse_args()
    if "PIXELPERFECT_DATA" not in os.environ:
        raise SystemExit("PIXELPERFECT_DATA is not set: the tutorial needs real_noise/polyu below it")
    work = options.work.resolve()
    shutil.rmtree(work, ignore_errors=True)
    work.mkdir(parents=True)
    start = time.perf_counter()
    outputs: dict[str, str] = {}
    for page in PAGES:
        outputs |= follow(page.read_text(encoding="utf-8"), work)
    print(f"{time.perf_counter() - start:6.1f} s  in all")
    for name, text in outputs.items():
        print(f"\n== {name}\n{text}")
    # Written even where a claim fails, so that the text can be mended by what was found.
    if options.write:
        for page in PAGES:
            page.write_text(written(page.read_text(encoding="utf-8"), work, outputs), encoding="utf-8")
    if options.images:
        from tutorial_pictures import make_pictures

        make_pictures(work, options.images)
    failed = [claim for claim, holds in claims(work, outputs).items() if not holds]
    if failed:
        raise SystemExit("the text says what this run does not bear out: " + "; ".join(failed))


if __name__ == "__main__":
    main()
