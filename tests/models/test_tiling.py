"""Maps of large pictures in tiles are those of the whole picture."""

from __future__ import annotations

import pytest
import torch
from hypothesis import given, settings
from hypothesis import strategies as st

from pixelperfect_models import judge as judge_module
from pixelperfect_models.judge import PixelPerfect
from pixelperfect_models.networks import build_distortion_network, build_scoring_network, scoring_network
from pixelperfect_models.networks.compiled import Passes, at_most
from pixelperfect_models.tiling import spans


def random_judge(decoder: str = "pyramid", widths: tuple[int, ...] = (4, 6, 8)) -> PixelPerfect:
    """A small judge with the default's topology, whose weights make every layer matter and the answers far from 0.5."""
    torch.manual_seed(0)
    extra = {"layers": 1, "heads": 1} if decoder == "mask_attention" else {}
    network = build_distortion_network(
        {"kind": "compact", "widths": list(widths), "blocks": [0] * (len(widths) - 1)},
        {"kind": decoder, "width": 8, "trunk": [8, 8, 8], "blocks": [0, 1, 1], **extra},
    )
    for parameter in network.parameters():
        torch.nn.init.normal_(parameter, std=0.25)
    scoring = build_scoring_network({"widths": [4, 4], "width": 4, "embedding": 4, "heads": 2})
    return PixelPerfect(network, scoring).eval().requires_grad_(False)


def pictures(count: int, height: int, width: int) -> torch.Tensor:
    return torch.rand(2, count, 3, height, width, generator=torch.Generator().manual_seed(1))


@settings(deadline=None)
@given(
    length=st.integers(1, 3000), core=st.integers(1, 700), margin=st.integers(0, 300), grid=st.sampled_from([1, 8, 32])
)
def test_spans_cover_every_pixel_once_and_read_the_margin(length: int, core: int, margin: int, grid: int) -> None:
    parts = spans(length, core, margin, grid)
    assert [pixel for part in parts for pixel in range(part.start, part.stop)] == list(range(length))
    for part in parts:
        assert part.stop - part.start <= core + grid - 1
        assert part.start % grid == part.read_start % grid == 0
        assert 0 <= part.read_start <= max(0, part.start - margin)
        assert part.read_stop == length or part.read_stop >= part.stop + margin


@pytest.mark.parametrize("size", [(480, 512), (517, 491), (301, 640)])
def test_tiled_maps_equal_the_whole(size: tuple[int, int]) -> None:
    judge = random_judge()
    test, ref = pictures(1, *size)
    whole = judge.maps(test, ref, tile=None)
    assert (whole - 0.5).abs().mean() > 0.01  # there is something to be wrong about
    assert judge.distortion.reach is not None and judge.distortion.reach < 256
    tiled = judge.maps(test, ref, tile=128)
    assert tiled.shape == whole.shape
    assert (tiled - whole).abs().max() <= 1e-5


def test_too_small_a_margin_would_show(monkeypatch: pytest.MonkeyPatch) -> None:
    judge = random_judge()
    test, ref = pictures(1, 300, 330)
    whole = judge.maps(test, ref, tile=None)
    monkeypatch.setattr(type(judge.distortion), "reach", 16)
    assert (judge.maps(test, ref, tile=96) - whole).abs().max() > 1e-4


def test_no_pixel_moves_a_map_beyond_the_reach() -> None:
    judge = random_judge().double()
    reach = judge.distortion.reach
    assert reach is not None
    test, ref = pictures(1, 544, 64).double()
    base = judge.maps(test, ref)
    farthest = 0
    for row in range(256, 256 + 8):
        moved = test.clone()
        moved[..., row, :] = 1 - moved[..., row, :]
        rows = ((judge.maps(moved, ref) - base).abs().amax((0, 1, 3)) > 0).nonzero().flatten()
        farthest = max(farthest, row - int(rows.min()), int(rows.max()) - row)
    assert farthest <= reach
    assert farthest > reach // 2  # an honest bound, not an arbitrary large one


@pytest.mark.parametrize("references", [1, 2])
def test_batches_and_prepared_references(references: int) -> None:
    judge = random_judge()
    test, ref = pictures(2, 270, 150)
    ref = ref[:references]
    whole = judge.maps(test, ref, tile=None)
    assert (judge.maps(test, ref, tile=128) - whole).abs().max() <= 1e-5
    assert (judge.maps(test, judge.prepare(ref), tile=128) - whole).abs().max() <= 1e-5


def test_large_pictures_are_tiled_unless_a_gradient_is_asked_for(monkeypatch: pytest.MonkeyPatch) -> None:
    judge = random_judge()
    monkeypatch.setattr(judge_module, "TILED_ABOVE", 100 * 100)
    monkeypatch.setattr(judge_module, "TILE", 96)
    sizes: list[tuple[int, ...]] = []
    encode = judge.distortion.encode

    def watched(image: torch.Tensor) -> list[torch.Tensor]:
        sizes.append(image.shape[-2:])
        return encode(image)

    monkeypatch.setattr(judge.distortion, "encode", watched)
    test, ref = pictures(1, 64, 900)
    with torch.no_grad():
        judge.maps(test, ref)
    assert len(sizes) > 2 and all(width < 900 for _, width in sizes)
    sizes.clear()
    image = test.clone().requires_grad_(True)
    judge.maps(image, ref).sum().backward()
    assert image.grad is not None and image.grad.abs().sum() > 0
    assert set(sizes) == {(64, 900)}


@pytest.mark.parametrize("size", [(61, 412), (200, 333)])
def test_features_kept_of_a_large_picture_change_nothing(
    monkeypatch: pytest.MonkeyPatch, size: tuple[int, int]
) -> None:
    judge = random_judge()
    monkeypatch.setattr(judge_module, "TILED_ABOVE", 100 * 100)
    monkeypatch.setattr(judge_module, "TILE", 96)
    test, ref = pictures(2, *size)
    whole = judge.maps(test, ref, tile=None)
    state = judge.prepare(ref)
    encoded: list[int] = []
    encode = judge.distortion.encode

    def watched(image: torch.Tensor) -> list[torch.Tensor]:
        encoded.append(image.shape[-1])
        return encode(image)

    monkeypatch.setattr(judge.distortion, "encode", watched)
    assert (judge.maps(test, state) - whole).abs().max() <= 1e-5
    assert max(encoded) <= 96 + 32  # the test pictures alone, with the encoder's small reach around each tile
    assert sum(encoded) <= 2 * -(-size[0] // 96) * (size[1] + 32 * -(-size[1] // 96))
    assert (judge.maps(test, ref) - whole).abs().max() <= 1e-5
    assert bool((judge.maps(ref.clone(), state) == 0.5).all())
    assert (judge.maps(test, state) + judge.maps(ref, judge.prepare(test)) - 1).abs().max() <= 1e-6


def test_gradients_pass_through_tiles_that_are_asked_for() -> None:
    judge = random_judge()
    test, ref = pictures(1, 70, 300)

    def gradient(tile: int | None) -> torch.Tensor:
        image = test.clone().requires_grad_(True)
        return torch.autograd.grad(judge.maps(image, ref, tile=tile).square().sum(), image)[0]

    whole = gradient(None)
    assert whole.abs().max() > 0.01
    assert (gradient(96) - whole).abs().max() <= 1e-4 * whole.abs().max()


def test_of_the_largest_pictures_nothing_is_kept(monkeypatch: pytest.MonkeyPatch) -> None:
    judge = random_judge()
    monkeypatch.setattr(judge_module, "TILED_ABOVE", 100 * 100)
    monkeypatch.setattr(judge_module, "KEPT_UP_TO", 150 * 150)
    monkeypatch.setattr(judge_module, "TILE", 96)
    test, ref = pictures(1, 160, 250)
    state = judge.prepare(ref)
    maps = judge.maps(test, state)
    assert not state.features and not state.pieced
    assert (maps - judge.maps(test, ref, tile=None)).abs().max() <= 1e-5
    assert bool((judge.maps(ref.clone(), state) == 0.5).all())


def test_maps_at_their_own_resolution_are_what_full_ones_are_enlarged_from() -> None:
    judge = random_judge()
    test, ref = pictures(1, 64, 96)
    coarse = judge.maps(test, ref, full=False)
    assert coarse.shape == (1, len(judge.types), 16, 24)
    full = torch.nn.functional.interpolate(coarse, scale_factor=4, mode="bilinear")
    assert torch.allclose(full, judge.maps(test, ref), atol=1e-6)
    assert judge.maps(test[..., :61, :93], ref[..., :61, :93], full=False).shape[-2:] == (16, 24)
    tiled = judge.maps(*pictures(1, 61, 400), tile=128, full=False)
    assert (tiled - judge.maps(*pictures(1, 61, 400), full=False)).abs().max() <= 1e-5


def test_tiles_keep_antisymmetry_and_identity() -> None:
    judge = random_judge()
    a, b = pictures(1, 77, 350)
    assert (judge.maps(a, b, tile=96) + judge.maps(b, a, tile=96) - 1).abs().max() <= 1e-6
    assert bool((judge.maps(a, a.clone(), tile=96) == 0.5).all())


@pytest.mark.parametrize(
    ("decoder", "tile", "expected"), [("mask_attention", 64, "whole picture"), ("pyramid", 0, "0")]
)
def test_wrong_tiles_are_named(decoder: str, tile: int, expected: str) -> None:
    with pytest.raises(ValueError, match=expected):
        random_judge(decoder).maps(*pictures(1, 32, 32), tile=tile)


@settings(deadline=None, max_examples=4)
@given(height=st.integers(16, 90), width=st.integers(16, 90))
def test_bfloat16_keeps_antisymmetry_and_identity(height: int, width: int) -> None:
    judge = random_judge()
    exact = judge.maps(*pictures(1, height, width))
    judge.precision = "bfloat16"
    a, b = pictures(1, height, width)
    maps, score = judge.judge(a, judge.prepare(b))
    back, score_back = judge.judge(b, judge.prepare(a))
    assert (maps + back - 1).abs().max() <= 1e-6 and (score + score_back).abs().max() <= 1e-6
    same, zero = judge.judge(a, judge.prepare(a))
    assert bool((same == 0.5).all()) and bool((zero == 0).all())
    assert 0 < (maps - exact).abs().max() < 0.5


def test_gradients_are_not_computed_in_bfloat16() -> None:
    judge = random_judge()
    test, ref = pictures(1, 40, 40)
    wanted = judge.score(test.clone().requires_grad_(True), ref).detach()
    judge.precision = "bfloat16"
    state = judge.prepare(ref)
    assert torch.equal(judge.score(test.clone().requires_grad_(True), state).detach(), wanted)


def test_unknown_precision_is_named() -> None:
    judge = random_judge()
    with pytest.raises(ValueError, match="float64"):
        PixelPerfect(judge.distortion, judge.scoring, precision="float64")  # type: ignore[arg-type]


def test_maps_of_large_pictures_are_pooled_in_parts_to_the_same(monkeypatch: pytest.MonkeyPatch) -> None:
    maps = torch.rand(2, 15, 40, 50, generator=torch.Generator().manual_seed(0))
    with at_most(Passes.NONE):
        whole = scoring_network.pool_maps(maps)
        monkeypatch.setattr(scoring_network, "_POOLED_AT_ONCE", 9000)  # two channels at a time
        assert torch.equal(scoring_network.pool_maps(maps), whole)
