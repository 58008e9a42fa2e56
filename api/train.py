"""`train`: a network from a recipe, with what only other processes and runs can give it."""

import json
from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Any

import numpy as np
import typer
from numpy.typing import NDArray

from api.errors import UsageError
from api.folders import writing_in
from api.show import Bars, bars, result
from api.twin import running_twin

if TYPE_CHECKING:
    from reconstruction.sources import FrameSource
    from reconstruction.training.recipe import Recipe, Specimen

RESULTS = "results.json"
DEVICES = ("auto", "cpu", "cuda")


def train(
    recipe: Annotated[str, typer.Argument(metavar="RECIPE", help="A recipe (TOML), or the name of a shipped one.")],
    out: Annotated[Path | None, typer.Option(help="Folder for the model; default: models/NAME.")] = None,
    resume: Annotated[bool, typer.Option("--resume", help="Go on with the checkpoint in that folder.")] = False,
    force: Annotated[bool, typer.Option("--force", help="Begin anew, over what was trained there before.")] = False,
    device: Annotated[str, typer.Option(help="auto, cpu or cuda.")] = "auto",
    as_json: Annotated[bool, typer.Option("--json", help="One JSON object on stdout, nothing else there.")] = False,
) -> None:
    """Train a network: weights, card, loss curves, and its scores on held-out images go to a folder.

    With several GPUs: torchrun --no-python --nproc-per-node N nanoraster train RECIPE. See docs/training.md.
    """
    with bars() as shown:
        found = run_training(recipe, out, resume, device, shown, force)
    if found is None:  # one of several processes, and not the one that speaks
        return
    rows = [
        f"{row['data']:<9} {row['denoiser']:<12} {row['psnr_db']:6.2f} dB, gain {row['gain_db']:+6.2f} dB"
        for row in found["held_out"]
    ]
    result(as_json, found, [f"model     {found['model']}", *rows])


def run_training(
    name: str, out: Path | None, resume: bool, device: str, shown: Bars, force: bool = False
) -> dict[str, Any] | None:
    """Train by a recipe; what `results.json` holds, or None in all but the first of several processes.

    Raises:
        UsageError, InputError: nothing was trained.
        Diverged: the last good checkpoint is kept.
    """
    from reconstruction.training.checks import refuse_unfit
    from reconstruction.training.data import Outside, examples_of
    from reconstruction.training.finished import finish
    from reconstruction.training.held_out import HeldOut
    from reconstruction.training.loop import train as learn
    from reconstruction.training.ranks import joined
    from reconstruction.training.recipe import load_recipe
    from reconstruction.training.stages import begin

    recipe, folder = load_recipe(name)
    out = out or Path("models") / recipe.name
    _refuse_taken(out, resume, force)
    where = _device(device)
    refuse_unfit(recipe, folder)
    outside = Outside(specimen_of_the_twin, _frames)
    with joined(where) as ranks:
        learner = begin(recipe, folder, ranks.device, ranks.count)
        examples = examples_of(recipe, folder, outside)
        if not ranks.first:
            learn(recipe, learner, examples, out, ranks, resume, lambda step, paid: None)
            return None
        judged = HeldOut(recipe, folder, outside)
        out.mkdir(parents=True, exist_ok=True)
        with writing_in(out):
            heard = _heard(recipe, shown)
            network = learn(recipe, learner, examples, out, ranks, resume, heard)
            found = finish(recipe, judged, network, learner.losses, out)
            (out / RESULTS).write_text(json.dumps(found, indent=1) + "\n")
    return found


def _refuse_taken(out: Path, resume: bool, force: bool) -> None:
    """Keep what lies in a folder from being written over without a word."""
    from reconstruction.model_card import CARD, WEIGHTS
    from reconstruction.training.checkpoint import NAME

    for part in (out, *out.absolute().parents):
        if part.exists() and not part.is_dir():
            raise UsageError(f"--out {out}: {part} is a file, not a folder")
    begun = (out / NAME).exists()
    if resume and force:
        raise UsageError("--resume and --force: one goes on with a training, the other begins anew")
    if resume and not begun:
        raise UsageError(f"--out {out}: there is no training to resume")
    if resume or force:
        return
    if begun:
        raise UsageError(f"--out {out}: a training was begun there; --resume goes on with it, --force begins anew")
    if there := next((name for name in (WEIGHTS, CARD) if (out / name).exists()), None):
        raise UsageError(f"--out {out}: holds a model ({there}); --force writes over it")


def specimen_of_the_twin(wanted: "Specimen") -> NDArray[np.float32]:
    """Ask a twin of that specimen for its image (y, x), 0..1."""
    options = ["--specimen", wanted.name, "--pixel-nm", str(wanted.pixel_nm), "--seed", str(wanted.seed)]
    with running_twin([*options, "--world", "still"]) as twin:
        return twin.world.specimen()[0]


def _heard(recipe: "Recipe", shown: Bars) -> Any:
    def heard(step: int, paid: dict[str, float]) -> None:
        shown.trained(step, recipe.steps, paid)

    return heard


def _frames(path: Path) -> "FrameSource":
    from acquisition.run_frames import RunFrames
    from reconstruction.tile_folder import TileFolder

    return RunFrames(path, remember_edges=False) if (path / "run.json").exists() else TileFolder(path)


def _device(asked: str) -> str:
    import torch

    if asked not in DEVICES:
        raise UsageError(f"--device {asked}: should be one of {', '.join(DEVICES)}")
    there = torch.cuda.is_available()
    if asked == "cuda" and not there:
        raise UsageError("--device cuda: there is none here that torch can use")
    return "cuda" if there and asked != "cpu" else "cpu"
