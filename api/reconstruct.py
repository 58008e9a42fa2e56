"""What was acquired, from wherever it lies, to a mosaic in a folder of its own."""

from collections.abc import Callable
from pathlib import Path
from typing import Any

from acquisition.run_folder import RUN, ensure_empty
from api.errors import UsageError
from api.folders import writing_in
from reconstruction.fusion import Fusion
from reconstruction.report import write_report
from reconstruction.restore import restorer
from reconstruction.sources import FrameSource
from reconstruction.tile_folder import TileFolder
from reconstruction.worker import Progress, first_canvas, follow

LEAST_NM, MOST_NM = 1e-3, 1e6  # of a pixel, from atoms to millimetres


def reconstruct(
    source: Path,
    out: Path,
    model: str,
    device: str,
    pixel_nm: float | None,
    fusion: Fusion,
    placed: Callable[[dict[str, Any]], None],
    warned: Callable[[str], None],
) -> dict[str, Any]:
    """Make the mosaic of a run or a folder of tiles; its `summary.json`.

    Args:
        device: where a network runs: auto, cpu or cuda.
        fusion: what is done to grey values on their way into the mosaic.
        placed: hears how many tiles of how many have their place.
        warned: hears, a line each, which tiles were left out or put elsewhere, and what a network had to do without.

    Raises:
        InputError, RunError, UsageError: bad input; nothing was written.
    """
    ensure_empty(out)
    if out.absolute().is_relative_to(source.absolute()):
        raise UsageError(f"--out {out}: lies inside of the source {source}")
    frames, facts = _open(source, pixel_nm)
    restore = restorer(model, device, warned)
    first_canvas(frames)  # refuses what cannot be drawn
    out.mkdir(parents=True, exist_ok=True)

    def heard(progress: Progress) -> None:
        placed({"placed": progress.tiles, "planned": progress.planned})

    remarks = frames.remarks if isinstance(frames, TileFolder) else []
    for remark in remarks:
        warned(remark)
    known = len(remarks)
    with writing_in(out):
        made = follow(frames, out, restore, heard, fusion, live=False)
    for remark in remarks[known:]:
        warned(remark)
    left_out = frames.left_out if isinstance(frames, TileFolder) else []
    summary = write_report(out, made, frames.pixels, facts(), left_out)
    if _is_run(source):
        from api.night.report import write_night_report

        write_night_report(source, out)
    return summary


def refuse_pixel_size(pixel_nm: float | None) -> None:
    """Raise UsageError for a size that no pixel has."""
    if pixel_nm is not None and not LEAST_NM <= pixel_nm <= MOST_NM:
        raise UsageError(f"--pixel-nm {pixel_nm:g}: outside {LEAST_NM:g}..{MOST_NM:g}")


def _is_run(source: Path) -> bool:
    return (source / RUN).exists()


def _open(source: Path, pixel_nm: float | None) -> tuple[FrameSource, Callable[[], dict[str, object]]]:
    """The source, and what else the report should say of it once all is read."""
    refuse_pixel_size(pixel_nm)
    if not _is_run(source):
        folder = TileFolder(source, pixel_nm / 1000 if pixel_nm else None)
        return folder, lambda: {"tiles": {"left_out": len(folder.left_out)}, "remarks": folder.remarks}
    if pixel_nm is not None:
        raise UsageError(f"--pixel-nm = {pixel_nm:g}: the run {source} knows its own pixel size")
    from acquisition.run_frames import RunFrames  # with zarr, for runs alone
    from acquisition.summary import run_facts

    run = RunFrames(source, remember_edges=False)
    if not run.store.journal.attempts() and not run.store.is_being_acquired():
        raise UsageError(f"{source}: the run was ended before its first frame")
    return run, lambda: run_facts(run.store)
