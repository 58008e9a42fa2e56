"""The rolling shutter: timing, skew and blur."""

from collections.abc import Callable

import numpy as np
import pytest
from numpy.typing import NDArray

from hardware_sim.canvas import Image
from hardware_sim.sensor import Region
from hardware_sim.shutter import Timing, Way, line_numbers, seen

LINE_S = 9.17e-6
PIXEL_UM = 0.02
ROWS, COLUMNS = 512, 400
Vector = NDArray[np.float64]


def timing(exposure_s: float, rows: int = ROWS) -> Timing:
    return Timing(exposure_s, LINE_S, line_numbers(Region(0, 0, COLUMNS, rows), rows))


def edge(stage_um: Vector) -> Image:
    """A soft vertical edge that stands in the middle of the frame when the stage is at x = 0."""
    columns = np.arange(COLUMNS) - (COLUMNS - 1) / 2 + stage_um[0] / PIXEL_UM
    bright = 1 / (1 + np.exp(-columns / 1.5))
    return np.tile(bright.astype(np.float32), (ROWS, 1))


def thin_line(stage_um: Vector) -> Image:
    """A bright line of some 4 px where the edge would be."""
    columns = np.arange(COLUMNS) - (COLUMNS - 1) / 2 + stage_um[0] / PIXEL_UM
    return np.tile(np.exp(-((columns / 2) ** 2)).astype(np.float32), (ROWS, 1))


def moving(speed_um_per_s: float, exposure_s: float, view: Callable[[Vector], Image] = edge) -> Image:
    """See the edge while the stage moves along x, through 0 at half time."""
    at = timing(exposure_s)

    def true_um_at(times_s: Vector) -> Vector:
        return np.outer((times_s - at.lasts_s / 2) * speed_um_per_s, [1.0, 0.0, 0.0])

    return seen(Way(0.0, at.lasts_s, true_um_at), at, PIXEL_UM * np.eye(2), view)


def edges_px(image: Image) -> Vector:
    """Where the edge is in each row: all that is dark, counted."""
    return np.asarray((1.0 - image).sum(axis=1), dtype=np.float64)


@pytest.mark.parametrize(("rows", "per_s"), [(2160, 100.9), (1080, 202.0), (512, 426.0), (256, 851.0), (128, 1703.0)])
def test_rows_limit_the_frame_rate(rows: int, per_s: float) -> None:
    assert 1 / timing(0.0005, rows).period_s == pytest.approx(per_s, rel=0.003)  # the table is rounded


def test_a_long_exposure_limits_the_frame_rate() -> None:
    assert timing(0.02).period_s == 0.02


def test_halves_are_read_from_outside_to_the_centre() -> None:
    assert line_numbers(Region(0, 0, 8, 6), 6).tolist() == [0, 1, 2, 2, 1, 0]
    assert line_numbers(Region(0, 1, 8, 3), 6).tolist() == [0, 1, 0]
    assert line_numbers(Region(0, 3, 8, 3), 6).tolist() == [2, 1, 0]


@pytest.mark.parametrize("speed_um_per_s", [100.0, -100.0, 20.0])
def test_skew_is_speed_times_line_time(speed_um_per_s: float) -> None:
    at_px = edges_px(moving(speed_um_per_s, 0.0005))
    upper = np.arange(16, ROWS // 2 - 16)
    slope_px = np.polyfit(upper, at_px[upper], 1)[0]
    assert slope_px == pytest.approx(-speed_um_per_s * LINE_S / PIXEL_UM, rel=0.02)
    # what one row of a pair sees, the other sees at the same time
    assert at_px[:256] == pytest.approx(at_px[:255:-1], abs=1e-3)


@pytest.mark.parametrize("speed_um_per_s", [20.0, 5.0])
def test_blur_is_speed_times_exposure(speed_um_per_s: float) -> None:
    exposure_s = 0.008
    blurred_px = speed_um_per_s * exposure_s / PIXEL_UM
    spread = np.gradient(moving(speed_um_per_s, exposure_s)[ROWS // 4].astype(float))
    sharp = np.gradient(edge(np.zeros(3))[0].astype(float))

    def variance_px2(weights: Vector) -> float:
        columns = np.arange(COLUMNS)
        centre = np.average(columns, weights=weights)
        return float(np.average((columns - centre) ** 2, weights=weights))

    # a box of that length adds a twelfth of its square
    length_px = np.sqrt(12 * (variance_px2(spread) - variance_px2(sharp)))
    # n renderings instead of a smooth motion lack a part 1 / n**2 of it, and no span is longer than half a pixel
    assert length_px == pytest.approx(blurred_px, rel=0.06)


@pytest.mark.parametrize("speed_um_per_s", [50.0, 100.0, 200.0])
def test_a_long_blur_is_one_smear_without_gaps(speed_um_per_s: float) -> None:
    exposure_s = 0.02
    row = moving(speed_um_per_s, exposure_s, thin_line)[ROWS // 4]
    half_px = speed_um_per_s * exposure_s / PIXEL_UM / 2
    centre = COLUMNS // 2
    plateau = row[int(centre - 0.7 * half_px) : int(centre + 0.7 * half_px)]
    assert np.ptp(plateau) < 0.1 * plateau.mean()


def test_the_mean_of_a_moving_view_lies_where_the_log_says() -> None:
    at_px = edges_px(moving(100.0, 0.002))
    assert at_px.mean() == pytest.approx(COLUMNS / 2, abs=0.1)


def test_a_view_at_rest_is_rendered_once() -> None:
    rendered = []

    def view(stage_um: Vector) -> Image:
        rendered.append(stage_um)
        return edge(stage_um)

    at = timing(0.02)
    still = Way(0.0, at.lasts_s, lambda times_s: np.tile([0.001, 0.0, 0.0], (times_s.size, 1)))
    assert np.array_equal(seen(still, at, PIXEL_UM * np.eye(2), view), edge(np.array([0.001, 0.0, 0.0])))
    assert len(rendered) == 1
