"""Training of S on ordinally ranked sets: hinge ranking and InfoNCE over F's frozen streams."""

from __future__ import annotations

import hashlib
from collections.abc import Sequence
from pathlib import Path

import numpy as np
import torch
from rich.console import Console
from scipy.stats import spearmanr
from torch import nn

from pixelperfect_models.distortions.engine import DistortionEngine
from pixelperfect_models.judge import DISTORTION_WEIGHTS, SCORE_WEIGHTS, load_distortion_network, save_network
from pixelperfect_models.networks import ScoringNetwork, build_scoring_network
from pixelperfect_models.networks.scoring_network import Scored, Streams
from pixelperfect_models.training.config import ScoreTraining, load_config, photo_folders
from pixelperfect_models.training.loop import fit, make_fabric
from pixelperfect_models.training.losses import info_nce, pair_loss, ranking_loss
from pixelperfect_models.training.model_card import write_model_card
from pixelperfect_models.training.photos import PhotoPool
from pixelperfect_models.training.quality_sets import QualitySets, cache_streams, make_sets

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
    distortion.to(fabric.device, memory_format=torch.channels_last)  # type: ignore[call-overload]
    weights = hashlib.sha256((out / DISTORTION_WEIGHTS).read_bytes()).hexdigest()
    streams, validation_streams = (
        cache_streams(files, distortion, weights, fabric.autocast, console) for files in (train_files, validation_files)
    )
    total = schedule.steps * schedule.batch * fabric.world_size
    dataset = QualitySets(train_files, streams, total, settings.seed)
    held_out = QualitySets(validation_files, validation_streams, schedule.validation_sets, 0)

    def step(model: nn.Module, batch: dict[str, torch.Tensor]) -> dict[str, torch.Tensor]:
        return _losses(model, batch, schedule)

    trained, means = fit(
        fabric, scoring, dataset, step, schedule, out / "score", resume=resume, title="score network", console=console
    )
    file = out / SCORE_WEIGHTS
    if fabric.is_global_zero:
        assert isinstance(trained, ScoringNetwork)
        save_network(trained, file, settings.network.score, distortion.channels)
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
        seed=seed,
        validation=validation,
        console=console,
    )


def _losses(model: nn.Module, batch: dict[str, torch.Tensor], schedule: ScoreTraining) -> dict[str, torch.Tensor]:
    """Losses of one batch of B sets as :class:`QualitySets` gives them."""
    quality, order = batch["quality"], batch["order"]
    sets, members = quality.shape
    streams = Streams(batch["odd"].float().flatten(0, 1), batch["even"].float().flatten(0, 1))
    scored: Scored = model(streams)
    score = scored.score.float().unflatten(0, (sets, 2 * members))
    embedding = scored.embedding.unflatten(0, (sets, 2 * members))[:, :members].flatten(0, 1)
    # Against the pristine picture: comparable over photos and types.
    against = score[:, :members]
    ranking = ranking_loss(against.flatten(), quality.flatten(), schedule.delta)
    contrast = info_nce(embedding, quality.flatten(), schedule.tau)
    # Between two pictures of one photo, neighbours in a random cyclic order.
    relative = score[:, members:]
    partner = order.roll(-1, dims=1)
    gap = quality.gather(1, order) - quality.gather(1, partner)
    relational = pair_loss(relative, gap, schedule.delta)
    # The score of a pair should be the difference of the scores against a third picture: one scale for all.
    agreement = (relative - (against.gather(1, order) - against.gather(1, partner))).abs().mean()
    # Severity of one type orders its pictures whatever the consensus says.
    ordinal = _ordinal_loss(against, batch["group"], batch["level"], schedule.delta)
    total = schedule.lambda_rank * (ranking + relational + 0.5 * ordinal) + schedule.lambda_con * contrast
    total = total + 0.2 * agreement
    return {"loss": total, "rank": ranking, "pair": relational, "order": ordinal, "nce": contrast, "agree": agreement}


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
    """Figures on photos held out of training: SRCC with the consensus, and share of severity orders kept."""
    scoring = scoring.to("cpu").eval()
    scores, qualities, kept, steps = [], [], 0, 0
    for index in range(len(sets)):
        item = sets[index]
        members = len(item["quality"])
        score = scoring(Streams(item["odd"][:members].float(), item["even"][:members].float())).score
        scores.append(score.numpy())
        qualities.append(item["quality"].numpy())
        follows = (item["group"][:-1] == item["group"][1:]) & (item["level"][1:] == item["level"][:-1] + 1)
        kept += int(((score[:-1] > score[1:]) & follows).sum())
        steps += int(follows.sum())
    correlation = spearmanr(np.concatenate(scores), np.concatenate(qualities)).statistic
    return {"validation_consensus_srcc": float(correlation), "validation_severity_order": kept / max(1, steps)}
