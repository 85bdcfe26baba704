"""Milliseconds a megapixel and peak memory of the judge and of piq's metrics, side by side in one run.

    python benchmarks/judge_speed.py --threads 2 --out docs/judge_speed.md          # 0.25 to 12 megapixels
    python benchmarks/judge_speed.py --large --precision auto --out docs/judge_speed.md   # and 48
    python benchmarks/judge_speed.py --sizes 0.25 1 --clock cpu --threads 1         # on a busy machine

Every size has a process of its own in which all methods take turns, so that whatever else the machine does hits all
alike; the median of the rounds is given. Memory is measured in one more process for each method and size: its peak
resident size less that after the imports, so the pictures, the weights and the answer are in it. All processes have
the same threads and the same allocator setting, which holds freed buffers and so shows a higher peak than without it.
"""

from __future__ import annotations

import argparse
import json
import os
import resource
import statistics
import subprocess
import sys
import time
from collections.abc import Callable
from pathlib import Path

from pixelperfect_models.allocator import tune_allocator

tune_allocator()

import torch  # noqa: E402  (the allocator must be set before torch allocates)

from pixelperfect_models import PixelPerfect  # noqa: E402
from pixelperfect_models.evaluation.classical import METRICS, TITLES  # noqa: E402
from pixelperfect_models.networks import build_distortion_network, build_scoring_network  # noqa: E402
from pixelperfect_models.training.config import load_config  # noqa: E402

# Megapixels -> (height, width, rounds).
SIZES: dict[str, tuple[int, int, int]] = {
    "0.25": (512, 512, 9),
    "1": (1024, 1024, 7),
    "4": (2048, 2048, 5),
    "12": (3000, 4000, 3),
    "48": (6000, 8000, 1),
}
JUDGE = ("maps and score", "maps", "maps, stride 4", "score", "score and gradient")
PIQ = ("psnr", "ssim", "ms_ssim", "fsim", "vsi", "mdsi", "haarpsi", "gmsd")
# Full-size maps of 48 megapixels are 2.9 GB by themselves, whoever computes them.
FULL_UP_TO = 20e6


def load_judge(weights: str, precision: str) -> PixelPerfect:
    """The shipped judge, one in a folder, or ``random``: an untrained one of the default configuration."""
    if weights != "random":
        return PixelPerfect.from_pretrained(weights or None, precision=precision)  # type: ignore[arg-type]
    options = load_config("compact").network
    torch.manual_seed(0)
    network = build_distortion_network(options.encoder, options.decoder)
    judge = PixelPerfect(network, build_scoring_network(options.score), precision)  # type: ignore[arg-type]
    return judge.eval().requires_grad_(False)


def make_calls(height: int, width: int, names: list[str], options: argparse.Namespace) -> dict[str, Callable[[], None]]:
    """What each method has to do, on one pair of pictures; the judge's reference is prepared."""
    # In place: a temporary of the picture's size would count as the method's memory.
    generator = torch.Generator().manual_seed(0)
    ref = torch.rand(1, 3, height, width, generator=generator)
    test = torch.rand(1, 3, height, width, generator=generator).sub_(0.5).mul_(0.1).add_(ref).clamp_(0, 1)
    calls: dict[str, Callable[[], None]] = {}
    if any(name in JUDGE for name in names):
        judge = load_judge(options.weights, options.precision)
        state = judge.prepare(ref)
        full = height * width <= FULL_UP_TO

        def gradient() -> None:
            image = test.detach().requires_grad_(True)
            torch.autograd.grad(judge.score(image, state).sum(), image)

        calls |= {
            "maps and score": lambda: void(judge.judge(test, state, full=full)),
            "maps": lambda: void(judge.maps(test, state, full=full)),
            "maps, stride 4": lambda: void(judge.maps(test, state, full=False)),
            "score": lambda: void(judge.score(test, state)),
            "score and gradient": gradient,
        }
    for name in PIQ:
        calls[name] = lambda metric=METRICS[name][0]: void(metric(test, ref))  # type: ignore[misc]
    return {name: calls[name] for name in names}


def void(value: object) -> None:
    """Takes an answer and lets it go."""


def first_line(error: Exception) -> str:
    """What went wrong, short."""
    return str(error).partition("\n")[0][:80] or type(error).__name__


def child(options: argparse.Namespace) -> None:
    """Measure in this process; prints one line of JSON: milliseconds by method, and the peak in bytes."""
    torch.set_num_threads(options.threads)
    base = _resident()
    resource.setrlimit(resource.RLIMIT_AS, (int(options.limit_gb * 1e9) + _virtual(),) * 2)
    height, width, rounds = SIZES[options.child]
    clock = time.process_time if options.clock == "cpu" else time.perf_counter
    try:
        calls = make_calls(height, width, options.methods, options)
    except (MemoryError, RuntimeError) as error:
        print(json.dumps({"failed": first_line(error)}))
        return
    times: dict[str, list[float]] = {name: [] for name in calls}
    failed: dict[str, str] = {}
    # Where there is one round only, it stands without a warm-up: memory, and the largest pictures.
    warm = rounds > 1 and not options.once
    for index in range(1 if options.once else rounds + warm):
        for name, call in calls.items():
            started = clock()
            try:
                with torch.set_grad_enabled(name == "score and gradient"):
                    call()
            except (MemoryError, RuntimeError) as error:  # the others are still worth measuring
                failed[name] = first_line(error)
                continue
            if index >= warm:
                times[name].append(1000 * (clock() - started))
    if len(failed) == len(calls):
        print(json.dumps({"failed": next(iter(failed.values()))}))
        return
    peak = _highest() - base
    medians = {name: statistics.median(values) for name, values in times.items() if name not in failed}
    print(json.dumps({"ms": medians, "peak": peak, "without": failed}))


def _resident() -> int:
    return int(Path("/proc/self/statm").read_text().split()[1]) * os.sysconf("SC_PAGESIZE")


def _highest() -> int:
    # Not getrusage: its ru_maxrss begins at the resident size of the process that started this one.
    lines = Path("/proc/self/status").read_text().splitlines()
    return next(int(line.split()[1]) * 1024 for line in lines if line.startswith("VmHWM"))


def _virtual() -> int:
    return int(Path("/proc/self/statm").read_text().split()[0]) * os.sysconf("SC_PAGESIZE")


def measure(size: str, methods: list[str], options: argparse.Namespace, once: bool) -> dict[str, object]:
    """One child process's answer; ``failed`` where it did not get through."""
    command = [sys.executable, __file__, "--child", size, "--threads", str(options.threads), "--clock", options.clock]
    command += ["--weights", options.weights, "--precision", options.precision, "--limit-gb", str(options.limit_gb)]
    command += ["--methods", *methods, *(["--once"] if once else [])]
    done = subprocess.run(command, capture_output=True, text=True)
    lines = done.stdout.strip().splitlines()
    return json.loads(lines[-1]) if lines else {"failed": f"exit status {done.returncode}"}


def table(title: str, rows: dict[str, dict[str, str]], sizes: list[str]) -> list[str]:
    lines = [f"| {title} |" + "".join(f" {size} MP |" for size in sizes), "|---|" + "---:|" * len(sizes)]
    for name, cells in rows.items():
        label = f"judge, {name}" if name in JUDGE else TITLES[name]
        lines.append(f"| {label} |" + "".join(f" {cells.get(size, '–')} |" for size in sizes))
    return [*lines, ""]


def run(options: argparse.Namespace) -> str:
    """All measurements as Markdown."""
    loads = [os.getloadavg()[0]]
    methods = [*JUDGE, *PIQ]
    speed: dict[str, dict[str, str]] = {name: {} for name in methods}
    ratio: dict[str, dict[str, str]] = {name: {} for name in methods}
    peak: dict[str, dict[str, str]] = {name: {} for name in methods}
    gradient: dict[str, str] = {}
    for size in options.sizes:
        height, width, _ = SIZES[size]
        found = measure(size, methods, options, once=False)
        without: dict[str, str] = found.get("without", {"all": found.get("failed")})  # type: ignore[assignment]
        for name, why in without.items():
            print(f"{size} MP, {name}: {why}", file=sys.stderr)
        times: dict[str, float] = found.get("ms", {})  # type: ignore[assignment]
        for name, milliseconds in times.items():
            speed[name][size] = f"{milliseconds / (height * width / 1e6):.0f}"
            if "haarpsi" in times:
                ratio[name][size] = f"{milliseconds / times['haarpsi']:.2f}"
        if "score" in times and "score and gradient" in times:
            gradient[size] = f"{times['score and gradient'] / times['score']:.2f}"
        for name in [] if options.no_memory else methods:
            answer = measure(size, [name], options, once=True)
            peak[name][size] = f"{answer['peak'] / 1e6:.0f}" if "peak" in answer else f"> {options.limit_gb:g} GB"  # type: ignore[operator]
        print(f"{size} megapixels done", file=sys.stderr)
    loads.append(os.getloadavg()[0])
    model = next((line.split(":")[1].strip() for line in _cpuinfo() if line.startswith("model name")), "unknown")
    lines = [
        "# Speed and memory of the judge beside piq's metrics",
        "",
        f"`python benchmarks/judge_speed.py {' '.join(sys.argv[1:])}`: {model}, {os.cpu_count()} cores, torch "
        f"{torch.__version__}, {options.threads} threads, precision {options.precision}, weights "
        f"{options.weights or 'as shipped'}, {options.clock} clock, load of the machine {loads[0]:.1f} at the start, "
        f"{loads[1]:.1f} at the end.",
        "",
        "The judge's reference is prepared. Full-size maps up to 12 megapixels; at 48, where they alone would be "
        "2.9 GB, all rows of the judge are with the maps at stride 4 (`full=False`). Above 6 megapixels maps are made "
        "in tiles of 1536 pixels with overlap, but for the gradient, which is of the score.",
        "",
        *table("ms a megapixel", speed, options.sizes),
        *table("time as a multiple of HaarPSI's", ratio, options.sizes),
        *table("time as a multiple of the score's", {"score and gradient": gradient}, options.sizes),
    ]
    if not options.no_memory:
        lines += [
            "Peak resident memory over that after the imports; the pair of float32 pictures takes 24 MB a megapixel "
            "of it.",
            "",
            *table("peak, MB", peak, options.sizes),
        ]
    return "\n".join(lines)


def _cpuinfo() -> list[str]:
    file = Path("/proc/cpuinfo")
    return file.read_text().splitlines() if file.exists() else []


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--sizes", nargs="+", choices=SIZES, default=["0.25", "1", "4", "12"], help="megapixels")
    parser.add_argument("--large", action="store_true", help="48 megapixels, too")
    parser.add_argument("--threads", type=int, default=2)
    parser.add_argument("--clock", choices=("wall", "cpu"), default="wall", help="cpu: of all threads together")
    parser.add_argument("--weights", default="", help="folder of a judge's weights, or 'random'; the shipped ones")
    parser.add_argument("--precision", choices=("float32", "bfloat16", "auto"), default="float32")
    parser.add_argument("--limit-gb", type=float, default=8.0, help="more than this a measured process may not take")
    parser.add_argument("--no-memory", action="store_true", help="times only")
    parser.add_argument("--out", type=Path, help="Markdown file; printed as well")
    parser.add_argument("--child", choices=SIZES, help=argparse.SUPPRESS)
    parser.add_argument("--methods", nargs="+", default=[], help=argparse.SUPPRESS)
    parser.add_argument("--once", action="store_true", help=argparse.SUPPRESS)
    options = parser.parse_args()
    if options.child:
        child(options)
        return
    if options.large and "48" not in options.sizes:
        options.sizes.append("48")
    text = run(options)
    print(text)
    if options.out:
        options.out.write_text(text, encoding="utf-8")


if __name__ == "__main__":
    main()
