"""`video`: tiles out of recorded videos, to a mosaic in a folder of its own."""

import re
from collections import Counter
from collections.abc import Callable, Iterator, Sequence
from contextlib import contextmanager, suppress
from pathlib import Path
from typing import Any

from acquisition.run_store import ensure_empty
from api.errors import UsageError
from api.folders import LOCK, writing_in
from api.reconstruct import refuse_pixel_size
from api.results_told import edges_told, places_told
from reconstruction.errors import InputError
from reconstruction.report import write_report
from reconstruction.restore import restorer
from reconstruction.video import Options, Seen, Video
from reconstruction.video_choice import Band
from reconstruction.video_pictures import Crop
from reconstruction.video_report import overlap_plot, video_facts, video_section
from reconstruction.video_rows import Directions, Layout
from reconstruction.worker import Progress, first_canvas, follow

LEAST_OVERLAP, MOST_OVERLAP = 0.1, 0.9
COMPLETE_PART = 0.98  # of the frames that the head of a file tells; some tell one or two too many
LEAST_UM_S, MOST_UM_S = 1e-6, 1e6
DIRECTIONS: dict[str, Directions] = {"found": "found", "same": "same", "serpentine": "serpentine"}


def band_of(text: str) -> Band:
    """Read LOW:HIGH.

    Raises:
        UsageError: not that, or not in range.
    """
    match = re.fullmatch(r"(\d*\.?\d+):(\d*\.?\d+)", text)
    if not match or not LEAST_OVERLAP <= float(match[1]) < float(match[2]) <= MOST_OVERLAP:
        raise UsageError(
            f"--overlap {text}: should be LOW:HIGH, like 0.3:0.6, both in {LEAST_OVERLAP:g}..{MOST_OVERLAP:g}"
        )
    return Band(float(match[1]), float(match[2]))


def crop_of(text: str | None) -> Crop | None:
    """Read X,Y,WIDTH,HEIGHT in px.

    Raises:
        UsageError: not that.
    """
    if text is None:
        return None
    match = re.fullmatch(r"(\d+),(\d+),(\d+),(\d+)", text)
    if not match:
        raise UsageError(f"--crop {text}: should be X,Y,WIDTH,HEIGHT in px, like 0,0,1024,690")
    x, y, width, height = map(int, match.groups())
    return x, y, width, height


def layout_of(rows: str, step_px: float | None) -> Layout:
    """What the command line tells of the rows.

    Raises:
        UsageError: an unknown word.
    """
    if rows not in DIRECTIONS:
        raise UsageError(f"--rows {rows}: should be {', '.join(DIRECTIONS)}")
    return Layout(DIRECTIONS[rows], step_px)


def options_of(
    overlap: str,
    crop: str | None,
    rows: str,
    row_step_px: float | None,
    pixel_nm: float | None,
    stage_um_s: float | None,
) -> Options:
    """Read what was asked for.

    Raises:
        UsageError: some of it cannot be used.
    """
    refuse_pixel_size(pixel_nm)
    if stage_um_s is not None and not LEAST_UM_S <= stage_um_s <= MOST_UM_S:
        raise UsageError(f"--stage-um-s {stage_um_s:g}: outside {LEAST_UM_S:g}..{MOST_UM_S:g}")
    pixel_size_um = pixel_nm / 1000 if pixel_nm else None
    return Options(band_of(overlap), crop_of(crop), layout_of(rows, row_step_px), pixel_size_um, stage_um_s)


def reconstruct_video(
    files: Sequence[Path],
    out: Path,
    model: str,
    options: Options,
    selected: Callable[[Seen], None],
    placed: Callable[[dict[str, Any]], None],
) -> dict[str, Any]:
    """Make the mosaic of videos; its `summary.json`.

    Raises:
        InputError, RunError, UsageError: bad input; nothing was written.
    """
    ensure_empty(out)
    restore = restorer(model)
    with _made_for_good(out), writing_in(out), Video(files, out, options, selected) as video:
        first_canvas(video)  # refuses what cannot be drawn

        def heard(progress: Progress) -> None:
            placed({"placed": progress.tiles, "planned": progress.planned})

        made = follow(video, out, restore, heard)
        facts, section = video_facts(video, options.band), video_section(video.selected, options.band)
        summary = write_report(out, made, video.pixels, facts, more=section)
        (out / "report" / "overlap.svg").write_text(overlap_plot(video.selected, options.band), encoding="utf-8")
    return summary


@contextmanager
def _made_for_good(out: Path) -> Iterator[None]:
    """Make a folder, and take it away again if what was to be written in it was refused."""
    there = out.is_dir()
    out.mkdir(parents=True, exist_ok=True)
    try:
        yield
    except InputError:
        (out / LOCK).unlink(missing_ok=True)
        if not there:
            with suppress(OSError):
                out.rmdir()
        raise


def video_lines(out: Path, summary: dict[str, Any]) -> list[str]:
    """Say in a few lines what came of videos, and what of them is doubtful."""
    found, stitch = summary["video"], summary["stitch"]
    rejected: Counter[str] = Counter()
    doubts: list[str] = []
    for name, file in found["files"].items():
        rejected.update(file["rejected"])
        doubts += [
            f"gap       {name}: frame {gap['frame']}, {gap['time_s']:.2f} s: not measured, bridged by the speed"
            for gap in file["gaps"]
        ]
        if file["frames"] < COMPLETE_PART * file["frames_told"]:
            doubts.append(f"damaged   {name}: {file['frames']} of {file['frames_told']} frames could be read")
        if below := file["overlap"].get("below_band", 0):
            doubts.append(f"overlap   {name}: {below} below {found['overlap_band'][0]:.0%}")
        if not all(row["found"] for row in file["rows"]):
            doubts.append(f"row       {name}: its place was not found, it lies where it was told or guessed")
    left_out = ", ".join(f"{count} {reason}" for reason, count in rejected.most_common()) or "none"
    return [
        *places_told(out),
        f"frames    {found['chosen']} chosen of {found['frames']}; left out: {left_out}",
        edges_told(stitch),
        *doubts,
    ]
