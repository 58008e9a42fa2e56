"""What a report says of videos: what was taken and left out, how fast the stage went, the overlap on the way."""

import math
from collections.abc import Iterator, Sequence
from html import escape

import numpy as np
from numpy.typing import NDArray

from reconstruction.video import Selected, Video
from reconstruction.video_choice import Band
from reconstruction.video_rows import Laid

WIDTH_PX, HEIGHT_PX = 900.0, 220.0
PLOT_PX = 170.0  # high, the rest is for what was left out
MOST_DRAWN = 4000  # points; more cannot be told apart
BAND_PLACES = 1e-3  # an overlap is known to about a thousandth


def video_facts(video: Video, band: Band) -> dict[str, object]:
    """Compose the section `video` of a summary, file by file."""
    chosen = sum(len(part.chosen) for part in video.selected)
    return {
        "video": {
            "frames": sum(part.seen for part in video.selected),
            "chosen": chosen,
            "crop_px": list(video.crop),
            "overlap_band": [band.low, band.high],
            "files": {
                part.film.name: _file_facts(part, band, video.pixel_size_um)
                | {"rows": [{"found": row.found, "offset_px": _rounded(row.offset_px)} for row in _rows(video, number)]}
                for number, part in enumerate(video.selected)
            },
        }
    }


def _rows(video: Video, file: int) -> Iterator[Laid]:
    return (row for row in video.rows if row.stretch.file == file)


def _file_facts(part: Selected, band: Band, pixel_size_um: float | None) -> dict[str, object]:
    overlaps = np.array([each.overlap for each in part.chosen if each.overlap is not None])
    speeds = np.array([each.speed_px_s for each in part.chosen[1:]]).reshape(-1, 2)
    speed_px_s = np.median(speeds, axis=0) if len(speeds) else np.zeros(2)
    fast_px_s = float(np.median(np.hypot(*speeds.T))) if len(speeds) else 0.0
    return {
        "frames": part.seen,
        "frames_told": part.film.frames,
        "seconds": round(part.seconds, 3),
        "chosen": len(part.chosen),
        "rejected": dict(part.rejected),
        "slow_scan": part.slow_scan,
        "overlap": _overlap_facts(overlaps, band),
        "blurred_taken": sum(each.blurred for each in part.chosen),
        "speed_px_s": round(fast_px_s, 2),
        "speed_um_s": None if pixel_size_um is None else round(fast_px_s * pixel_size_um, 4),
        "velocity_px_s": _rounded((float(speed_px_s[0]), float(speed_px_s[1]))),
        "gaps": [
            {"frame": gap.number, "time_s": round(gap.time_s, 3), "bridged_px": _rounded(gap.bridged_px)}
            for gap in part.gaps
        ],
    }


def _overlap_facts(overlaps: NDArray[np.float64], band: Band) -> dict[str, float | int]:
    if not len(overlaps):
        return {}
    within = (overlaps >= band.low - BAND_PLACES) & (overlaps <= band.high + BAND_PLACES)
    return {
        "least": round(float(overlaps.min()), 4),
        "median": round(float(np.median(overlaps)), 4),
        "greatest": round(float(overlaps.max()), 4),
        "within_band": int(within.sum()),
        "below_band": int((overlaps < band.low - BAND_PLACES).sum()),
    }


def _rounded(pair: tuple[float, float]) -> list[float]:
    return [round(value, 2) for value in pair]


def overlap_plot(selected: Sequence[Selected], band: Band) -> str:
    """Draw the overlap of each tile with the one before it over the time of the videos, as inline SVG."""
    total_s = sum(part.seconds for part in selected) or 1.0
    shapes = [_rect(0, _y(band.high), WIDTH_PX, _y(band.low) - _y(band.high), "#4a44")]
    points = sum(len(part.chosen) for part in selected)
    every = max(1, math.ceil(points / MOST_DRAWN))
    begun_s = 0.0
    for part in selected:
        left, scale = begun_s / total_s * WIDTH_PX, WIDTH_PX / total_s
        shapes.append(_line(left, 0, HEIGHT_PX, "#8888", part.film.name))
        for gap in part.gaps:
            title = f"{part.film.name}, frame {gap.number}, {gap.time_s:.2f} s: not measured, bridged by the speed"
            shapes.append(_line(left + gap.time_s * scale, 0, PLOT_PX, "#e90", title))
        for number, flaw in part.listed[::every]:
            time_s = number / part.film.rate_hz
            title = f"{part.film.name}, frame {number}: {flaw}"
            shapes.append(_line(left + time_s * scale, PLOT_PX + 15, HEIGHT_PX - 15, "#d33", title))
        for each in part.chosen[::every]:
            if each.overlap is None:
                continue
            x = left + each.picture.time_s * scale
            title = f"{part.film.name}, frame {each.picture.number}: {each.overlap:.1%}"
            shapes.append(
                f'<circle cx="{x:.1f}" cy="{_y(each.overlap):.1f}" r="2"><title>{escape(title)}</title></circle>'
            )
        begun_s += part.seconds
    labels = "".join(
        f'<text x="2" y="{_y(value) - 2:.1f}" font-size="10" fill="currentColor">{value:.0%}</text>'
        for value in (band.low, band.high)
    )
    drawn = "".join(shapes) + labels
    return f'<svg viewBox="0 0 {WIDTH_PX:.0f} {HEIGHT_PX:.0f}" role="img" fill="currentColor">{drawn}</svg>'


def video_section(selected: Sequence[Selected], band: Band) -> str:
    """Write the part of a report page that shows the way of the stage."""
    return (
        "<h2>Overlap along the video</h2><p>Each point is a tile, as high as it overlaps with the one before; the band "
        "is what was asked for. Red: frames that were left out. Orange: gaps that only the speed bridges."
        f"</p>{overlap_plot(selected, band)}"
    )


def _y(overlap: float) -> float:
    return PLOT_PX * (1 - overlap)


def _rect(x: float, y: float, width: float, height: float, fill: str) -> str:
    style = f"fill:{fill};stroke:none"
    return f'<rect style="{style}" x="{x:.1f}" y="{y:.1f}" width="{width:.1f}" height="{height:.1f}"/>'


def _line(x: float, top: float, bottom: float, colour: str, title: str) -> str:
    return (
        f'<line style="stroke:{colour};stroke-width:1.5" x1="{x:.1f}" y1="{top:.1f}" x2="{x:.1f}" y2="{bottom:.1f}">'
        f"<title>{escape(title)}</title></line>"
    )
