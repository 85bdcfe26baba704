"""Training through the judge: gradients, checkpoints, resuming to the same weights, the command line."""

from __future__ import annotations

import os
import shutil
import signal
import subprocess
import sys
import time
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import torch
import yaml
from optuna.trial import TrialState
from safetensors.torch import load_file
from torch import Tensor, nn

from pipelines.network import Network, checkpoint_file
from pipelines.networks import SmallResidualDenoiser
from pixelperfect_models.errors import UserError
from pixelperfect_models.images import read_image
from pixelperfect_models.judge import PixelPerfect
from pixelperfect_models.loss import PerceptualLoss
from pixelperfect_models.training.loop import make_fabric
from tests.tuner.command import environment, tuner
from tests.tuner.fake_judge import FakeJudge
from tests.tuner.recipe_data import picture
from tuner import load_recipe
from tuner.runner import Result, run
from tuner.search.network_trainer import Losses, Trainer, rate_at
from tuner.search.train import STATE, Perceptual
from tuner.search.training_pairs import TrainingPairs

SEARCH: dict[str, Any] = {
    "strategy": "train", "photos": "train/*.png", "steps": 8, "batch": 2, "crop": 32, "evaluate_every": 4,
    "learning_rate": 0.01, "perceptual": 0.5, "precision": "32-true",
}  # fmt: skip
RECIPE: dict[str, Any] = {
    "pipeline": {"name": "network", "options": {"arguments": {"width": 8, "blocks": 1}}, "search": {"step": {}}},
    "images": {"input": "noisy/*.png", "reference": "clean/*.png"},
    "objective": {"score": {"kind": "difference"}, "penalties": [{"type": "luma_noise", "weight": 0.5}]},
}


class Dropping(nn.Module):
    """Draws random numbers while it trains, and keeps running statistics."""

    def __init__(self) -> None:
        super().__init__()
        self.layers = nn.Sequential(nn.Conv2d(3, 6, 3, padding=1), nn.BatchNorm2d(6), nn.ReLU(), nn.Dropout2d(0.5))
        self.tail = nn.Conv2d(6, 3, 3, padding=1)

    def forward(self, image: Tensor) -> Tensor:
        """(N, 3, H, W)."""
        return image + 0.1 * self.tail(self.layers(image))


class Interrupted(FakeJudge):
    """Presses Ctrl-C when it is asked for the given time; 0: never."""

    def __init__(self, at: int = 0) -> None:
        super().__init__()
        self.left = at

    def difference(self, test: Tensor, ref: Any) -> Tensor:
        self.left -= 1
        if self.left == 0:
            os.kill(os.getpid(), signal.SIGINT)
        return super().difference(test, ref)


def make_pictures(folder: Path) -> None:
    for index in range(2):
        picture(folder / "train" / f"t{index}.png", 48, 40, seed=index + 5)
        picture(folder / "clean" / f"p{index}.png", 40, 33, seed=index)
        picture(folder / "noisy" / f"p{index}.png", 40, 33, seed=index, noise=0.1)


def make_recipe(folder: Path, options: dict[str, Any] | None = None, **search: Any) -> dict[str, Any]:
    if not (folder / "train").exists():
        make_pictures(folder)
    pipeline = {**RECIPE["pipeline"], "options": RECIPE["pipeline"]["options"] if options is None else options}
    return {**RECIPE, "pipeline": pipeline, "search": {**SEARCH, **search}}


def train(folder: Path, out: str = "run", resume: bool = False, judge: Any = None, **search: Any) -> Result:
    recipe = load_recipe(make_recipe(folder, **search), folder=folder)
    return run(recipe, folder / out, resume, quiet=True, judge=judge or FakeJudge())


def weights(folder: Path, step: int) -> dict[str, Tensor]:
    return load_file(checkpoint_file(folder / "checkpoints", step))


def assert_same(one: dict[str, Tensor], other: dict[str, Tensor]) -> None:
    assert one.keys() == other.keys()
    for name, value in one.items():
        assert torch.equal(value, other[name]), name


def test_every_checkpoint_is_a_trial_and_the_best_beats_the_start(tmp_path: Path) -> None:
    # Of about the noise that the recipe's pictures have, so that a few steps are enough.
    shots = {"photons": [20.0, 60.0], "read_noise": [0.02, 0.05]}
    result = train(tmp_path, steps=30, evaluate_every=12, learning_rate=0.005, **shots)
    assert [trial.params["step"] for trial in result.trials] == [0, 12, 24, 30]
    assert result.start["parameters"] == {"step": 0}
    assert result.best["value"] > result.start["value"]
    assert result.best_parameters["step"] > 0
    assert set(result.trials[1].user_attrs["training"]) == {"l1", "perceptual"}
    # What is recorded is what the checkpoint gives.
    pipeline = Network(arguments={"width": 8, "blocks": 1}, checkpoints=str(result.run_dir / "checkpoints"))
    output = pipeline(read_image(tmp_path / "noisy/p0.png"), result.best_parameters)
    expected = -FakeJudge().difference(output, read_image(tmp_path / "clean/p0.png"))
    assert result.best["pictures"][0]["score"] == pytest.approx(float(expected), abs=1e-6)


@pytest.mark.parametrize("options", [None, {"network": "tests.tuner.test_train_search:Dropping"}])
def test_resumed_training_gives_the_same_weights_to_the_last_bit(
    tmp_path: Path, options: dict[str, Any] | None
) -> None:
    whole = train(tmp_path, "whole", options=options)
    # Two of them judge the untrained network, two a step: in the middle of the sixth step, past the first checkpoint.
    with pytest.raises(KeyboardInterrupt):
        train(tmp_path, "broken", judge=Interrupted(2 + 4 + 2 + 2), options=options)
    broken = tmp_path / "broken"
    assert checkpoint_file(broken / "checkpoints", 4).is_file()
    assert not checkpoint_file(broken / "checkpoints", 8).exists()
    assert (broken / "best_parameters.yaml").is_file()
    # A run goes on with a judge of the same class only.
    resumed = train(tmp_path, "broken", resume=True, judge=Interrupted(), options=options)
    for step in (4, 8):
        assert_same(weights(whole.run_dir, step), weights(broken, step))
    assert_same(load_file(whole.run_dir / "checkpoints" / STATE), load_file(broken / "checkpoints" / STATE))
    assert [trial.value for trial in resumed.trials] == [trial.value for trial in whole.trials]


def test_resuming_after_a_kill_between_checkpoint_and_trial_records_the_trial(tmp_path: Path) -> None:
    class Killed(FakeJudge):
        def __init__(self, at: int = 0) -> None:
            super().__init__()
            self.left = at

        def judge(self, test: Tensor, ref: Any) -> tuple[Tensor, Tensor]:
            self.left -= 1
            if self.left == 0:
                raise SystemExit
            return super().judge(test, ref)

    with pytest.raises(SystemExit):
        train(tmp_path, judge=Killed(3))  # two pictures of the untrained network, then the first checkpoint
    resumed = train(tmp_path, resume=True, judge=Killed())
    assert [trial.params["step"] for trial in resumed.trials] == [0, 4, 8]


def test_the_stored_recipe_resumes_and_a_finished_run_stays_as_it_is(tmp_path: Path) -> None:
    result = train(tmp_path)
    stored = result.run_dir / "recipe.yaml"
    assert yaml.safe_load(stored.read_text())["pipeline"]["options"]["checkpoints"] == "checkpoints"
    again = run(load_recipe(stored), result.run_dir, resume=True, quiet=True, judge=FakeJudge())
    assert len(again.trials) == len(result.trials)
    (result.run_dir / "checkpoints" / STATE).unlink()
    with pytest.raises(UserError, match=r"training.safetensors: is missing"):
        train(tmp_path, resume=True)
    with pytest.raises(UserError, match="another recipe"):
        train(tmp_path, resume=True, learning_rate=0.02)


def test_time_out_leaves_a_last_checkpoint_and_resuming_goes_on(tmp_path: Path) -> None:
    result = train(tmp_path, steps=100_000, evaluate_every=100_000, timeout=0.8)
    last = int(result.trials[-1].params["step"])
    assert 0 < last < 100_000 and checkpoint_file(result.run_dir / "checkpoints", last).is_file()
    longer = train(tmp_path, resume=True, steps=100_000, evaluate_every=100_000, timeout=0.5)
    assert longer.trials[-1].params["step"] > last


def test_a_network_that_cannot_be_judged_fails_its_trials_with_the_reason(tmp_path: Path) -> None:
    def nan(trial: Any) -> bool:
        return trial.state == TrialState.FAIL and "NaN" in trial.user_attrs["reason"]

    options = {"network": "tests.tuner.test_train_search:Exploding"}
    result = train(tmp_path, options=options)
    assert result.trials[0].state == TrialState.COMPLETE and all(nan(trial) for trial in result.trials[1:])


class Exploding(nn.Module):
    """Answers in training; in evaluation, once trained, NaN."""

    def __init__(self) -> None:
        super().__init__()
        self.gain = nn.Parameter(torch.ones(()))

    def forward(self, image: Tensor) -> Tensor:
        """(N, 3, H, W)."""
        return image * self.gain if self.training or float(self.gain) == 1.0 else image * torch.nan


def test_gradients_reach_every_weight_through_the_shipped_judge() -> None:
    network = SmallResidualDenoiser(8, 1)
    nn.init.normal_(network.tail.weight, std=0.02)
    pairs = TrainingPairs([Path("recipes/photos/train/grass.webp")], crop=32)
    losses = Losses(0.0, 1.0, 1, PerceptualLoss({"luma_noise": 1.0, "blur": 1.0}, judge=PixelPerfect.from_pretrained()))
    degraded, clean = pairs.batch(0, 2)
    total, terms = losses(network(degraded), clean, 0)
    total.backward()  # type: ignore[no-untyped-call]
    for name, parameter in network.named_parameters():
        assert parameter.grad is not None and float(parameter.grad.abs().max()) > 0, name
    assert float(total.detach()) == pytest.approx(terms["perceptual"])


def test_losses_weigh_their_terms_and_ask_the_judge_at_every_so_many_steps() -> None:
    output, clean = torch.full((1, 3, 32, 32), 1.5), torch.full((1, 3, 32, 32), 0.5)
    losses = Losses(2.0, 0.1, 3, Perceptual(PerceptualLoss(judge=FakeJudge()), "cpu"))  # type: ignore[arg-type]
    total, terms = losses(output, clean, 6)
    assert terms["l1"] == pytest.approx(1.0, abs=1e-5)
    assert terms["perceptual"] == pytest.approx(0.5)  # the judge sees the output clamped to 1
    assert float(total) == pytest.approx(2.0 + 0.1 * 3 * 0.5, abs=1e-5)
    assert set(losses(output, clean, 7)[1]) == {"l1"}
    assert rate_at(0.0) == pytest.approx(0.01) and rate_at(0.02) == 1.0 and rate_at(1.0) == pytest.approx(0.01)


def test_pairs_depend_on_seed_and_batch_alone_and_folder_pairs_stay_aligned(tmp_path: Path) -> None:
    make_pictures(tmp_path)
    photos = sorted((tmp_path / "train").glob("*.png"))
    first, again, other = (TrainingPairs(photos, crop=32, seed=seed).batch(3, 4) for seed in (0, 0, 1))
    assert all(torch.equal(a, b) for a, b in zip(first, again, strict=True))
    assert not torch.equal(first[0], other[0])
    degraded, clean = first
    assert degraded.shape == clean.shape == (4, 3, 32, 32) and degraded.dtype == torch.float32
    assert 0.005 < float((degraded - clean).std()) < 0.2
    same = TrainingPairs(photos, photos, crop=32).batch(0, 4)
    assert torch.equal(*same)
    with pytest.raises(UserError, match="expected at least the crop of 64"):
        TrainingPairs(photos, crop=64)
    with pytest.raises(UserError, match="expected the same size"):
        TrainingPairs(photos[:1], [tmp_path / "clean/p0.png"], crop=32)


def test_a_gradient_that_is_never_finite_ends_the_training_and_leaves_the_weights() -> None:
    network = Exploding()

    def batches(index: int, size: int) -> tuple[Tensor, Tensor]:
        return torch.full((size, 3, 32, 32), torch.nan), torch.zeros(size, 3, 32, 32)

    trainer = Trainer(network, batches, Losses(), make_fabric("32-true", 1, accelerator="cpu"), 1, 0.1)
    with pytest.raises(UserError, match="no finite gradient for 20 steps"):
        for _ in range(25):
            trainer.step(0.5)
    assert float(network.gain.detach()) == 1.0


@pytest.mark.parametrize(
    ("change", "reason"),
    [
        ({"search": {**SEARCH, "photos": "nowhere/*.png"}}, "search.photos: found no picture"),
        ({"search": {**SEARCH, "inputs": ["noisy/p0.png"]}}, "search.inputs: no file names agree"),
        ({"search": {**SEARCH, "l1": 0, "perceptual": 0}}, "expected something to minimise"),
        ({"search": {**SEARCH, "photons": [500, 100]}}, "smallest <= largest"),
        ({"search": {**SEARCH, "stepps": 3}}, "did you mean 'steps'"),
        ({"search": {**SEARCH, "trials": 3}}, "found with strategy: train"),
        ({"search": {"strategy": "train"}}, "search.photos: missing"),
        ({"pipeline": {"name": "denoise.gaussian", "search": {"sigma": {}}}}, "is no network"),
        ({"pipeline": {"name": "network", "search": {"step": {}, "strength": {}}}}, "searches step alone"),
        ({"pipeline": {"name": "network", "search": {"step": {"high": 5}}}}, "expected 0 to at least the 8"),
        ({"pipeline": {**RECIPE["pipeline"], "options": {"network": "torch.nn:Identity"}}}, "no parameters to train"),
    ],
)
def test_wrong_recipes_are_refused(tmp_path: Path, change: dict[str, Any], reason: str) -> None:
    recipe = {**make_recipe(tmp_path), **change}
    with pytest.raises(UserError) as caught:
        run(load_recipe(recipe, folder=tmp_path), tmp_path / "run", quiet=True, judge=FakeJudge())
    assert reason in str(caught.value)


@pytest.mark.slow
def test_command_line_trains_is_stopped_resumes_applies_and_reports(tmp_path: Path) -> None:
    recipe = make_recipe(tmp_path, steps=80, evaluate_every=20, batch=1)
    (tmp_path / "recipe.yaml").write_text(yaml.safe_dump(recipe))
    command = [sys.executable, "-m", "tuner", "run", "recipe.yaml", "--out", "run"]
    process = subprocess.Popen(command, cwd=tmp_path, env=environment(), stderr=subprocess.PIPE, text=True)
    first = checkpoint_file(tmp_path / "run" / "checkpoints", 20)
    deadline = time.monotonic() + 120
    while not first.exists() and process.poll() is None and time.monotonic() < deadline:
        time.sleep(0.02)
    process.send_signal(signal.SIGINT)
    _, errors = process.communicate(timeout=120)
    assert process.returncode == 130, errors
    assert first.is_file() and (tmp_path / "run/checkpoints" / STATE).is_file()

    done = tuner("run", "recipe.yaml", "--out", "run", "--resume", cwd=tmp_path)
    assert done.returncode == 0, done.stderr
    assert (tmp_path / "run/report.html").is_file()
    assert checkpoint_file(tmp_path / "run" / "checkpoints", 80).is_file()
    # The folder may be moved: it holds all that applying needs.
    shutil.move(tmp_path / "run", tmp_path / "moved")
    (tmp_path / "moved/best_parameters.yaml").write_text("step: 80\n")
    applied = tuner("apply", "moved", "noisy/p0.png", "--out", "applied", cwd=tmp_path)
    assert applied.returncode == 0, applied.stderr
    pipeline = Network(arguments={"width": 8, "blocks": 1}, checkpoints=str(tmp_path / "moved/checkpoints"))
    expected = pipeline(read_image(tmp_path / "noisy/p0.png"), {"step": 80})
    difference = (read_image(tmp_path / "applied/p0.png") - expected).abs().max()
    assert float(difference) <= 0.5 / 255 + 1e-6
    assert not np.allclose(expected, read_image(tmp_path / "noisy/p0.png"), atol=1e-3)


@pytest.mark.slow
def test_command_line_refuses_a_pickle_as_weights(tmp_path: Path) -> None:
    recipe = make_recipe(tmp_path)
    torch.save({"a": torch.zeros(1)}, tmp_path / "weights.pt")
    recipe["pipeline"]["options"] = {"weights": "weights.pt"}
    (tmp_path / "recipe.yaml").write_text(yaml.safe_dump(recipe))
    refused = tuner("run", "recipe.yaml", cwd=tmp_path)
    assert refused.returncode == 2
    assert "pipeline.options" in refused.stderr and "not a safetensors file" in refused.stderr
