"""Training of S on ordinally ranked sets: hinge ranking and InfoNCE over F's frozen streams."""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path
from typing import Any

import numpy as np
import torch
from rich.console import Console
from scipy.stats import spearmanr
from torch import nn

from pixelperfect_models.distortions.engine import DistortionEngine
from pixelperfect_models.judge import (
    DISTORTION_WEIGHTS,
    SCORE_WEIGHTS,
    PixelPerfect,
    load_distortion_network,
    save_network,
)
from pixelperfect_models.networks import DistortionNetwork, ScoringNetwork, build_scoring_network
from pixelperfect_models.networks.decoders import Decoded
from pixelperfect_models.networks.scoring_network import Scored
from pixelperfect_models.training.config import ScoreTraining, load_config, photo_folders
from pixelperfect_models.training.loop import fit, make_fabric
from pixelperfect_models.training.losses import info_nce, ranking_loss
from pixelperfect_models.training.model_card import write_model_card
from pixelperfect_models.training.photos import PhotoPool
from pixelperfect_models.training.quality_sets import QualitySets, make_sets

_NOTES = (
    "Training pictures are ordered by severity within a type and by the rank consensus of VSI, MDSI, HaarPSI and half "
    "PSNR across types. No human label was used, but the constants of VSI, MDSI and HaarPSI were chosen by their "
    "authors on human ratings.",
)


def train_score(
    config: str | Path,
    out_dir: str | Path,
    photos: Sequence[str | Path] | None = None,
    resume: bool = False,
    console: Console | None = None,
) -> Path:
    """Train S over the distortion network in ``out_dir`` and write ``score.safetensors`` and ``score.json``.

    Args, returns and raises as :func:`pixelperfect_models.training.train_distortion`; ``out_dir`` must hold the
    ``distortion.safetensors`` of a finished distortion training. F is frozen: both networks then share one pass.
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
    scoring = build_scoring_network(distortion, settings.network.score)
    fabric = make_fabric(schedule.precision)
    train_files = _sets(out, pool, engine, schedule, settings.seed, validation=False, console=console)
    validation_files = _sets(out, pool, engine, schedule, settings.seed, validation=True, console=console)
    dataset = QualitySets(train_files, schedule.steps * schedule.batch * fabric.world_size, settings.seed)
    distortion.to(fabric.device, memory_format=torch.channels_last)  # type: ignore[call-overload]

    def step(model: nn.Module, batch: dict[str, torch.Tensor]) -> dict[str, torch.Tensor]:
        return _losses(model, distortion, batch, schedule, fabric.autocast)

    trained, means = fit(
        fabric, scoring, dataset, step, schedule, out / "score", resume=resume, title="score network", console=console
    )
    file = out / SCORE_WEIGHTS
    if fabric.is_global_zero:
        assert isinstance(trained, ScoringNetwork)
        save_network(trained, file, settings.network.score, distortion.channels)
        metrics = validate(PixelPerfect(distortion, trained), QualitySets(validation_files, schedule.validation_sets, 0))
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
        seed=seed,
        validation=validation,
        console=console,
    )


def _losses(
    model: nn.Module,
    distortion: DistortionNetwork,
    batch: dict[str, torch.Tensor],
    schedule: ScoreTraining,
    autocast: Any,
) -> dict[str, torch.Tensor]:
    """Losses of one batch of sets: images (B, M, 3, S, S), quality, group and level (B, M)."""
    images, quality = batch["images"], batch["quality"]
    sets, members = quality.shape
    flat = images.flatten(0, 1)
    with torch.no_grad(), autocast():
        features = distortion.encode(flat)
    # Against the pristine picture: comparable over photos and types.
    pristine = [f.unflatten(0, (sets, members))[:, :1].expand(-1, members, -1, -1, -1).flatten(0, 1) for f in features]
    absolute = _score(model, distortion, features, pristine, autocast)
    ranking = ranking_loss(absolute.score.float(), quality.flatten(), schedule.delta)
    contrast = info_nce(absolute.embedding, quality.flatten(), schedule.tau)
    # Between two distorted pictures of one photo: neighbours in a random cyclic order meet.
    order = torch.randperm(members, device=quality.device)
    partner = order[torch.arange(1, members + 1, device=quality.device) % members]
    first = [f.unflatten(0, (sets, members))[:, order].flatten(0, 1) for f in features]
    second = [f.unflatten(0, (sets, members))[:, partner].flatten(0, 1) for f in features]
    relative = _score(model, distortion, first, second, autocast).score.float()
    gap = (quality[:, order] - quality[:, partner]).flatten()
    hinge = (schedule.delta * gap.abs() / 0.2 - relative * gap.sign()).clamp(min=0.0)
    chosen = (gap.abs() > 0.02).to(hinge.dtype)
    relational = (hinge * chosen).sum() / chosen.sum().clamp(min=1.0)
    # Scores of a pair should be the difference of their scores against a third picture: one scale for all.
    against = absolute.score.float().unflatten(0, (sets, members))
    agreement = (relative - (against[:, order] - against[:, partner]).flatten()).abs().mean()
    # Severity of one type orders its pictures whatever the consensus says.
    ordinal = _ordinal_loss(against, batch["group"], batch["level"], schedule.delta)
    total = schedule.lambda_rank * (ranking + relational + 0.5 * ordinal) + schedule.lambda_con * contrast
    total = total + 0.2 * agreement
    return {"loss": total, "rank": ranking, "pair": relational, "order": ordinal, "nce": contrast, "agree": agreement}


def _score(
    model: nn.Module,
    distortion: DistortionNetwork,
    test: list[torch.Tensor],
    ref: list[torch.Tensor],
    autocast: Any,
) -> Scored:
    with torch.no_grad(), autocast():
        decoded = distortion.decode(test, ref)
    scored: Scored = model(Decoded(*(x.float() for x in decoded)))
    return scored


def _ordinal_loss(score: torch.Tensor, group: torch.Tensor, level: torch.Tensor, delta: float) -> torch.Tensor:
    """Hinge on consecutive severities of one type, score (B, M); pristine (group 0) stands above every level 1."""
    better, worse = score[:, :-1], score[:, 1:]
    follows = (group[:, :-1] == group[:, 1:]) & (level[:, 1:] == level[:, :-1] + 1)
    hinge = (0.5 * delta - (better - worse)).clamp(min=0.0)
    first = (0.5 * delta - (score[:, :1] - score)).clamp(min=0.0) * (level == 1)
    count = follows.sum() + (level == 1).sum()
    return ((hinge * follows).sum() + first.sum()) / count.clamp(min=1)


@torch.no_grad()
def validate(judge: PixelPerfect, sets: QualitySets) -> dict[str, float]:
    """Figures on photos held out of training: SRCC with the consensus, and share of severity orders kept."""
    judge = judge.to("cpu").eval()
    scores, qualities, kept, steps = [], [], 0, 0
    for index in range(len(sets)):
        item = sets[index]
        score = judge.score(item["images"], item["images"][:1])
        scores.append(score.numpy())
        qualities.append(item["quality"].numpy())
        follows = (item["group"][:-1] == item["group"][1:]) & (item["level"][1:] == item["level"][:-1] + 1)
        kept += int(((score[:-1] > score[1:]) & follows).sum())
        steps += int(follows.sum())
    correlation = spearmanr(np.concatenate(scores), np.concatenate(qualities)).statistic
    return {"validation_consensus_srcc": float(correlation), "validation_severity_order": kept / max(1, steps)}
