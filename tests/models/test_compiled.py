"""What is compiled gives what the tensors give: S's measurements, F between its convolutions, its maps."""

from __future__ import annotations

import threading
from typing import Any

import numba
import numpy as np
import pytest
import torch
import torch.nn.functional as nnf
from hypothesis import given, settings
from hypothesis import strategies as st

from pixelperfect_models import PixelPerfect
from pixelperfect_models.networks import build_distortion_network, inference, similarity
from pixelperfect_models.networks.antisymmetric import OddEvenMerge
from pixelperfect_models.networks.compiled import Passes, at_most, compiled, compiles
from pixelperfect_models.networks.enlarge import enlarge_by_four
from pixelperfect_models.networks.measurements import block_mean, measure_pairs, views
from pixelperfect_models.networks.scoring_network import pool_maps

sizes = st.tuples(st.integers(1, 2), st.integers(16, 70), st.integers(16, 70), st.integers(0, 10**6))


def pair(count: int, height: int, width: int, seed: int = 0) -> tuple[torch.Tensor, torch.Tensor]:
    """A picture of smooth parts and grain, and a noisier one."""
    generator = torch.Generator().manual_seed(seed)
    coarse = torch.rand(count, 3, height // 8 + 1, width // 8 + 1, generator=generator)
    smooth = nnf.interpolate(coarse, size=(height, width), mode="bilinear")
    grain = torch.randn(count, 6, height, width, generator=generator)
    return (smooth + 0.1 * grain[:, :3]).clamp(0, 1), (smooth + 0.02 * grain[:, 3:]).clamp(0, 1)


@settings(deadline=None, max_examples=15)
@given(size=sizes)
def test_measurements_equal_those_of_tensors(size: tuple[int, int, int, int]) -> None:
    test, ref = pair(*size)
    seen = views(test), views(ref[:1])
    found = measure_pairs(*seen)
    plain = views(test.double()), views(ref[:1].double())
    expected = measure_pairs(*plain)
    assert expected.even.dtype == torch.float64
    for fast, slow in zip([*seen[0], *seen[1]], [*plain[0], *plain[1]], strict=True):
        torch.testing.assert_close(fast.double(), slow, rtol=1e-5, atol=1e-6)
    torch.testing.assert_close(found.even.double(), expected.even, rtol=1e-4, atol=5e-6)
    torch.testing.assert_close(found.amount.double(), expected.amount, rtol=1e-5, atol=1e-7)
    torch.testing.assert_close(found.odd.double(), expected.odd, rtol=0, atol=5e-5)


@settings(deadline=None, max_examples=10)
@given(size=sizes)
def test_measurements_keep_their_symmetries_to_the_bit(size: tuple[int, int, int, int]) -> None:
    test, ref = (views(x) for x in pair(*size))
    there, back = measure_pairs(test, ref), measure_pairs(ref, test)
    assert torch.equal(there.even, back.even) and torch.equal(there.amount, back.amount)
    assert torch.equal(there.odd, -back.odd)
    alike = measure_pairs(test, [x.clone() for x in test])
    assert bool((alike.amount == 0).all()) and bool((alike.odd == 0).all())


@pytest.mark.parametrize("side", [2, 3, 5])
def test_block_means_are_average_pooling(side: int) -> None:
    image, _ = pair(2, 41, 38)
    torch.testing.assert_close(block_mean(image, side), nnf.avg_pool2d(image, side), rtol=0, atol=1e-6)


@pytest.mark.parametrize("memory", [torch.contiguous_format, torch.channels_last])
def test_maps_are_enlarged_and_pooled_as_by_tensors(memory: torch.memory_format) -> None:
    maps = torch.rand(2, 15, 13, 19).contiguous(memory_format=memory)
    large, pooled = enlarge_by_four(maps), pool_maps(maps)
    expected = nnf.interpolate(maps, scale_factor=4, mode="bilinear", align_corners=False)
    torch.testing.assert_close(large, expected, rtol=0, atol=1e-6)
    with at_most(Passes.NONE):
        torch.testing.assert_close(pooled, pool_maps(maps), rtol=0, atol=1e-6)
    assert torch.equal(pool_maps(1.0 - maps), -pooled)
    assert bool((pool_maps(torch.full_like(maps, 0.5)) == 0).all())
    assert bool((enlarge_by_four(torch.full_like(maps, 0.5)) == 0.5).all())


@pytest.mark.parametrize("width", [96, 97])  # rows begin at a line of the caches, or anywhere
def test_maps_that_are_written_past_the_caches_are_the_same(width: int) -> None:
    maps = torch.rand(1, 15, 90, width)
    large = enlarge_by_four(maps)
    assert large.numel() > 2_000_000
    for channels in range(0, 15, 3):
        part = slice(channels, channels + 3)
        assert torch.equal(large[:, part], enlarge_by_four(maps[:, part]))


NETWORKS = {
    "shipped kind": ([16, 24, 48], [0, 0], [64, 96, 96], [0, 1, 1]),
    "three scales": ([8, 12, 16, 16], [1, 0, 1], [16, 24, 24, 16], [0, 1, 0, 0]),
    "one scale": ([8, 12], [1], [16], [1]),
}


def network(name: str) -> Any:
    widths, blocks, trunk, trunk_blocks = NETWORKS[name]
    torch.manual_seed(0)
    encoder = {"kind": "compact", "widths": widths, "blocks": blocks}
    built = build_distortion_network(
        encoder, {"kind": "pyramid", "width": 16, "trunk": trunk, "blocks": trunk_blocks}
    ).eval()
    for parameter in built.parameters():  # what starts at zero would hide a mistake
        torch.nn.init.normal_(parameter, std=0.1) if parameter.ndim > 1 else torch.nn.init.normal_(parameter, 0.1, 0.1)
    return built.requires_grad_(False).to(memory_format=torch.channels_last)


@pytest.mark.parametrize("name", NETWORKS)
@pytest.mark.parametrize("size", [(1, 64, 64), (2, 50, 75), (1, 16, 131)])
def test_f_equals_that_of_tensors(name: str, size: tuple[int, int, int], two_threads: None) -> None:
    f = network(name)
    test, ref = pair(*size)
    features = f.encode(test), f.encode(ref[:1])
    assert inference.decodes(f.decoder, [*features[0], *features[0]])
    logits = f.decode(*features)
    with at_most(Passes.NONE):
        plain = f.encode(test), f.encode(ref[:1])
        expected = f.decode(*plain)
    for fast, slow in zip(features[0], plain[0], strict=True):
        torch.testing.assert_close(fast, slow, rtol=1e-4, atol=1e-5)
    assert expected.std() > 0.01
    torch.testing.assert_close(logits, expected, rtol=1e-3, atol=1e-4)


@settings(deadline=None, max_examples=8)
@given(size=sizes)
def test_f_keeps_its_symmetries(size: tuple[int, int, int, int]) -> None:
    f = network("shipped kind")
    test, ref = (f.encode(x) for x in pair(*size))
    assert torch.equal(f.decode(test, ref), -f.decode(ref, test))
    assert bool((f.decode(test, [x.clone() for x in test]) == 0).all())


def test_bfloat16_is_as_near_to_float32_as_by_tensors(two_threads: None) -> None:
    exact, half = PixelPerfect.from_pretrained(), PixelPerfect.from_pretrained(precision="bfloat16")
    test, ref = pair(1, 128, 160)
    with torch.no_grad():
        maps = half.maps(test, ref)
        with at_most(Passes.NONE):
            expected, plain = exact.maps(test, ref), half.maps(test, ref)
    assert (maps - expected).abs().mean() < 1.2 * (plain - expected).abs().mean()
    assert (maps - expected).abs().max() < 0.05


def test_equal_pictures_are_exactly_alike_whichever_asks_for_a_gradient() -> None:
    judge = PixelPerfect.from_pretrained()
    picture, _ = pair(1, 40, 52)
    reference = judge.prepare(picture)
    parameter = torch.nn.Parameter(picture.clone())  # pictures that are optimised themselves
    for test in (picture.clone(), picture.clone().requires_grad_(True), parameter):
        for ref in (reference, picture, picture.clone().requires_grad_(True)):
            for gradients in (True, False):
                with torch.set_grad_enabled(gradients):
                    maps, score = judge.judge(test, ref)
                    assert score.item() == 0.0 and judge.difference(test, ref).item() == 0.0
                    assert bool((maps == 0.5).all())


def test_f_equals_that_of_tensors_where_convolutions_give_planes(monkeypatch: pytest.MonkeyPatch) -> None:
    f = network("shipped kind")
    test, ref = pair(2, 50, 75)
    with at_most(Passes.NONE):
        expected = f.decode(f.encode(test), f.encode(ref))
    conv2d = nnf.conv2d

    def planes(*arguments: Any, **options: Any) -> torch.Tensor:
        return conv2d(*arguments, **options).contiguous()

    monkeypatch.setattr(torch.nn.functional, "conv2d", planes)
    monkeypatch.setattr(torch.nn.modules.conv.F, "conv2d", planes)
    features = f.encode(test), f.encode(ref)
    assert features[0][1].is_contiguous()
    torch.testing.assert_close(f.decode(*features), expected, rtol=1e-3, atol=1e-4)


PARTS = ("block_mean", "views", "even", "amount", "odd")


def gradients(size: tuple[int, int, int, int], part: str, kind: torch.dtype, references: int) -> list[torch.Tensor]:
    """Those of a random weighted sum of one part of what is measured, with respect to both pictures."""
    test, ref = pair(*size)
    pictures = [x.to(kind).requires_grad_(True) for x in (test, ref[:references])]
    if part == "block_mean":
        found = [block_mean(x, 3) for x in pictures]
    else:
        seen = [views(x) for x in pictures]
        found = [*seen[0], *seen[1]] if part == "views" else [getattr(measure_pairs(*seen), part)]
    generator = torch.Generator().manual_seed(size[-1])
    total = sum((x * torch.randn(x.shape, generator=generator).to(kind)).sum() for x in found)
    assert isinstance(total, torch.Tensor)
    return list(torch.autograd.grad(total, pictures))


@settings(deadline=None, max_examples=25)
@given(size=sizes, part=st.sampled_from(PARTS), one_reference=st.booleans())
def test_gradients_of_the_measurements_are_those_of_tensors(
    size: tuple[int, int, int, int], part: str, one_reference: bool
) -> None:
    references = 1 if one_reference else size[0]
    found = gradients(size, part, torch.float32, references)
    expected = gradients(size, part, torch.float64, references)
    with at_most(Passes.NONE):
        plain = gradients(size, part, torch.float32, references)
    for fast, slow, exact in zip(found, plain, expected, strict=True):
        assert fast.shape == exact.shape
        scale = exact.abs().max()
        error, usual = ((x - exact).abs().max() / scale for x in (fast, slow))
        # Not worse than tensors of the same type, whose roots and quotients near zero are as ill-conditioned.
        assert error < max(2e-4, 3 * usual)


@pytest.mark.parametrize("asking", [(True, True), (True, False), (False, True)])
def test_gradients_of_merged_features_are_those_of_tensors(asking: tuple[bool, bool], two_threads: None) -> None:
    torch.manual_seed(0)
    merge = OddEvenMerge(5, 4, 6).requires_grad_(False)
    merge.log_gain.normal_(2.0, 1.0)
    features = [torch.randn(2, 5, 9, 7).requires_grad_(asks) for asks in asking]
    wanted = [x for x in features if x.requires_grad]
    kinds = {
        "compiled": (merge, features),
        "exact": (OddEvenMerge(5, 4, 6).requires_grad_(False).double(), [x.double() for x in features]),
    }
    kinds["exact"][0].load_state_dict(merge.state_dict())
    found = {}
    for name, (module, pictures) in kinds.items():
        odd, even = module(*pictures)
        weights = torch.linspace(-1.0, 1.0, odd[0].numel()).view(odd[0].shape).to(odd)
        found[name] = [odd, even, *torch.autograd.grad((odd * weights).sum() + even.square().sum(), wanted)]
    for fast, slow in zip(found["compiled"], found["exact"], strict=True):
        assert fast.dtype == torch.float32
        torch.testing.assert_close(fast.double(), slow.double(), rtol=1e-5, atol=1e-4)
    # Weights that are learned have a gradient, too.
    odd, even = merge.requires_grad_(True)(*features)
    (odd.square().sum() + even.sum()).backward()
    assert merge.log_gain.grad is not None and merge.log_gain.grad.abs().max() > 0


@pytest.mark.parametrize("memory", [torch.contiguous_format, torch.channels_last])
def test_gradients_of_pooled_maps_are_those_of_tensors(memory: torch.memory_format, two_threads: None) -> None:
    generator = torch.Generator().manual_seed(4)
    maps = torch.rand(2, 15, 13, 19, generator=generator).contiguous(memory_format=memory).requires_grad_(True)
    exact = maps.detach().double().requires_grad_(True)
    weights = torch.randn(2, 30, generator=generator)
    (found,) = torch.autograd.grad((pool_maps(maps) * weights).sum(), maps)
    (expected,) = torch.autograd.grad((pool_maps(exact) * weights).sum(), exact)
    torch.testing.assert_close(found.double(), expected, rtol=1e-4, atol=1e-6 * float(expected.abs().max()))


def test_gradients_of_maps_and_score_are_those_of_tensors() -> None:
    judge = PixelPerfect.from_pretrained()
    test, ref = pair(1, 72, 91)
    test.requires_grad_(True)

    def gradient() -> torch.Tensor:
        maps, score = judge.judge(test, ref)
        return torch.autograd.grad((maps - 0.5).square().mean() + score.sum(), test)[0]

    found = gradient()
    with at_most(Passes.NONE):
        expected = gradient()
    assert (found - expected).norm() < 1e-3 * expected.norm()


def test_gradients_of_the_difference_are_those_of_tensors_and_reach_both_pictures() -> None:
    judge = PixelPerfect.from_pretrained()
    test, ref = (x.requires_grad_(True) for x in pair(2, 300, 391))
    value = judge.difference(test, ref)
    found = torch.autograd.grad(value.sum(), (test, ref))
    with at_most(Passes.NONE):
        plain = judge.difference(test, ref)
        expected = torch.autograd.grad(plain.sum(), (test, ref))
    torch.testing.assert_close(value, plain, rtol=1e-5, atol=1e-6)
    for one, other in zip(found, expected, strict=True):
        assert (one - other).norm() < 1e-3 * other.norm()
    # Against the prepared reference, which was measured without a gradient, the very same.
    again = judge.difference(test, judge.prepare(ref))
    assert torch.equal(again, value)
    assert torch.equal(torch.autograd.grad(again.sum(), test)[0], found[0])


def test_equal_pictures_have_a_finite_gradient() -> None:
    judge = PixelPerfect.from_pretrained()
    flat, (picture, _) = torch.full((1, 3, 40, 48), 0.5), pair(1, 40, 48)
    for image in (flat, picture):
        test = image.clone().requires_grad_(True)
        (gradient,) = torch.autograd.grad(judge.difference(test, image).sum(), test)
        assert bool(torch.isfinite(gradient).all())


def test_second_derivatives_and_torch_func_are_those_of_tensors() -> None:
    judge = PixelPerfect.from_pretrained()
    test, ref = pair(1, 32, 40)

    def value(x: torch.Tensor) -> torch.Tensor:
        test = nnf.interpolate(x, scale_factor=12.0, mode="bilinear")
        maps, score = judge.judge(test, large)
        return judge.difference(test, large).sum() + score.sum() + 10.0 * (maps - 0.5).square().mean()

    def twice(x: torch.Tensor) -> tuple[torch.Tensor, torch.Tensor]:
        (first,) = torch.autograd.grad(value(x), x, create_graph=True)
        (second,) = torch.autograd.grad((first * direction).sum(), x)
        return first.detach(), second

    large = nnf.interpolate(ref, scale_factor=12.0, mode="bilinear")  # seen at half its size
    direction = torch.randn(test.shape, generator=torch.Generator().manual_seed(3))
    asking = test.clone().requires_grad_(True)
    found = twice(asking)
    with at_most(Passes.NONE):
        expected = twice(asking)
    # Second derivatives of roots near zero keep two digits in float32, by tensors too.
    for one, other, share in zip(
        (*found, torch.func.grad(value)(test)), (*expected, expected[0]), (1e-3, 0.05, 1e-3), strict=True
    ):
        assert (one - other).norm() < share * other.norm()


def test_a_gradient_does_not_change_an_answer() -> None:
    judge = PixelPerfect.from_pretrained()
    test, ref = pair(1, 40, 52)
    test.requires_grad_(True)
    with torch.no_grad():
        expected = judge.judge(test, ref)
    maps, score = judge.judge(test, ref)
    torch.testing.assert_close(maps, expected[0], rtol=0, atol=1e-5)
    torch.testing.assert_close(score, expected[1], rtol=1e-4, atol=1e-5)
    (gradient,) = torch.autograd.grad(maps.sum() + score.sum(), test)
    assert bool(torch.isfinite(gradient).all()) and gradient.abs().max() > 0


def test_weights_that_are_trained_get_their_gradient() -> None:
    f = network("shipped kind").requires_grad_(True)
    test, ref = pair(1, 32, 32)
    f(test, ref).sum().backward()
    assert all(parameter.grad is not None for parameter in f.parameters())


def test_what_compiled_functions_take() -> None:
    picture = torch.rand(1, 3, 16, 16)
    assert compiles(picture)
    assert not compiles(picture.double()) and not compiles(picture.half())
    assert compiles(picture.bfloat16(), kinds=(torch.bfloat16,))
    assert not compiles(picture.to("meta"))
    asking = picture.clone().requires_grad_(True)
    assert not compiles(picture, asking)
    assert compiles(picture, asking, differentiable=True)
    with torch.no_grad():
        assert compiles(picture, asking)
        with at_most(Passes.NONE), at_most(Passes.ALL):
            assert not compiles(picture)
    found = []
    with at_most(Passes.NONE):  # of this thread alone
        thread = threading.Thread(target=lambda: found.append(compiles(picture)))
        thread.start()
        thread.join()
    assert found == [True]


def test_threads_do_not_change_an_answer(two_threads: None) -> None:
    image, _ = pair(1, 64, 72)
    maps = torch.rand(1, 15, 16, 18)

    def answers() -> list[torch.Tensor]:
        seen = views(image)
        return [
            block_mean(image, 3),
            *seen,
            *measure_pairs(seen, [x.flip(0) * 0.9 for x in seen]),
            enlarge_by_four(maps),
        ]

    shared = answers()
    torch.set_num_threads(1)
    for one, two in zip(answers(), shared, strict=True):
        assert torch.equal(one, two)


def test_without_a_place_for_the_code_it_is_compiled_all_the_same(monkeypatch: pytest.MonkeyPatch) -> None:
    real = numba.njit

    def njit(**options: Any) -> Any:
        if options.get("cache"):
            raise RuntimeError("cannot cache function: no locator available")
        return real(**options)

    monkeypatch.setattr(numba, "njit", njit)
    assert compiled(lambda x: x + 1)(np.float32(2.0)) == 3.0


def test_all_measurements_are_made() -> None:
    seen = views(pair(1, 40, 52)[0])
    found = measure_pairs(seen, seen)
    assert found.even.shape == (1, similarity.EVEN_STATISTICS) and found.odd.shape == (1, similarity.ODD_STATISTICS)
    assert len(seen) == similarity.LEVELS and seen[0].shape[1] == similarity.CHANNELS


def test_what_is_no_number_does_not_get_lost() -> None:
    judge = PixelPerfect.from_pretrained()
    test, ref = pair(1, 40, 52)
    test[0, 1, 20, 30] = float("nan")
    assert bool(judge.difference(test, ref).isnan().all()) and bool(judge.score(test, ref).isnan().all())
    assert bool(judge.maps(test, ref)[:, :, 20, 30].isnan().all())
