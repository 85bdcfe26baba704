"""Cells of an Excel workbook (.xlsx), by the standard library alone: enough to read one table of plain values.

Office Open XML, ECMA-376 part 1, chapter 18 (SpreadsheetML). Formulas give the value stored with them; dates and
number formats are not interpreted.
"""

from __future__ import annotations

import re
import zipfile
from pathlib import Path
from xml.etree import ElementTree

from pixelperfect_models.errors import UserError

_MAIN = "{http://schemas.openxmlformats.org/spreadsheetml/2006/main}"
_RELATION = "{http://schemas.openxmlformats.org/officeDocument/2006/relationships}id"


def read_sheet(file: Path, sheet: str) -> list[list[str]]:
    """The rows of ``sheet``, each a list of cell texts from column A on; empty cells are empty strings.

    Raises UserError: no such file, not a workbook, or no sheet of that name.
    """
    try:
        with zipfile.ZipFile(file) as archive:
            names = {
                node.get("name", ""): node.get(_RELATION)
                for node in _tree(archive, "xl/workbook.xml").iter(f"{_MAIN}sheet")
            }
            if sheet not in names:
                raise UserError(f"{file}: no sheet {sheet!r}, only {', '.join(sorted(names))}")
            relations = _tree(archive, "xl/_rels/workbook.xml.rels")
            target = next(node.get("Target", "") for node in relations if node.get("Id") == names[sheet])
            # A target is relative to xl/, or absolute inside the archive.
            member = target.lstrip("/") if target.startswith("/") else f"xl/{target}"
            strings = _shared_strings(archive)
            return [_row(node, strings) for node in _tree(archive, member).iter(f"{_MAIN}row")]
    except FileNotFoundError:
        raise UserError(f"{file}: no such file") from None
    except (zipfile.BadZipFile, KeyError, ElementTree.ParseError, StopIteration, IndexError) as error:
        raise UserError(f"{file}: not an Excel workbook that can be read ({error})") from None


def _tree(archive: zipfile.ZipFile, member: str) -> ElementTree.Element:
    return ElementTree.fromstring(archive.read(member))


def _shared_strings(archive: zipfile.ZipFile) -> list[str]:
    if "xl/sharedStrings.xml" not in archive.namelist():
        return []
    items = _tree(archive, "xl/sharedStrings.xml").iter(f"{_MAIN}si")
    return ["".join(text.text or "" for text in item.iter(f"{_MAIN}t")) for item in items]


def _row(node: ElementTree.Element, strings: list[str]) -> list[str]:
    cells: list[str] = []
    for cell in node.iter(f"{_MAIN}c"):
        address = re.match(r"[A-Z]+", cell.get("r", ""))
        column = _column(address[0]) if address else len(cells)
        cells.extend([""] * (column + 1 - len(cells)))
        value = cell.find(f"{_MAIN}v")
        if cell.get("t") == "inlineStr":
            cells[column] = "".join(text.text or "" for text in cell.iter(f"{_MAIN}t"))
        elif value is not None and value.text is not None:
            cells[column] = strings[int(value.text)] if cell.get("t") == "s" else value.text
    return cells


def _column(letters: str) -> int:
    """0 for A, 25 for Z, 26 for AA."""
    index = 0
    for letter in letters:
        index = 26 * index + ord(letter) - ord("A") + 1
    return index - 1
