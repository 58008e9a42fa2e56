"""The loop learns, survives being killed, and stops where numbers end."""

import os
import signal
import subprocess
import sys
import time
from contextlib import suppress
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import torch

from reconstruction.errors import InputError
from reconstruction.training.checkpoint import NAME, read_checkpoint
from reconstruction.training.data import Outside, examples_of
from reconstruction.training.examples import Example
from reconstruction.training.learner import Diverged, Learner
from reconstruction.training.loop import CURVES, train
from reconstruction.training.ranks import joined
from reconstruction.training.recipe import Recipe

STEPS = 8
RECIPE = {
    "name": "tiny",
    "seed": 3,
    "steps": STEPS,
    "batch": 2,
    "crop_px": 32,
    "checkpoint_steps": 2,
    "deterministic": True,
    "network": {"name": "preview", "config": {"width": 8, "levels": 2}},
    "optimiser": {"warm_up_steps": 2, "decay_steps": 2},
    "data": [{"kind": "drawn", "quanta": 20, "count": 4, "side_px": 48, "seed": 1}],
}


def recipe_of(**changed: Any) -> Recipe:
    return Recipe.model_validate(RECIPE | changed)


def network() -> torch.nn.Module:
    """Thirty weights that learn."""
    torch.manual_seed(0)
    return torch.nn.Sequential(torch.nn.Conv2d(1, 3, 3, padding=1), torch.nn.ReLU(), torch.nn.Conv2d(3, 1, 1))


def nothing(*args: Any) -> Any:
    raise AssertionError("no specimen and no run is asked for")


def trained(recipe: Recipe, out: Path, resume: bool = False, until: int | None = None) -> list[float]:
    """What each step cost; ended as if by a kill before step `until`."""

    class Killed(Exception):
        pass

    def shown(step: int, paid: dict[str, float]) -> None:
        if step == until:
            raise Killed

    out.mkdir(exist_ok=True)
    learner = Learner(recipe, network())
    examples = examples_of(recipe, Path(), Outside(nothing, nothing))
    with joined("cpu") as ranks, suppress(Killed):
        train(recipe, learner, examples, out, ranks, resume, shown)
    return learner.losses["l1"]


@pytest.fixture(autouse=True)
def _as_before() -> Any:
    torch.set_num_threads(1)
    yield
    torch.use_deterministic_algorithms(False)


def test_a_resumed_training_pays_the_same_to_the_last_bit(tmp_path: Path) -> None:
    whole = trained(recipe_of(), tmp_path / "whole")
    trained(recipe_of(), tmp_path / "cut", until=5)
    assert read_checkpoint(tmp_path / "cut")["learner"]["step"] == 4
    assert trained(recipe_of(), tmp_path / "cut", resume=True) == whole
    assert len(whole) == STEPS
    ends = [read_checkpoint(tmp_path / name)["learner"] for name in ("whole", "cut")]
    for one, other in zip(*(end["mean"].values() for end in ends), strict=True):
        assert torch.equal(one, other)


def test_learns_to_denoise(tmp_path: Path) -> None:
    optimiser = {"learning_rate": 0.02, "warm_up_steps": 2, "decay_steps": 10}
    losses = trained(recipe_of(steps=60, checkpoint_steps=60, optimiser=optimiser), tmp_path / "out")
    assert np.mean(losses[-20:]) < 0.7 * np.mean(losses[:5])
    assert (tmp_path / "out" / CURVES).read_bytes().startswith(b"\x89PNG")


def test_stops_where_numbers_end_and_keeps_the_last_good_checkpoint(tmp_path: Path) -> None:
    class Spoilt:
        def example(self, side_px: int, random: np.random.Generator) -> Example:
            image = np.zeros((side_px, side_px), np.float32)
            drawn.append(1)
            return Example(image, image + (np.nan if len(drawn) > 10 else 0.5), np.ones_like(image))

    drawn: list[int] = []
    learner = Learner(recipe_of(), network())
    with joined("cpu") as ranks, pytest.raises(Diverged, match="step 5: loss nan"):
        train(recipe_of(), learner, Spoilt(), tmp_path, ranks, False, lambda step, paid: None)
    kept = read_checkpoint(tmp_path)["learner"]
    assert kept["step"] == 4
    assert all(torch.isfinite(value).all() for value in kept["network"].values())


def test_resumes_no_other_recipe_and_no_wreck(tmp_path: Path) -> None:
    with pytest.raises(InputError, match="nothing to resume"):
        trained(recipe_of(), tmp_path, resume=True)
    trained(recipe_of(), tmp_path)
    with pytest.raises(InputError, match="another recipe: batch, loss differ"):
        trained(recipe_of(batch=3, loss="l2"), tmp_path, resume=True)
    with pytest.raises(InputError, match="too late to change at step 8"):
        trained(recipe_of(steps=20), tmp_path, resume=True)
    (tmp_path / NAME).write_bytes(b"no checkpoint")
    with pytest.raises(InputError, match="not a checkpoint"):
        trained(recipe_of(), tmp_path, resume=True)


def test_a_longer_training_may_be_asked_for_before_the_rate_falls(tmp_path: Path) -> None:
    trained(recipe_of(), tmp_path / "cut", until=5)
    longer = recipe_of(steps=12)
    assert trained(longer, tmp_path / "cut", resume=True) == trained(longer, tmp_path / "whole")


def test_a_killed_process_goes_on_to_the_same_loss(tmp_path: Path) -> None:
    """kill -9 at any moment: the checkpoint is whole."""
    call = f"trained(recipe_of(steps=4000), Path({str(tmp_path)!r}))"
    code = f"from tests.reconstruction.training.test_loop import *; torch.set_num_threads(1); {call}"
    process = subprocess.Popen([sys.executable, "-W", "ignore", "-c", code], cwd=Path(__file__).parents[3])
    try:
        deadline = time.monotonic() + 100
        while not (tmp_path / CURVES).exists() and process.poll() is None and time.monotonic() < deadline:
            time.sleep(0.02)
    finally:
        os.kill(process.pid, signal.SIGKILL)
        process.wait()
    done = int(read_checkpoint(tmp_path)["learner"]["step"])
    shorter = recipe_of(steps=done + 6)
    assert trained(shorter, tmp_path, resume=True) == trained(shorter, tmp_path / "whole")
