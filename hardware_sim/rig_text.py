"""The files that lead a service to a twin: its rig file, and the configuration of its camera.

They hold what a laboratory would have calibrated: pixel size, backlash, the spring and the optical lever, and from
which brightness on a frame cannot be dark by accident.
"""

import json
from dataclasses import dataclass
from datetime import UTC, datetime
from pathlib import Path

import cv2

from hardware_sim.frame_protocol import SHORTEST_EXPOSURE_S, Setup
from hardware_sim.wire import HOST
from hardware_sim.world import World

CAMERA = """\
# The twin's camera, for UniMMCore of pymmcore-plus; other cores see comments only.
#py Property,Core,Initialize,0
#py pyDevice,Camera,hardware_sim.mm_camera,TwinCamera
#py Property,Camera,Address,{host}:{port}
#py Property,Core,Initialize,1
#py Property,Core,Camera,Camera
#py Property,Core,AutoShutter,0
"""

RIG = """\
name = "twin"
[calibration]
pixel_size_um = {pixel_um:.12g}
frame_shape_px = [{rows}, {columns}]          # rows, columns
measured_at = {measured_at}
{matrix}backlash_um = {{ x = {backlash_um:.12g}, y = {backlash_um:.12g} }}
[devices.scanner]
driver = "pi_gcs"
host = "{host}"
port = {scanner_port}
axes = {{ x = "1", y = "2", z = "3" }}
limits_um = {{ x = [0.0, 100.0], y = [0.0, 100.0], z = [0.0, 10.0] }}
[devices.focus]
driver = "esp301"
url = "{focus_url}"
axis = 1
limits_um = [0.0, 100000.0]
[devices.camera]
driver = "mmcore"
cfg = {camera_cfg}
external_trigger = ["Triggermode", "External"]
internal_trigger = ["Triggermode", "Internal"]
identical_is_frozen = {noise_is_fresh}
skew_s = {skew_s:.6g}
{black_below}
[devices.force]
driver = "scpi"
url = "{force_url}"
stiffness_n_per_m = {stiffness_n_per_m}
sensitivity_nm_per_v = {sensitivity_nm_per_v}
frozen_after = {frozen_after}
{rides_on}
[devices.video]
driver = "opencv"
source = "{video_url}"
period_s = 0.04
identical_is_repeated = {noise_is_fresh}
"""

FROZEN_AFTER = 3
"""Equal readings in a row, to nine digits, of a detector with noise: it must have stopped."""
TRAVEL_UM = 100.0
CLEARANCE_UM = 2.0
"""The drive lands within 0.17 um rms, its play is 1 um, and a specimen drifts."""
DARKER_THAN_ANY_DN = 2.0
"""Above the offset; the mean of a frame is known to a hundredth of this."""


@dataclass(frozen=True)
class Ends:
    """Where the twin's devices answer."""

    scanner_port: int
    focus_url: str
    frames_port: int
    camera_cfg: Path
    force_url: str
    video_url: str


def camera_text(ends: Ends) -> str:
    """Write the camera's configuration."""
    return CAMERA.format(host=HOST, port=ends.frames_port)


def rig_text(world: World, ends: Ends) -> str:
    """Write the rig file."""
    settings = world.settings
    rows, columns = settings.camera.frame_shape_px
    noise_is_fresh = settings.randomness == "stream"
    return RIG.format(
        pixel_um=world.microscope.pixel_um,
        rows=rows,
        columns=columns,
        measured_at=datetime.now(UTC).isoformat(timespec="seconds"),  # the world knows itself
        matrix=_matrix(world),
        backlash_um=settings.mechanics.backlash_px * world.microscope.pixel_um,
        host=HOST,
        scanner_port=ends.scanner_port,
        focus_url=ends.focus_url,
        camera_cfg=json.dumps(str(ends.camera_cfg), ensure_ascii=False),
        skew_s=world.camera.timing(Setup(exposure_s=SHORTEST_EXPOSURE_S)).skew_s,
        noise_is_fresh=json.dumps(noise_is_fresh),
        black_below=_black_below(world),
        force_url=ends.force_url,
        stiffness_n_per_m=settings.cantilever.stiffness_n_per_m,
        sensitivity_nm_per_v=settings.cantilever.sensitivity_nm_per_v,
        frozen_after=FROZEN_AFTER if noise_is_fresh and settings.cantilever.noise_mv else 0,
        rides_on=_rides_on(world),
        video_url=ends.video_url,
    )


def _rides_on(world: World) -> str:
    """Write what carries the probe, and how low it may go: the drive scatters, and the specimen is not level."""
    settings = world.settings
    if not settings.cantilever.rides_on_focus:
        return ""
    tilt_um = sum(abs(mrad) for mrad in settings.specimen_tilt_mrad) * 1e-3 * TRAVEL_UM
    highest_um = float(world.specimen.coarse_height_um.max()) + tilt_um
    lowest_um = settings.optics.in_focus_mm * 1000.0 - settings.cantilever.contact_height_um + highest_um
    return f'rides_on = "focus"\nclear_above_um = {max(lowest_um + CLEARANCE_UM, 0.0):.6g}'


def _matrix(world: World) -> str:
    """Write how a turned camera looks at the stage; nothing about one that is not turned."""
    if not (world.settings.camera.rotation_deg or world.settings.camera.shear_deg):
        return ""
    return f"camera_to_stage_um = {json.dumps(world.microscope.camera_to_stage_um.tolist())}\n"


def _black_below(world: World) -> str:
    """Find a mean that no field of this specimen falls below at any exposure; nothing if one does."""
    camera, specimen = world.settings.camera, world.specimen
    if world.settings.optics.kind != "conventional":
        return ""
    scale = world.microscope.pixel_um / specimen.pixel_um
    side_px = [
        max(round(min(side * scale, most)), 1)
        for side, most in zip(camera.frame_shape_px, specimen.reflectance.shape, strict=True)
    ]
    darkest = float(cv2.blur(specimen.reflectance, side_px[::-1]).min())
    faintest_dn = darkest * camera.electrons_per_s * SHORTEST_EXPOSURE_S / camera.electrons_per_dn
    if faintest_dn < 2 * DARKER_THAN_ANY_DN:
        return ""
    return f"black_below_dn = {camera.offset_dn + DARKER_THAN_ANY_DN:g}"
