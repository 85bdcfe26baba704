"""Fifteen Gaussian processes on thirty points: ours against BoTorch's ModelListGP, CPU seconds and error.

python benchmarks/process_fit.py
"""

from __future__ import annotations

import time
import warnings

import numpy as np
import torch
from botorch.fit import fit_gpytorch_mll
from botorch.models import ModelListGP, SingleTaskGP
from botorch.models.transforms import Standardize
from gpytorch.mlls import SumMarginalLogLikelihood

from tuner.search.gaussian_process import fit

_POINTS, _DIMENSIONS, _OUTPUTS, _NOISE = 30, 5, 15, 1e-5


def main() -> None:
    torch.set_num_threads(1)
    rng = np.random.default_rng(0)
    weights = rng.standard_normal((_DIMENSIONS, _OUTPUTS))

    def outputs(points: np.ndarray) -> np.ndarray:
        return np.tanh(points @ weights) + 0.3 * np.sin(4.0 * points @ weights[:, ::-1])

    points, asked = rng.random((_POINTS, _DIMENSIONS)), rng.random((200, _DIMENSIONS))
    start = time.process_time()
    processes = fit(points, outputs(points), np.arange(_DIMENSIONS))
    ours = time.process_time() - start
    error = float(np.sqrt(np.mean((processes.predict(torch.from_numpy(asked))[0].numpy().T - outputs(asked)) ** 2)))
    start = time.process_time()
    x, y = torch.from_numpy(points), torch.from_numpy(outputs(points))
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")
        models = [
            SingleTaskGP(x, y[:, [k]], torch.full_like(y[:, [k]], _NOISE), outcome_transform=Standardize(1))
            for k in range(_OUTPUTS)
        ]
        listed = ModelListGP(*models)
        fit_gpytorch_mll(SumMarginalLogLikelihood(listed.likelihood, listed))
        theirs = time.process_time() - start
        mean = listed.posterior(torch.from_numpy(asked)).mean.detach().numpy()
    other = float(np.sqrt(np.mean((mean - outputs(asked)) ** 2)))
    print(f"ours {ours:.2f} s, error {error:.4f}; ModelListGP {theirs:.2f} s, error {other:.4f}")


if __name__ == "__main__":
    main()
