"""Answers of slow methods, kept between runs: one line a picture, written as soon as it is known.

Measuring a set of ten thousand pictures takes hours; a run that is stopped goes on where it was. An answer is found
by the bytes of both picture files and by who answered, so that it outlives renamed folders and is never taken for
other pictures, another piq or other weights.
"""

from __future__ import annotations

import hashlib
import json
import math
from collections.abc import Iterable, Mapping
from importlib import metadata
from pathlib import Path
from typing import Any

from pixelperfect_models.errors import UserError


class AnswerCache:
    """``answers.jsonl`` in a folder: method -> number, for pairs of picture files.

    Raises UserError where the folder or the file cannot be made or read.
    """

    def __init__(self, folder: str | Path) -> None:
        self.file = Path(folder) / "answers.jsonl"
        self.known: dict[str, dict[str, float]] = {}
        self.digests: dict[Path, str] = {}
        try:
            self.file.parent.mkdir(parents=True, exist_ok=True)
            text = self.file.read_text(encoding="utf-8") if self.file.exists() else ""
            if text and not text.endswith("\n"):  # a run was killed while it wrote: end its line
                with self.file.open("a", encoding="utf-8") as stream:
                    stream.write("\n")
        except OSError as error:
            raise UserError(f"{self.file}: cannot be used as a cache ({error.strerror})") from None
        for line in text.splitlines():
            try:
                entry = json.loads(line)
                answers = {str(name): _number(value) for name, value in entry["answers"].items()}
                self.known.setdefault(str(entry["pair"]), {}).update(answers)
            except (ValueError, KeyError, TypeError, AttributeError):
                continue  # half a line: that picture is measured again

    def get(self, distorted: Path, reference: Path) -> dict[str, float]:
        """What is known of this pair: answerer -> number."""
        return dict(self.known.get(self._pair(distorted, reference), {}))

    def put(self, distorted: Path, reference: Path, answers: Mapping[str, float]) -> None:
        """Write answers down, at once. Numbers that are not finite are kept as null."""
        pair = self._pair(distorted, reference)
        self.known.setdefault(pair, {}).update(answers)
        plain = {name: value if math.isfinite(value) else None for name, value in answers.items()}
        try:
            with self.file.open("a", encoding="utf-8") as stream:
                stream.write(json.dumps({"pair": pair, "picture": distorted.name, "answers": plain}) + "\n")
        except OSError as error:
            raise UserError(f"{self.file}: cannot be written ({error.strerror})") from None

    def _pair(self, distorted: Path, reference: Path) -> str:
        return f"{self._digest(distorted)}-{self._digest(reference)}"

    def _digest(self, path: Path) -> str:
        if path not in self.digests:
            try:
                self.digests[path] = hashlib.sha256(path.read_bytes()).hexdigest()[:24]
            except OSError as error:
                raise UserError(f"{path}: cannot be read ({error.strerror})") from None
        return self.digests[path]


def metric_answerers(names: Iterable[str]) -> dict[str, str]:
    """Metric -> the name its answers are kept under: with piq's version."""
    version = metadata.version("piq")
    return {name: f"{name}@piq-{version}" for name in names}


def judge_answerer(judge: Any) -> str | None:
    """The name a judge's answers are kept under: a digest of its weights and of the code that runs them.

    None for an object without weights, whose answers are not kept.
    """
    if not hasattr(judge, "state_dict"):
        return None
    digest = hashlib.sha256()
    package = Path(__file__).parent.parent
    for file in sorted([*package.glob("*.py"), *(package / "networks").glob("*.py")]):
        digest.update(file.read_bytes())
    for name, value in judge.state_dict().items():
        digest.update(name.encode())
        digest.update(value.detach().cpu().contiguous().numpy().tobytes())
    return digest.hexdigest()[:16]


def _number(value: Any) -> float:
    return math.nan if value is None else float(value)
