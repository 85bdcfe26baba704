"""A network as a pipeline: any module by name, checkpoints, pictures of any size, and files that are refused."""

from __future__ import annotations

import os
from pathlib import Path
from typing import Any

import pytest
import torch
from torch import Tensor, nn

from pipelines import PipelineError, load
from pipelines.network import Network, checkpoint_file, checkpoint_steps, read_weights, write_weights
from pipelines.networks import SmallResidualDenoiser, pad_to_multiple
from pixelperfect_models.errors import UserError

HERE = "tests.pipelines.test_network"


class Halving(nn.Module):
    """Takes even sides only; has weights of its own, a buffer, and one weight under two names."""

    def __init__(self, gain: float = 0.5) -> None:
        super().__init__()
        self.down = nn.Conv2d(3, 12, 2, stride=2)
        self.up = nn.ConvTranspose2d(12, 3, 2, stride=2)
        self.norm = nn.BatchNorm2d(12)
        self.gain = nn.Parameter(torch.tensor(gain))
        self.same_gain = self.gain

    def forward(self, image: Tensor) -> Tensor:
        """(N, 3, H, W), even sides."""
        if image.shape[-1] % 2 or image.shape[-2] % 2:
            raise ValueError(f"odd sides {tuple(image.shape)}")
        return image + 0.01 * self.gain * self.up(self.norm(self.down(image)))


class Grey(nn.Module):
    """Gives one channel only."""

    def forward(self, image: Tensor) -> Tensor:
        """(N, 1, H, W)."""
        return image.mean(1, keepdim=True)


def noise(*shape: int, seed: int = 0) -> Tensor:
    return torch.rand(*shape, generator=torch.Generator().manual_seed(seed))


def shaken(seed: int = 3, **arguments: Any) -> SmallResidualDenoiser:
    """A small denoiser with weights that do something."""
    network = SmallResidualDenoiser(**{"width": 8, "blocks": 2, **arguments})
    generator = torch.Generator().manual_seed(seed)
    with torch.no_grad():
        for parameter in network.parameters():
            parameter += 0.1 * torch.randn(parameter.shape, generator=generator)
    return network


def test_the_untrained_network_returns_its_input() -> None:
    image = noise(2, 3, 33, 46)
    assert torch.equal(load("network")(image), image)
    assert sum(p.numel() for p in SmallResidualDenoiser().parameters()) == 102_012


@pytest.mark.parametrize(("height", "width"), [(47, 63), (48, 63), (47, 64), (17, 16)])
def test_any_size_is_answered_as_the_parts_of_a_larger_picture(height: int, width: int) -> None:
    network = shaken().eval()
    image = noise(1, 3, 80, 90)
    with torch.no_grad():
        whole, part = network(image), network(image[..., :height, :width])
    assert part.shape == (1, 3, height, width)
    rows, columns = max(height - network.reach, 0), max(width - network.reach, 0)
    torch.testing.assert_close(part[..., :rows, :columns], whole[..., :rows, :columns], atol=1e-5, rtol=0)


def test_reach_is_what_it_says() -> None:
    network = shaken().eval()
    image = noise(1, 3, 64, 64).requires_grad_()
    network(image)[0, :, 32, 32].sum().backward()
    rows = torch.nonzero(image.grad[0].abs().sum((0, 2))).flatten()  # type: ignore[index]
    assert 32 - network.reach <= int(rows.min()) and int(rows.max()) <= 32 + network.reach
    assert int(rows.max()) - int(rows.min()) > network.reach


def test_checkpoints_are_read_by_step_and_mixed_by_strength(tmp_path: Path) -> None:
    network = shaken()
    write_weights(network, checkpoint_file(tmp_path, 20))
    write_weights(shaken(4), checkpoint_file(tmp_path, 100))
    assert checkpoint_steps(tmp_path) == [20, 100]
    pipeline = load("network", {"arguments": {"width": 8, "blocks": 2}, "checkpoints": str(tmp_path)})
    image = noise(1, 3, 31, 40)
    with torch.no_grad():
        expected = network.eval()(image)
    torch.testing.assert_close(pipeline(image, {"step": 20}), expected.clamp(0, 1))
    half = pipeline(image, {"step": 20, "strength": 0.5})
    torch.testing.assert_close(half, (0.5 * image + 0.5 * expected).clamp(0, 1))
    assert torch.equal(pipeline(image, {"step": 20, "strength": 0.0}), image)
    with pytest.raises(UserError, match=r"step 21: .*step-21.safetensors is not there \(checkpoints there: 20, 100\)"):
        pipeline(image, {"step": 21})
    with pytest.raises(UserError, match="no checkpoints are named"):
        load("network")(image, {"step": 1})


def test_gradients_reach_picture_and_strength(tmp_path: Path) -> None:
    write_weights(shaken(), checkpoint_file(tmp_path, 1))
    pipeline = load("network", {"arguments": {"width": 8, "blocks": 2}, "checkpoints": str(tmp_path)})
    image = (0.3 + 0.4 * noise(1, 3, 20, 24).double()).requires_grad_()
    strength = torch.tensor(0.4, dtype=torch.float64, requires_grad=True)

    def total(value: Tensor) -> Tensor:
        return pipeline(image, {"step": 1, "strength": value}).square().sum()

    total(strength).backward()
    with torch.no_grad():
        step = 1e-7  # small: beyond a kink of the network is another slope
        difference = (total(strength + step) - total(strength - step)) / (2 * step)
    assert strength.grad is not None and image.grad is not None
    assert float(strength.grad) == pytest.approx(float(difference), rel=1e-3)
    assert bool(torch.isfinite(image.grad).all()) and float(image.grad.abs().max()) > 0


def test_any_module_by_name_with_arguments_seed_and_a_multiple(tmp_path: Path) -> None:
    options = {"network": f"{HERE}:Halving", "arguments": {"gain": 2.0}, "multiple": 2}
    image = noise(1, 3, 17, 21)
    first, again, other = (load("network", {**options, "seed": seed})(image) for seed in (1, 1, 2))
    assert first.shape == image.shape
    assert torch.equal(first, again) and not torch.equal(first, other)
    with pytest.raises(PipelineError, match="odd sides"):
        load("network", {**options, "multiple": 1})(image)
    # Buffers and a weight under two names survive the file.
    pipeline = load("network", options)
    assert isinstance(pipeline, Network)
    trained = pipeline.trainable()
    trained(noise(1, 3, 16, 16))
    assert trained.training
    write_weights(trained, tmp_path / "w.safetensors")
    loaded = load("network", {**options, "seed": 9, "weights": str(tmp_path / "w.safetensors")})
    with torch.no_grad():
        expected = trained.eval()(pad_to_multiple(image, 2))[..., :17, :21]
    torch.testing.assert_close(loaded(image), expected.clamp(0, 1))


def test_making_a_network_leaves_the_random_state_alone() -> None:
    torch.manual_seed(5)
    expected = torch.rand(3)
    torch.manual_seed(5)
    load("network", {"seed": 1})
    assert torch.equal(torch.rand(3), expected)


@pytest.mark.parametrize(
    ("options", "reason"),
    [
        ({"network": "pipelines.networks:SmallResidualDenoisr"}, "did you mean 'SmallResidualDenoiser'"),
        ({"network": "no_such_package.x:Y"}, "network 'no_such_package.x:Y': cannot import no_such_package.x"),
        ({"network": "SmallResidualDenoiser"}, "expected 'package.module:Class'"),
        ({"network": "os:system"}, "expected a class derived from torch.nn.Module"),
        ({"network": "pathlib:Path"}, "expected a class derived from torch.nn.Module"),
        ({"network": 3}, "expected 'package.module:Class'"),
        ({"arguments": {"widht": 3}}, "cannot be made with {'widht': 3}"),
        ({"arguments": [3]}, "expected a mapping"),
        ({"multiple": 0}, "multiple: 0, expected a whole number >= 1"),
        ({"seed": -1}, "seed: -1"),
        ({"checkpoints": 7}, "checkpoints: 7, expected a path"),
        ({"weights": "/no/such.safetensors"}, "no such weights file"),
    ],
)
def test_wrong_options_are_refused(options: dict[str, Any], reason: str) -> None:
    with pytest.raises(UserError) as caught:
        load("network", options)
    assert reason in str(caught.value)


def test_a_network_of_another_shape_fails_with_the_shapes() -> None:
    with pytest.raises(PipelineError, match=r"gave \(1, 1, 16, 16\), expected \(1, 3, 16, 16\)"):
        load("network", {"network": f"{HERE}:Grey"})(noise(1, 3, 16, 16))


class Malicious:
    """Makes a folder when it is unpickled."""

    def __init__(self, folder: Path) -> None:
        self.folder = folder

    def __reduce__(self) -> Any:
        return os.mkdir, (str(self.folder),)


def test_pickles_are_refused_unopened_whatever_their_name(tmp_path: Path) -> None:
    for name in ("weights.pt", "weights.safetensors"):
        torch.save({"head.weight": Malicious(tmp_path / "taken")}, tmp_path / name)
        with pytest.raises(UserError, match=r"not a safetensors file.*Pickled weights"):
            load("network", {"weights": str(tmp_path / name)})
    assert not (tmp_path / "taken").exists()


def test_broken_and_foreign_weights_are_refused(tmp_path: Path) -> None:
    file = checkpoint_file(tmp_path, 5)
    write_weights(shaken(), file)
    assert not list(tmp_path.glob(".*")), "the part file is left behind"
    with pytest.raises(UserError, match="do not fit SmallResidualDenoiser"):
        read_weights(SmallResidualDenoiser(16, 2), file)
    with pytest.raises(UserError, match="do not fit Halving"):
        read_weights(Halving(), file)
    whole = file.read_bytes()
    for broken in (b"", whole[:7], whole[: len(whole) // 2], b"\xff" * 64, b"\xff\xff\xff\xff\xff\xff\xff\x7f{}"):
        file.write_bytes(broken)
        with pytest.raises(UserError, match="not a safetensors file"):
            read_weights(shaken(), file)
