"""A video as CEMI takes it, chosen from and stitched: frames a second, true places, and the overlaps.

    python -m benchmarks.video [--rows 2] [--fields 8] [--step-px 23] [--codec MJPG] [--keep FOLDER]

1024 x 768 px, a row a file, the stage always the same way, noise as of a fast scan; `--rows 18 --fields 121` is the
size of the paper's mosaic (123,672 x 7,848 px of 3,902 frames, stitched in about 3 hours: 0.36 frames a second), and
takes 15 GB for its videos. The specimen is made line by line from seeds, so that any part of it can be made alone.
"""

import argparse
import tempfile
import time
from collections.abc import Iterator
from pathlib import Path

import cv2
import numpy as np
from numpy.typing import NDArray

from reconstruction.restore import restorer
from reconstruction.video import Options, Video
from reconstruction.video_choice import Band
from reconstruction.worker import Reconstruction, follow

ROWS, COLUMNS = 768, 1024
ROW_STEP_PX = 417  # 7,848 px of 18 rows
MARGIN_PX = 40
NOISE = 14.0  # grey values of 255; a frame of 2.7 s
PAPER_FRAMES_PER_S = 0.36
SEED = 20261121
Way = list[tuple[float, float]]


def specimen(top: int, bottom: int, width: int) -> NDArray[np.float32]:
    """Make lines `top`..`bottom` of an alloy (y, x) in 0..1: grains with a fine structure in them."""
    reach = 40
    lines_of = range(top - reach, bottom + reach)
    lines = [np.random.default_rng([SEED, max(y, 0)]).standard_normal(width, np.float32) for y in lines_of]
    noise = np.stack(lines)
    coarse = cv2.GaussianBlur(noise, (0, 0), 9.0)
    fine = cv2.GaussianBlur(noise, (0, 0), 2.0)
    grains = cv2.GaussianBlur(np.sign(coarse), (0, 0), 1.5)
    made = 0.5 + 0.22 * grains + 0.08 * fine / float(fine.std())
    return np.clip(made[reach:-reach], 0, 1).astype(np.float32)


def way_of(row: int, fields: int, step_px: float) -> Way:
    """Where the view's corner (x, y) is at each picture: a steady stage that wanders a little and starts anywhere."""
    random = np.random.default_rng([SEED, row])
    start = MARGIN_PX + float(random.uniform(0, 200))
    count = int((fields - 1) * COLUMNS / step_px)
    wander = np.cumsum(random.normal(0, 0.05, (count, 2)), axis=0)
    y = MARGIN_PX + row * ROW_STEP_PX
    return [(start + step_px * i + float(dx), y + float(dy)) for i, (dx, dy) in enumerate(wander)]


def frames(way: Way, seed: int) -> Iterator[NDArray[np.uint8]]:
    """Photograph along a way."""
    left, right = int(min(x for x, _ in way)) - 8, int(max(x for x, _ in way)) + COLUMNS + 16
    top, bottom = int(min(y for _, y in way)) - 8, int(max(y for _, y in way)) + ROWS + 16
    there = specimen(top, bottom, right)
    random = np.random.default_rng([SEED, seed, 1])
    noise = random.normal(0, NOISE, (4 * ROWS, 2 * COLUMNS)).astype(np.float32)  # drawn once: cut out anew each time
    for x, y in way:
        x0, y0 = int(x) - 4, int(y) - top - 4
        part = there[y0 : y0 + ROWS + 12, max(x0, left) : x0 + COLUMNS + 12]
        moved = np.array([[1, 0, x0 - x], [0, 1, y0 + top - y]], np.float32)
        seen = cv2.warpAffine(part, moved, (COLUMNS, ROWS), flags=cv2.INTER_CUBIC, borderMode=cv2.BORDER_REPLICATE)
        r, c = random.integers(0, 3 * ROWS), random.integers(0, COLUMNS)
        yield np.clip(seen * 190 + 30 + noise[r : r + ROWS, c : c + COLUMNS], 0, 255).astype(np.uint8)


def write(path: Path, way: Way, codec: str, seed: int) -> None:
    writer = cv2.VideoWriter(str(path), cv2.VideoWriter.fourcc(*codec), 25, (COLUMNS, ROWS), isColor=False)
    if not writer.isOpened():
        raise SystemExit(f"codec {codec}: cannot be written here")
    for frame in frames(way, seed):
        writer.write(frame)
    writer.release()


def error_px(made: Reconstruction, truth: dict[str, tuple[float, float]]) -> NDArray[np.float64]:
    """Distance of each tile from its true place, once the median shift is taken out."""
    placed = list(made.placement.tiles.values())
    away = np.array([(p.x_px, p.y_px) for p in placed]) - np.array([truth[p.tile.name] for p in placed])
    return np.asarray(np.hypot(*(away - np.median(away, axis=0)).T))


def main() -> None:
    parser = argparse.ArgumentParser()
    parser.add_argument("--rows", type=int, default=2)
    parser.add_argument("--fields", type=float, default=8)
    parser.add_argument("--step-px", type=float, default=23.0)
    parser.add_argument("--codec", default="MJPG")
    parser.add_argument("--keep", type=Path, help="folder for the videos, which are used again if they are there")
    asked = parser.parse_args()
    with tempfile.TemporaryDirectory() as scratch:
        folder = asked.keep or Path(scratch)
        folder.mkdir(parents=True, exist_ok=True)
        ways = [way_of(row, asked.fields, asked.step_px) for row in range(asked.rows)]
        files = [folder / f"row{row:02d}.avi" for row in range(asked.rows)]
        for row, (file, way) in enumerate(zip(files, ways, strict=True)):
            if not file.exists():
                write(file, way, asked.codec, row)
        truth = {f"{file.name}#{n}": at for file, way in zip(files, ways, strict=True) for n, at in enumerate(way)}
        measure(files, truth, Path(scratch))


def measure(files: list[Path], truth: dict[str, tuple[float, float]], out: Path) -> None:
    began = time.perf_counter()
    with Video(files, out, Options(), lambda seen: None) as video:
        chosen_s = time.perf_counter() - began
        made = follow(video, out, restorer("none"), lambda progress: None)
        seen, tiles = sum(part.seen for part in video.selected), len(video.planned())
        overlaps = np.array([c.overlap for part in video.selected for c in list(part.chosen)[1:-1]])
        rejected = {part.film.name: dict(part.rejected) for part in video.selected if part.rejected}
        errors = error_px(made, truth)
        places = np.concatenate([row.places_px for row in video.rows])
        at = np.array([truth[tile.name] for tile in video.planned()])
    first = video.selected[0].chosen
    drift = places[: len(first)] - at[: len(first)]
    band, stitch_s = Band(), made.seconds["total"]
    inside = ((overlaps >= band.low) & (overlaps <= band.high)).mean()
    accepted, found = sum(edge.accepted for edge in made.edges), sum(row.found for row in video.rows)
    table = {
        "video frames": f"{seen}, {tiles} chosen; left out: {rejected or 'none'}",
        "selection, with decoding": f"{seen / chosen_s:.1f} frames a second",
        "places, mosaic, pyramid": f"{tiles / stitch_s:.2f} frames a second (the paper: {PAPER_FRAMES_PER_S})",
        "both together": f"{tiles / (chosen_s + stitch_s):.2f} chosen frames a second",
        "overlap": f"{overlaps.min():.3f}..{overlaps.max():.3f}, {inside:.0%} in the band",
        "true places": f"{np.sqrt(np.square(errors).mean()):.3f} px rms, {errors.max():.3f} at most",
        "drift of the first row, alone": f"{np.hypot(*(drift[-1] - drift[0])):.2f} px over {len(first)} tiles",
        "edges": f"{accepted} of {len(made.edges)} accepted; {found} of {len(video.rows)} rows found",
        "seconds": ", ".join(f"{name} {value:.1f}" for name, value in made.seconds.items()),
    }
    for name, value in table.items():
        print(f"{name:<30} {value}")


if __name__ == "__main__":
    main()
