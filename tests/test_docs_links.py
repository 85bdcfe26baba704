"""README.md and docs: what they link to in the repository is there, headings included."""

from __future__ import annotations

import re
from pathlib import Path
from urllib.parse import unquote

import pytest

ROOT = Path(__file__).parent.parent
PAGES = [ROOT / "README.md", *sorted((ROOT / "docs").rglob("*.md")), *sorted((ROOT / "recipes").rglob("*.md"))]


def prose(page: Path) -> str:
    """The page without its code, where brackets are not links."""
    text = re.sub(r"^```.*?^```", "", page.read_text(encoding="utf-8"), flags=re.DOTALL | re.MULTILINE)
    return re.sub(r"`[^`\n]*`", "", text)


def links(page: Path) -> list[str]:
    """Targets of links and images, Markdown and HTML, that lie in the repository."""
    text = prose(page)
    found = re.findall(r"\]\(\s*<?([^)\s>]+)>?(?:\s+\"[^\"]*\")?\s*\)", text)
    found += re.findall(r"^\s*\[[^\]]+\]:\s+(\S+)", text, flags=re.MULTILINE)
    found += re.findall(r"<(?:img|a|source)\b[^>]*?\b(?:src|href|srcset)=\"([^\"]+)\"", text)
    return [target for target in found if not re.match(r"[a-z][a-z0-9+.-]*:", target)]


def anchors(page: Path) -> set[str]:
    """The fragments that GitHub gives to the page's headings."""
    text = re.sub(r"^```.*?^```", "", page.read_text(encoding="utf-8"), flags=re.DOTALL | re.MULTILINE)
    headings = re.findall(r"^#+ +(.+?)\s*$", text, flags=re.MULTILINE)
    plain = [re.sub(r"\[([^\]]*)\]\([^)]*\)", r"\1", heading).lower() for heading in headings]
    return {re.sub(r"[^\w\- ]", "", heading).replace(" ", "-") for heading in plain}


@pytest.mark.parametrize("page", PAGES, ids=lambda page: str(page.relative_to(ROOT)))
def test_what_a_page_links_to_is_there(page: Path) -> None:
    missing = []
    for target in links(page):
        path, _, fragment = unquote(target).partition("#")
        file = (page.parent / path).resolve() if path else page
        if not file.is_relative_to(ROOT) or not file.exists():
            missing.append(target)
        elif fragment and file.suffix == ".md" and fragment not in anchors(file):
            missing.append(f"{target} (no such heading)")
    assert not missing


def test_the_readme_names_every_page_of_the_documentation() -> None:
    """Figures and logs are reached from the page that explains them; a page with a text of its own from the README."""
    named = {(ROOT / unquote(link).partition("#")[0]).resolve() for link in links(ROOT / "README.md")}
    reached = named | {
        (page.parent / unquote(link).partition("#")[0]).resolve()
        for page in named
        if page.suffix == ".md" and page.exists()
        for link in links(page)
    }
    unnamed = {page.name for page in (ROOT / "docs").glob("*.md")} - {path.name for path in reached}
    assert not unnamed
