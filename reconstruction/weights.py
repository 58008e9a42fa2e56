"""Networks to and from a folder with their weights and their card."""

import hashlib
import json
from pathlib import Path
from typing import Any

import torch
from safetensors import SafetensorError
from safetensors.torch import load as tensors_of
from safetensors.torch import save as bytes_of

from reconstruction import normalisation
from reconstruction.errors import InputError
from reconstruction.model_card import CARD, WEIGHTS, Card, Shapes, check_weights, folder_of, read, read_weights
from reconstruction.networks.network import Network
from reconstruction.networks.registry import build


def load(name_or_path: str | Path) -> tuple[Network, Card]:
    """Load a model at hand by name, or from its folder or a file in it; float32, on the CPU, in `eval()` mode.

    Raises:
        InputError: there is none, it is pickled, or card, scale, channels, shapes and hash do not fit each other.
    """
    folder = folder_of(str(name_or_path))
    card = read(folder)
    shapes = check_weights(folder, card)
    where = f"model {folder}"
    try:
        with torch.device("meta"):  # no memory for what a card only claims
            module = build(card.network, card.config)
    except (RuntimeError, OverflowError, MemoryError) as error:
        raise InputError(f"{where}: no network has the config {json.dumps(card.config)}") from error
    for key, said, built in (("scale", card.scale, module.scale), ("channels", card.channels, module.channels)):
        if said != built:
            raise InputError(f"{where}: {key} = {said} of the card is not the {built} of its network")
    _compare(module, shapes, where)
    _fill(module, read_weights(folder, card), where)
    return module.eval(), card


def save(folder: Path, module: Network, card: dict[str, Any]) -> Card:
    """Write a network and its card; the keys that follow from the network are filled in.

    Args:
        card: `name, data, pixel_size_nm, metrics, licence, version`, and `training` if it is known.

    Raises:
        pydantic.ValidationError: a key of the card is missing or not as it should be.
    """
    state = {name: tensor.detach().cpu().contiguous() for name, tensor in module.state_dict().items()}
    weights = bytes_of(state)
    whole = Card.model_validate(
        card
        | {
            "network": module.network,
            "config": json.loads(json.dumps(module.config)),
            "scale": module.scale,
            "channels": module.channels,
            "normalisation": normalisation.NAME,
            "sha256": hashlib.sha256(weights).hexdigest(),
        }
    )
    folder.mkdir(parents=True, exist_ok=True)
    (folder / WEIGHTS).write_bytes(weights)
    (folder / CARD).write_text(json.dumps(whole.model_dump(), indent=1) + "\n", encoding="utf-8")
    return whole


def _compare(module: Network, found: Shapes, where: str) -> None:
    """Refuse weights that are not of the network, before there is memory for either."""
    wanted = {name: tuple(tensor.shape) for name, tensor in module.state_dict().items()}
    for name in sorted(wanted | found):
        if wanted.get(name) != found.get(name):
            raise InputError(
                f"{where}: {name} is {found.get(name)} in the weights and {wanted.get(name)} in the network"
            )


def _fill(module: Network, weights: bytes, where: str) -> None:
    try:
        tensors = tensors_of(weights)
    except SafetensorError as error:
        raise InputError(f"{where}: {WEIGHTS} holds no safetensors: {error}") from error
    for name, tensor in sorted(tensors.items()):
        if not tensor.isfinite().all():
            raise InputError(f"{where}: {name} holds numbers that are not finite")
    module.load_state_dict({name: tensor.float() for name, tensor in tensors.items()}, assign=True)
