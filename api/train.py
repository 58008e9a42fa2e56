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
    device: Annotated[str, typer.Option(help="auto, cpu or cuda.")] = "auto",
    as_json: Annotated[bool, typer.Option("--json", help="One JSON object on stdout, nothing else there.")] = False,
) -> None:
    """Train a network: weights, card, loss curves, and its scores on held-out images go to a folder.

    With several GPUs: torchrun --no-python --nproc-per-node N nanoraster train RECIPE. See docs/training.md.
    """
    with bars() as shown:
        found = run_training(recipe, out, resume, device, shown)
    if found is None:  # one of several processes, and not the one that speaks
        return
    rows = [
        f"{row['data']:<9} {row['denoiser']:<12} {row['psnr_db']:6.2f} dB, gain {row['gain_db']:+6.2f} dB"
        for row in found["held_out"]
    ]
    result(as_json, found, [f"model     {found['model']}", *rows])


def run_training(name: str, out: Path | None, resume: bool, device: str, shown: Bars) -> dict[str, Any] | None:
    """Train by a recipe; what `results.json` holds, or None in all but the first of several processes.

    Raises:
        UsageError, InputError: nothing was trained.
        Diverged: the last good checkpoint is kept.
    """
    from reconstruction.training.checkpoint import NAME
    from reconstruction.training.data import Outside, examples_of
    from reconstruction.training.finished import finish
    from reconstruction.training.loop import train as learn
    from reconstruction.training.ranks import joined
    from reconstruction.training.recipe import load_recipe
    from reconstruction.training.held_out import HeldOut
    from reconstruction.training.stages import begin

    recipe, folder = load_recipe(name)
    out = out or Path("models") / recipe.name
    if resume != (out / NAME).exists():
        said = "there is no training to resume" if resume else "a training was begun there; --resume goes on with it"
        raise UsageError(f"--out {out}: {said}")
    outside = Outside(specimen_of_the_twin, _frames)
    with joined(_device(device)) as ranks:
        learner = begin(recipe, ranks.device, ranks.count)
        examples = examples_of(recipe, folder, outside)
        if not ranks.first:
            learn(recipe, learner, examples, out, ranks, resume, lambda step, paid: None)
            return None
        out.mkdir(parents=True, exist_ok=True)
        with writing_in(out):
            heard = _heard(recipe, shown)
        judged = HeldOut(recipe, folder, outside)
            network = learn(recipe, learner, examples, out, ranks, resume, heard)
            found = finish(recipe, judged, network, learner.losses, out)
            (out / RESULTS).write_text(json.dumps(found, indent=1) + "\n")
    return found


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
