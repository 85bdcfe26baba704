"""The readers of public rated sets, on tiny copies in the authors' layouts."""

from __future__ import annotations

import os
from collections import Counter
from pathlib import Path

import pytest
import rated_sets
import torch

from pixelperfect_models.errors import UserError
from pixelperfect_models.evaluation.datasets import LAYOUTS, Rating, detect_dataset, read_dataset
from pixelperfect_models.evaluation.datasets.kadid10k import TYPES as KADID_TYPES
from pixelperfect_models.evaluation.datasets.tid import TYPES as TID_TYPES
from pixelperfect_models.evaluation.ratings import evaluate_ratings

EXPECTED = {
    # name: (ratings, types, contents, the best mos, the worst mos)
    "ratings": (3, {"noise"}, {"ref"}, 8, 6),
    "tid2013": (12, {"gaussian_blur", "sparse_sampling"}, {"i01", "i25"}, 6, 2),
    "tid2008": (8, {"additive_gaussian_noise", "contrast_change"}, {"i03"}, 6, 3),
    "kadid10k": (6, {"gaussian_blur", "contrast_change"}, {"i07"}, 4.3, 1.5),
    "csiq": (12, {"additive_gaussian_noise", "jpeg2000"}, {"1600", "sunset_color"}, 0.8, 0.4),
    "live": (6, {"jpeg2000", "jpeg", "white_noise", "gaussian_blur", "fast_fading"}, {"bikes", "womanhat"}, 70, 55),
    "pipal": (12, {"traditional_super_resolution", "traditional_distortions"}, {"a0001", "a0185"}, 1600.5, 1400.5),
    "pieapp": (12, {"gaussian_blur", "ghosting"}, {"ref_2", "ref_10"}, -0.9, -2.7),
    "cid22": (6, {"JPEG", "AVIF_aom_s7"}, {"1001682"}, 75, 25),
}


class ByError:
    """A judge that goes by squared error: the made-up ratings fall with it."""

    def prepare(self, ref: torch.Tensor) -> torch.Tensor:
        return ref

    def score(self, test: torch.Tensor, ref: torch.Tensor) -> torch.Tensor:
        return -(test - ref).square().mean((1, 2, 3))


@pytest.mark.parametrize("name", LAYOUTS)
def test_every_layout_is_recognised_and_read(name: str, tmp_path: Path) -> None:
    folder = rated_sets.SETS[name](tmp_path)
    assert detect_dataset(folder) == name
    found, rows = read_dataset(folder)
    count, kinds, contents, best, worst = EXPECTED[name]
    assert found == name and len(rows) == count
    assert {row.type for row in rows} == kinds and {row.content for row in rows} == contents
    assert max(row.mos for row in rows) == pytest.approx(best)
    assert min(row.mos for row in rows) == pytest.approx(worst)
    assert all(row.distorted.is_file() and row.reference.is_file() for row in rows)
    assert len({row.distorted for row in rows}) == count and not {row.distorted for row in rows} & {
        row.reference for row in rows
    }


@pytest.mark.parametrize("name", LAYOUTS)
def test_ratings_are_turned_so_that_higher_is_better(name: str, tmp_path: Path) -> None:
    # In every tiny set the rating falls with the noise, whatever way round the authors' scale is.
    result = evaluate_ratings(rated_sets.SETS[name](tmp_path), ByError(), metrics=("psnr",), bootstrap=5)
    assert result["dataset"] == name and result["overall"]["judge"]["srcc"] > 0.9
    assert result["overall"]["psnr"]["srcc"] > 0.9


def test_every_set_has_a_test() -> None:
    assert set(rated_sets.SETS) == set(EXPECTED) == set(LAYOUTS)
    assert (len(TID_TYPES), len(set(TID_TYPES)), len(KADID_TYPES), len(set(KADID_TYPES))) == (24, 24, 25, 25)


@pytest.mark.skipif("PIXELPERFECT_DATA" not in os.environ, reason="needs PIXELPERFECT_DATA")
def test_tid_types_are_those_of_the_development_part() -> None:
    # Its ratings.csv names the types in words, its file names i01_YY_Z.webp by number.
    rows = read_dataset(Path(os.environ["PIXELPERFECT_DATA"]) / "ratings" / "tid2013")[1]
    assert len(rows) == 236
    for row in rows:
        _, kind, level = row.distorted.stem.split("_")
        assert (TID_TYPES[int(kind) - 1], int(level)) == (row.type, row.level)


def test_pictures_converted_to_another_format_are_found(tmp_path: Path) -> None:
    folder = rated_sets.kadid10k(tmp_path)
    for path in list((folder / "images").iterdir()):
        path.rename(path.with_name(path.stem.lower() + ".PNG"))
    assert len(read_dataset(folder)[1]) == 6


def test_tid_scores_without_names_need_the_full_set(tmp_path: Path) -> None:
    folder = rated_sets.tid2013(tmp_path)
    (folder / "mos_with_names.txt").unlink()
    (folder / "mos.txt").write_text("\n".join(f"{index / 1000}" for index in range(3000)))
    assert detect_dataset(folder) == "tid2013"
    rows = LAYOUTS["tid2013"].read(folder)
    assert len(rows) == 3000 and Counter(row.level for row in rows) == dict.fromkeys((1, 2, 3, 4, 5), 600)
    # Line 120 + (8 - 1) * 5 + 3 is content 2, type 8, level 3.
    assert (rows[157].type, rows[157].level, rows[157].mos) == ("gaussian_blur", 3, 0.157)
    assert rows[157].distorted.name.lower() == "i02_08_3.bmp"
    (folder / "mos.txt").write_text("1\n2\n")
    with pytest.raises(UserError, match=r"mos\.txt: 2 scores, expected 1700 \(TID2008\) or 3000"):
        detect_dataset(folder)


def test_csiq_is_read_from_a_workbook_or_a_table(tmp_path: Path) -> None:
    (tmp_path / "a").mkdir()
    (tmp_path / "b").mkdir()

    def told(rows: list[Rating]) -> list[tuple[object, ...]]:
        return [(row.distorted.name, row.reference.name, row.type, row.level, round(row.mos, 6)) for row in rows]

    workbook, table = rated_sets.csiq(tmp_path / "a"), rated_sets.csiq(tmp_path / "b", "csv")
    rows = told(read_dataset(workbook)[1])
    assert rows == told(read_dataset(table)[1])
    assert rows[0] == ("1600.AWGN.1.png", "1600.png", "additive_gaussian_noise", 1, 0.8)
    rated_sets.workbook(workbook / "csiq.DMOS.xlsx", {"first": [["image"]]})
    with pytest.raises(UserError, match="no sheet 'all_by_image', only first"):
        read_dataset(workbook)
    (workbook / "csiq.DMOS.xlsx").write_text("no archive")
    with pytest.raises(UserError, match="not an Excel workbook"):
        read_dataset(workbook)


def test_live_prefers_realigned_scores_and_reads_either_list_of_references(tmp_path: Path) -> None:
    plain = {row.distorted.parent.name: row for row in read_dataset(rated_sets.live(tmp_path / "a"))[1]}
    listed = read_dataset(rated_sets.live(tmp_path / "b", named=False))[1]
    better = {
        row.distorted.parent.name: row for row in read_dataset(rated_sets.live(tmp_path / "c", realigned=True))[1]
    }
    assert [row.reference.name for row in listed if row.type == "jpeg2000"] == ["bikes.bmp", "womanhat.bmp"]
    assert all(plain[name].reference.name == better[name].reference.name for name in plain)
    assert better["wn"].mos == pytest.approx(plain["wn"].mos - 1.0)
    (tmp_path / "b" / "wn" / "info.txt").write_text("bikes.bmp img1.bmp 0\n")
    with pytest.raises(UserError, match="11 scores and 11 orgs for 10 pictures"):
        read_dataset(tmp_path / "b")


def test_a_set_with_holes_is_refused(tmp_path: Path) -> None:
    folder = rated_sets.pipal(tmp_path)
    gone = folder / "Distortion_1" / "A0001_00_01.bmp"
    gone.unlink()
    with pytest.raises(UserError, match=r"A0001_00_01\.bmp: no such picture.*1 of the pictures"):
        read_dataset(folder)


def test_an_unknown_folder_is_told_what_was_looked_for(tmp_path: Path) -> None:
    with pytest.raises(UserError) as caught:
        read_dataset(tmp_path)
    text = str(caught.value)
    assert str(tmp_path) in text and all(name in text and layout.looked_for in text for name, layout in LAYOUTS.items())
    with pytest.raises(UserError, match="did you mean 'kadid10k'"):
        read_dataset(tmp_path, "kadid")
    with pytest.raises(UserError, match="no such folder"):
        read_dataset(tmp_path / "absent")


@pytest.mark.parametrize("name", LAYOUTS)
def test_a_layout_forced_on_a_folder_without_it_is_refused(name: str, tmp_path: Path) -> None:
    with pytest.raises(UserError, match=str(tmp_path)):
        read_dataset(tmp_path, name)


@pytest.mark.parametrize(
    ("name", "file", "text", "message"),
    [
        (
            "tid2013",
            "mos_with_names.txt",
            "5.5 I01_25_1.bmp",
            r"names\.txt:1: 'I01_25_1\.bmp', expected .*type 1 to 24",
        ),
        ("tid2013", "mos_with_names.txt", "good I01_05_5.bmp", r"names\.txt:1: 'good' is no score"),
        ("kadid10k", "dmos.csv", "dist_img,ref_img\n", r"dmos\.csv: no column dmos"),
        ("kadid10k", "dmos.csv", "dist_img,ref_img,dmos\nI07_26_1.png,I07.png,1\n", r"dmos\.csv:2: .*type 1 to 25"),
        ("csiq", "csiq.DMOS.csv", "image,dst_type,dst_lev,dmos\n1600,nois,1,0.1\n", r"row 2: .*did you mean 'noise'"),
        ("pipal", "Train_Label/A0001.txt", "A0001_09_00.bmp,1500\n", r"A0001\.txt:1: .*group 00 to 06"),
        ("pieapp", "labels/test/ref_2_per_image_score.csv", "h\nref_2.png,x.png,1\n", r"csv:2: 'x\.png', expected"),
        ("cid22", "CID22_validation_set.csv", "reference_img,MCOS\n", "no column distorted_img, encoder, setting"),
        ("ratings", "ratings.csv", "distorted,reference,type,level,mos\na,b,c,1.5,2\n", r"csv:2: '1\.5' is no level"),
    ],
)
def test_broken_lists_are_named(name: str, file: str, text: str, message: str, tmp_path: Path) -> None:
    folder = rated_sets.csiq(tmp_path, "csv") if name == "csiq" else rated_sets.SETS[name](tmp_path)
    (folder / file).write_text(text)
    with pytest.raises(UserError, match=message):
        read_dataset(folder, name)
