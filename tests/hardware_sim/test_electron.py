"""The electron microscope: what comes back from a point, and how it gets to the screen."""

import math
from collections.abc import Callable
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from numpy.typing import NDArray
from pydantic import ValidationError

from hardware_sim.electron import ElectronMicroscope
from hardware_sim.electron_charging import Charge
from hardware_sim.electron_detector import lag
from hardware_sim.electron_scan import Scan
from hardware_sim.electron_yield import CONTRASTS, yields
from hardware_sim.errors import UsageError
from hardware_sim.settings import CycleSettings, ElectronSettings, load_world
from hardware_sim.specimen import HEIGHT_STEP_PX, Specimen

Float = NDArray[np.float64]
Stage = Callable[[Float], Float]

PIXEL_UM = 0.02
CENTRE_UM = 8.0
SHAPE_PX = (96, 128)
QUIET: dict[str, Any] = {"line_jitter_px": 0.0, "charging_shift_nm": 0.0, "charging_shade": 0.0}
BRIGHT_BEAM: dict[str, Any] = {"beam_current_pa": 2e6, "probe_fwhm_nm": 40.0}
"""Hardly any shot noise: what is left is geometry."""


def specimen_of(reflectance: NDArray[np.float32]) -> Specimen:
    """A level specimen."""
    coarse = np.zeros(tuple(-(-count // HEIGHT_STEP_PX) for count in reflectance.shape), dtype=np.float32)
    return Specimen("drawn", PIXEL_UM, reflectance, coarse)


def flat(grey: float = 0.5) -> Specimen:
    return specimen_of(np.full((800, 800), grey, dtype=np.float32))


def upright_edge() -> Specimen:
    """Dark left of the centre, bright right of it."""
    reflectance = np.zeros((800, 800), dtype=np.float32)
    reflectance[:, round(CENTRE_UM / PIXEL_UM) :] = 1.0
    return specimen_of(reflectance)


def moving(x_um_per_s: float = 0.0, y_um_per_s: float = 0.0) -> Stage:
    """A stage that passes the centre of the specimen at time 0."""

    def positions_um(times_s: Float) -> Float:
        return CENTRE_UM + np.outer(times_s, [x_um_per_s, y_um_per_s, 0.0])

    return positions_um


def microscope(
    specimen: Specimen, stage: Stage | None = None, keyed: bool = False, **numbers: Any
) -> ElectronMicroscope:
    settings = ElectronSettings.model_validate({"frame_shape_px": SHAPE_PX, **QUIET, **numbers})
    return ElectronMicroscope(settings, specimen, PIXEL_UM, stage or moving(), 7, keyed)


def grey(eye: ElectronMicroscope, cycle: str, frames: float = 1.0) -> Float:
    return eye.screen(cycle, frames * eye.scan(cycle).frame_s).pixels.astype(float)


def edge_px(frame: Float) -> Float:
    """Where each row passes half of the way from its first to its last pixel."""
    low, high = frame[:, :20].mean(), frame[:, -20:].mean()
    return np.array(
        [np.interp((low + high) / 2, row, np.arange(row.size)) for row in np.maximum.accumulate(frame, axis=1)]
    )


def test_noise_falls_with_the_square_root_of_the_dwell() -> None:
    cycles = {"fast": {"frame_s": 0.5}, "slow": {"frame_s": 4.5}, "averaged": {"frame_s": 4.5, "passes": 9}}
    eye = microscope(flat(), cycles=cycles, cycle="fast", beam_current_pa=2.0)
    noise = {name: grey(eye, name).std() for name in cycles}
    # a deviation of 12288 pixels is known to 0.6 %; rounding to whole levels adds 0.3 % to the smaller
    assert noise["fast"] / noise["slow"] == pytest.approx(3.0, rel=0.03)
    assert noise["averaged"] == pytest.approx(noise["slow"], rel=0.03)


def test_the_variance_is_proportional_to_the_signal() -> None:
    slopes = []
    for reflectance in (0.1, 0.5, 0.9):
        frame = grey(microscope(flat(reflectance), black_dn=20.0, white_yield=3.0, beam_current_pa=1.0), "ld")
        slopes.append(frame.var() / (frame.mean() - 20.0))
    dose = 1e-12 / 1.602e-19 * Scan.of(SHAPE_PX, CycleSettings(frame_s=2.7)).dwell_s * 0.2
    assert slopes == pytest.approx(
        [235 / 3.0 / dose] * 3, rel=0.06
    )  # four deviations; rounding adds 1 % to the darkest


def test_neighbours_on_a_fast_line_are_alike_and_lines_are_not() -> None:
    scan = Scan(442, 512, 442 * 66.8e-6, 1)
    parts = lag(scan.dwell_s, 50e-9)
    alike = np.correlate(parts, parts, "full")[parts.size - 1 :] / np.square(parts).sum()
    assert scan.dwell_s == pytest.approx(100e-9)
    assert parts.sum() == pytest.approx(1.0)
    assert alike[1:3] == pytest.approx([0.49, 0.09], abs=0.03)  # recorded frames of 100 ns dwell scatter by as much
    assert lag(30e-6, 50e-9)[0] > 0.998
    cycles = {"tv": {"frame_s": SHAPE_PX[0] * (128 * 100e-9 + 15.6e-6)}}
    frame = grey(microscope(flat(), cycles=cycles, cycle="tv", beam_current_pa=1000.0), "tv")
    frame -= frame.mean()
    along, down = (frame[:, 1:] * frame[:, :-1]).mean(), (frame[1:] * frame[:-1]).mean()
    assert along / frame.var() == pytest.approx(0.50, abs=0.04)  # four deviations of 12288 pixels
    assert down / frame.var() == pytest.approx(0.0, abs=0.04)


@pytest.mark.parametrize("signal", ["secondary", "backscatter"])
def test_a_slope_is_brighter_by_the_secant_until_it_saturates(signal: str) -> None:
    contrast = CONTRASTS[signal]
    x_um = np.arange(64) * PIXEL_UM
    grey = np.full((64, 64), 0.5, dtype=np.float32)
    level = yields(grey, np.zeros_like(grey), PIXEL_UM, contrast, 0.06)[32, 32]
    for angle, gain in ((45, 2**0.5), (60, 2.0), (88, math.inf)):
        ramp = np.broadcast_to((x_um - x_um[32]) * math.tan(math.radians(angle)), (64, 64)).astype(np.float32)
        seen = yields(grey, ramp, PIXEL_UM, contrast, 0.06)[32, 32]
        expected = min(gain**contrast.slope_power, contrast.most_by_slope)
        assert seen / level == pytest.approx(expected, rel=1e-3)


def test_a_step_has_a_bright_rim_above_and_a_shadow_below_as_wide_as_electrons_escape() -> None:
    fine_um, escape_um = 0.005, 0.06
    height_um = np.zeros((200, 400), dtype=np.float32)
    height_um[:, 200:] = 0.3
    seen = yields(np.full_like(height_um, 0.5), height_um, fine_um, CONTRASTS["secondary"], escape_um)[100]
    gain = seen / seen[0]
    assert gain[203] == pytest.approx(1 + CONTRASTS["secondary"].rim, rel=0.02)
    assert gain[196] == pytest.approx(1 - CONTRASTS["secondary"].rim, rel=0.03)
    rim_um = (gain[202:] > 1 + CONTRASTS["secondary"].rim / 2).sum() * fine_um
    assert 0.5 * escape_um < rim_um < 2 * escape_um


def test_a_wider_probe_blurs_and_so_does_defocus() -> None:
    def steepest(**numbers: Any) -> float:
        return float(
            np.diff(grey(microscope(upright_edge(), beam_current_pa=2e6, **numbers), "hd"), axis=1).max(axis=1).mean()
        )

    sharp, wide, defocused = steepest(), steepest(probe_fwhm_nm=100.0), steepest(defocus_um=10.0, convergence_mrad=5.0)
    assert wide < 0.6 * sharp
    assert defocused == pytest.approx(wide, rel=0.03)  # 2 * 10 um * 5 mrad = 100 nm; the probe's own 5 nm add little


def test_frames_take_as_long_as_their_cycle_and_count_from_the_beginning() -> None:
    eye = microscope(flat())
    for cycle, frame_s in (("tv", 0.04), ("ld", 2.7), ("hd", 26.2)):
        shown = eye.screen(cycle, 2.5 * frame_s)
        assert (shown.frame, shown.line) == (2, SHAPE_PX[0] // 2)
        assert eye.scan(cycle).line_s * SHAPE_PX[0] == pytest.approx(frame_s)


def test_a_moving_stage_shears_the_frame_by_its_way_during_the_frame() -> None:
    speed_um_per_s = 0.2
    eye = microscope(upright_edge(), moving(x_um_per_s=speed_um_per_s), **BRIGHT_BEAM)
    edges_px = edge_px(grey(eye, "ld"))
    slope, _ = np.polyfit(np.arange(edges_px.size), edges_px, 1)
    # the resampler knows 32 places between two pixels, which average out over the rows
    assert -slope * SHAPE_PX[0] * PIXEL_UM == pytest.approx(speed_um_per_s * 2.7, rel=0.01)


def test_a_stage_that_moves_down_the_frame_squeezes_it() -> None:
    reflectance = np.zeros((800, 800), dtype=np.float32)
    reflectance[np.arange(800) % 20 < 10] = 1.0
    frame = grey(microscope(specimen_of(reflectance), moving(y_um_per_s=0.7), **BRIGHT_BEAM), "ld")
    profile = frame.mean(axis=1) - frame.mean()
    crossings = np.flatnonzero((profile[:-1] < 0) & (profile[1:] >= 0))
    rows_per_period = np.diff(crossings).mean()
    line_um = 0.7 * 2.7 / SHAPE_PX[0] + PIXEL_UM
    assert rows_per_period == pytest.approx(20 * PIXEL_UM / line_um, abs=0.2)


def test_above_the_refresh_line_is_the_new_frame_and_below_it_the_old() -> None:
    def jumps(times_s: Float) -> Float:
        return moving()(times_s) + np.outer(times_s >= 2.7, [1.0, 0.0, 0.0])

    eye = microscope(upright_edge(), jumps, **BRIGHT_BEAM)
    eye.screen("ld", 2.7)
    shown = eye.screen("ld", 1.25 * 2.7)
    assert (shown.frame, shown.line) == (1, SHAPE_PX[0] // 4)
    edges_px = edge_px(shown.pixels.astype(float))
    new, old = edges_px[: shown.line], edges_px[shown.line :]
    assert old.mean() - new.mean() == pytest.approx(1.0 / PIXEL_UM, abs=0.1)
    assert max(new.std(), old.std()) < 0.1


def test_a_line_does_not_depend_on_when_somebody_looked() -> None:
    often, once = (microscope(upright_edge(), line_jitter_px=0.3) for _ in range(2))
    for time_s in np.linspace(0.1, 5.0, 23):
        often.screen("ld", float(time_s))
    assert np.array_equal(often.screen("ld", 5.1).pixels, once.screen("ld", 5.1).pixels)


def test_lines_jitter_by_as_much_as_they_are_told() -> None:
    frame = grey(microscope(upright_edge(), line_jitter_px=0.5, **BRIGHT_BEAM), "ld")
    assert edge_px(frame).std() == pytest.approx(0.5, rel=0.3)  # four deviations of 96 lines


def test_a_keyed_world_shows_the_same_at_the_same_place_whenever_it_is_scanned() -> None:
    def visits_twice(times_s: Float) -> Float:
        away = (times_s > 2.6995) & (times_s < 8.0995)  # between two frames, clear of rounding
        return moving()(times_s) + np.outer(away, [0.3, 0.1, 0.0])

    eye = microscope(upright_edge(), visits_twice, keyed=True)
    first, elsewhere, again = (eye.screen("ld", frames * 2.7).pixels for frames in (1, 2, 4))
    assert np.array_equal(first, again)
    assert not np.array_equal(first, elsewhere)


def test_charge_saturates_under_the_beam_and_is_gone_after_a_rest_or_on_a_fresh_field() -> None:
    charge = Charge(line_s=0.1, build_s=5.0, decay_s=20.0, field_um=10.0)
    times_s = np.linspace(0.0, 99.9, 1000)
    here = np.zeros((1000, 2))
    charges = charge.under_beam(times_s, here)
    assert charges[49] == pytest.approx(1 - math.exp(-1.0))
    assert charges[-1] == pytest.approx(1.0, abs=1e-6)
    (rested,) = charge.under_beam(np.array([100.0 + 20.0]), here[:1])
    assert rested == pytest.approx(1 - (1 - math.exp(-1.0)) * math.exp(-0.02))
    (fresh,) = charge.under_beam(np.array([120.1]), here[:1] + 100.0)
    assert fresh < 0.03


def test_charge_pushes_the_image_and_shades_it() -> None:
    numbers: dict[str, Any] = {
        "charging_dose_pc_per_um2": 1e3,
        "charging_shift_nm": 100.0,
    }  # saturates within the first lines
    charged = grey(microscope(upright_edge(), **BRIGHT_BEAM, **numbers), "ld", 2)
    pushed_px = edge_px(charged)[SHAPE_PX[0] // 2 :] - (SHAPE_PX[1] - 1) / 2
    neutral_px = (
        edge_px(grey(microscope(upright_edge(), **BRIGHT_BEAM), "ld"))[SHAPE_PX[0] // 2 :] - (SHAPE_PX[1] - 1) / 2
    )
    moved_nm = abs((pushed_px - neutral_px).mean()) * PIXEL_UM * 1000
    assert 5.0 < moved_nm <= 100.0  # its part along x; the direction is drawn by the seed
    shaded = grey(microscope(flat(), **BRIGHT_BEAM, **numbers, charging_shade=0.05), "ld", 2) - 10.0
    spread = (shaded.max() - shaded.min()) / shaded.mean()
    assert 0.05 < spread <= 0.105  # -5 to +5 % at most, and rounding


def test_a_world_file_can_add_a_speed_and_choose_the_electrons(tmp_path: Path) -> None:
    path = tmp_path / "world.toml"
    path.write_text('[electron]\nsignal = "backscatter"\ncycle = "slow"\n[electron.cycles.slow]\nframe_s = 80.0\n')
    electron = load_world(str(path)).electron
    assert (electron.signal, list(electron.cycles)) == ("backscatter", ["tv", "ld", "hd", "slow"])
    assert microscope(flat(), cycles=electron.cycles).scan("slow").line_s == pytest.approx(80.0 / SHAPE_PX[0])


def test_what_cannot_be_scanned_is_refused() -> None:
    with pytest.raises(ValidationError, match="'fast' is not one of tv, ld, hd"):
        ElectronSettings(cycle="fast")
    with pytest.raises(UsageError, match=r"electron\.pixel_nm: 5000\.0 is above 640 for"):
        microscope(flat(), pixel_nm=5000.0)
    with pytest.raises(UsageError, match=r"electron\.cycles\.quick"):
        microscope(flat(), cycles={"quick": {"frame_s": 0.001}}, cycle="quick")
