"""What the twin's optics do, measured on the pictures they render, beside what physics says; and what a frame costs.

`python -m benchmarks.twin_optics` prints Markdown tables; `--picture FILE` also shows each kind of optics side by side.
"""

import argparse
import math
import time
from collections.abc import Iterator
from pathlib import Path

import cv2
import numpy as np
from numpy.typing import NDArray

from hardware_sim.canvas import Image
from hardware_sim.microsphere import near_field_fwhm_um, near_field_reach_um
from hardware_sim.optics import Microscope
from hardware_sim.point_spread import FWHM_PER_SIGMA, airy_fwhm_um, depth_of_field_um, edge_delay_waves
from hardware_sim.settings import CameraSettings, MicrosphereSettings, OpticsSettings, load_world
from hardware_sim.specimen import Specimen, load_specimen

AIRY = OpticsSettings(point_spread="airy")
LENS = load_world("superlens").optics
EVEN_LENS = LENS.model_copy(update={"microsphere": MicrosphereSettings(distortion=0.0, vignetting=0.0)})
FRAMES = 20
Row = tuple[str, str, str]


def drawn(reflectance: NDArray[np.float64]) -> Specimen:
    """Make a flat specimen of 20 nm pixels."""
    rows, columns = reflectance.shape
    flat = np.zeros((rows // 4, columns // 4), dtype=np.float32)
    return Specimen("drawn", 0.02, reflectance.astype(np.float32), flat)


def points(offsets_um: tuple[float, ...]) -> Specimen:
    """Bright points on a row through (10, 10) um."""
    reflectance = np.zeros((1001, 1001))
    for offset_um in offsets_um:
        reflectance[500, 500 + round(offset_um / 0.02)] = 1.0
    return drawn(reflectance)


def at_half_height(row: NDArray[np.floating]) -> float:
    """Measure the width of a peak in pixels, between them linearly."""
    half = float(row.max()) / 2
    inside = np.flatnonzero(row >= half)
    first, last = int(inside[0]), int(inside[-1])
    left = first - (row[first] - half) / (row[first] - row[first - 1])
    right = last + (row[last] - half) / (row[last] - row[last + 1])
    return float(right - left)


def white_light() -> Iterator[Row]:
    """Measure the objective by itself."""
    microscope = Microscope(points((0.0,)), CameraSettings(frame_shape_px=(255, 255)), AIRY)
    in_focus = microscope.render(10.0, 10.0)
    depth_um = depth_of_field_um(0.55, 0.55)
    yield "width of a point", f"{airy_fwhm_um(0.55, 0.55):.3f} um", f"{at_half_height(in_focus[127]) * 0.02:.3f} um"
    peak = float(microscope.render(10.0, 10.0, depth_um / 2).max() / in_focus.max())
    strehl = float(np.sinc(edge_delay_waves(depth_um / 2, 0.55, 0.55)) ** 2)
    yield f"peak at {depth_um / 2:.2f} um out of focus", f"{strehl:.3f}", f"{peak:.3f}"
    star = Microscope(load_specimen("siemens", 50.0, 0), CameraSettings(), AIRY)
    image = star.render(50.0, 50.0)
    for part, expected in ((0.95, "0"), (1.2, "> 0"), (2.0, "0.391")):
        yield f"star at {part} Abbe limits", expected, f"{star_contrast(image, part * 0.5, star.pixel_um):.4f}"


def star_contrast(image: Image, period_um: float, pixel_um: float) -> float:
    """Measure the contrast of 36 spokes, whose own fundamental is 4 / pi of their half amplitude."""
    angle = np.linspace(0, 2 * np.pi, 3600, endpoint=False)
    radius_px, middle = 36 * period_um / (2 * np.pi) / pixel_um, (image.shape[0] - 1) / 2
    at_x, at_y = ((middle + radius_px * wave(angle)).astype(np.float32)[None] for wave in (np.cos, np.sin))
    ring = cv2.remap(image, at_x, at_y, cv2.INTER_CUBIC)[0]
    fundamental = float(np.abs(np.fft.rfft(ring)[36])) * 2 / ring.size
    return fundamental / (4 / math.pi * (0.8 - 0.1) / 2)


def virtual_image() -> Iterator[Row]:
    """Measure the microsphere."""
    microscope = Microscope(points((-3.0, 0.0, 3.0)), CameraSettings(), EVEN_LENS)
    line = microscope.render(10.0, 10.0)[236:276].sum(axis=0).astype(float)
    tops = [int(part.start + line[part].argmax()) for part in (slice(150, 220), slice(220, 290), slice(290, 360))]
    places_px = [float(np.average(np.arange(top - 5, top + 6), weights=line[top - 5 : top + 6])) for top in tops]
    magnification = (places_px[2] - places_px[0]) / 6.0 * 6.5 / 50
    yield "magnification by the sphere", "3", f"{magnification:.3f}"
    around = np.arange(-9, 10)
    sigma_px = math.sqrt(np.average((around + tops[1] - places_px[1]) ** 2, weights=line[around + tops[1]]))
    width_um = sigma_px * microscope.pixel_um * FWHM_PER_SIGMA
    yield "width of a point", f"{near_field_fwhm_um(0.55, 1.9):.4f} um", f"{width_um:.4f} um"
    row = Microscope(drawn(np.full((1000, 1000), 0.5)), CameraSettings(), LENS).render(10.0, 10.0)[256]
    inside = np.flatnonzero(row > 0.29)  # between the rim, 0.325, and what is around it, 0.25
    yield "width of the window", "10 um", f"{(inside[-1] - inside[0]) * microscope.pixel_um:.2f} um"
    stripes = drawn(np.tile(0.5 + 0.5 * np.sin(2 * np.pi * np.arange(1000) * 0.02 / 0.24), (1000, 1)))
    lens = Microscope(stripes, CameraSettings(), EVEN_LENS)
    touching, off = (float(lens.render(10.0, 10.0, 0.0, gap_um)[200:312, 200:312].std()) for gap_um in (0.0, 0.05))
    expected = math.exp(-0.05 / near_field_reach_um(0.55, LENS.microsphere))
    yield "contrast left at 50 nm", f"{expected:.3f}", f"{off / touching:.3f}"


def frame_times() -> Iterator[Row]:
    """Time the rendering on one core."""
    cv2.setNumThreads(1)
    chip = load_specimen("chip", None, 0)
    airy = CameraSettings(pixel_nm=130.0)
    diffraction = load_world("diffraction")
    cases = (
        ("lab, 512 x 512", Microscope(chip, CameraSettings()), 0.0, "2.0 ms"),
        ("lab, 512 x 512, 2 um out of focus", Microscope(chip, CameraSettings()), 2.0, "-"),
        ("lab, 2560 x 2160", Microscope(chip, CameraSettings(frame_shape_px=(2160, 2560))), 0.0, "30 ms"),
        ("airy, 512 x 512, 2 um out of focus", Microscope(chip, airy, AIRY), 2.0, "-"),
        ("superlens, 512 x 512", Microscope(chip, CameraSettings(), LENS), 0.0, "-"),
        ("diffraction, 64 x 64", Microscope(chip, diffraction.camera, diffraction.optics), 0.0, "-"),
    )
    for name, microscope, defocus_um, most in cases:
        microscope.render(50.0, 50.0, defocus_um)
        began_s = time.perf_counter()
        for number in range(FRAMES):
            microscope.render(50.0 + 0.0123 * number, 50.0, defocus_um)
        yield name, most, f"{(time.perf_counter() - began_s) / FRAMES * 1000:.2f} ms"


def panels() -> Iterator[Image]:
    """Show a star in focus and 2 um out of it, a chip through the sphere, and blocks in laser light."""
    star = Microscope(load_specimen("siemens", 50.0, 0), CameraSettings(pixel_nm=50.0, frame_shape_px=(360, 360)), AIRY)
    yield star.render(50.0, 50.0)
    yield star.render(50.0, 50.0, 2.0)
    lens = Microscope(load_specimen("chip", None, 0), CameraSettings(frame_shape_px=(360, 360)), LENS)
    yield lens.render(50.0, 50.0)
    world = load_world("diffraction")
    beam = Microscope(load_specimen("blocks", None, 0), world.camera, world.optics).render(50.0, 50.0)
    yield np.asarray(cv2.resize(beam / beam.max(), (360, 360), interpolation=cv2.INTER_NEAREST), dtype=np.float32)


def main() -> None:
    """Print all of it."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--picture", type=Path, help="where to write the pictures (PNG)")
    picture = parser.parse_args().picture
    if picture is not None:
        cv2.imwrite(str(picture), np.clip(np.hstack(list(panels())) * 255, 0, 255).astype(np.uint8))
    for title, rows in (("white light", white_light), ("microsphere", virtual_image), ("a frame", frame_times)):
        print(f"\n| {title} | expected | measured |\n|---|---|---|")
        for row in rows():
            print("| " + " | ".join(row) + " |")


if __name__ == "__main__":
    main()
