"""Finding and pairing pictures."""

from __future__ import annotations

from pathlib import Path

import pytest
from hypothesis import given
from hypothesis import strategies as st

from tests.tuner.recipe_data import picture
from tuner.recipe import ImagePair, ImagesSpec
from tuner.recipe_images import ImagesError, check_pictures, expand, find_pairs, pair_up, unique_names


def paths(folder: str, *names: str) -> list[Path]:
    return [Path("/", folder, name) for name in names]


def names(pairs: object) -> list[tuple[str, str]]:
    return [(one.name, other.name) for one, other in pairs]  # type: ignore[attr-defined]


def test_names_win_over_order() -> None:
    inputs, references = paths("a", "x.png", "y.png"), paths("b", "y.png", "x.png")
    assert names(pair_up(inputs, references)) == [("x.png", "x.png"), ("y.png", "y.png")]


def test_stems_agree_across_file_types() -> None:
    inputs, references = paths("a", "x.jpg", "y.jpg"), paths("b", "y.png", "x.png")
    assert names(pair_up(inputs, references)) == [("x.jpg", "x.png"), ("y.jpg", "y.png")]


def test_order_where_no_name_agrees() -> None:
    inputs, references = paths("a", "n1.png", "n2.png"), paths("b", "c1.png", "c2.png")
    assert names(pair_up(inputs, references)) == [("n1.png", "c1.png"), ("n2.png", "c2.png")]


@pytest.mark.parametrize(
    ("inputs", "references", "reason"),
    [
        (["1.png", "2.png"], ["a.png"], "no file names agree and the counts differ"),
        (["1.png", "2.png"], ["1.png", "3.png"], "only some file names agree"),
        (["1.png", "2.png"], ["1.png", "2.png", "3.png"], "only some file names agree"),
    ],
)
def test_a_mismatch_is_refused_with_both_lists(inputs: list[str], references: list[str], reason: str) -> None:
    with pytest.raises(ImagesError) as caught:
        pair_up(paths("a", *inputs), paths("b", *references))
    message = str(caught.value)
    assert reason in message
    assert f"{len(inputs)} inputs ({', '.join(inputs)})" in message
    assert f"{len(references)} references ({', '.join(references)})" in message


@given(st.lists(st.integers(0, 50), unique=True, min_size=1), st.randoms())
def test_pairing_by_name_ignores_order(numbers: list[int], random: object) -> None:
    inputs = paths("a", *(f"{number}.png" for number in numbers))
    references = paths("b", *(f"{number}.png" for number in numbers))
    random.shuffle(references)  # type: ignore[attr-defined]
    pairs = list(pair_up(inputs, references))
    assert [one for one, _ in pairs] == inputs
    assert all(one.name == other.name for one, other in pairs)


def test_held_out_by_name_takes_the_partner_along() -> None:
    inputs, references = paths("a", "1.png", "2.png"), paths("b", "1.png", "2.png")
    assert names(pair_up(inputs, references, ["/a/1.png"])) == [("2.png", "2.png")]
    assert names(pair_up(inputs, references, ["/b/1.png"])) == [("2.png", "2.png")]


def test_held_out_by_order_takes_the_partner_along() -> None:
    inputs, references = paths("a", "n1.png", "n2.png"), paths("b", "c1.png", "c2.png")
    assert names(pair_up(inputs, references, ["*/n1.png"])) == [("n2.png", "c2.png")]


def test_an_extra_file_may_be_held_out() -> None:
    inputs = paths("a", "1.png", "2.png")
    assert len(list(pair_up(inputs, paths("b", "1.png", "2.png", "3.png"), ["*/3.png"]))) == 2
    assert len(list(pair_up(inputs, paths("b", "a.png", "b.png", "c.png"), ["*/c.png"]))) == 2


@pytest.fixture
def folder(tmp_path: Path) -> Path:
    for name in ("b", "a", "c"):
        picture(tmp_path / "in" / f"{name}.png")
        picture(tmp_path / "out" / f"{name}.png")
    (tmp_path / "in" / "notes.txt").write_text("no picture")
    return tmp_path


def test_globs_are_sorted_and_hold_pictures_only(folder: Path) -> None:
    assert [path.name for path in expand("in/*", folder, "input")] == ["a.png", "b.png", "c.png"]
    listed = expand(["in/c.png", "in/*"], folder, "input")
    assert [path.name for path in listed] == ["c.png", "a.png", "b.png"]


def test_skip_limit_and_exclude(folder: Path) -> None:
    def chosen(**keys: object) -> list[str]:
        images = ImagesSpec.model_validate({"input": "in/*.png", "reference": "out/*.png", **keys})
        return [pair.name for pair in find_pairs(images, folder)]

    assert chosen() == ["a", "b", "c"]
    assert chosen(skip=1) == ["b", "c"]
    assert chosen(skip=1, limit=1) == ["b"]
    assert chosen(exclude=["in/b.png"]) == ["a", "c"]
    assert chosen(exclude=["out/a*"], limit=1) == ["b"]


@pytest.mark.parametrize("reference", ["input", "incumbent"])
def test_without_reference_files(folder: Path, reference: str) -> None:
    images = ImagesSpec(input="in/*.png", reference=reference, exclude=["in/a.png"])
    assert [(pair.name, pair.reference) for pair in find_pairs(images, folder)] == [("b", None), ("c", None)]


def test_sizes_that_disagree_name_both_files(tmp_path: Path) -> None:
    small, large = picture(tmp_path / "s.png", 32, 40), picture(tmp_path / "l.png", 40, 32)
    ((key, message),) = check_pictures([ImagePair("s", small, large)])
    assert key == "reference"
    assert f"{small} (32 x 40) beside {large} (40 x 32), expected the same size" in message
    assert check_pictures([ImagePair("s", small, small), ImagePair("l", large, None)]) == []


def test_names_are_unique() -> None:
    made = unique_names(paths("x", "a.png", "a.jpg", "b.png", "a_2.png"))
    assert made == ["a", "a_2", "b", "a_2_2"]
