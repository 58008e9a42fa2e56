"""The processes that train together, as `torchrun` starts them; one alone is the usual case."""

import os
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass

import torch
import torch.distributed


@dataclass(frozen=True)
class Ranks:
    """Which of how many processes this is, and where it computes."""

    rank: int
    count: int
    device: torch.device

    @property
    def first(self) -> bool:
        """Tell whether this is the one that writes files and says how far it is."""
        return self.rank == 0


@contextmanager
def joined(device: str) -> Iterator[Ranks]:
    """Join the processes that `torchrun` names in the environment; each has a GPU of its own where `device` is cuda."""
    count, rank = int(os.environ.get("WORLD_SIZE", "1")), int(os.environ.get("RANK", "0"))
    here = torch.device(device, int(os.environ.get("LOCAL_RANK", "0"))) if device == "cuda" else torch.device(device)
    if count == 1:
        yield Ranks(0, 1, here)
        return
    torch.distributed.init_process_group("nccl" if device == "cuda" else "gloo")
    try:
        yield Ranks(rank, count, here)
    finally:
        torch.distributed.destroy_process_group()
