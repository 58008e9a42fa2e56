"""Where a training begins: with untrained weights, or for the second stage with those of the first."""

from pathlib import Path

import torch

from reconstruction.errors import InputError
from reconstruction.networks.network import Network
from reconstruction.networks.registry import build
from reconstruction.networks.unet_discriminator import UNetDiscriminator
from reconstruction.training.checks import model_path
from reconstruction.training.learner import AdversarialLearner, Learner
from reconstruction.training.perceptual import Perceptual
from reconstruction.training.recipe import Recipe
from reconstruction.weights import load


def begin(recipe: Recipe, folder: Path, device: torch.device, ranks: int) -> Learner:
    """Make the learner of a recipe on a device; models are named, or lie where their path leads from `folder`.

    Raises:
        InputError: no such network or model, or a first stage of another network.
    """
    with torch.random.fork_rng(devices=[]):
        torch.manual_seed(recipe.seed)
        network = build(recipe.network.name, recipe.network.config)
        if recipe.start is not None:
            network.load_state_dict(_trained(model_path(recipe.start, folder), recipe).state_dict())
        stage = recipe.adversarial
        if stage is None:
            return Learner(recipe, network.to(device), ranks)
        discriminator = UNetDiscriminator(width=stage.discriminator_width)
    perceptual = Perceptual(load(model_path(stage.features, folder))[0])
    return AdversarialLearner(recipe, network.to(device), stage, perceptual.to(device), discriminator.to(device), ranks)


def _trained(name: str, recipe: Recipe) -> Network:
    network, card = load(name)
    wanted = build(recipe.network.name, recipe.network.config).config
    if (card.network, network.config) != (recipe.network.name, wanted):
        raise InputError(f"start: {name} is not the network of the recipe, {recipe.network.name}")
    return network
