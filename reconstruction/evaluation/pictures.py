"""An evaluation to look at: what was restored beside the truth, where it is wrong, and at which frequencies."""

from pathlib import Path
from typing import Any, NamedTuple

import cv2
import numpy as np
from numpy.typing import NDArray

from reconstruction.evaluation.charts import FINER, INK, Axis, Picture, Series, chart, smaller, write
from reconstruction.evaluation.judging import Evaluation
from reconstruction.evaluation.maps import maps
from reconstruction.metrics.calibration import reliability
from reconstruction.metrics.frc import THRESHOLD, frc
from reconstruction.metrics.spectra import radial_power
from reconstruction.preview import round_length

CROPS, SPECTRA, MAPS = "crops.png", "spectra.png", "maps.png"
AGREEMENT, CALIBRATION = "frc.png", "calibration.png"
MOST_CASES, MOST_COLUMNS = 3, 7
CROP_PX, ZOOM = 96, 2
CELL_PX = CROP_PX * ZOOM
GAP_PX, HEAD_PX, LABEL_PX, FOOT_PX = 8, 64, 22, 68
LEAST_WIDTH_PX = 680  # for the words
DARKEST, BRIGHTEST = 0.5, 99.5  # percentiles
WORST = 99.0  # percentile of the input's error, at which the colours end
MOST_LETTERS = 22  # of the head of a column
LABEL_LETTER_PX = 8.5  # width of a letter on a scale bar
BAR_SHARE = 0.35  # of a crop, at most
ERROR_COLOURS = cv2.COLORMAP_INFERNO
GREY: tuple[int, int, int] = (150, 150, 150)
DYNAMIC_DB = 15.0  # shown below the lowest power of the truth


class Column(NamedTuple):
    """One column of the crops: its head, and the images (y, x) of all cases."""

    head: str
    images: list[NDArray[Any]]


def write_pictures(made: Evaluation, out: Path) -> dict[str, Path]:
    """Write all pictures that can be drawn; where each lies."""
    pictures = {"crops": (CROPS, crops(made)), "spectra": (SPECTRA, spectra(made))}
    if len(made.methods) > 1:
        pictures["maps"] = (MAPS, maps(made))
    if made.data.has_truth:
        pictures["frc"] = (AGREEMENT, agreement(made))
        if made.deviations:
            pictures["calibration"] = (CALIBRATION, calibration(made))
    for name, picture in pictures.values():
        (out / name).write_bytes(cv2.imencode(".png", picture)[1].tobytes())
    return {key: out / name for key, (name, _) in pictures.items()}


def crops(made: Evaluation) -> Picture:
    """Draw the middle of up to three cases: a row of images, and below it how far each is from the truth.

    Without a truth, how far it is from the input: what was taken away.
    """
    columns = _columns(made)
    cases = range(min(len(made.pictured), MOST_CASES))
    block = LABEL_PX + 2 * CELL_PX + 2 * GAP_PX
    width = max(GAP_PX + len(columns) * (CELL_PX + GAP_PX), LEAST_WIDTH_PX)
    canvas = np.full(((HEAD_PX + len(cases) * block + FOOT_PX) * FINER, width * FINER, 3), 255, np.uint8)
    what = "|restored - truth|" if made.data.has_truth else "|restored - input|"
    write(
        canvas, f"{made.data.name}: {CROP_PX} x {CROP_PX} px from the middle; below: {what}", GAP_PX, 24, 14, bold=True
    )
    for at, column in enumerate(columns):
        middle = GAP_PX + at * (CELL_PX + GAP_PX) + CELL_PX / 2
        write(canvas, column.head[:MOST_LETTERS], middle, HEAD_PX - 8, 12, "centre", bold=True)
    most = max(_worst(made, columns, case) for case in cases)
    for case in cases:
        _draw_case(canvas, made, columns, case, HEAD_PX + case * block, most)
    _draw_colour_bar(canvas, HEAD_PX + len(cases) * block + 8, most, what)
    if made.best_classical():
        at = HEAD_PX + len(cases) * block + 54
        write(canvas, "* the best classical denoiser by mean PSNR", GAP_PX, at, 9.5)
    return smaller(canvas)


def spectra(made: Evaluation) -> Picture:
    """Draw the power of each method over spatial frequency, averaged over the first cases."""
    lines = [
        _line(made, column, *_mean_power([made.inside(image) for image in column.images]))
        for column in _columns(made, 9)
    ]
    reference = next((line for line in lines if line.label == "truth"), lines[0])
    low = float(reference.y[1:].min()) - DYNAMIC_DB
    high = max(float(line.y[1:].max()) for line in lines) + 3
    note = "Above the truth: noise or\ninvention. Below: blur."
    return chart(
        f"{made.data.name}: radial power spectrum",
        Axis(_frequency_label(made), 0.0, 0.5),
        Axis("power (dB)", low, high),
        lines,
        note if made.data.has_truth else "",
    )


def agreement(made: Evaluation) -> Picture:
    """Draw the ring correlation of each method with the truth, averaged over the first cases."""
    truths = [made.inside(case.truth) for case in made.pictured if case.truth is not None]
    lines = []
    for column in _columns(made, 9):
        if column.head == "truth":
            continue
        pairs = zip(truths, [made.inside(image) for image in column.images], strict=True)
        curves = [frc(*pair) for pair in pairs]
        x = np.linspace(0.01, 0.5, 150)
        y = np.mean([np.interp(x, curve.frequency_per_px, curve.smoothed()) for curve in curves], axis=0)
        lines.append(_line(made, column, x, y))
    ends = np.array([0.0, 0.5])
    lines.append(Series("threshold 1/7", ends, np.full(2, THRESHOLD), INK, dashed=True))
    return chart(
        f"{made.data.name}: Fourier ring correlation with the truth",
        Axis(_frequency_label(made), 0.0, 0.5),
        Axis("correlation", -0.1, 1.05),
        lines,
        "Agreement, not resolution:\nthe truth is one of the two.",
    )


def calibration(made: Evaluation) -> Picture:
    """Draw the errors of models over the deviations that they give: on the diagonal they are as far off as they say."""
    lines = []
    for name, deviations in made.deviations.items():
        inside = [made.inside(each).ravel() for each in deviations]
        truths = [made.inside(case.truth).ravel() for case in made.pictured if case.truth is not None]
        images = [made.inside(each).ravel() for each in made.restored[name]]
        told, found = reliability(*(np.concatenate(each)[None] for each in (truths, images, inside)))
        lines.append(Series(name, told, found))
    most = 1.05 * max(float(max(line.x.max(), line.y.max())) for line in lines)
    lines.append(Series("as it says", np.array([0.0, most]), np.array([0.0, most]), INK, dashed=True))
    return chart(
        f"{made.data.name}: is it as far off as it says?",
        Axis("standard deviation given by the model (grey values)", 0.0, most),
        Axis("rms error (grey values)", 0.0, most),
        lines,
        "Above the diagonal: surer\nthan it should be.",
    )


def _columns(made: Evaluation, most: int = MOST_COLUMNS) -> list[Column]:
    """The input, models, non-local means and the best classical one, others from the best on, and the truth."""
    best = made.best_classical()
    rank = {"input": 0, "model": 1, "classical": 3}
    quality = {method.name: made.mean(method.name, "psnr_db").mean or 0.0 for method in made.methods} if best else {}
    ordered = sorted(
        made.methods,
        key=lambda method: (2 if method.name in ("nlm", best) else rank[method.kind], -quality.get(method.name, 0.0)),
    )
    room = most - made.data.has_truth
    columns = [
        Column(f"{method.name} *" if method.name == best else method.name, list(made.restored[method.name]))
        for method in ordered[:room]
    ]
    truths = [case.truth for case in made.pictured if case.truth is not None]
    return [*columns, Column("truth", list(truths))] if truths else columns


def _draw_case(canvas: Picture, made: Evaluation, columns: list[Column], case: int, top: int, most: float) -> None:
    wanted = _middle(made, columns[-1 if made.data.has_truth else 0].images[case])
    low, high = np.percentile(wanted, [DARKEST, BRIGHTEST])
    for at, column in enumerate(columns):
        left = GAP_PX + at * (CELL_PX + GAP_PX)
        image = _middle(made, column.images[case])
        shown = np.clip((image - low) * (255 / max(high - low, 1e-6)), 0, 255)
        grey = cv2.cvtColor(np.rint(shown).astype(np.uint8), cv2.COLOR_GRAY2BGR)
        if at == 0 and made.data.pixel_nm is not None:
            _put(canvas, _with_scale_bar(_zoomed(grey), made.data.pixel_nm / ZOOM), left, top + LABEL_PX)
        else:
            _put(canvas, _zoomed(grey), left, top + LABEL_PX)
        write(canvas, _label(made, column, case), left, top + LABEL_PX - 6, 9.5)
        if column.head != "truth" and (made.data.has_truth or at > 0):
            error = np.clip(np.abs(image - wanted) * (255 / most), 0, 255).astype(np.uint8)
            coloured = np.asarray(cv2.applyColorMap(error, ERROR_COLOURS), np.uint8)
            _put(canvas, _zoomed(coloured), left, top + LABEL_PX + CELL_PX + GAP_PX // 2)


def _label(made: Evaluation, column: Column, case: int) -> str:
    """The name of the case, or how good an image of it is."""
    name = column.head.removesuffix(" *")
    if name == "truth" or (name == "input" and not made.data.has_truth):
        return made.data.cases[case].name[:MOST_LETTERS]
    values = made.values[name]
    if not made.data.has_truth:
        return f"SEM-NIQE {values['sem_niqe'][case]:.1f}"
    return f"{values['psnr_db'][case]:.1f} dB, SSIM {values['ssim'][case]:.2f}"


def _worst(made: Evaluation, columns: list[Column], case: int) -> float:
    """Where the colours of errors end: nearly the worst of the input, or of what was taken from it."""
    if made.data.has_truth:
        away = np.abs(_middle(made, columns[0].images[case]) - _middle(made, columns[-1].images[case]))
    else:
        source = _middle(made, columns[0].images[case])
        away = np.abs([source - _middle(made, column.images[case]) for column in columns])
    return max(float(np.percentile(away, WORST)), 1.0)


def _middle(made: Evaluation, image: NDArray[Any]) -> NDArray[np.float32]:
    inside = made.inside(image).astype(np.float32)
    rows, columns = (slice(max((size - CROP_PX) // 2, 0), max((size + CROP_PX) // 2, 0)) for size in inside.shape)
    found = inside[rows, columns]
    missing = [(0, CROP_PX - size) for size in found.shape]
    return np.pad(found, missing, mode="edge") if any(after for _, after in missing) else found


def _zoomed(image: NDArray[Any]) -> Picture:
    whole = ZOOM * FINER
    return np.asarray(cv2.resize(image, None, fx=whole, fy=whole, interpolation=cv2.INTER_NEAREST), np.uint8)


def _put(canvas: Picture, image: Picture, left: int, top: int) -> None:
    canvas[top * FINER : top * FINER + image.shape[0], left * FINER : left * FINER + image.shape[1]] = image


def _with_scale_bar(image: Picture, pixel_nm: float) -> Picture:
    """Draw a bar of a round length; `pixel_nm`: of a pixel in the final picture."""
    length_um = round_length(BAR_SHARE * CELL_PX * pixel_nm / 1000)
    bar_px, bottom = round(length_um * 1000 / pixel_nm), CELL_PX - 8
    text = f"{length_um:g} um" if length_um >= 1 else f"{length_um * 1000:g} nm"
    width_px = max(bar_px, LABEL_LETTER_PX * len(text))
    box = (4 * FINER, (bottom - 22) * FINER), (round(14 + width_px) * FINER, (CELL_PX - 3) * FINER)
    cv2.rectangle(image, *box, (255, 255, 255), -1)
    left = 9 + (width_px - bar_px) / 2
    cv2.rectangle(
        image, (round(left * FINER), (bottom - 3) * FINER), (round((left + bar_px) * FINER), bottom * FINER), INK, -1
    )
    write(image, text, 9 + width_px / 2, bottom - 8, 9, "centre")
    return image


def _draw_colour_bar(canvas: Picture, top: int, most: float, what: str) -> None:
    ramp = np.repeat(np.linspace(0, 255, 256).astype(np.uint8)[None], 12, axis=0)
    coloured = cv2.applyColorMap(ramp, ERROR_COLOURS)
    _put(canvas, np.asarray(cv2.resize(coloured, None, fx=FINER, fy=FINER), np.uint8), GAP_PX, top)
    write(canvas, "0", GAP_PX, top + 26, 9)
    write(canvas, f"{most:.0f} and more", GAP_PX + 256, top + 26, 9, "right")
    write(canvas, f"{what}, grey values", GAP_PX + 268, top + 10, 9.5)


def _line(made: Evaluation, column: Column, x: NDArray[np.float64], y: NDArray[np.float64]) -> Series:
    fixed = {"truth": INK, "input": GREY}
    return Series(column.head, x, y, fixed.get(column.head), dashed=column.head == "truth")


def _mean_power(images: list[NDArray[Any]]) -> tuple[NDArray[np.float64], NDArray[np.float64]]:
    """Frequencies, and the mean of decibels over images."""
    x = np.linspace(0.005, 0.5, 200)
    levels = []
    for image in images:
        frequency, power = radial_power(image)
        levels.append(np.interp(x, frequency, 10 * np.log10(np.maximum(power, 1e-12))))
    return x, np.asarray(np.mean(levels, axis=0))


def _frequency_label(made: Evaluation) -> str:
    label = "spatial frequency (1/px; 0.5 is a period of 2 px"
    return f"{label} = {2 * made.data.pixel_nm:.4g} nm)" if made.data.pixel_nm is not None else f"{label})"
