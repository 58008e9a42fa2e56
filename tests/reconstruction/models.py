"""Models for tests: untrained networks that all the same change what they are given."""

from pathlib import Path
from typing import Any

import torch

from reconstruction.model_card import Card
from reconstruction.networks.network import Network
from reconstruction.networks.registry import build
from reconstruction.weights import save
from tests.reconstruction.networks.small import SMALL

CARD: dict[str, Any] = {
    "name": "stripes",
    "data": "stripes and noise",
    "pixel_size_nm": [50.0, 200.0],
    "metrics": {"psnr_db": 30.1},
    "licence": "CC0-1.0",
    "version": 1,
}


def network(name: str = "preview", seed: int = 0, **options: Any) -> Network:
    """Small, of that name, in `eval()` mode."""
    torch.manual_seed(seed)
    return build(name, SMALL[name] | options).eval()


def model(folder: Path, name: str = "preview", **options: Any) -> Card:
    """Write a small model into a folder, under the folder's name."""
    return save(folder, network(name, **options), CARD | {"name": folder.name})
