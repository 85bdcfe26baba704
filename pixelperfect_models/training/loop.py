"""The training loop both networks share: Fabric, averaged weights, checkpoints, progress, stop and resume."""

from __future__ import annotations

import hashlib
import json
import math
import signal
import time
from collections.abc import Callable, Iterator, Sequence
from contextlib import contextmanager
from pathlib import Path
from typing import Any

import numpy as np
import torch
from lightning_fabric import Fabric
from rich.console import Console
from rich.progress import BarColumn, MofNCompleteColumn, Progress, TextColumn, TimeRemainingColumn
from torch import nn
from torch.optim.swa_utils import AveragedModel, get_ema_multi_avg_fn
from torch.utils.data import DataLoader, Dataset, Subset

from pixelperfect_models.errors import UserError
from pixelperfect_models.training.config import Schedule

CHECKPOINT = "checkpoint.pt"
_CHECKPOINT_SECONDS = 45.0
_PLAIN_LINE_SECONDS = 15.0
_POOL = 100

StepFunction = Callable[[nn.Module, Any], dict[str, torch.Tensor]]
"""From the network and a batch to named losses; the entry ``loss`` is minimised."""


class Stopped(KeyboardInterrupt):
    """Training was stopped by a signal; the checkpoint is written."""


def make_fabric(
    precision: str, devices: int | str = "auto", strategy: str = "auto", accelerator: str = "auto"
) -> Fabric:
    """Fabric for this machine: all GPUs where there are any, else the CPU.

    Args:
        precision: Fabric's; ``auto`` is bf16-mixed where the GPU or the processor computes it (avx512_bf16), else
            32-true.
        devices: how many GPUs, or processes on a CPU; ``auto``: all GPUs, or one process.
        strategy: Fabric's, such as ``ddp``; ``auto``: that where there are several devices.
        accelerator: Fabric's, ``cuda`` or ``cpu``; ``auto``: the GPU where there is one.

    With several devices this starts the running script again for each but the first, so whatever that script does
    must stand behind ``if __name__ == "__main__"``.
    """
    gpu = accelerator in ("auto", "cuda", "gpu") and torch.cuda.is_available()
    precision = resolve_precision(precision, gpu)
    if devices == "auto":
        devices = max(1, torch.cuda.device_count()) if gpu else 1
    fabric = Fabric(accelerator=accelerator, devices=devices, strategy=strategy, precision=precision)  # type: ignore[arg-type]
    fabric.launch()
    return fabric


def resolve_precision(precision: str, gpu: bool) -> str:
    """Fabric's precision for ``auto`` on a GPU or on this processor; any other as it is."""
    if precision != "auto":
        return precision
    native = torch.cuda.is_bf16_supported() if gpu else _cpu_has_bf16()
    return "bf16-mixed" if native else "32-true"


def _cpu_has_bf16() -> bool:
    try:
        return "avx512_bf16" in Path("/proc/cpuinfo").read_text(encoding="utf-8")
    except OSError:
        return False


def fit(
    fabric: Fabric,
    network: nn.Module,
    dataset: Dataset[Any],
    step_function: StepFunction,
    schedule: Schedule,
    out_dir: Path,
    *,
    resume: bool,
    title: str,
    console: Console | None = None,
) -> tuple[nn.Module, dict[str, float]]:
    """Train ``network`` for ``schedule.steps`` steps and return the averaged network and the last mean losses.

    ``dataset[i]`` must depend on ``i`` alone; step s uses the items from ``s // reuse * batch * devices`` on, so that a
    resumed training sees what an unbroken one would have seen (with ``reuse`` above 1, but for the first steps, which
    find no earlier batches to draw from). A checkpoint is written at least every 45 seconds and when SIGINT or
    SIGTERM arrives.

    Raises:
        UserError: a checkpoint is there but ``resume`` is False, or it belongs to another configuration.
        Stopped: after a signal, with the checkpoint written.
    """
    console = console or Console(stderr=True)
    average = AveragedModel(network, multi_avg_fn=get_ema_multi_avg_fn(schedule.ema), use_buffers=True)
    average.to(fabric.device)
    optimizer = torch.optim.AdamW(
        [p for p in network.parameters() if p.requires_grad],
        lr=schedule.learning_rate,
        betas=(0.9, 0.99),
        weight_decay=schedule.weight_decay,
    )
    out_dir.mkdir(parents=True, exist_ok=True)
    file = out_dir / CHECKPOINT
    fingerprint = _fingerprint(schedule, network)
    first = _restore(file, fingerprint, network, average, optimizer, resume)
    wrapped, wrapped_optimizer = fabric.setup(network, optimizer)
    per_step = schedule.batch * fabric.world_size
    # Rendering a picture costs several times what a step does: each batch serves ``reuse`` steps.
    batches = range(first // schedule.reuse, -(-schedule.steps // schedule.reuse))
    rest = Subset(dataset, range(batches.start * per_step, batches.stop * per_step))
    loader = fabric.setup_dataloaders(
        DataLoader(rest, schedule.batch, num_workers=schedule.workers, shuffle=False, drop_last=True)
    )

    def save(step: int) -> None:
        if fabric.is_global_zero:
            state = {"fingerprint": fingerprint, "step": step, "network": network.state_dict()}
            state |= {"average": average.state_dict(), "optimizer": optimizer.state_dict()}
            part = file.with_suffix(".part")
            torch.save(state, part)
            part.replace(file)

    means: dict[str, float] = {}
    saved = time.monotonic()
    with _stop_flag() as stopped, _Progress(console, title, first, schedule.steps, fabric.is_global_zero) as progress:
        for step, batch in enumerate(_reused(loader, schedule, first), start=first):
            for group in optimizer.param_groups:
                group["lr"] = schedule.learning_rate * _rate_factor(step, schedule)
            losses = step_function(wrapped, batch)
            fabric.backward(losses["loss"])
            norm = fabric.clip_gradients(wrapped, wrapped_optimizer, max_norm=1.0, error_if_nonfinite=False)
            # A non-finite gradient would poison the weights for good: that step is left out and shows as such.
            if norm is None or bool(torch.isfinite(norm)):
                wrapped_optimizer.step()
                average.update_parameters(network)
            wrapped_optimizer.zero_grad(set_to_none=True)
            for name, value in losses.items():
                latest = float(value.detach())
                means[name] = latest if name not in means else 0.98 * means[name] + 0.02 * latest
            progress.advance(step + 1, means)
            if _any_process(fabric, stopped()):
                save(step + 1)
                raise Stopped(f"stopped at step {step + 1} of {schedule.steps}; --resume goes on from there")
            if time.monotonic() - saved > _CHECKPOINT_SECONDS:
                save(step + 1)
                saved = time.monotonic()
    save(schedule.steps)
    return average.module, means


def _any_process(fabric: Fabric, flag: bool) -> bool:
    """Whether ``flag`` is set in any process: one that left the loop alone would leave the others waiting for it."""
    if fabric.world_size == 1:
        return flag
    count = fabric.all_reduce(torch.tensor(float(flag), device=fabric.device), reduce_op="sum")
    return bool(count > 0)


def _reused(loader: Any, schedule: Schedule, first: int) -> Iterator[Any]:
    """Each batch of ``loader``, then ``reuse - 1`` batches drawn from the last :data:`_POOL`, flipped and turned."""
    pool: list[Any] = []
    step = first
    for batch in loader:
        if schedule.reuse > 1:
            pool.append(batch)
            del pool[:-_POOL]
        for turn in range(schedule.reuse):
            if step >= schedule.steps:
                return
            if turn == 0:
                yield batch
            else:
                rng = np.random.default_rng([7, step])
                yield _turned(pool[int(rng.integers(len(pool)))], rng)
            step += 1


def _turned(batch: Sequence[torch.Tensor], rng: np.random.Generator) -> list[torch.Tensor]:
    """All tensors (N, C, S, S) of a batch, transposed and flipped alike."""
    axes = [axis for axis in (-1, -2) if rng.random() < 0.5]
    transpose = rng.random() < 0.5
    return [(x.transpose(-1, -2) if transpose else x).flip(axes) for x in batch]


def _rate_factor(step: int, schedule: Schedule) -> float:
    if step < schedule.warmup:
        return (step + 1) / schedule.warmup
    done = (step - schedule.warmup) / max(1, schedule.steps - schedule.warmup)
    return 0.01 + 0.99 * 0.5 * (1.0 + math.cos(math.pi * min(1.0, done)))


def _fingerprint(schedule: Schedule, network: nn.Module) -> str:
    # These may differ between two machines that continue one training.
    settings = schedule.model_dump(exclude={"workers", "precision", "devices", "strategy"}, mode="json")
    shapes = {name: list(value.shape) for name, value in network.state_dict().items()}
    return hashlib.sha256(json.dumps([settings, shapes], sort_keys=True).encode()).hexdigest()


def _restore(
    file: Path,
    fingerprint: str,
    network: nn.Module,
    average: nn.Module,
    optimizer: torch.optim.Optimizer,
    resume: bool,
) -> int:
    if not file.exists():
        return 0
    if not resume:
        raise UserError(f"{file}: a training is already there; go on with --resume, or choose another --out")
    state = torch.load(file, map_location="cpu", weights_only=True)
    if state["fingerprint"] != fingerprint:
        raise UserError(
            f"{file}: this checkpoint is of a training with other settings or another network; choose another --out"
        )
    network.load_state_dict(state["network"])
    average.load_state_dict(state["average"])
    optimizer.load_state_dict(state["optimizer"])
    return int(state["step"])


@contextmanager
def _stop_flag() -> Iterator[Callable[[], bool]]:
    """SIGINT and SIGTERM set a flag that the loop reads between two steps; a second one interrupts at once."""
    caught: list[int] = []

    def catch(number: int, frame: Any) -> None:
        if caught:
            raise KeyboardInterrupt
        caught.append(number)

    previous = {number: signal.signal(number, catch) for number in (signal.SIGINT, signal.SIGTERM)}
    try:
        yield lambda: bool(caught)
    finally:
        for number, handler in previous.items():
            signal.signal(number, handler)


class _Progress:
    """A bar on a terminal; elsewhere a plain line every quarter of a minute."""

    def __init__(self, console: Console, title: str, first: int, total: int, enabled: bool) -> None:
        self.console, self.title, self.first, self.total = console, title, first, total
        self.bar = Progress(
            TextColumn("[bold]{task.description}"),
            BarColumn(),
            MofNCompleteColumn(),
            TimeRemainingColumn(),
            TextColumn("{task.fields[detail]}"),
            console=console,
            disable=not (enabled and console.is_terminal),
        )
        self.plain = enabled and not console.is_terminal
        self.task = self.bar.add_task(title, total=total, completed=first, detail="")
        self.started = self.printed = time.monotonic()

    def __enter__(self) -> _Progress:
        self.bar.start()
        return self

    def __exit__(self, *exc: object) -> None:
        self.bar.stop()

    def advance(self, step: int, means: dict[str, float]) -> None:
        now = time.monotonic()
        rate = (step - self.first) / max(1e-9, now - self.started)
        detail = f"{rate:.2f} steps/s " + " ".join(f"{name} {value:.4f}" for name, value in means.items())
        self.bar.update(self.task, completed=step, detail=detail)
        if self.plain and (now - self.printed > _PLAIN_LINE_SECONDS or step == self.total):
            left = (self.total - step) / max(1e-9, rate)
            self.console.print(f"{self.title}: step {step}/{self.total}, {detail}, {left / 60:.1f} min left")
            self.printed = now
