"""The surface through measured heights."""

import numpy as np
import pytest

from acquisition.focus_map import FocusMap, FocusPoint, contradicting, spread

GRID = [(x, y) for x in (10.0, 50.0, 90.0) for y in (10.0, 50.0, 90.0)]
NOISE_UM = 0.05


def tilted(x_um: float, y_um: float) -> float:
    return 50.0 + 0.01 * x_um - 0.02 * y_um


def bent(x_um: float, y_um: float) -> float:
    return tilted(x_um, y_um) + 4e-4 * (x_um - 50.0) ** 2


def points(surface, noise_um: float = 0.0, places=GRID) -> list[FocusPoint]:  # type: ignore[no-untyped-def]
    random = np.random.default_rng(0)
    return [FocusPoint(x, y, surface(x, y) + noise_um * random.normal()) for x, y in places]


def worst_um(focus_map: FocusMap, surface) -> float:  # type: ignore[no-untyped-def]
    places = [(x, y) for x in np.linspace(10, 90, 9) for y in np.linspace(10, 90, 9)]
    return max(abs(focus_map.z_um(x, y) - surface(x, y)) for x, y in places)


def test_a_tilted_plane_is_found_through_the_noise() -> None:
    # nine points of a plane: at a corner its standard error is 0.83 of one point's, so 0.15 is 3.6 of them
    assert worst_um(FocusMap(points(tilted, NOISE_UM)), tilted) < 0.15


def test_noise_does_not_bend_a_plane() -> None:
    flat = FocusMap(points(tilted, NOISE_UM))
    along_um = [flat.z_um(x, 50.0) for x in (20.0, 50.0, 80.0)]
    assert along_um[0] + along_um[2] - 2 * along_um[1] == pytest.approx(0.0, abs=1e-9)


def test_a_bent_specimen_is_followed_better_than_by_a_plane() -> None:
    measured = points(bent, places=[(x, y) for x in np.linspace(10, 90, 4) for y in np.linspace(10, 90, 4)])
    # the bow is 0.64 um high; a plate through four by four points leaves a fraction of it
    assert worst_um(FocusMap(measured), bent) < 0.1
    assert worst_um(FocusMap(measured, may_bend=False), bent) > 0.3


def test_it_ends_where_measurements_ended() -> None:
    flat = FocusMap(points(tilted))
    assert flat.z_um(1000.0, 10.0) == max(point.z_um for point in points(tilted))
    assert FocusMap(points(tilted), beyond_um=1.0).z_um(1000.0, 10.0) == max(p.z_um for p in points(tilted)) + 1.0


@pytest.mark.parametrize(
    "places", [[(10.0, 10.0)], [(10.0, 10.0), (90.0, 10.0)], [(x, 10.0) for x in range(10, 90, 5)]]
)
def test_points_on_a_line_say_nothing_about_the_other_direction(places: list[tuple[float, float]]) -> None:
    row = FocusMap(points(tilted, places=places))
    assert row.z_um(places[0][0], 90.0) == pytest.approx(row.z_um(places[0][0], 10.0))
    assert row.z_um(*places[-1]) == pytest.approx(tilted(*places[-1]))


def test_one_wrong_point_is_told_from_the_others() -> None:
    measured = points(tilted, NOISE_UM)
    measured[4] = FocusPoint(50.0, 50.0, tilted(50.0, 50.0) + 3.0)
    assert contradicting(measured, 1.0) == [measured[4]]


def test_a_wrong_corner_is_told_too() -> None:
    measured = points(tilted, NOISE_UM)
    measured[0] = FocusPoint(10.0, 10.0, tilted(10.0, 10.0) - 3.0)
    assert contradicting(measured, 1.0) == [measured[0]]


def test_good_points_contradict_nobody() -> None:
    assert contradicting(points(tilted, NOISE_UM), 1.0) == []


def test_chosen_places_begin_with_the_corners_and_are_spread_evenly() -> None:
    places = [(float(x), float(y)) for y in range(9) for x in range(9)]
    chosen = [places[i] for i in spread(places, 9)]
    assert {(0.0, 0.0), (8.0, 8.0), (0.0, 8.0), (8.0, 0.0), (4.0, 4.0)} <= set(chosen)
    assert spread(places[:3], 9) == [0, 1, 2]
