"""The camera's matrix from displacements alone: what is known to have been put in must come out."""

import numpy as np
import pytest
from numpy.typing import NDArray

from acquisition.camera_fit import Chain, Undetermined, fit_camera
from devices.camera_matrix import pixel_size_um, rotation_deg, shear_deg

MATRIX_UM = ((0.0201, -0.0007), (0.0009, 0.0199))
BACKLASH_UM = np.array([0.12, 0.09])
LANDING_PX = 2.0
SEEN_PX = 0.03
PLACES = 13
STEP_UM = 3.0


def chain(random: np.random.Generator, axis: int, landing_px: float = LANDING_PX) -> Chain:
    """One sweep up and down, seen by a camera of the matrix above."""
    along = np.concatenate([np.arange(PLACES), np.arange(PLACES)[::-1]]) * STEP_UM
    stage_um = np.zeros((2 * PLACES, 2))
    stage_um[:, axis] = along
    downwards = np.zeros((2 * PLACES, 2), dtype=bool)
    downwards[PLACES:, axis] = True
    landing_um = random.normal(0.0, landing_px * pixel_size_um(MATRIX_UM), stage_um.shape)
    true_um = stage_um + downwards * BACKLASH_UM + landing_um
    step_px = np.linalg.solve(np.array(MATRIX_UM), np.diff(true_um, axis=0).T).T
    return Chain(stage_um, downwards, step_px + random.normal(0.0, SEEN_PX, step_px.shape))


def sweeps(seed: int, pairs: int = 4, landing_px: float = LANDING_PX) -> list[Chain]:
    random = np.random.default_rng(seed)
    return [chain(random, axis, landing_px) for _ in range(pairs) for axis in (0, 1)]


def test_a_stage_that_lands_well_gives_the_matrix_to_the_last_digits() -> None:
    fit = fit_camera(sweeps(seed=1, landing_px=0.0))
    # displacements known to 0.03 px add up to some 0.1 px over sweeps of 1800 px
    assert np.array(fit.matrix_um) == pytest.approx(np.array(MATRIX_UM), rel=1e-4, abs=2e-6)
    assert fit.backlash_um == pytest.approx(BACKLASH_UM, abs=0.003)


def test_the_uncertainties_are_those_that_many_tries_show() -> None:
    fits = [fit_camera(sweeps(seed)) for seed in range(60)]
    pulls = {
        "pixel size": [(fit.pixel_size_um - pixel_size_um(MATRIX_UM)) / fit.pixel_size_sd_um for fit in fits],
        "rotation": [(fit.rotation_deg - rotation_deg(MATRIX_UM)) / fit.rotation_sd_deg for fit in fits],
        "shear": [(fit.shear_deg - shear_deg(MATRIX_UM)) / fit.shear_sd_deg for fit in fits],
        "backlash": [_pull(fit.backlash_um, fit.backlash_sd_um) for fit in fits],
    }
    for what, pull in pulls.items():
        # the standard deviation of 60 pulls of 1 is itself known to 9 %
        assert np.std(pull) == pytest.approx(1.0, abs=0.35), what
        assert abs(np.mean(pull)) < 0.6, what


def _pull(found: tuple[float, float] | None, sd: tuple[float, float] | None) -> float:
    assert found is not None
    assert sd is not None
    return float((found[0] - BACKLASH_UM[0]) / sd[0])


def test_matches_on_a_lattice_are_left_out() -> None:
    chains = sweeps(seed=2)
    chains[0].step_px[5] += (0.0, 40.0)
    chains[3].step_px[[2, 9]] -= (25.0, 25.0)
    fit = fit_camera(chains)
    assert fit.rejected == 3
    assert abs(fit.rotation_deg - rotation_deg(MATRIX_UM)) < 4 * fit.rotation_sd_deg < 0.1


def test_what_could_not_be_seen_breaks_a_chain_and_no_more() -> None:
    whole, broken = sweeps(seed=3), sweeps(seed=3)
    for one in broken:
        one.step_px[[4, 11, 12]] = np.nan
    fit = fit_camera(broken)
    assert fit.steps == 8 * (2 * PLACES - 4)
    assert fit.pixel_size_um == pytest.approx(fit_camera(whole).pixel_size_um, rel=0.003)
    assert fit.backlash_um is None  # no chain is whole where it turns round


@pytest.mark.parametrize("axes", [(0,), (1,)])
def test_one_direction_alone_says_nothing_about_the_other(axes: tuple[int, ...]) -> None:
    random = np.random.default_rng(4)
    straight = [chain(random, axis, landing_px=0.0) for axis in axes]
    for one in straight:
        one.step_px[:] = along(one, axes[0])
    with pytest.raises(Undetermined):
        fit_camera(straight)


def along(one: Chain, axis: int) -> NDArray[np.float64]:
    """Its steps without any part across the way."""
    step_px = np.zeros_like(one.step_px)
    step_px[:, axis] = np.diff(one.stage_um[:, axis]) / 0.02
    return step_px


def test_nothing_seen_is_said() -> None:
    blind = sweeps(seed=5)
    for one in blind:
        one.step_px[:] = np.nan
    with pytest.raises(Undetermined, match="no picture matches"):
        fit_camera(blind)
