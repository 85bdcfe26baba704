"""Anti-symmetry by construction, any size, gradients; for both shipped configurations' networks."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import pytest
import torch
import torch.nn.functional as nnf
from hypothesis import given, settings
from hypothesis import strategies as st
from safetensors.torch import save_file

from pixelperfect_models.channels import CHANNELS
from pixelperfect_models.errors import UserError
from pixelperfect_models.judge import PixelPerfect
from pixelperfect_models.networks import build_distortion_network, build_scoring_network
from pixelperfect_models.networks.encoders import TimmEncoder
from pixelperfect_models.networks.enlarge import enlarge_by_four
from pixelperfect_models.networks.scoring_network import seen_factor

SMALL_ENCODER = {"kind": "compact", "widths": [8, 12, 16], "blocks": [1, 1]}
DECODERS: dict[str, dict[str, Any]] = {
    "pyramid": {"kind": "pyramid", "width": 12},
    "mask_attention": {"kind": "mask_attention", "width": 16, "layers": 2, "heads": 2},
}


def small_judge(decoder: str = "pyramid", seed: int = 0) -> PixelPerfect:
    torch.manual_seed(seed)
    network = build_distortion_network(SMALL_ENCODER, DECODERS[decoder])
    return PixelPerfect(network, build_scoring_network({"widths": [8, 12, 16], "width": 8, "embedding": 8})).eval()


@pytest.mark.parametrize("decoder", DECODERS)
@settings(deadline=None, max_examples=15)
@given(height=st.integers(16, 70), width=st.integers(16, 70), seed=st.integers(0, 10**6))
def test_antisymmetric_at_any_size_and_weights(decoder: str, height: int, width: int, seed: int) -> None:
    judge = small_judge(decoder, seed)
    generator = torch.Generator().manual_seed(seed)
    a, b = torch.rand(2, 1, 3, height, width, generator=generator)
    with torch.no_grad():
        maps, score = judge.judge(a, b)
        back, score_back = judge.judge(b, a)
        same, zero = judge.judge(a, a.clone())
    assert maps.shape == (1, len(CHANNELS), height, width)
    assert maps.min() >= 0 and maps.max() <= 1
    assert (maps + back - 1).abs().max() <= 1e-6
    assert (score + score_back).abs().max() <= 1e-6
    assert bool((same == 0.5).all()) and bool((zero == 0).all())


def test_the_free_decoder_is_not_antisymmetric_and_can_learn_to_be() -> None:
    torch.manual_seed(0)
    network = build_distortion_network(SMALL_ENCODER, {"kind": "free", "width": 12})
    a, b = torch.rand(2, 1, 3, 48, 48)

    def swap_error() -> torch.Tensor:
        return (network(a, b) + network(b, a) - 1.0).square().mean()

    torch.nn.init.normal_(network.decoder.answer.weight, std=0.5)  # type: ignore[union-attr]
    before = swap_error()
    optimizer = torch.optim.Adam(network.parameters(), 1e-2)
    for _ in range(20):
        optimizer.zero_grad()
        swap_error().backward()
        optimizer.step()
    assert before > 1e-4 and swap_error() < 0.3 * before


def test_difference_is_even_and_zero_for_equal_pictures() -> None:
    judge = small_judge()
    a, b = torch.rand(2, 1, 3, 40, 57, generator=torch.Generator().manual_seed(6))
    assert torch.allclose(judge.difference(a, b), judge.difference(b, a), atol=1e-6)
    assert judge.difference(a, b) > 0 and judge.difference(a, a.clone()) == 0
    assert judge.score(a, b).abs() <= judge.difference(a, b)


@pytest.mark.parametrize(("size", "factor"), [((16, 2000), 1), ((383, 512), 1), ((384, 512), 2), ((6000, 8000), 23)])
def test_a_picture_is_judged_at_the_size_at_which_it_is_seen(size: tuple[int, int], factor: int) -> None:
    assert seen_factor(*size) == factor


def test_untrained_networks_do_tell_pictures_apart() -> None:
    # Anti-symmetry alone would also hold for a network that always answers 0.5.
    judge = small_judge()
    a, b = torch.rand(2, 1, 3, 40, 40, generator=torch.Generator().manual_seed(1))
    assert (judge.maps(a, b) - 0.5).abs().max() > 1e-4
    assert judge.score(a, b).abs() > 1e-5


@pytest.mark.parametrize("decoder", DECODERS)
def test_gradient_to_the_test_picture_matches_finite_differences(decoder: str) -> None:
    judge = small_judge(decoder).double()
    generator = torch.Generator().manual_seed(2)
    test, ref, direction = torch.rand(3, 1, 3, 18, 21, generator=generator, dtype=torch.float64)
    weights = torch.rand(1, len(CHANNELS), 18, 21, generator=generator, dtype=torch.float64)

    def value(image: torch.Tensor) -> torch.Tensor:
        # The mask-attention decoder's masks are step functions; a short step stays on one side.
        maps, score = judge.judge(image, ref)
        return score.sum() + (maps * weights).sum()

    test.requires_grad_(True)
    value(test).backward()
    assert test.grad is not None and bool(torch.isfinite(test.grad).all())
    step = 1e-5
    with torch.no_grad():
        difference = (value(test + step * direction) - value(test - step * direction)) / (2 * step)
    # Maps pass through float32 on their way out, which bounds the agreement.
    assert difference.item() == pytest.approx((test.grad * direction).sum().item(), rel=2e-2, abs=1e-2)


def test_a_prepared_reference_gives_the_same_answers() -> None:
    judge = small_judge()
    a, b = torch.rand(2, 2, 3, 33, 40, generator=torch.Generator().manual_seed(3))
    state = judge.prepare(b)
    assert torch.equal(judge.maps(a, b), judge.maps(a, state))
    assert torch.equal(judge.score(a, b), judge.score(a, state))


def test_one_reference_serves_a_batch() -> None:
    judge = small_judge()
    a = torch.rand(3, 3, 32, 32, generator=torch.Generator().manual_seed(4))
    ref = torch.rand(1, 3, 32, 32, generator=torch.Generator().manual_seed(5))
    together = judge.score(a, ref)
    alone = torch.cat([judge.score(a[i : i + 1], ref) for i in range(3)])
    assert torch.allclose(together, alone, atol=1e-5)


@pytest.mark.parametrize(
    ("test", "ref"),
    [
        ((1, 3, 15, 40), (1, 3, 15, 40)),
        ((1, 1, 32, 32), (1, 1, 32, 32)),
        ((3, 32, 32), (3, 32, 32)),
        ((1, 3, 32, 32), (1, 3, 32, 33)),
        ((3, 3, 32, 32), (2, 3, 32, 32)),
    ],
)
def test_wrong_shapes_are_named(test: tuple[int, ...], ref: tuple[int, ...]) -> None:
    with pytest.raises(ValueError, match="expected"):
        small_judge().maps(torch.rand(test), torch.rand(ref))


@pytest.mark.parametrize(
    ("encoder", "decoder", "expected"),
    [
        ({"kind": "compct"}, DECODERS["pyramid"], "did you mean 'compact'"),
        ({"kind": "timm", "model": "swinv2_tinny_window8_256"}, DECODERS["pyramid"], "swinv2_tiny_window8_256"),
        ({"kind": "compact", "wdths": [8]}, DECODERS["pyramid"], "wdths"),
        (SMALL_ENCODER, {"kind": "unet"}, "unknown"),
    ],
)
def test_wrong_configurations_are_named(encoder: dict, decoder: dict, expected: str) -> None:  # type: ignore[type-arg]
    with pytest.raises(UserError, match=expected):
        build_distortion_network(encoder, decoder)


@pytest.mark.parametrize("shape", [(1, 3, 1, 1), (2, 15, 5, 7), (1, 2, 9, 1)])
def test_enlarging_by_four_is_bilinear_interpolation(shape: tuple[int, ...]) -> None:
    image = torch.rand(shape, generator=torch.Generator().manual_seed(0))
    expected = nnf.interpolate(image, scale_factor=4, mode="bilinear", align_corners=False)
    torch.testing.assert_close(enlarge_by_four(image), expected, atol=1e-6, rtol=0)
    leaf = image.double().requires_grad_()
    assert torch.autograd.gradcheck(enlarge_by_four, leaf)


def test_a_timm_body_starts_from_a_file_of_its_weights(tmp_path: Path) -> None:
    torch.manual_seed(0)
    options = {"kind": "timm", "model": "lcnet_035", "out_indices": [0, 1, 2]}
    first, second = (build_distortion_network(options, {"kind": "pyramid", "width": 8}).encoder for _ in range(2))
    assert isinstance(first, TimmEncoder) and isinstance(second, TimmEncoder)
    stored = {name: value.clone() for name, value in first.body.state_dict().items()}
    save_file({**stored, "classifier.weight": torch.zeros(2, 2)}, tmp_path / "whole.safetensors")
    second.load_body(tmp_path / "whole.safetensors")
    assert all(torch.equal(value, second.body.state_dict()[name]) for name, value in stored.items())
    missing = sorted(stored)[0]
    save_file({name: value for name, value in stored.items() if name != missing}, tmp_path / "part.safetensors")
    with pytest.raises(UserError, match=missing):
        second.load_body(tmp_path / "part.safetensors")
