"""The training loop: draw examples, learn, keep what is learned, say how far it is.

What is drawn depends on the recipe's seed, the step and the rank alone. So a training that is killed and resumed sees
the same examples as one that was not, and a checkpoint needs no state of a generator and no place in the data.
"""

import os
from collections.abc import Callable
from pathlib import Path
from typing import Any

import numpy as np
import torch
from torch import Tensor

from reconstruction.errors import InputError
from reconstruction.networks.network import Network
from reconstruction.training.checkpoint import read_checkpoint, write_checkpoint
from reconstruction.training.curves import write_curves
from reconstruction.training.examples import Examples, batch
from reconstruction.training.learner import Learner
from reconstruction.training.ranks import Ranks
from reconstruction.training.recipe import Recipe

CURVES = "losses.png"
LATER = {"steps", "about", "licence", "held_out", "held_out_images"}  # what may change of a recipe while it trains


def train(
    recipe: Recipe,
    learner: Learner,
    examples: Examples,
    out: Path,
    ranks: Ranks,
    resume: bool,
    shown: Callable[[int, dict[str, float]], None],
) -> Network:
    """Train to the last step of a recipe; the running mean of the weights.

    Args:
        resume: go on with the checkpoint in `out`; the recipe may differ in what is `LATER` only.
        shown: hears each step and what it cost.

    Raises:
        Diverged: the last good checkpoint is kept.
        InputError: no checkpoint to resume, or one of another recipe.
    """
    if recipe.deterministic:
        os.environ.setdefault("CUBLAS_WORKSPACE_CONFIG", ":4096:8")
        torch.use_deterministic_algorithms(True)
    if resume:
        learner.restore(_same_recipe(read_checkpoint(out), recipe, out)["learner"])
    else:
        _keep(recipe, learner, out, ranks)
    while learner.step < recipe.steps:
        random = np.random.default_rng([recipe.seed, learner.step, ranks.rank])
        drawn = batch(examples, recipe.batch, recipe.crop_px, random)
        paid = learner.learn(*(_moved(part, ranks.device) for part in drawn))
        shown(learner.step, paid)
        if learner.step % recipe.checkpoint_steps == 0 or learner.step == recipe.steps:
            _keep(recipe, learner, out, ranks)
    return learner.mean


def _keep(recipe: Recipe, learner: Learner, out: Path, ranks: Ranks) -> None:
    if not ranks.first:
        return
    write_checkpoint(out, {"recipe": recipe.model_dump_json(), "learner": learner.state()})
    write_curves(out / CURVES, learner.losses)


def _same_recipe(state: dict[str, Any], recipe: Recipe, out: Path) -> dict[str, Any]:
    began = Recipe.model_validate_json(state["recipe"])
    fixed = [name for name in Recipe.model_fields if name not in LATER]
    differing = [name for name in fixed if getattr(began, name) != getattr(recipe, name)]
    if differing:
        raise InputError(f"{out}: its training began with another recipe: {', '.join(differing)} differ")
    done, left = state["learner"]["step"], recipe.optimiser.decay_steps
    if began.steps != recipe.steps and done > min(began.steps, recipe.steps) - left:
        raise InputError(f"steps: {recipe.steps} instead of {began.steps} is too late to change at step {done}")
    return state


def _moved(part: np.ndarray[Any, np.dtype[np.float32]], device: torch.device) -> Tensor:
    return torch.from_numpy(part).to(device, memory_format=torch.channels_last)
