"""Pictures and the judge that many tests share."""

from __future__ import annotations

import os
from collections.abc import Iterator
from pathlib import Path

import pytest
import torch
from hypothesis import settings

from pixelperfect_models.allocator import tune_allocator
from pixelperfect_models.images import read_image

ROOT = Path(__file__).parent.parent

# On CI the same examples every time: a new one that fails should meet its author, not whoever submits next.
settings.register_profile("ci", derandomize=True)
if os.environ.get("CI"):
    settings.load_profile("ci")

tune_allocator()
torch.set_num_threads(min(2, torch.get_num_threads()))


@pytest.fixture
def two_threads() -> Iterator[None]:
    """torch has two threads, whatever the machine has."""
    before = torch.get_num_threads()
    torch.set_num_threads(2)
    yield
    torch.set_num_threads(before)


@pytest.fixture(scope="session")
def photo() -> torch.Tensor:
    """A crop with texture, edges and smooth parts: (1, 3, 64, 96) in [0, 1]."""
    return read_image(ROOT / "recipes" / "photos" / "clean" / "dog.png")[..., 70:134, 30:126].contiguous()


@pytest.fixture(scope="session")
def noisy_photo() -> torch.Tensor:
    """The same crop with simulated camera noise: (1, 3, 64, 96) in [0, 1]."""
    return read_image(ROOT / "recipes" / "photos" / "noisy" / "dog.png")[..., 70:134, 30:126].contiguous()


@pytest.fixture(scope="session")
def judge():  # type: ignore[no-untyped-def]
    """The shipped judge."""
    from pixelperfect_models import PixelPerfect

    return PixelPerfect.from_pretrained()
