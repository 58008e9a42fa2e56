"""The state of a training on disk: whole or as before, whenever the process dies."""

import os
from pathlib import Path
from typing import Any

import torch

from reconstruction.errors import InputError

NAME = "checkpoint.pt"


def write_checkpoint(folder: Path, state: dict[str, Any]) -> None:
    """Replace the checkpoint in one step."""
    part = folder / f".{NAME}.part"
    with part.open("wb") as file:
        torch.save(state, file)
        file.flush()
        os.fsync(file.fileno())
    os.replace(part, folder / NAME)
    directory = os.open(folder, os.O_RDONLY)
    try:
        os.fsync(directory)
    finally:
        os.close(directory)


def read_checkpoint(folder: Path) -> dict[str, Any]:
    """Read it onto the CPU, without running code that may lie in it.

    Raises:
        InputError: absent or damaged.
    """
    path = folder / NAME
    if not path.is_file():
        raise InputError(f"{path}: no such checkpoint, there is nothing to resume")
    try:
        state = torch.load(path, map_location="cpu", weights_only=True)
    except Exception as error:  # torch raises what pickle, zip and struct raise
        raise InputError(f"{path}: not a checkpoint: {str(error).splitlines()[0]}") from error
    if not isinstance(state, dict):
        raise InputError(f"{path}: not a checkpoint")
    return state
