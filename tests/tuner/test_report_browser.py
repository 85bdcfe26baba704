"""The report in a browser, opened from a file: the viewer, both schemes, a phone, and no error on the console."""

from __future__ import annotations

import os
import re
import shutil
from collections.abc import Iterator
from pathlib import Path

import pytest
from report_run import PENALTIES, make_report, make_run

CHROMIUM = shutil.which("chromium") or shutil.which("chromium-browser") or shutil.which("google-chrome")
if os.environ.get("CI"):  # what CI should have installed is not skipped silently
    import playwright.sync_api as sync_api

    assert CHROMIUM is not None, "no chromium on the path (apt-get install chromium)"
else:
    sync_api = pytest.importorskip("playwright.sync_api", reason="Playwright is not installed (pip install -e .[test])")
pytestmark = pytest.mark.skipif(CHROMIUM is None, reason="no chromium on the path (apt-get install chromium)")


@pytest.fixture(scope="module")
def report(tmp_path_factory: pytest.TempPathFactory) -> Path:
    search = {"strategy": "optuna", "sampler": "random", "trials": 14, "seed": 1}
    limit = {"constraints": [{"measure": "bytes", "at_most": 200.0}]}
    objective = {**PENALTIES, **limit, "pareto": [{"measure": "bytes", "goal": "minimize"}]}
    run_dir = make_run(tmp_path_factory.mktemp("browser"), search=search, objective=objective)
    make_report(run_dir)
    return run_dir / "report.html"


@pytest.fixture(scope="module")
def browser() -> Iterator[sync_api.Browser]:
    with sync_api.sync_playwright() as playwright:
        browser = playwright.chromium.launch(executable_path=CHROMIUM, args=["--no-sandbox", "--disable-gpu"])
        yield browser
        browser.close()


class Opened:
    """The report in a fresh browser context, with everything that went wrong in it."""

    def __init__(self, browser: sync_api.Browser, report: Path, width: int, height: int, scheme: str) -> None:
        self.context = browser.new_context(viewport={"width": width, "height": height}, color_scheme=scheme)
        self.page = self.context.new_page()
        self.problems: list[str] = []
        self.requests: list[str] = []
        self.page.on("console", lambda m: self.problems.append(m.text) if m.type in ("error", "warning") else None)
        self.page.on("pageerror", lambda error: self.problems.append(str(error)))
        self.page.on("request", lambda request: self.requests.append(request.url))
        self.page.goto(report.as_uri())
        self.page.wait_for_function("document.querySelector('#right .base').naturalWidth > 0")


@pytest.fixture
def opened(browser: sync_api.Browser, report: Path, request: pytest.FixtureRequest) -> Iterator[Opened]:
    width, height, scheme = getattr(request, "param", (1200, 900, "light"))
    opened = Opened(browser, report, width, height, scheme)
    yield opened
    assert opened.problems == []
    assert [url for url in opened.requests if not url.startswith(("data:", report.as_uri()))] == []
    opened.context.close()


PHONE = (390, 844, "light")


def cut(page: sync_api.Page) -> float:
    """How much of the right picture is cut off on its left, as a share of the stage."""
    style = page.eval_on_selector("#right", "e => getComputedStyle(e).clipPath")
    return float(re.findall(r"([\d.]+)px\)", style)[0]) / page.eval_on_selector("#stage", "e => e.clientWidth")


def test_the_divider_moves_by_keyboard_and_pointer(opened: Opened) -> None:
    page = opened.page
    assert cut(page) == pytest.approx(0.5, abs=0.01)
    page.focus("#split")
    for _ in range(20):
        page.keyboard.press("ArrowRight")
    assert cut(page) == pytest.approx(0.6, abs=0.01)
    assert page.get_attribute("#split", "aria-label")
    page.locator("#stage").scroll_into_view_if_needed()
    box = page.locator("#stage").bounding_box()
    assert box is not None
    page.mouse.move(box["x"] + 0.6 * box["width"], box["y"] + 40)
    page.mouse.down()
    page.mouse.move(box["x"] + 0.25 * box["width"], box["y"] + 60, steps=4)
    page.mouse.up()
    assert cut(page) == pytest.approx(0.25, abs=0.02)
    page.mouse.move(box["x"] + 0.8 * box["width"], box["y"] + 60)
    assert cut(page) == pytest.approx(0.25, abs=0.02), "released"
    assert float(page.input_value("#split")) == pytest.approx(25, abs=2)


def test_the_two_sides_show_what_is_chosen(opened: Opened) -> None:
    page = opened.page
    data = page.evaluate("JSON.parse(document.getElementById('data').textContent)")
    source = "s => document.querySelector(s + ' .base').src"
    assert page.evaluate(source, "#left") == data["pictures"][0]["images"]["start"]
    assert page.evaluate(source, "#right") == data["pictures"][0]["images"]["best"]
    page.select_option("#left-role", "reference")
    page.select_option("#picture", "1")
    assert page.evaluate(source, "#left") == data["pictures"][1]["images"]["reference"]
    assert page.evaluate(source, "#right") == data["pictures"][1]["images"]["best"]
    assert page.inner_text("#left .tag") == "Reference"


def test_an_overlay_lies_over_its_own_output(opened: Opened) -> None:
    page = opened.page
    data = page.evaluate("JSON.parse(document.getElementById('data').textContent)")
    assert page.is_hidden("#left .map") and page.is_hidden("#legend")
    page.get_by_role("radio", name="exposure").check()
    place = data["types"].index("exposure")
    for side, role in (("left", "start"), ("right", "best")):
        assert page.is_visible(f"#{side} .map")
        assert page.get_attribute(f"#{side} .map", "src") == data["pictures"][0]["maps"][role][place]
        base, over = (page.locator(f"#{side} .{name}").bounding_box() for name in ("base", "map"))
        assert base == over, "the map covers the picture exactly"
    assert page.is_visible("#legend")
    assert page.eval_on_selector("#left .base", "e => getComputedStyle(e).filter") == "grayscale(1)"
    page.uncheck("#grey")
    assert page.eval_on_selector("#left .base", "e => getComputedStyle(e).filter") == "none"
    page.select_option("#right-role", "input")
    assert page.is_hidden("#right .map") and "Input" in page.inner_text("#map-note")
    page.get_by_role("radio", name="none").check()
    assert page.is_hidden("#left .map") and page.is_hidden("#legend")


def test_both_pictures_zoom_and_move_alike(opened: Opened) -> None:
    page = opened.page
    transform = "s => getComputedStyle(document.querySelector(s + ' .content')).transform"
    width = "s => document.querySelector(s + ' .content').getBoundingClientRect().width"
    before = page.evaluate(width, "#left")
    for _ in range(3):
        page.click("[data-zoom=in]")
    assert page.evaluate(width, "#left") == pytest.approx(before * 1.5**3, rel=0.02)
    assert page.evaluate(transform, "#left") == page.evaluate(transform, "#right")
    still = page.evaluate(transform, "#left")
    page.focus("#stage")
    page.keyboard.press("ArrowDown")
    assert page.evaluate(transform, "#left") != still
    assert page.evaluate(transform, "#left") == page.evaluate(transform, "#right")
    page.click("[data-zoom=one]")
    assert page.inner_text("#zoom") == "100 %"
    assert page.evaluate(width, "#left") == pytest.approx(40)
    page.click("[data-zoom=fit]")
    assert page.evaluate(width, "#left") == pytest.approx(before)


def test_side_by_side_shows_both_pictures_whole(opened: Opened) -> None:
    page = opened.page
    page.click("[data-layout=side]")
    left, right = (page.locator(f"#{side} .base").bounding_box() for side in ("left", "right"))
    assert left is not None and right is not None
    assert left["x"] + left["width"] <= right["x"] + 1
    assert (left["width"], left["height"]) == (right["width"], right["height"])
    assert page.eval_on_selector("#right", "e => getComputedStyle(e).clipPath") == "none"
    assert page.is_hidden("#divider")
    page.click("[data-layout=slider]")
    assert page.is_visible("#divider")


def test_a_worst_region_is_shown_in_the_viewer(opened: Opened) -> None:
    page = opened.page
    region = page.locator(".region").first
    left, top, width, height = (int(v) for v in (region.get_attribute("data-box") or "").split(","))
    region.get_by_role("button", name="Show").click()
    box = page.locator("#right .box")
    assert box.is_visible()
    scale = page.evaluate("document.querySelector('#right .content').offsetWidth") / page.evaluate(
        "JSON.parse(document.getElementById('data').textContent)"
        f".pictures[{region.get_attribute('data-picture')}].width"
    )
    place = page.eval_on_selector("#right .box", "e => [e.offsetLeft, e.offsetTop, e.offsetWidth, e.offsetHeight]")
    assert place == pytest.approx([left * scale, top * scale, width * scale, height * scale], abs=2)
    kind = region.get_attribute("data-type")
    assert page.is_checked(f"#types input[value='{kind}']")
    painted = page.evaluate(
        "() => [...document.querySelectorAll('.region canvas')].every(c => "
        "c.getContext('2d').getImageData(0, 0, c.width, c.height).data.some(v => v > 0))"
    )
    assert painted, "every cut-out shows something"


def test_trials_sort_and_filter(opened: Opened) -> None:
    page = opened.page
    values = (
        "() => [...document.querySelectorAll('#trial-table tbody tr')].filter(r => !r.hidden)"
        ".map(r => Number(r.cells[2].dataset.key))"
    )
    by_number = page.evaluate(values)
    head = page.locator("#trial-table thead th", has_text="Value")
    head.get_by_role("button").click()
    assert page.evaluate(values) == sorted(by_number)
    head.get_by_role("button").click()
    assert page.evaluate(values) == sorted(by_number, reverse=True)
    assert head.get_attribute("aria-sort") == "descending"
    page.select_option("#trial-filter", "infeasible")
    shown = page.locator("#trial-table tbody tr:visible")
    assert 0 < shown.count() < len(by_number)
    assert set(shown.evaluate_all("rows => rows.map(r => r.dataset.kind)")) == {"infeasible"}


def test_ctrl_and_wheel_zoom_both_pictures_about_the_pointer(opened: Opened) -> None:
    page = opened.page
    page.locator("#stage").scroll_into_view_if_needed()
    box = page.locator("#stage").bounding_box()
    assert box is not None
    width = "s => document.querySelector(s + ' .content').getBoundingClientRect().width"
    before = page.evaluate(width, "#left")
    page.mouse.move(box["x"] + 0.7 * box["width"], box["y"] + 0.5 * box["height"])
    page.keyboard.down("Control")
    page.mouse.wheel(0, -300)
    page.keyboard.up("Control")
    page.wait_for_function(f"document.querySelector('#left .content').getBoundingClientRect().width > {before * 1.5}")
    transform = "s => getComputedStyle(document.querySelector(s + ' .content')).transform"
    assert page.evaluate(transform, "#left") == page.evaluate(transform, "#right")


def test_a_mark_tells_of_its_trial_and_is_found_in_every_plot(opened: Opened) -> None:
    page = opened.page
    row = page.locator("#trial-table tbody tr").nth(4)
    number = row.get_attribute("data-trial")
    assert page.is_hidden("#tip")
    mark = page.locator(f".wide-only svg circle[data-t='{number}']").first
    mark.scroll_into_view_if_needed()
    page.wait_for_timeout(200)  # scrolling takes a tooltip away
    mark.hover()
    assert page.is_visible("#tip")
    told = page.inner_text("#tip")
    assert f"Trial {number}," in told and "gamma" in told and row.locator("td").nth(2).inner_text() in told
    # History, front, parallel coordinates and two slices: the same trial in each that is drawn.
    assert page.locator("svg:visible .hot").count() >= 5
    page.mouse.move(5, 5)
    assert page.is_hidden("#tip") and page.locator(".hot").count() == 0
    row.click()
    assert page.locator("svg:visible .chosen-trial").count() >= 5
    row.click()
    assert page.locator(".chosen-trial").count() == 0


@pytest.mark.parametrize("opened", [(1200, 900, "light"), (390, 844, "light")], indirect=True)
def test_a_range_on_an_axis_keeps_the_lines_that_pass_it(opened: Opened) -> None:
    page = opened.page
    drawing = page.locator("svg.parallel:visible")
    drawing.scroll_into_view_if_needed()
    axis = drawing.locator(".pc-hit").first
    box = axis.bounding_box()
    assert box is not None
    centre = box["x"] + box["width"] / 2
    page.mouse.move(centre, box["y"] + 2)
    page.mouse.down()
    page.mouse.move(centre, box["y"] + box["height"] / 2, steps=4)
    page.mouse.up()
    heights = "lines => lines.map(l => [Number(l.dataset.at.split(',')[0]), l.classList.contains('off')])"
    lines = drawing.locator(".pc").evaluate_all(heights)
    kept, off = ([at for at, out in lines if out == side] for side in (False, True))
    assert kept and off and max(kept) < min(off), "the upper half of the axis, where the picture's y is small"
    assert page.inner_text("#brush-note") == f"{len(kept)} of {len(lines)} trials"
    page.click("#brush-clear")
    assert drawing.locator(".pc.off").count() == 0 and page.is_hidden("#brush-clear")


def test_a_cell_of_the_knob_table_says_itself_in_words(opened: Opened) -> None:
    page = opened.page
    cell = page.locator("td.knob.cool").first
    cell.hover()
    assert re.search(r"\w+, [\w ]+: less as it rises, −0\.\d+", page.inner_text("#tip"))
    page.keyboard.press("Escape")
    assert page.is_hidden("#tip")
    cell.focus()
    assert page.is_visible("#tip"), "by keyboard too"


def test_the_front_is_there_as_a_table(opened: Opened) -> None:
    page = opened.page
    page.get_by_text("The front as a table").click()
    rows = page.locator("details table tbody tr")
    assert rows.count() > 1 and rows.first.is_visible()


GROUND = "() => getComputedStyle(document.body).backgroundColor"


def brightness(colour: str) -> float:
    return sum(int(part) for part in re.findall(r"\d+", colour)[:3]) / 3


@pytest.mark.parametrize("opened", [(1200, 900, "dark"), (1200, 900, "light")], indirect=True)
def test_the_scheme_follows_the_system_and_the_button(opened: Opened) -> None:
    page = opened.page
    dark = page.evaluate("matchMedia('(prefers-color-scheme: dark)').matches")
    assert (brightness(page.evaluate(GROUND)) < 60) == dark
    page.click("#theme")
    assert (brightness(page.evaluate(GROUND)) < 60) != dark
    ink = page.evaluate("() => getComputedStyle(document.body).color")
    assert abs(brightness(ink) - brightness(page.evaluate(GROUND))) > 150, "text stands off its ground"
    page.click("#theme")
    assert (brightness(page.evaluate(GROUND)) < 60) == dark


@pytest.mark.parametrize("opened", [PHONE, (320, 640, "dark")], indirect=True)
def test_nothing_is_wider_than_a_phone(opened: Opened) -> None:
    page = opened.page
    assert page.evaluate("document.documentElement.scrollWidth") <= page.evaluate("innerWidth")
    page.get_by_role("radio", name="exposure").check()
    page.click("[data-layout=side]")
    assert page.evaluate("document.documentElement.scrollWidth") <= page.evaluate("innerWidth")
    narrow = page.evaluate("() => [...document.querySelectorAll('.narrow-only svg')].every(e => e.clientWidth > 200)")
    assert narrow, "the history has a drawing of its own for phones"


def test_every_control_has_a_name(opened: Opened) -> None:
    nameless = opened.page.evaluate(
        """() => [...document.querySelectorAll('button, select, input, a, svg[role=img], canvas')].filter(e => {
            const label = e.getAttribute('aria-label') || e.closest('label')?.textContent || e.textContent;
            return !label.trim();
        }).map(e => e.outerHTML.slice(0, 90))"""
    )
    assert nameless == []
