"""The objective: values against hand computation, gradients, constraints, failures, the incumbent."""

from __future__ import annotations

from pathlib import Path

import pytest
import torch
from torch import Tensor

from pipelines.contract import Pipeline
from pipelines.inputs import PICTURES, centre_box
from pipelines.parameters import Parameter
from pixelperfect_models.errors import UserError
from pixelperfect_models.images import write_image
from pixelperfect_models.map_statistics import Penalty
from tests.tuner.fake_judge import SCALE, FakeJudge
from tests.tuner.tiny_pipelines import Fragile, Power, make_recipe, register, scene
from tuner.evaluation import EvaluationError
from tuner.objective import Objective
from tuner.pictures import Picture, read_penalties, read_pictures
from tuner.recipe_objective import Constraint


class Shift(Pipeline):
    """``image + by``."""

    name = "shift"
    differentiable = True
    parameters = {"by": Parameter(-0.5, 0.5, 0.0)}  # noqa: RUF012

    def process(self, image: Tensor, by: Tensor) -> Tensor:
        """Shifted."""
        return image + by


class Noisy(Shift):
    """Shift plus torch's random numbers."""

    def process(self, image: Tensor, by: Tensor) -> Tensor:
        """Shifted, noisy."""
        return image + by + 0.1 * torch.rand_like(image)


def grey(level: float, height: int = 20, width: int = 24) -> Tensor:
    return torch.full((1, 3, height, width), level)


def half_dark() -> Tensor:
    """Left half 0.1 (shadows), right half 0.6."""
    image = grey(0.1)
    image[..., 12:] = 0.6
    return image


def objective(pictures: list[Tensor], pipeline: Pipeline | None = None, **options: object) -> Objective:
    made = [Picture(f"p{number}", image, image) for number, image in enumerate(pictures)]
    return Objective(FakeJudge(), pipeline or Shift(), made, **options)  # type: ignore[arg-type]


class TestValue:
    def test_score_alone(self) -> None:
        evaluation = objective([grey(0.5)]).evaluate({"by": 0.1})
        assert evaluation.value == evaluation.score == pytest.approx(-SCALE * 0.01, rel=1e-4)

    def test_difference_takes_the_reference_for_the_truth(self) -> None:
        evaluation = objective([grey(0.5)], score_kind="difference", score_weight=2.0).evaluate({"by": 0.1})
        assert evaluation.score == pytest.approx(-0.1, rel=1e-4)
        assert evaluation.value == pytest.approx(-0.2, rel=1e-4)

    def test_difference_needs_a_truth(self) -> None:
        with pytest.raises(UserError, match="expected relational"):
            Objective(FakeJudge(), Shift(), [Picture("p", grey(0.5), None)], score_kind="difference")

    def test_amounts_are_the_statistics_before_tolerance_and_weight(self) -> None:
        penalties = [Penalty("exposure", weight=2.0, above=0.05), Penalty("exposure", weight=1.0, above=0.9)]
        evaluation = objective([grey(0.5), half_dark()], penalties=penalties).evaluate({"by": 0.2})
        for picture in evaluation.pictures:
            assert picture.amounts == {"exposure/mean/all": pytest.approx(0.2, abs=1e-4)}

    def test_signed_amounts_go_on_below_zero(self) -> None:
        penalties = [Penalty("exposure", statistic="max"), Penalty("luma_noise", statistic="p95")]
        textured = scene()
        picture = Picture("p", grey(0.5, *textured.shape[-2:]), textured)
        smooth = Objective(FakeJudge(), Shift(), [picture], penalties).evaluate({"by": -0.4}).pictures[0]
        assert smooth.amounts["exposure/max/all"] > 0.2
        assert smooth.signed["exposure/max/all"] < -0.2  # darker
        assert smooth.amounts["luma_noise/p95/all"] == 0.0
        assert smooth.signed["luma_noise/p95/all"] < -0.001  # smoother

    def test_masks_of_one_name_in_two_folders_have_their_own_amounts(self) -> None:
        white = torch.ones(1, 1, 20, 24)
        black = torch.zeros(1, 1, 20, 24)
        files = [Path("a/m.png"), Path("b/m.png")]
        penalties = [Penalty("exposure", region="mask", mask=file) for file in [*files, files[0]]]
        pictures = [Picture("p", grey(0.5), grey(0.5), dict(zip(files, (white, black), strict=True)))]
        built = Objective(FakeJudge(), Shift(), pictures, penalties)
        assert built.amount_names == ("exposure/mean/m.png", "exposure/mean/m.png#2", "exposure/mean/m.png")
        amounts = built.evaluate({"by": 0.2}).pictures[0].amounts
        assert list(amounts.values()) == [pytest.approx(0.2, abs=1e-4), 0.0]

    def test_penalties_against_hand_computed_values(self) -> None:
        # Shifted by 0.2 the exposure map's excess is 0.2 everywhere.
        penalties = [
            Penalty("exposure", weight=2.0, above=0.05),
            Penalty("exposure", weight=3.0, above=0.1, statistic="max", region="shadows"),
            Penalty("exposure", weight=5.0, above=0.3, statistic="p95"),
            Penalty("blur", weight=7.0),
        ]
        evaluation = objective([half_dark()], penalties=penalties, score_weight=0.5).evaluate({"by": 0.2})
        assert evaluation.penalties == pytest.approx(
            {
                "exposure/mean/all": 2.0 * (0.2 - 0.05),
                "exposure/max/shadows": 3.0 * (0.2 - 0.1),
                "exposure/p95/all": 0.0,
                "blur/mean/all": 0.0,
            },
            abs=1e-5,
        )
        assert evaluation.value == pytest.approx(0.5 * -SCALE * 0.04 - 0.3 - 0.3, abs=1e-4)
        assert evaluation.statistics["exposure"]["p95"] == pytest.approx(0.2, abs=1e-5)

    def test_two_tolerances_of_one_penalty_add_up(self) -> None:
        penalties = [Penalty("exposure", 1.0, 0.0), Penalty("exposure", 10.0, 0.15)]
        evaluation = objective([grey(0.5)], penalties=penalties).evaluate({"by": 0.2})
        assert evaluation.penalties == pytest.approx({"exposure/mean/all": 0.2 + 10.0 * 0.05}, abs=1e-5)

    def test_pictures_of_different_sizes_count_alike(self) -> None:
        both = objective([grey(0.5), half_dark()[..., :18]]).evaluate({"by": 0.45})
        first = objective([grey(0.5)]).evaluate({"by": 0.45})
        second = objective([half_dark()[..., :18]]).evaluate({"by": 0.45})
        assert first.value != pytest.approx(second.value)  # one of them clips
        assert both.value == pytest.approx((first.value + second.value) / 2)
        assert [picture.value for picture in both.pictures] == pytest.approx([first.value, second.value])

    def test_references_are_prepared_once(self) -> None:
        target = objective([grey(0.5), grey(0.3)])
        for by in (0.0, 0.1, 0.2):
            target.evaluate({"by": by})
        assert target.judge.prepared == 2  # type: ignore[attr-defined]

    def test_a_pipeline_that_draws_random_numbers_draws_the_same_in_every_trial(self) -> None:
        target = objective([grey(0.5)], Noisy())
        torch.manual_seed(1)
        first = target.evaluate({"by": 0.1})
        before = torch.rand(1)
        torch.manual_seed(1)
        torch.rand(5)
        assert target.evaluate({"by": 0.1}).value == first.value
        torch.manual_seed(1)
        assert torch.rand(1) == before  # and the caller's generator is left alone


class TestGradient:
    def test_is_the_slope_of_the_value(self) -> None:
        penalties = [Penalty("exposure", 2.0, 0.05), Penalty("exposure", 1.0, statistic="p95")]
        target = objective([grey(0.5), half_dark()], penalties=penalties)
        leaf = torch.tensor(0.2, dtype=torch.float64, requires_grad=True)
        evaluation = target.evaluate_backward(lambda: {"by": leaf * 1.0})
        step = 1e-3
        slope = (target.evaluate({"by": 0.2 + step}).value - target.evaluate({"by": 0.2 - step}).value) / (2 * step)
        assert leaf.grad is not None
        assert -leaf.grad.item() == pytest.approx(slope, rel=1e-3)
        assert evaluation.value == pytest.approx(target.evaluate({"by": 0.2}).value)

    def test_a_pipeline_without_gradient_is_named(self) -> None:
        class Detached(Shift):
            name = "detached"

            def process(self, image: Tensor, by: Tensor) -> Tensor:
                return image + float(by.detach())

        leaf = torch.tensor(0.2, requires_grad=True)
        with pytest.raises(UserError, match=r"detached: no gradient reaches the parameters"):
            objective([grey(0.5)], Detached()).evaluate_backward(lambda: {"by": leaf * 1.0})


class TestConstraints:
    def test_violation_is_a_share_of_the_limit(self) -> None:
        limits = [Constraint(measure="bytes", at_most=80.0), Constraint(measure="bytes", at_least=50.0)]
        evaluation = objective([grey(0.5)], Power(), constraints=limits).evaluate({"gamma": 1.0})
        assert evaluation.constraints == pytest.approx({"bytes<=80": 0.25, "bytes>=50": -1.0})
        assert evaluation.attributes()["feasible"] is False
        assert objective([grey(0.5)], Power(), constraints=limits).evaluate({"gamma": 0.6}).attributes()["feasible"]

    def test_an_unknown_measure_is_refused_with_the_nearest(self) -> None:
        target = objective([grey(0.5)], Power(), constraints=[Constraint(measure="byte", at_most=1.0)])
        with pytest.raises(UserError, match=r"power reports no measure 'byte'.*did you mean 'bytes'"):
            target.evaluate({"gamma": 1.0})


class TestFailures:
    @pytest.mark.parametrize(
        ("gamma", "reason"), [(3.5, "RuntimeError: gamma too steep"), (2.7, "NaN"), (2.2, "shape"), (9.0, "bounds")]
    )
    def test_are_evaluation_errors_with_reason_and_picture(self, gamma: float, reason: str) -> None:
        with pytest.raises(EvaluationError, match=reason) as caught:
            objective([grey(0.5)], Fragile()).evaluate({"gamma": gamma})
        assert str(caught.value).endswith("(picture p0)")
        assert "\n" not in str(caught.value)

    def test_ctrl_c_is_not_a_failure(self) -> None:
        class Stopped(Shift):
            def process(self, image: Tensor, by: Tensor) -> Tensor:
                raise KeyboardInterrupt

        with pytest.raises(KeyboardInterrupt):
            objective([grey(0.5)], Stopped()).evaluate({"by": 0.0})


class TestIncumbent:
    def test_values_of_a_chain_form_one_scale(self) -> None:
        target = Objective(FakeJudge(), Shift(), [Picture("p", grey(0.5), None)])
        first = target.evaluate({"by": 0.0})
        assert first.value == 0.0  # nothing to compare with but itself
        target.promote(first)
        second = target.evaluate({"by": 0.1})
        assert second.value == pytest.approx(-1.0, rel=1e-4)
        target.promote(second)
        assert target.evaluate({"by": 0.1}).value == pytest.approx(second.value)  # the incumbent against itself
        third = target.evaluate({"by": 0.05})
        assert third.value == pytest.approx(second.value - 0.25, rel=1e-4)  # the lesser of that and -0.25 from 0
        assert third.attributes()["offset"] == pytest.approx(second.value)

    def test_is_found_again_on_resuming(self) -> None:
        target = Objective(FakeJudge(), Shift(), [Picture("p", grey(0.5), None)])
        target.restore_incumbent({"by": 0.1}, [2.0])
        assert target.evaluate({"by": 0.1}).value == pytest.approx(2.0)
        assert target.evaluate({"by": 0.2}).value == pytest.approx(2.0 - 1.0, rel=1e-3)


class TestPictures:
    def test_recipe_pictures_references_crops_and_masks(self, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
        register(monkeypatch)
        write_image(tmp_path / "mask.png", torch.cat([grey(0.0, 32, 20), grey(1.0, 32, 20)], dim=3))
        write_image(tmp_path / "in" / "a.png", scene(32, 40))
        recipe = make_recipe(
            tmp_path,
            images={"input": "in/a.png", "reference": "input", "crop": 24},
            objective={"penalties": [{"type": "exposure", "region": "mask.png"}, {"type": "blur", "region": "edges"}]},
        )
        (picture,) = read_pictures(recipe)
        assert picture.image.shape == (1, 3, 24, 24)
        assert picture.reference is picture.image
        mask = picture.masks[tmp_path / "mask.png"]
        assert mask.shape == (1, 1, 24, 24)
        assert mask.mean().item() == pytest.approx(0.5)
        assert [penalty.label for penalty in read_penalties(recipe)] == ["exposure/mean/mask.png", "blur/mean/edges"]

    def test_centre_crop(self) -> None:
        image = torch.arange(6.0 * 5).view(1, 1, 6, 5)
        assert PICTURES.crop(image, *centre_box(6, 5, 2)).flatten().tolist() == [11.0, 12.0, 16.0, 17.0]
        assert PICTURES.crop(image, *centre_box(6, 5, 5)).shape == (1, 1, 5, 5)
        assert centre_box(6, 5, None) == (0, 0, 6, 5)

    def test_a_centre_crop_keeps_the_phase_of_a_mosaic(self) -> None:
        assert centre_box(101, 203, 33, align=2) == (34, 84, 32, 32)
        assert centre_box(20, 203, 33, align=2) == (0, 84, 20, 32)
