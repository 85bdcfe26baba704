"""Training of S on ordinally ranked sets: first how far apart two pictures look, then which is the better one.

The amount is learnt from each picture against its pristine one: hinge ranking, distance to the teacher's consensus,
order of severities, InfoNCE. What S measures of a pair is fixed, so it is measured once and a step costs milliseconds;
only with a learned encoder (``network.score.widths``) do the pictures pass in every step. The direction is then read of
the frozen rest (:mod:`pixelperfect_models.training.direction`).
"""

from __future__ import annotations

import hashlib
from collections.abc import Sequence
from pathlib import Path

import numpy as np
import torch
import torch.nn.functional as nnf
from rich.console import Console
from scipy.stats import spearmanr
from torch import nn

from pixelperfect_models.channels import CHANNELS
from pixelperfect_models.distortions.engine import DistortionEngine
from pixelperfect_models.judge import DISTORTION_WEIGHTS, SCORE_WEIGHTS, load_distortion_network, save_network
from pixelperfect_models.networks import ScoringNetwork, build_scoring_network
from pixelperfect_models.training.config import ScoreTraining, load_config, photo_folders
from pixelperfect_models.training.direction import QUALITY_STEP, fit_direction, pairs_of
from pixelperfect_models.training.loop import fit, make_fabric, resolve_precision
from pixelperfect_models.training.losses import info_nce, ranking_loss
from pixelperfect_models.training.model_card import write_model_card
from pixelperfect_models.training.photos import PhotoPool
from pixelperfect_models.training.quality_sets import QualitySets, cache_artefacts, make_sets

_NOTES = (
    "Training pictures are ordered by severity within a type and by a rank consensus across types: MDSI, VSI, HaarPSI, "
    "PSNR, colour differences, the change of chroma and the worst change of local contrast and of edges "
    "(pixelperfect_models/training/teacher.py). No "
    "human label was used, but the constants of VSI, MDSI and HaarPSI, some of which S's own measurements share "
    "(pixelperfect_models/networks/similarity.py), were chosen by their authors on human ratings, and the consensus' "
    "members, the weight decay of the direction and the weight of its triangles on the development part of TID2013.",
)


def train_score(
    config: str | Path,
    out_dir: str | Path,
    photos: Sequence[str | Path] | None = None,
    resume: bool = False,
    console: Console | None = None,
) -> Path:
    """Train S and write ``score.safetensors`` and ``score.json``.

    Args, returns and raises as :func:`pixelperfect_models.training.train_distortion`; ``out_dir`` must hold the
    ``distortion.safetensors`` of a finished distortion training, whose maps say which of two pictures holds what.
    """
    settings = load_config(config)
    schedule = settings.score
    out = Path(out_dir)
    distortion = load_distortion_network(out / DISTORTION_WEIGHTS)
    distortion.eval().requires_grad_(False)
    folders = [Path(folder) for folder in photos] if photos else photo_folders(settings)
    pool = PhotoPool(folders, seed=settings.seed)
    console = console or Console(stderr=True)
    engine = DistortionEngine()
    torch.manual_seed(settings.seed)
    scoring = build_scoring_network(settings.network.score)
    scoring.to(memory_format=torch.channels_last)  # type: ignore[call-overload]
    fabric = make_fabric(schedule.precision, schedule.devices, schedule.strategy)
    total = schedule.steps * schedule.batch * fabric.world_size
    distortion.to(fabric.device, memory_format=torch.channels_last)  # type: ignore[call-overload]
    fingerprint = hashlib.sha256((out / DISTORTION_WEIGHTS).read_bytes()).hexdigest()
    half = resolve_precision(settings.distortion.precision, fabric.device.type == "cuda") == "bf16-mixed"
    # One process makes what is missing; the others then find it there.
    with fabric.rank_zero_first():
        train_files = _sets(out, pool, engine, schedule, settings.seed, validation=False, console=console)
        validation_files = _sets(out, pool, engine, schedule, settings.seed, validation=True, console=console)
        with torch.autocast(fabric.device.type, torch.bfloat16, enabled=half):
            artefacts, validation_artefacts = (
                cache_artefacts(files, distortion, fingerprint, console) for files in (train_files, validation_files)
            )
    learned = scoring.encoder is not None
    dataset = QualitySets(train_files, artefacts, total, settings.seed, pictures=learned)
    held_out = QualitySets(validation_files, validation_artefacts, schedule.validation_sets, 0)
    evens = torch.cat([row["even"][1:] for row in dataset.sets])
    scoring.standardize(evens, pairs_of(scoring, dataset, most=100)[0].odd)

    def step(model: nn.Module, batch: dict[str, torch.Tensor]) -> dict[str, torch.Tensor]:
        return _amount_losses(model, batch, schedule)

    compared, means = fit(
        fabric,
        _AgainstPristine(scoring),
        dataset,
        step,
        schedule,
        out / "score",
        resume=resume,
        title="score network",
        console=console,
    )
    file = out / SCORE_WEIGHTS
    if fabric.is_global_zero:
        assert isinstance(compared, _AgainstPristine)
        trained = compared.scoring
        means |= fit_direction(trained, dataset, schedule, settings.seed, console)
        save_network(trained, file, settings.network.score, CHANNELS)
        metrics = validate(trained, held_out)
        write_model_card(
            file.with_suffix(".json"),
            network="score",
            config=settings.model_dump(mode="json"),
            photos=folders,
            photo_count=len(pool.photos),
            steps=schedule.steps,
            metrics={**{f"train_{name}": value for name, value in means.items()}, **metrics},
            notes=_NOTES,
        )
    return file


def _sets(
    out: Path,
    pool: PhotoPool,
    engine: DistortionEngine,
    schedule: ScoreTraining,
    seed: int,
    *,
    validation: bool,
    console: Console,
) -> list[Path]:
    return make_sets(
        out / ("sets_validation" if validation else "sets"),
        pool,
        engine,
        count=schedule.validation_sets if validation else schedule.sets,
        crop=schedule.crop,
        levels=schedule.levels,
        types_per_set=schedule.types_per_set,
        rare=schedule.rare,
        denoised=schedule.denoised,
        seed=seed,
        validation=validation,
        console=console,
    )


def _amount_losses(
    model: nn.Module, batch: dict[str, torch.Tensor], schedule: ScoreTraining
) -> dict[str, torch.Tensor]:
    """How far apart each picture of B sets is from its pristine one: comparable over photos and types."""
    quality = batch["quality"].flatten()
    magnitude: torch.Tensor = model(batch)
    difference = magnitude.sum(dim=1).float()
    target = (1.0 - quality) * (schedule.delta / QUALITY_STEP)
    rank = ranking_loss(-difference, quality, schedule.delta, QUALITY_STEP)
    near = nnf.smooth_l1_loss(difference, target, beta=0.5)
    # Severity of one type orders its pictures whatever the teacher says.
    ordinal = _ordinal_loss(-difference.view_as(batch["quality"]), batch["group"], batch["level"], schedule.delta)
    contrast = info_nce(magnitude.float(), quality, schedule.tau)
    across = rank + near if schedule.across_types else rank.new_zeros(())
    total = schedule.lambda_rank * (across + 0.5 * ordinal) + schedule.lambda_con * contrast
    return {"loss": total, "rank": rank, "near": near, "order": ordinal, "nce": contrast}


class _AgainstPristine(nn.Module):
    """S's magnitudes, (B M, E), of the pictures of B sets against the first of each, which is pristine."""

    def __init__(self, scoring: ScoringNetwork) -> None:
        super().__init__()
        self.scoring = scoring

    def forward(self, batch: dict[str, torch.Tensor]) -> torch.Tensor:
        if self.scoring.encoder is None:
            return self.scoring.weigh(batch["even"].flatten(0, 1), batch["amount"].flatten())[0]
        images = batch["images"].float()
        sets, members = images.shape[:2]
        features = self.scoring.encode(images.flatten(0, 1))
        pristine = torch.arange(sets, device=images.device).repeat_interleave(members) * members
        return self.scoring.compare(features, [x[pristine] for x in features]).magnitude


def _ordinal_loss(score: torch.Tensor, group: torch.Tensor, level: torch.Tensor, delta: float) -> torch.Tensor:
    """Hinge on consecutive severities of one type, score (B, M); pristine (group 0) stands above every level 1."""
    better, worse = score[:, :-1], score[:, 1:]
    follows = (group[:, :-1] == group[:, 1:]) & (level[:, 1:] == level[:, :-1] + 1)
    hinge = (0.5 * delta - (better - worse)).clamp(min=0.0)
    first = (0.5 * delta - (score[:, :1] - score)).clamp(min=0.0) * (level == 1)
    count = follows.sum() + (level == 1).sum()
    return ((hinge * follows).sum() + first.sum()) / count.clamp(min=1)


@torch.no_grad()
def validate(scoring: ScoringNetwork, sets: QualitySets) -> dict[str, float]:
    """Figures on photos held out of training: SRCC of score and difference with the teacher, severity orders kept."""
    scoring = scoring.to("cpu").eval()
    scores, differences, qualities, kept, steps = [], [], [], 0, 0
    for index, row in enumerate(sets.sets):
        item = {**row, "quality": torch.from_numpy(sets.quality[index])}
        features = scoring.encode(sets.seen(index))
        scored = scoring(features, [x[:1] for x in features], sets.maps[index][1][: len(features[0])])
        score = scored.score
        scores.append(score.numpy())
        differences.append(scored.difference.numpy())
        qualities.append(item["quality"].numpy())
        follows = (item["group"][:-1] == item["group"][1:]) & (item["level"][1:] == item["level"][:-1] + 1)
        kept += int(((score[:-1] > score[1:]) & follows).sum())
        steps += int(follows.sum())
    quality = np.concatenate(qualities)
    return {
        "validation_teacher_srcc": float(spearmanr(np.concatenate(scores), quality).statistic),
        "validation_teacher_srcc_difference": float(spearmanr(-np.concatenate(differences), quality).statistic),
        "validation_severity_order": kept / max(1, steps),
    }
