"""Training end to end at toy size: it learns, stops, goes on where it stopped, and refuses what does not fit."""

from __future__ import annotations

import hashlib
import json
import math
import os
import signal
import subprocess
import sys
import time
from collections.abc import Sequence
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import torch
import yaml
from rich.console import Console
from safetensors.torch import load_file

from pixelperfect_models import PixelPerfect
from pixelperfect_models.channels import CHANNELS
from pixelperfect_models.distortions.engine import DistortionEngine
from pixelperfect_models.errors import UserError
from pixelperfect_models.images import read_image, write_image
from pixelperfect_models.judge import load_distortion_network
from pixelperfect_models.networks import build_distortion_network, build_scoring_network
from pixelperfect_models.networks.similarity import EVEN_STATISTICS
from pixelperfect_models.training import distortion, train_distortion, train_score
from pixelperfect_models.training.config import load_config, shipped_configs
from pixelperfect_models.training.denoised import DENOISERS, _shot
from pixelperfect_models.training.direction import fit_direction, pairs_of, triangles
from pixelperfect_models.training.distortion import PairDataset
from pixelperfect_models.training.loop import CHECKPOINT
from pixelperfect_models.training.losses import map_loss, order_loss
from pixelperfect_models.training.photos import PhotoPool
from pixelperfect_models.training.quality_sets import QualitySets, cache_artefacts, make_sets, paired

ROOT = Path(__file__).parents[2]
CLEAN = ROOT / "recipes" / "photos" / "clean"
QUIET = Console(quiet=True)


def tiny_config(folder: Path, steps: int = 6, score_widths: Sequence[int] = (), **changes: object) -> Path:
    config = yaml.safe_load(shipped_configs()["compact"].read_text())
    config["photos"] = [str(CLEAN)]
    config["network"] = {
        "encoder": {"kind": "compact", "widths": [8, 12], "blocks": [1]},
        "decoder": {"kind": "pyramid", "width": 12, "trunk": [12, 16], "blocks": [1, 1]},
        "score": {"widths": list(score_widths), "width": 8, "embedding": 8, "heads": 4},
    }
    common = {"steps": steps, "warmup": 2, "workers": 0, "precision": "32-true"}
    config["distortion"] |= {**common, "crop": 32, "batch": 2, "reuse": 1, "validation_pairs": 2, **changes}
    config["score"] |= {
        **common,
        "crop": 48,
        "batch": 1,
        "sets": 2,
        "validation_sets": 1,
        "levels": 2,
        "types_per_set": 2,
    }
    path = folder / "tiny.yaml"
    path.write_text(yaml.safe_dump(config))
    return path


@pytest.mark.parametrize("score_widths", [(), (8, 12)], ids=["measured", "learned"])
def test_both_trainings_give_a_judge(tmp_path: Path, score_widths: Sequence[int]) -> None:
    config = tiny_config(tmp_path, score_widths=score_widths)
    train_distortion(config, tmp_path / "out", console=QUIET)
    train_score(config, tmp_path / "out", console=QUIET)
    judge = PixelPerfect.from_pretrained(tmp_path / "out")
    a, b = torch.rand(2, 1, 3, 40, 33)
    assert (judge.maps(a, b) + judge.maps(b, a) - 1).abs().max() <= 1e-6
    for name in ("distortion", "score"):
        card = json.loads((tmp_path / "out" / f"{name}.json").read_text())
        assert card["steps"] == 6 and card["seed"] == 0 and card["data"]["photos"] == 3
        assert all(np.isfinite(value) for value in card["metrics"].values())


def checkpoint_weights(out: Path) -> torch.Tensor:
    state = torch.load(out / "distortion" / CHECKPOINT, weights_only=True)["network"]
    return torch.cat([value.flatten() for value in state.values()])


def test_resumed_training_goes_the_way_of_an_unbroken_one(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    config = tiny_config(tmp_path, steps=6)
    train_distortion(config, tmp_path / "whole", console=QUIET)
    calls = 0

    def stopping(*arguments: Any) -> torch.Tensor:
        nonlocal calls
        calls += 1
        if calls == 3:
            os.kill(os.getpid(), signal.SIGINT)
        return map_loss(*arguments)

    monkeypatch.setattr(distortion, "map_loss", stopping)
    with pytest.raises(KeyboardInterrupt, match="stopped at step 3 of 6"):
        train_distortion(config, tmp_path / "broken", console=QUIET)
    assert not (tmp_path / "broken" / "distortion.safetensors").exists()
    whole, stopped = checkpoint_weights(tmp_path / "whole"), checkpoint_weights(tmp_path / "broken")
    resumed_file = train_distortion(config, tmp_path / "broken", resume=True, console=QUIET)
    assert resumed_file.exists() and calls >= 6
    resumed = checkpoint_weights(tmp_path / "broken")
    # Not equal to the last bit: convolutions may sum in another order, and Adam makes much of gradients near zero.
    # Starting afresh, losing the optimiser's state or seeing other pairs would leave about the whole distance.
    assert (resumed - whole).norm() < 0.3 * (stopped - whole).norm()


def test_an_existing_training_is_not_overwritten(tmp_path: Path) -> None:
    config = tiny_config(tmp_path, steps=2)
    train_distortion(config, tmp_path / "out", console=QUIET)
    with pytest.raises(UserError, match="--resume"):
        train_distortion(config, tmp_path / "out", console=QUIET)
    other = tiny_config(tmp_path, steps=3)
    with pytest.raises(UserError, match="other settings"):
        train_distortion(other, tmp_path / "out", resume=True, console=QUIET)
    assert (tmp_path / "out" / "distortion" / CHECKPOINT).exists()


def test_training_can_go_on_from_other_weights(tmp_path: Path) -> None:
    first = train_distortion(tiny_config(tmp_path), tmp_path / "first", console=QUIET)
    further = tiny_config(tmp_path, steps=1, start_from=str(tmp_path / "first"), learning_rate=1e-9)
    second = train_distortion(further, tmp_path / "second", console=QUIET)
    before, after = (load_file(file) for file in (first, second))
    assert all(torch.allclose(before[name], after[name], atol=1e-6) for name in before)
    card = json.loads(second.with_suffix(".json").read_text())
    assert card["started_from"] == hashlib.sha256(first.read_bytes()).hexdigest()
    assert json.loads(first.with_suffix(".json").read_text())["started_from"] is None
    with pytest.raises(UserError, match="nowhere"):
        train_distortion(tiny_config(tmp_path, start_from=str(tmp_path / "nowhere")), tmp_path / "x", console=QUIET)
    with pytest.raises(UserError, match="do not fit"):
        train_distortion(tiny_config(tmp_path, start_from="shipped"), tmp_path / "x", console=QUIET)


def test_antisymmetry_by_loss_only(tmp_path: Path) -> None:
    # Long enough to move: the answer starts near neutral, where everything is anti-symmetric.
    errors = []
    for weight in (0.0, 300.0):
        config = tiny_config(tmp_path, steps=25, learning_rate=0.01, ema=0.5, lambda_antisymmetry=weight)
        content = yaml.safe_load(config.read_text())
        content["network"]["decoder"]["kind"] = "free"
        config.write_text(yaml.safe_dump(content))
        network = load_distortion_network(train_distortion(config, tmp_path / str(weight), console=QUIET))
        a, b = torch.rand(2, 2, 3, 40, 33, generator=torch.Generator().manual_seed(0))
        with torch.no_grad():
            errors.append(float((network(a, b) + network(b, a) - 1).abs().mean()))
    assert errors[1] < 0.5 * errors[0]


def test_training_lowers_the_loss(tmp_path: Path) -> None:
    torch.manual_seed(0)
    settings = load_config(tiny_config(tmp_path))
    network = build_distortion_network(settings.network.encoder, settings.network.decoder)
    pairs = PairDataset(PhotoPool([CLEAN]), DistortionEngine(types=("exposure", "luma_noise")), 32, 0, 8)
    test, ref, target, _ = (torch.stack(part) for part in zip(*(pairs[i] for i in range(8)), strict=True))
    optimizer = torch.optim.AdamW(network.parameters(), 3e-3)
    losses = []
    for _ in range(40):
        loss = map_loss(network(test, ref), target)
        optimizer.zero_grad()
        loss.backward()
        optimizer.step()
        losses.append(loss.item())
    assert losses[-1] < 0.5 * losses[0]


@pytest.mark.parametrize("processes", [1, 2])
def test_twins_are_one_distortion_at_two_strengths_next_to_each_other(processes: int) -> None:
    engine = DistortionEngine(p_beyond=1.0, p_swap=0.5)
    pairs = PairDataset(PhotoPool([CLEAN]), engine, 32, 0, 64, graded=1.0, processes=processes)
    beyond = 0
    for rank in range(processes):
        batch = [pairs[i] for i in range(rank, 64, processes)]  # what a process gets of an unshuffled sampler
        for (test, ref, target, order), (test2, ref2, target2, order2) in zip(batch[::2], batch[1::2], strict=True):
            assert torch.equal(ref, ref2) or torch.equal(test, test2)  # the pristine crop, on one side or the other
            assert torch.equal(order, order2) and bool((order != 0).any())
            further = ((target2 - target) * order.sign()).flatten(1)[order.flatten() != 0]
            assert bool((further >= 0).all())
            beyond += not bool((further > 0).any())
    assert 0 < beyond < 32


def test_order_loss_wants_the_stronger_one_further_from_neutral_even_beyond_the_scale() -> None:
    target = torch.full((4, 2, 8, 8), 0.5)
    target[:2, 0, :, :4] = 1.0  # twins beyond the end of the scale; the others are no twins
    order = torch.zeros(4, 2, 1, 1)
    order[:2, 0] = 1.0
    maps = torch.full((4, 2, 8, 8), 0.9, requires_grad=True)
    loss = order_loss(maps, target, order)
    assert loss.item() == pytest.approx(0.1)
    (gradient,) = torch.autograd.grad(loss, maps)
    assert bool((gradient[0, 0, :, :4] > 0).all()) and bool((gradient[1, 0, :, :4] < 0).all())
    assert gradient[2:].abs().max() == gradient[:, 1].abs().max() == gradient[:, :, :, 4:].abs().max() == 0
    ordered = maps.detach().clone()
    ordered[1, 0] = 0.92  # log-odds 0.245 above
    assert order_loss(ordered, target, order).item() == 0.0
    assert order_loss(ordered, target, -order).item() == pytest.approx(
        0.1 + math.log(0.92 / 0.08) - math.log(9), rel=1e-4
    )


@pytest.mark.parametrize(
    ("options", "problem"),
    [({"graded": 0.5, "batch": 3}, "batch: 3 is odd"), ({"lambda_order": 0.2}, r"0\.2 has no pairs to order")],
)
def test_settings_of_twins_that_cannot_work_are_refused(
    tmp_path: Path, options: dict[str, float], problem: str
) -> None:
    path = tiny_config(tmp_path)
    config = yaml.safe_load(path.read_text())
    config["distortion"] |= options
    path.write_text(yaml.safe_dump(config))
    with pytest.raises(UserError, match=rf"distortion.*{problem}"):
        load_config(path)


def test_training_with_twins_is_repeatable(tmp_path: Path) -> None:
    path = tiny_config(tmp_path)
    config = yaml.safe_load(path.read_text())
    config["distortion"] |= {"graded": 0.7, "lambda_order": 0.2, "batch": 2}
    path.write_text(yaml.safe_dump(config))
    once, again = (load_file(train_distortion(path, tmp_path / name, console=QUIET)) for name in ("once", "again"))
    for name, value in once.items():
        torch.testing.assert_close(again[name], value, rtol=0.0, atol=0.0, msg=name)


@pytest.mark.slow
def test_swinv2_builds_trains_and_exports(tmp_path: Path) -> None:
    config = yaml.safe_load(shipped_configs()["swinv2"].read_text())
    config["photos"] = [str(CLEAN)]
    common = {"steps": 2, "warmup": 1, "workers": 0, "precision": "32-true", "batch": 1}
    config["distortion"] |= {**common, "crop": 64, "validation_pairs": 1}
    config["score"] |= {**common, "crop": 64, "sets": 1, "validation_sets": 1, "levels": 1}
    path = tmp_path / "swin.yaml"
    path.write_text(yaml.safe_dump(config))
    train_distortion(path, tmp_path / "out", console=QUIET)
    train_score(path, tmp_path / "out", console=QUIET)
    judge = PixelPerfect.from_pretrained(tmp_path / "out")
    a, b = torch.rand(2, 1, 3, 70, 51)
    with torch.no_grad():
        maps, score = judge.judge(a, b)
        back, score_back = judge.judge(b, a)
        same = judge.maps(a, a.clone())
    assert (maps + back - 1).abs().max() <= 1e-6
    assert (score + score_back).abs().max() <= 1e-6 * score.abs().max().clamp(min=1.0)  # S of two steps may say 50
    assert bool((same == 0.5).all())


def test_killed_training_loses_at_most_the_last_checkpoint(tmp_path: Path) -> None:
    config = tiny_config(tmp_path, steps=100_000)
    script = (
        "import pixelperfect_models.training.loop as loop; loop._CHECKPOINT_SECONDS = 0.5\n"
        "from pixelperfect_models.training import train_distortion\n"
        f"train_distortion({str(config)!r}, {str(tmp_path / 'out')!r})\n"
    )
    process = subprocess.Popen([sys.executable, "-c", script], cwd=ROOT, stderr=subprocess.DEVNULL)
    file = tmp_path / "out" / "distortion" / CHECKPOINT
    deadline = time.monotonic() + 120
    while not file.exists() and time.monotonic() < deadline:
        time.sleep(0.2)
    os.kill(process.pid, signal.SIGKILL)
    process.wait()
    state = torch.load(file, weights_only=True)
    assert state["step"] > 0


def test_quality_sets_are_kept_and_ranked(tmp_path: Path) -> None:
    options = {"count": 3, "crop": 48, "levels": 2, "types_per_set": 2, "seed": 0}
    files = make_sets(tmp_path, PhotoPool([CLEAN]), DistortionEngine(), **options)  # type: ignore[arg-type]
    stamps = [file.stat().st_mtime_ns for file in files]
    assert make_sets(tmp_path, PhotoPool([CLEAN]), DistortionEngine(), **options) == files  # type: ignore[arg-type]
    assert [file.stat().st_mtime_ns for file in files] == stamps
    settings = load_config(tiny_config(tmp_path))
    network = build_distortion_network(settings.network.encoder, settings.network.decoder)
    sets = QualitySets(files, cache_artefacts(files, network, "0" * 64), 3, seed=0)
    order, artefacts = sets.maps[0]
    assert artefacts.shape == (15, 2 * len(CHANNELS)) and sorted(order.tolist()) == [0, 1, 2, 3, 4]
    assert artefacts[0].abs().max() == 0  # the pristine picture against itself
    item = sets[0]
    assert item["images"].shape == (5, 3, 48, 48)
    assert item["even"].shape == (5, EVEN_STATISTICS) and item["amount"][0] == 0 and item["amount"][1:].min() > 0
    assert item["quality"][0] == item["quality"].max() == 1 and item["quality"].min() >= 0
    assert item["level"].tolist() == [0, 1, 2, 1, 2]
    again = sets[0]
    assert all(torch.equal(item[name], again[name]) for name in item)
    assert "images" not in QualitySets(files, [], 3, seed=0, pictures=False)[0]


def test_maps_of_fewer_pairs_are_made_again(tmp_path: Path) -> None:
    files = make_sets(
        tmp_path, PhotoPool([CLEAN]), DistortionEngine(), count=1, crop=48, levels=2, types_per_set=1, seed=0
    )
    settings = load_config(tiny_config(tmp_path))
    network = build_distortion_network(settings.network.encoder, settings.network.decoder)
    (cached,) = cache_artefacts(files, network, "0" * 64)
    with np.load(cached) as data:
        whole = {name: data[name] for name in data.files}
    np.savez(cached, order=whole["order"], artefacts=whole["artefacts"][:6])
    cache_artefacts(files, network, "0" * 64)
    with np.load(cached) as data:
        assert np.array_equal(data["order"], whole["order"])
        np.testing.assert_allclose(data["artefacts"], whole["artefacts"], atol=1e-6)


def test_triangles_close() -> None:
    orders = [torch.tensor([2, 0, 3, 1, 4]), torch.tensor([1, 4, 0, 2, 3])]
    test, ref = (torch.cat(side).tolist() for side in zip(*map(paired, orders), strict=True))
    sides = triangles(len(test), 5)
    seen = set()
    for number, (ab, bc, ac) in enumerate(sides.T.tolist()):
        assert ref[ab] == test[bc] and test[ab] == test[ac] and ref[bc] == ref[ac]
        assert {ab // 15, bc // 15, ac // 15} == {number // 5}  # all of one set
        seen.add((number // 5, test[ab], ref[ab], ref[bc]))
    assert len(seen) == 10 and all(len(set(members)) == 3 for _, *members in seen)


def test_triangles_take_contradictions_out_of_the_direction(tmp_path: Path) -> None:
    options = {"count": 6, "crop": 64, "levels": 3, "types_per_set": 2, "seed": 0}
    files = make_sets(tmp_path, PhotoPool([CLEAN]), DistortionEngine(), **options)  # type: ignore[arg-type]
    settings = load_config(tiny_config(tmp_path))
    network = build_distortion_network(settings.network.encoder, settings.network.decoder)
    sets = QualitySets(files, cache_artefacts(files, network, "0" * 64), 6, seed=0, pictures=False)
    apart = []
    for weight in (0.0, 20.0):
        torch.manual_seed(0)
        scoring = build_scoring_network(settings.network.score)
        scoring.standardize(torch.cat([row["even"][1:] for row in sets.sets]), pairs_of(scoring, sets)[0].odd)
        schedule = settings.score.model_copy(update={"direction_steps": 150, "direction_triangles": weight})
        apart.append(fit_direction(scoring, sets, schedule, seed=0)["side_apart"])
    assert apart[1] < 0.5 * apart[0]


def test_other_labels_do_not_mean_rendering_again(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    options = {"count": 1, "crop": 48, "levels": 2, "types_per_set": 1, "seed": 0}
    (file,) = make_sets(tmp_path, PhotoPool([CLEAN]), DistortionEngine(), **options)  # type: ignore[arg-type]
    with np.load(file) as data:
        before = {name: data[name] for name in data.files}
        np.savez(file, **{name: data[name] for name in ("images", "group", "level")})
    monkeypatch.setattr(PhotoPool, "crop", None)
    make_sets(tmp_path, PhotoPool([CLEAN]), DistortionEngine(), **options)  # type: ignore[arg-type]
    with np.load(file) as data:
        assert set(data.files) == set(before)
        assert all(np.array_equal(data[name], before[name]) for name in before)


def test_sets_of_denoised_pictures_name_no_order(tmp_path: Path) -> None:
    options = {"count": 1, "crop": 64, "levels": 3, "types_per_set": 3, "seed": 0, "denoised": 1.0}
    (file,) = make_sets(tmp_path, PhotoPool([CLEAN]), DistortionEngine(), **options)  # type: ignore[arg-type]
    with np.load(file) as data:
        images = data["images"].astype(np.float32) / 255
        assert data["group"].tolist() == list(range(10)) and data["level"].tolist() == [0] + 9 * [1]
    errors = np.sqrt(((images[1:] - images[0]) ** 2).mean((1, 2, 3)))
    assert errors.min() > 0.002 and len(np.unique(errors)) == 9


def test_noise_of_denoised_sets_goes_through_a_camera_half_of_the_time() -> None:
    photo = np.full((96, 96, 3), 0.4, np.float32)
    shots = [_shot(photo, np.random.default_rng(seed)) - photo for seed in range(60)]
    assert all(0.0005 < shot.std() < 0.2 for shot in shots)
    coarse = [float(np.corrcoef(shot[:, 1:, 0].ravel(), shot[:, :-1, 0].ravel())[0, 1]) > 0.1 for shot in shots]
    assert 30 < sum(coarse) < 57  # a camera's, and the half of the others that is coarse
    assert min(shot.std() for shot in shots) < 0.01 < 0.05 < max(shot.std() for shot in shots)


def test_every_denoiser_takes_noise_from_a_photo() -> None:
    photo = np.asarray(read_image(next(CLEAN.iterdir()))[0, :, :128, :128].permute(1, 2, 0).contiguous().numpy())
    noisy = np.clip(photo + np.random.default_rng(1).normal(0, 0.08, photo.shape), 0, 1).astype(np.float32)
    before = np.square(noisy - photo).mean()
    assert np.array_equal(DENOISERS["nothing"](noisy, 0.08, np.random.default_rng(2)), noisy)
    for name, denoise in DENOISERS.items():
        if name == "nothing":
            continue
        after = denoise(noisy, 0.08, np.random.default_rng(2))
        assert after.shape == photo.shape and np.square(np.clip(after, 0, 1) - photo).mean() < 0.9 * before, name


def test_photo_pool_splits_and_crops(tmp_path: Path) -> None:
    for index in range(4):
        write_image(tmp_path / f"{index}.png", torch.full((1, 3, 40, 24), index / 4))
    pool = PhotoPool([tmp_path], validation=0.25)
    assert len(pool.validation) == 1 and not set(pool.validation) & set(pool.training)
    rng = np.random.default_rng(0)
    for _ in range(20):
        crop = pool.crop(rng, 32)
        assert crop.shape == (32, 32, 3) and crop.dtype == np.float32 and 0 <= crop.min() <= crop.max() <= 1


@pytest.mark.parametrize(
    ("change", "expected"),
    [
        (lambda c: c["distortion"].update(stepz=3), "distortion.stepz"),
        (lambda c: c["distortion"].update(steps=0), "distortion.steps"),
        (lambda c: c.pop("network"), "network"),
    ],
)
def test_wrong_configurations_name_the_key(tmp_path: Path, change, expected: str) -> None:  # type: ignore[no-untyped-def]
    path = tiny_config(tmp_path)
    config = yaml.safe_load(path.read_text())
    change(config)
    path.write_text(yaml.safe_dump(config))
    with pytest.raises(UserError, match=expected):
        load_config(path)


def test_unknown_configuration_and_unset_variable(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    with pytest.raises(UserError, match="did you mean 'compact'"):
        load_config("compct")
    monkeypatch.delenv("PIXELPERFECT_DATA", raising=False)
    with pytest.raises(UserError, match="PIXELPERFECT_DATA"):
        train_distortion("compact", tmp_path)
