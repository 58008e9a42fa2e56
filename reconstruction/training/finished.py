"""What a training leaves: a model folder with weights, card and scores."""

from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any

import torch

from reconstruction.networks.network import Network
from reconstruction.restore import restorer
from reconstruction.training.held_out import HeldOut, calibrated, held_out
from reconstruction.training.recipe import Recipe, TwinData
from reconstruction.weights import save

VERSION = 1


def finish(
    recipe: Recipe, judged: HeldOut, network: Network, losses: Mapping[str, Sequence[float]], out: Path
) -> dict[str, Any]:
    """Save a trained network, score it on the held-out data as it will be used, and put the scores on its card.

    Returns:
        `model` (the folder), `sha256`, `steps`, `loss` (of the last hundredth of all steps), `held_out`, and of a
        network that claims deviations `uncertainty` (see `uncertainty.coverage`); JSON-able.
    """
    network = network.to("cpu")
    uncertain = network.out_channels > 1 and recipe.held_out
    metrics: dict[str, Any] = {"uncertainty": calibrated(judged, network)} if uncertain else {}
    save(out, network, _card(recipe, metrics))
    metrics["held_out"] = held_out(recipe, judged, restorer(str(out), "cpu").restore)
    card = save(out, network, _card(recipe, metrics))
    return {
        "model": str(out),
        "sha256": card.sha256,
        "steps": recipe.steps,
        "loss": {name: _last(values) for name, values in losses.items()},
        **metrics,
    }


def _card(recipe: Recipe, metrics: dict[str, Any]) -> dict[str, Any]:
    sizes = [one.pixel_nm for data in recipe.data if isinstance(data, TwinData) for one in data.specimens]
    known = all(isinstance(data, TwinData) for data in recipe.data)
    return {
        "name": recipe.name,
        "data": recipe.about or ", ".join(data.kind for data in recipe.data),
        "pixel_size_nm": [min(sizes), max(sizes)] if known else None,
        "metrics": metrics,
        "licence": recipe.licence,
        "version": VERSION,
        "training": {"recipe": recipe.model_dump(mode="json"), "torch": torch.__version__},
    }


def _last(values: Sequence[float]) -> float:
    last = values[-max(len(values) // 100, 1) :]
    return sum(last) / len(last)
