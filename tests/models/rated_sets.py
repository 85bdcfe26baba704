"""Tiny copies of the public rated sets, in the layouts their authors distribute, with made-up pictures."""

from __future__ import annotations

import zipfile
from collections.abc import Sequence
from pathlib import Path
from xml.sax.saxutils import escape

import numpy as np
from scipy.io import savemat

from pixelperfect_models.images import write_image

SIDE = 32


def picture(path: Path, strength: float = 0.0) -> None:
    """A picture that depends on nothing but ``strength``: noise of that size over one pattern."""
    rng = np.random.default_rng(0)
    pattern = np.clip(0.5 + 0.3 * rng.standard_normal((SIDE, SIDE, 3)), 0.1, 0.9)
    noise = np.random.default_rng(1).standard_normal((SIDE, SIDE, 3))
    write_image(path, np.clip(pattern + strength * noise, 0, 1).astype(np.float32))


def tid2013(folder: Path) -> Path:
    """Two contents, types 8 and 24, levels 1, 3, 5; names in mixed case, as the authors have them."""
    picture(folder / "reference_images" / "I01.BMP")
    picture(folder / "reference_images" / "i25.bmp")
    lines = []
    for content in ("I01", "i25"):
        for kind in (8, 24):
            for level in (1, 3, 5):
                name = f"{content}_{kind:02}_{level}.bmp"
                picture(folder / "distorted_images" / name.lower(), 0.03 * level)
                lines.append(f"{7 - level:.5f} {name}")
    (folder / "mos_with_names.txt").write_text("\r\n".join(lines) + "\r\n")
    return folder


def tid2008(folder: Path) -> Path:
    """One content, types 1 and 17, levels 1 to 4."""
    picture(folder / "reference_images" / "I03.BMP")
    lines = []
    for kind in (1, 17):
        for level in (1, 2, 3, 4):
            picture(folder / "distorted_images" / f"I03_{kind:02}_{level}.bmp", 0.03 * level)
            lines.append(f"{7 - level}.0 i03_{kind:02}_{level}.bmp")
    (folder / "mos_with_names.txt").write_text("\n".join(lines))
    return folder


def kadid10k(folder: Path) -> Path:
    """One reference, types 1 and 25, levels 1, 3, 5."""
    picture(folder / "images" / "I07.png")
    lines = ["dist_img,ref_img,dmos,var"]
    for kind in (1, 25):
        for level in (1, 3, 5):
            name = f"I07_{kind:02}_{level:02}.png"
            picture(folder / "images" / name, 0.03 * level)
            lines.append(f"{name},I07.png,{5 - 0.7 * level:.2f},0.8")
    (folder / "dmos.csv").write_text("\n".join(lines) + "\n")
    return folder


def csiq(folder: Path, table: str = "xlsx") -> Path:
    """Two references, one with a number for a name; noise and JPEG 2000 at levels 1, 2, 3."""
    header = ["image", "dst_idx", "dst_type", "dst_lev", "dmos_std", "dmos"]
    rows: list[list[object]] = []
    for image in (1600, "sunset_color"):
        picture(folder / "src_imgs" / f"{image}.png")
        for index, (kind, word) in enumerate((("noise", "AWGN"), ("jpeg 2000", "jpeg2000")), start=1):
            for level in (1, 2, 3):
                picture(folder / "dst_imgs" / word.lower() / f"{image}.{word}.{level}.png", 0.04 * level)
                rows.append([image, index, kind, level, 0.05, 0.2 * level])
    if table == "xlsx":
        padded = [[], [], [], ["", "", "", *header], *(["", "", "", *row] for row in rows), ["", "", "", ""]]
        workbook(folder / "csiq.DMOS.xlsx", {"all_by_distortion": [["x"]], "all_by_image": padded})
    else:
        text = [",".join(header), *(",".join(map(str, row)) for row in rows), ",,,,,"]
        (folder / "csiq.DMOS.csv").write_text("\n".join(text))
    return folder


LIVE_COUNTS = {"jp2k": 3, "jpeg": 2, "wn": 2, "gblur": 2, "fastfading": 2}


def live(folder: Path, realigned: bool = False, named: bool = True) -> Path:
    """Two references; in every folder the first picture is a copy of its reference, as ``orgs`` says."""
    references = ("bikes.bmp", "womanhat.bmp")
    for name in references:
        picture(folder / "refimgs" / name)
    dmos, orgs, names = [], [], []
    for place, (kind, count) in enumerate(LIVE_COUNTS.items()):
        info = []
        for index in range(1, count + 1):
            strength = 0.0 if index == 1 else 0.05 * index + 0.01 * place
            picture(folder / kind / f"img{index}.bmp", strength)
            dmos.append(300 * strength)
            orgs.append(int(index == 1))
            names.append(references[index % 2])
            info.append(f"{references[index % 2]} img{index}.bmp {strength:.3f}")
        # The authors' lists are in no order, and some have empty lines.
        (folder / kind / "info.txt").write_text("\r\n\r\n".join(reversed(info)) + "\r\n")
    savemat(folder / "dmos.mat", {"dmos": np.array([dmos]), "orgs": np.array([orgs], dtype=np.uint8)})
    if realigned:
        better = {"dmos_new": np.array([dmos]) + 1.0, "orgs": np.array([orgs], dtype=np.uint8)}
        savemat(folder / "dmos_realigned.mat", better)
    if named:
        cells = np.empty((1, len(names)), dtype=object)
        cells[0] = names
        savemat(folder / "refnames_all.mat", {"refnames_all": cells})
    return folder


def pipal(folder: Path) -> Path:
    """Two references in two parts, groups 00 and 06."""
    for part, name in enumerate(("A0001", "A0185"), start=1):
        picture(folder / "Train_Ref" / f"{name}.bmp")
        lines = []
        for group in ("00", "06"):
            for variant in range(3):
                picture(folder / f"Distortion_{part}" / f"{name}_{group}_{variant:02}.bmp", 0.03 * (variant + 1))
                lines.append(f"{name}_{group}_{variant:02}.bmp,{1600.5 - 100 * variant}")
        (folder / "Train_Label").mkdir(exist_ok=True)
        (folder / "Train_Label" / f"{name}.txt").write_text("\n".join(lines) + "\n")
    return folder


def pieapp(folder: Path) -> Path:
    """Two references of the test part, two types, and a row that rates the reference itself."""
    for number in (2, 10):
        picture(folder / "reference_images" / "test" / f"ref_{number}.png")
        lines = ["ref_img,dist_img,score", f"ref_{number}.png,ref_{number}.png,0.0"]
        for kind in ("gaussian_blur", "ghosting"):
            for level in (1, 2, 3):
                name = f"distort_{number}_{kind}_inter_{level}.png"
                picture(folder / "distorted_images" / "test" / f"ref_{number}" / name, 0.03 * level)
                lines.append(f"ref_{number}.png,{name},{0.9 * level}")
        (folder / "labels" / "test").mkdir(parents=True, exist_ok=True)
        (folder / "labels" / "test" / f"ref_{number}_per_image_score.csv").write_text("\n".join(lines) + "\n")
        (folder / "labels" / "test" / f"ref_{number}_pairwise_labels.csv").write_text("a,b,c,d\n")
    return folder


def cid22(folder: Path) -> Path:
    """One reference, two encoders at three settings, and the reference's own row."""
    base = folder / "CID22_validation_set"
    picture(base / "original" / "1001682.png")
    lines = ["reference_img,distorted_img,encoder,setting,bpp,MCOS,RMOS,Elo,nb_pc_opinions"]
    lines.append("original/1001682.png,original/1001682.png,Reference,,24,91.2,90,2100,50")
    for encoder in ("JPEG", "AVIF_aom_s7"):
        for quality, strength in ((90, 0.02), (60, 0.05), (30, 0.09)):
            name = f"compressed/1001682_{encoder}_q{quality}.png"
            picture(base / name, strength)
            lines.append(f"original/1001682.png,{name},{encoder},q{quality},0.7,{quality / 1.2:.2f},70,1800,40")
    (folder / "CID22_validation_set.csv").write_text("\n".join(lines) + "\n")
    return folder


def ratings(folder: Path) -> Path:
    """One reference, one type without levels."""
    picture(folder / "ref.png")
    lines = ["distorted,reference,type,level,mos"]
    for level in (1, 2, 3):
        picture(folder / f"{level}.png", 0.03 * level)
        lines.append(f"{level}.png,ref.png,noise,,{9 - level}")
    (folder / "ratings.csv").write_text("\n".join(lines))
    return folder


SETS = {
    "ratings": ratings,
    "tid2013": tid2013,
    "tid2008": tid2008,
    "kadid10k": kadid10k,
    "csiq": csiq,
    "live": live,
    "pipal": pipal,
    "pieapp": pieapp,
    "cid22": cid22,
}


def workbook(file: Path, sheets: dict[str, Sequence[Sequence[object]]]) -> None:
    """An Excel workbook: texts as shared strings, empty cells left out, as Excel writes them."""
    main = "http://schemas.openxmlformats.org/spreadsheetml/2006/main"
    relations = "http://schemas.openxmlformats.org/officeDocument/2006/relationships"
    strings: list[str] = []
    parts: dict[str, str] = {}
    for number, rows in enumerate(sheets.values(), start=1):
        text = []
        for line, cells in enumerate(rows, start=1):
            text.append(f'<row r="{line}">')
            for column, value in enumerate(cells):
                where = f"{chr(ord('A') + column)}{line}"
                if isinstance(value, str):
                    if value:
                        strings.append(value)
                        text.append(f'<c r="{where}" t="s"><v>{len(strings) - 1}</v></c>')
                else:
                    text.append(f'<c r="{where}"><v>{value}</v></c>')
            text.append("</row>")
        body = "".join(text)
        parts[f"xl/worksheets/sheet{number}.xml"] = (
            f'<worksheet xmlns="{main}"><sheetData>{body}</sheetData></worksheet>'
        )
    names = "".join(
        f'<sheet name="{escape(name)}" sheetId="{n}" r:id="rId{n}"/>' for n, name in enumerate(sheets, start=1)
    )
    parts["xl/workbook.xml"] = f'<workbook xmlns="{main}" xmlns:r="{relations}"><sheets>{names}</sheets></workbook>'
    links = "".join(
        f'<Relationship Id="rId{n}" Type="{relations}/worksheet" Target="worksheets/sheet{n}.xml"/>'
        for n in range(1, len(sheets) + 1)
    )
    package = "http://schemas.openxmlformats.org/package/2006/relationships"
    parts["xl/_rels/workbook.xml.rels"] = f'<Relationships xmlns="{package}">{links}</Relationships>'
    items = "".join(f"<si><t>{escape(value)}</t></si>" for value in strings)
    parts["xl/sharedStrings.xml"] = f'<sst xmlns="{main}">{items}</sst>'
    with zipfile.ZipFile(file, "w") as archive:
        for name, content in parts.items():
            archive.writestr(name, content)
