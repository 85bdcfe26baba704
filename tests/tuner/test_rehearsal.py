"""Tuning by rehearsal: what it shows the pipeline, how near it ends to the tuning that sees the truth."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import numpy as np
import pytest
import torch
import torch.nn.functional as nnf

from pixelperfect_models.errors import UserError
from pixelperfect_models.images import read_image, to_array, to_tensor, write_image
from tests.tuner.command import tuner
from tests.tuner.fake_judge import FakeJudge
from tests.tuner.test_noise_model import clean_scene, coarse_noise
from tuner.noise_model import measure_noise
from tuner.pictures import read_pictures
from tuner.recipe import Recipe
from tuner.recipe_file import load_recipe
from tuner.rehearsal import rehearse
from tuner.runner import run

SIDE, DEVIATION = 160, 0.06


@pytest.fixture
def folder(tmp_path: Path) -> Path:
    """Two noisy pictures and their hidden clean ones."""
    for number in range(2):
        clean = clean_scene(SIDE, seed=number)
        noise = coarse_noise((SIDE, SIDE), DEVIATION, np.random.default_rng(number))
        write_image(tmp_path / "clean" / f"p{number}.png", to_tensor(clean))
        write_image(tmp_path / "noisy" / f"p{number}.png", to_tensor(np.clip(clean + noise, 0, 1)))
    return tmp_path


def recipe(folder: Path, reference: str, **images: Any) -> Recipe:
    data = {
        "name": "rehearsed",
        "pipeline": {"name": "denoise.gaussian", "search": {"sigma": {}}},
        "images": {"input": "noisy/*.png", "reference": reference, **images},
        "search": {"strategy": "sweep", "points": 25},
    }
    return load_recipe(data, folder=folder)


def test_stand_in_is_clean_and_its_noise_the_pictures_own(folder: Path) -> None:
    noisy, clean = (read_image(folder / kind / "p0.png") for kind in ("noisy", "clean"))
    rehearsed, stand_in = rehearse(noisy, None, (0, 0))
    assert rehearsed.shape == stand_in.shape == (1, 3, SIDE // 2, SIDE // 2)
    error = float((stand_in - nnf.avg_pool2d(clean, 2)).square().mean().sqrt())
    assert error < 0.5 * float((noisy - clean).square().mean().sqrt())
    added, own = to_array(rehearsed - stand_in), to_array(noisy - clean)
    assert added.std() == pytest.approx(own.std(), rel=0.15)
    grain = [float((n[:, 1:] * n[:, :-1]).mean() / n.var()) for n in (added, own)]
    assert grain[0] == pytest.approx(grain[1], abs=0.12)


def test_same_seed_same_noise(folder: Path) -> None:
    noisy = read_image(folder / "noisy/p0.png")
    first, again, other = (rehearse(noisy, None, seed) for seed in ((1, 0), (1, 0), (2, 0)))
    assert torch.equal(first[0], again[0]) and torch.equal(first[1], other[1])
    assert not torch.equal(first[0], other[0])


def test_a_crop_is_of_the_same_noise(folder: Path) -> None:
    pictures = read_pictures(recipe(folder, "rehearsal", crop=64))
    for picture in pictures:
        assert picture.image.shape == (1, 3, 64, 64) and picture.reference is not None and picture.rehearsed is not None
        noisy = read_image(folder / "noisy" / f"{picture.name}.png")
        assert torch.equal(picture.rehearsed, noisy[..., 48:112, 48:112])
        added = float((picture.image - picture.reference).std())
        assert added == pytest.approx(measure_noise(to_array(noisy)).strength, rel=0.2)


def test_ends_near_the_tuning_that_sees_the_truth(folder: Path) -> None:
    blind = run(recipe(folder, "rehearsal"), folder / "blind", quiet=True, judge=FakeJudge())
    seeing = run(recipe(folder, "clean/*.png"), folder / "seeing", quiet=True, judge=FakeJudge())
    values = {t.params["sigma"]: t.value for t in _trials(folder / "seeing")}
    worth, best, start = (
        values[blind.best_parameters["sigma"]],
        values[seeing.best_parameters["sigma"]],
        seeing.start["value"],
    )
    assert best > start and worth - start > 0.8 * (best - start)
    # What is kept of the pictures is of themselves, not of their rehearsals.
    output = read_image(folder / "blind/outputs/p0.png")
    assert float((output - read_image(folder / "clean/p0.png")).square().mean().sqrt()) < 0.7 * DEVIATION


def test_report_shows_the_pictures_themselves(folder: Path) -> None:
    (folder / "r.yaml").write_text(
        "pipeline: {name: denoise.gaussian, search: {sigma: {}}}\n"
        "images: {input: noisy/*.png, reference: rehearsal, crop: 64, limit: 1}\n"
        "objective: {score: {kind: difference}}\n"
        "search: {strategy: optuna, sampler: random, trials: 3}\n",
        encoding="utf-8",
    )
    done = tuner("run", "r.yaml", "--out", "run", "--quiet", cwd=folder)
    assert done.returncode == 0, done.stderr
    page = (folder / "run/report.html").read_text(encoding="utf-8")
    assert '"p0, rehearsal"' in page and '"p0"' in page and "rehearsed on itself at half the size" in page
    again = tuner("run", "r.yaml", "--out", "run2", "--quiet", cwd=folder)
    assert again.returncode == 0, again.stderr
    first, second = ([(t.params, t.value) for t in _trials(folder / name)] for name in ("run", "run2"))
    assert first == second


def test_masks_follow_the_rehearsal(folder: Path) -> None:
    mask = torch.zeros(1, 3, SIDE, SIDE)
    mask[..., SIDE // 2 :] = 1.0
    write_image(folder / "mask.png", mask)
    penalties = [{"type": "blur", "weight": 1.0, "region": "mask.png"}]
    loaded = recipe(folder, "rehearsal", crop=64).resolved()
    loaded["objective"]["penalties"] = penalties
    for picture in read_pictures(load_recipe(loaded, folder=folder)):
        (found,) = picture.masks.values()
        assert found.shape == (1, 1, 64, 64) and picture.reference is not None
        assert float(found[..., :32].max()) == 0.0 and float(found[..., 32:].min()) == 1.0


@pytest.mark.parametrize(
    ("pipeline", "side", "message"),
    [
        ("denoise.gaussian", 127, r"images\.input: found .*p2\.png \(127 x 127\), expected at least 128 x 128 pixels"),
        ("isp", SIDE, r"images\.reference: found rehearsal, which is for pictures; this pipeline is given a "),
    ],
)
def test_what_cannot_be_rehearsed_is_refused(folder: Path, pipeline: str, side: int, message: str) -> None:
    write_image(folder / "noisy/p2.png", to_tensor(clean_scene(side)))
    search = {"sigma": {}} if pipeline == "denoise.gaussian" else {"saturation": {}}
    data = {
        "pipeline": {"name": pipeline, "search": search},
        "images": {"input": "noisy/*.png", "reference": "rehearsal"},
    }
    with pytest.raises(UserError, match=message):
        load_recipe(data, folder=folder)


def _trials(folder: Path) -> list[Any]:
    from tuner.storage import open_store

    return open_store(folder).load().get_trials()
