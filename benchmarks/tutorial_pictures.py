"""The pictures of docs/tutorial.md: the live view, the report in a browser, a crop before and after.

Called by tutorial.py with the folder of its runs. What shows a photo is of a run of the tutorial's second recipe on
simulated shots of CC0 photos of recipes/photos/train, about as noisy as the PolyU crops. Needs Playwright and chromium,
as the tests of the report do.
"""

from __future__ import annotations

import io
import json
import shutil
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any

import numpy as np
import torch
import yaml
from optuna.trial import FrozenTrial
from PIL import Image, ImageDraw, ImageFont
from playwright.sync_api import Browser, Page, sync_playwright
from rich.console import Console

import pipelines
import tuner.runner
from pipelines.sensor_shot import shoot
from pixelperfect_models.images import read_array, write_image
from tuner import load_recipe, run
from tuner.live import Progress
from tuner.report import write_report

PHOTOS = Path(__file__).parents[1] / "recipes" / "photos" / "train"
SHOT = ("girl", "grass", "path")
PHOTONS, READ_NOISE = 2000.0, 0.0035
MOST_BYTES = 250_000
SHOWN_TRIAL = 16
"""The live view is shown after so many trials of 24."""

TERMINAL = """<!DOCTYPE html><meta charset="utf-8"><style>{stylesheet}
body {{ margin: 0; background: #101418; }}
pre {{ display: inline-block; margin: 0; padding: 18px 22px; color: #e4e8ec; background: #101418;
  font: 15px/1.3 "DejaVu Sans Mono", monospace; }}</style><pre>{code}</pre>"""


def save(image: Image.Image, path: Path) -> None:
    """As PNG, or as JPEG of the highest quality that stays below :data:`MOST_BYTES`."""
    path.parent.mkdir(parents=True, exist_ok=True)
    qualities = range(92, 40, -4) if path.suffix == ".jpg" else (0,)
    for quality in qualities:
        stream = io.BytesIO()
        if path.suffix == ".jpg":
            image.convert("RGB").save(stream, "JPEG", quality=quality, subsampling=0, optimize=True, progressive=True)
        else:  # screens have few colours: a palette keeps them sharp and small
            image.convert("RGB").quantize(256, dither=Image.Dither.NONE).save(stream, "PNG", optimize=True)
        if stream.tell() <= MOST_BYTES:
            path.write_bytes(stream.getvalue())
            print(f"{path}: {image.width} x {image.height}, {stream.tell() / 1000:.0f} kB", flush=True)
            return
    raise SystemExit(f"{path}: more than {MOST_BYTES} bytes")


def screenshot(page: Page, path: Path, selector: str = "body", height: int | None = None) -> None:
    """The element, or its upper ``height`` CSS pixels."""
    page.evaluate("scrollTo(0, 0)")  # boxes are told from the window's corner, the clip from the page's
    box = page.locator(selector).bounding_box()
    assert box is not None
    clip = {**box, "height": min(box["height"], height or box["height"])}
    save(Image.open(io.BytesIO(page.screenshot(clip=clip, full_page=True, animations="disabled"))), path)


@contextmanager
def opened(browser: Browser, file: Path, **context: Any) -> Iterator[Page]:
    """A local page in a fresh context."""
    made = browser.new_context(**context)
    page = made.new_page()
    page.goto(file.as_uri())
    page.wait_for_load_state("load")
    yield page
    made.close()


def filmed(recipe: Path, out: Path) -> str:
    """Run a recipe again and return its live view after :data:`SHOWN_TRIAL` trials, as an HTML page."""
    views: list[str] = []

    class Filmed(Progress):
        def update(
            self, trial: FrozenTrial, best: FrozenTrial | None, start: FrozenTrial | None, front: int = 0
        ) -> None:
            super().update(trial, best, start, front)
            if self._done == SHOWN_TRIAL:
                console = Console(
                    record=True, force_terminal=True, width=88, color_system="truecolor", file=io.StringIO()
                )
                console.print(self)
                views.append(console.export_html(code_format=TERMINAL))

    shutil.rmtree(out, ignore_errors=True)
    kept, tuner.runner.Progress = tuner.runner.Progress, Filmed  # type: ignore[misc]
    try:
        run(load_recipe(recipe), out, console=Console(file=io.StringIO(), force_terminal=True))
    finally:
        tuner.runner.Progress = kept  # type: ignore[misc]
    return views[0]


def photos_run(work: Path) -> Path:
    """The second recipe on simulated shots of CC0 photos, with its report."""
    out = work / "runs" / "photos"
    if not (out / "report.html").is_file():
        shutil.rmtree(out, ignore_errors=True)
        for index, name in enumerate(SHOT):
            photo = read_array(PHOTOS / f"{name}.webp")
            for kind, noise in (("noisy", np.random.default_rng(index)), ("clean", None)):
                write_image(work / "shots" / kind / f"{name}.png", shoot(photo, PHOTONS, READ_NOISE, noise))
        settings = ["name=cc0_shots", "images.input=shots/noisy/*", "images.reference=shots/clean/*", "images.crop=256"]
        run(load_recipe(work / "second.yaml", settings), out, quiet=True)
        write_report(out)
    return out


def before_and_after(found: Path, name: str, path: Path, box: tuple[int, int, int, int], scale: int = 3) -> None:
    """Input, output at the defaults and at the best, and the clean version, enlarged by whole pixels.

    Args:
        found: the run on the photos.
        name: the photo.
        path: the picture to write.
        box: left, top, right, lower of the part shown.
        scale: pixels of the picture for one of the photo.
    """
    noisy, clean = (read_array(found.parents[1] / "shots" / kind / f"{name}.png") for kind in ("noisy", "clean"))
    best = yaml.safe_load((found / "best_parameters.yaml").read_text(encoding="utf-8"))
    start = json.loads((found / "result.json").read_text(encoding="utf-8"))["start"]["parameters"]
    pipeline = pipelines.load(yaml.safe_load((found / "recipe.yaml").read_text(encoding="utf-8"))["pipeline"]["name"])
    tensor = torch.from_numpy(noisy).permute(2, 0, 1)[None]
    with torch.no_grad():
        outputs = [pipeline(tensor, values)[0].permute(1, 2, 0).numpy() for values in (start, best)]
    panels = {
        "noisy": noisy,
        "defaults": outputs[0],
        "tuned": outputs[1],
        "clean": clean,
    }
    left, top, right, lower = box
    width, height = (right - left) * scale, (lower - top) * scale
    font = ImageFont.load_default(18)
    sheet = Image.new("RGB", (len(panels) * (width + 6) - 6, height + 30), "white")
    draw = ImageDraw.Draw(sheet)
    for index, (label, array) in enumerate(panels.items()):
        crop = Image.fromarray(np.round(array[top:lower, left:right].clip(0, 1) * 255).astype(np.uint8))
        sheet.paste(crop.resize((width, height), Image.Resampling.NEAREST), (index * (width + 6), 30))
        draw.text((index * (width + 6) + 2, 4), label, fill="black", font=font)
    save(sheet, path)


def make_pictures(work: Path, images: Path) -> None:
    """All of them, as ``tutorial_*`` in ``images``."""
    live = work / "live.html"
    live.write_text(filmed(work / "denoise.yaml", work / "runs" / "filmed"), encoding="utf-8")
    photos = photos_run(work)
    report = work / "runs" / "second" / "report.html"
    chromium = next(path for name in ("chromium", "chromium-browser", "google-chrome") if (path := shutil.which(name)))
    with sync_playwright() as playwright:
        browser = playwright.chromium.launch(executable_path=chromium, args=["--no-sandbox", "--disable-gpu"])
        with opened(browser, live, viewport={"width": 1000, "height": 500}) as page:
            screenshot(page, images / "tutorial_live.png", "pre")
        with opened(browser, report, viewport={"width": 1100, "height": 900}) as page:
            screenshot(page, images / "tutorial_summary.png", "body", 970)
            screenshot(page, images / "tutorial_knobs.png", "#knobs")
        with opened(
            browser, report, viewport={"width": 390, "height": 844}, device_scale_factor=2, is_mobile=True
        ) as page:
            screenshot(page, images / "tutorial_phone.png", "body", 844)
        dark = {"viewport": {"width": 1000, "height": 900}, "color_scheme": "dark"}
        with opened(browser, photos / "report.html", **dark) as page:
            page.get_by_role("radio", name="detail loss").check()
            page.wait_for_function("[...document.querySelectorAll('#stage img')].every(e => e.complete)")
            screenshot(page, images / "tutorial_overlay.jpg", "#viewer")
        browser.close()
    before_and_after(photos, "girl", images / "tutorial_before_after.jpg", (100, 100, 196, 196))
