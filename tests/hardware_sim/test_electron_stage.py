"""The electron microscope over the scanner of its world: a video of a stage on its way."""

import cv2
import numpy as np

from hardware_sim.chance import Stream, generator
from hardware_sim.clock import ManualClock
from hardware_sim.settings import NAMED
from hardware_sim.specimen import HEIGHT_STEP_PX, Specimen
from hardware_sim.texture import smooth_noise
from hardware_sim.world import World

PIXEL_UM = 0.05
FRAME_S = 2.7
COLUMNS = 640


def textured() -> Specimen:
    """A level specimen of 100 um that looks different everywhere."""
    grey = 0.5 + 0.2 * smooth_noise((2000, 2000), 4.0, generator(7, Stream.SPECIMEN))
    return Specimen("texture", PIXEL_UM, grey, np.zeros((2000 // HEIGHT_STEP_PX,) * 2, dtype=np.float32))


def test_successive_frames_of_a_stage_at_constant_speed_overlap_as_those_of_cemi() -> None:
    clock = ManualClock()
    world = World(NAMED["lab"], textured(), clock, 7)
    world.scanner.move({0: 18.0, 1: 50.0})
    clock.sleep_until_s(FRAME_S)
    field_um = COLUMNS * PIXEL_UM
    world.scanner.set_slew(0, 0.55 * field_um / FRAME_S)
    world.scanner.move({0: 82.0})
    clock.sleep_until_s(1.2 * FRAME_S)  # under way
    frames, places_um = [], []
    for number in (2, 3, 4):
        clock.sleep_until_s(number * FRAME_S + 0.001)
        frames.append(world.electrons.screen("ld", clock.now_s()).pixels)
        places_um.append(world.scanner.true_um_at(np.array([number * FRAME_S]))[0, 0])
    shift_px = [_shift_px(frames[i], frames[i + 1]) for i in (0, 1)]
    way_px = np.diff(places_um) / PIXEL_UM
    assert np.abs(shift_px - way_px).max() < 1.0  # found to whole pixels
    assert all(0.3 < 1 - shift / COLUMNS < 0.6 for shift in shift_px)


def test_a_still_world_shows_the_same_bytes_at_the_same_place() -> None:
    clock = ManualClock()
    world = World(NAMED["still"], textured(), clock, 7)
    pictures = []
    for x_um in (40.0, 41.0, 40.0):
        world.scanner.move({0: x_um, 1: 50.0})
        clock.advance(2.3 * FRAME_S)  # at least one whole frame after the stage has come to rest
        pictures.append(world.electrons.screen("ld", clock.now_s()).pixels)
    assert np.array_equal(pictures[0], pictures[2])
    assert not np.array_equal(pictures[0], pictures[1])


def _shift_px(earlier: np.ndarray, later: np.ndarray) -> float:
    """How far the content went to the left: a strip of the earlier frame is looked for in the later."""
    strip = earlier[:, 450:600]
    _, best, _, (x_px, _) = cv2.minMaxLoc(cv2.matchTemplate(later, strip, cv2.TM_CCOEFF_NORMED))
    assert best > 0.5
    return 450.0 - x_px
