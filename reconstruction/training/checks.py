"""What stands against a recipe, all of it, before anything is drawn, opened or written."""

from collections.abc import Iterator
from pathlib import Path

import torch

from reconstruction.errors import InputError, no_folder
from reconstruction.model_card import NAME, box, folder_of, read
from reconstruction.networks.network import Network
from reconstruction.networks.registry import build
from reconstruction.networks.unet_discriminator import MULTIPLE_OF
from reconstruction.training.origins import origins
from reconstruction.training.paths import paths_of
from reconstruction.training.perceptual import encoder_of
from reconstruction.training.recipe import (
    Data,
    DrawnData,
    FilesData,
    NoisyData,
    OverlapsData,
    PairsData,
    Recipe,
    Specimen,
    TwinData,
)

MOST_DRAWN_PX = 2**33  # of all scenes together, 32 GiB; they are kept in memory
DRAWN_BY_THE_TWIN = ("chip", "alloy", "siemens", "blocks")
PIXEL_NM_RANGE, MOST_DRAWN_NM = (0.1, 1e6), 1562.5  # of the twin; of a drawn specimen, 64 pixels wide at least


def refuse_unfit(recipe: Recipe, folder: Path) -> None:
    """Refuse what cannot be trained; paths are meant from `folder`.

    Raises:
        InputError: names all that is wrong.
    """
    if problems := list(_problems(recipe, folder)):
        raise InputError(f"recipe {recipe.name}: {'; '.join(problems)}")


def model_path(name_or_path: str, folder: Path) -> str:
    """Give a model at hand by its name, or a path that is meant from a recipe's folder."""
    at_hand = NAME.fullmatch(name_or_path) and name_or_path in box()
    return name_or_path if at_hand else str(folder / name_or_path)


def _problems(recipe: Recipe, folder: Path) -> Iterator[str]:
    network = None
    try:
        network = _on_paper(recipe.network.name, recipe.network.config)
    except InputError as error:
        yield str(error)
    if network is not None:
        yield from _sides(recipe.crop_px, "network", network.multiple_of)
        if network.scale != 1:
            yield f"network.config.scale: {network.scale}, training knows images of equal size only"
    if recipe.start is not None:
        yield from _start(recipe, folder, network)
    if recipe.adversarial is not None:
        yield from _sides(recipe.crop_px, "discriminator", MULTIPLE_OF)
        yield from _features(recipe, recipe.adversarial.features, folder)
    for key, entries in (("data", recipe.data), ("held_out", recipe.held_out)):
        for number, data in enumerate(entries):
            yield from (f"{key}.{number}: {said}" for said in _files(data, folder, recipe.crop_px))
    if both := sorted(origins(recipe.data, folder) & origins(recipe.held_out, folder)):
        yield f"held_out: {both[0]} is also trained on"


def _on_paper(name: str, config: dict[str, object]) -> Network:
    """Build a network without its weights."""
    try:
        with torch.device("meta"):
            return build(name, config)
    except (RuntimeError, OverflowError, MemoryError) as error:
        raise InputError(f"network: {name} cannot have the config {config}") from error


def _sides(crop_px: int, name: str, multiple_of: int) -> Iterator[str]:
    if crop_px % multiple_of:
        yield f"crop_px: {crop_px} is not a multiple of {multiple_of}, which the {name} needs"


def _start(recipe: Recipe, folder: Path, network: Network | None) -> Iterator[str]:
    assert recipe.start is not None
    try:
        card = read(folder_of(model_path(recipe.start, folder)))
        config = _on_paper(card.network, card.config).config
    except InputError as error:
        yield f"start: {error}"
        return
    if network is not None and (card.network, config) != (recipe.network.name, network.config):
        yield f"start: {recipe.start} is not the network of the recipe, {recipe.network.name}"


def _features(recipe: Recipe, features: str, folder: Path) -> Iterator[str]:
    try:
        card = read(folder_of(model_path(features, folder)))
        network = _on_paper(card.network, card.config)
        encoder_of(network)
    except InputError as error:
        yield f"adversarial.features: {str(error).removeprefix('adversarial.features: ')}"
        return
    yield from _sides(recipe.crop_px, "encoder of adversarial.features", network.multiple_of)


def _files(data: Data, folder: Path, crop_px: int) -> Iterator[str]:
    """What is wrong with the files of some data, or with the size of drawn scenes."""
    match data:
        case DrawnData() if data.side_px < crop_px:
            yield f"side_px: {data.side_px} is smaller than crop_px = {crop_px}"
        case DrawnData() if data.count * data.side_px**2 > MOST_DRAWN_PX:
            yield f"count: {data.count} scenes of {data.side_px} px are more than memory holds, at most {_most(data)}"
        case TwinData():
            for number, specimen in enumerate(data.specimens):
                yield from (f"specimens.{number}.{said}" for said in _specimen(specimen))
        case OverlapsData() if not (folder / data.source).is_dir():
            yield f"source: {no_folder(folder / data.source)}"
        case PairsData():
            counts = {pattern: len(paths_of(pattern, folder)) for pattern in (data.low, data.high)}
            yield from (f"{folder / pattern}: no such files" for pattern, count in counts.items() if not count)
            if all(counts.values()) and counts[data.low] != counts[data.high]:
                yield f"{data.low}, {data.high}: {counts[data.low]} and {counts[data.high]} files do not pair"
        case FilesData() | NoisyData() if not paths_of(data.files, folder):
            yield f"{folder / data.files}: no such files"


def _most(data: DrawnData) -> int:
    return MOST_DRAWN_PX // data.side_px**2


def _specimen(specimen: Specimen) -> Iterator[str]:
    """What the twin would refuse, one thing at a time and only once it is asked."""
    is_drawn = specimen.name.partition(":")[0] in DRAWN_BY_THE_TWIN
    if not is_drawn and not Path(specimen.name).is_file():
        yield f"name: {specimen.name!r} is neither {' nor '.join(DRAWN_BY_THE_TWIN)} nor an image file"
    least, most = PIXEL_NM_RANGE
    if not least <= specimen.pixel_nm <= (MOST_DRAWN_NM if is_drawn else most):
        yield f"pixel_nm: {specimen.pixel_nm:g} is outside {least:g}..{MOST_DRAWN_NM if is_drawn else most:g}"
