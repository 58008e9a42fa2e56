"""The numbers of a world: two named ones, and TOML files that change some of them."""

import tomllib
from pathlib import Path
from typing import Annotated, Any, Literal, Self

from pydantic import BaseModel, ConfigDict, Field, NonNegativeFloat, PositiveFloat, ValidationError, model_validator

from hardware_sim.errors import UsageError

FrameSidePx = Annotated[int, Field(ge=16, le=4096)]


class Model(BaseModel):
    """Frozen, and closed to unknown keys."""

    model_config = ConfigDict(frozen=True, extra="forbid", allow_inf_nan=False)


class CameraSettings(Model):
    """pco.edge 5.5 behind a microscope; light and optics belong to it here."""

    pixel_nm: Annotated[float, Field(ge=0.1, le=1e5)] | None = None
    """On the specimen; None takes the specimen's own pixel."""
    frame_shape_px: tuple[FrameSidePx, FrameSidePx] = (512, 512)
    """Rows, columns."""
    psf_fwhm_px: PositiveFloat = 2.0
    """The magnification is chosen so that the point spread is sampled at Nyquist."""
    electrons_per_s: PositiveFloat = 30_000.0
    """From a pixel that reflects everything: 600 in 20 ms."""
    electrons_per_dn: PositiveFloat = 0.46
    offset_dn: NonNegativeFloat = 100.0
    offset_pattern_dn: NonNegativeFloat = 0.6
    """Standard deviation from pixel to pixel (a choice)."""
    read_noise_median_e: NonNegativeFloat = 1.1
    read_noise_rms_e: NonNegativeFloat = 1.5
    """Over all pixels: each has its own, log-normally distributed."""
    dark_current_e_per_s: NonNegativeFloat = 0.5
    hot_pixels: Annotated[float, Field(ge=0.0, le=0.1)] = 0.0001
    """Part of all pixels (a choice), which have a dark current in the range of `hot_e_per_s`."""
    hot_e_per_s: tuple[PositiveFloat, PositiveFloat] = (100.0, 5000.0)
    full_well_e: PositiveFloat = 30_000.0
    line_time_us: PositiveFloat = 9.17
    """Fast scan, 286 MHz: 2624 / pixel rate."""
    slow_line_time_us: PositiveFloat = 27.5
    """Slow scan, 95.3 MHz."""
    symmetric_region: bool = False
    """Refuse regions that do not lie symmetrically about the sensor's middle line, as older models do."""
    trigger_line: Annotated[int, Field(ge=1, le=3)] = 1
    """Which trigger output of the scanner's controller is wired to the camera."""
    rotation_deg: Annotated[float, Field(ge=-180.0, le=180.0)] = 0.0
    """How far the camera is turned on the microscope: of its x axis from the stage's x towards the stage's y."""
    shear_deg: Annotated[float, Field(ge=-10.0, le=10.0)] = 0.0
    """By how much less than a right angle rows and columns enclose, in stage coordinates."""


class MicrosphereSettings(Model):
    """A sphere of barium titanate glass on the probe, immersed, and the virtual image that it makes."""

    magnification: Annotated[float, Field(ge=1.0, le=10.0)] = 3.0
    """2 to 5 are seen."""
    field_um: PositiveFloat = 10.0
    """Diameter of the useful window, on the specimen."""
    sphere_index: PositiveFloat = 1.9
    medium_index: PositiveFloat = 1.33
    """Water; in air a sphere of such an index makes no useful virtual image."""
    distortion: Annotated[float, Field(ge=0.0, le=0.2)] = 0.02
    """Pincushion: by how much the magnification at the rim exceeds that at the centre."""
    vignetting: Annotated[float, Field(ge=0.0, lt=1.0)] = 0.35
    """Light that is missing at the rim of the window (a choice)."""
    background: Annotated[float, Field(ge=0.0, le=1.0)] = 0.5
    """Brightness around the window, where the image is out of focus (a choice)."""
    depth_of_field_um: PositiveFloat = 2.0
    """Of the virtual image; Wang et al. 2015, as the superlens paper quotes it."""


class CoherentSettings(Model):
    """Laser light through openings smaller than its wavelength; defaults follow OpticalNet where it gives them."""

    wavelength_nm: PositiveFloat = 633.0
    na: Annotated[float, Field(gt=0.0, le=1.0)] = 0.9
    distance_um: float = 1.0
    """From the specimen to the plane that the camera sees."""
    beam_fwhm_um: PositiveFloat = 0.54
    """Of its intensity: three units of 180 nm."""
    relief_index: Annotated[float, Field(ge=1.0)] = 1.0
    """Of what the heights are made of, which then delays the light; 1 leaves a plain mask."""
    leakage: Annotated[float, Field(ge=0.0, le=1.0)] = 0.0
    """Amplitude that passes where the specimen is black."""


class OpticsSettings(Model):
    """What lies between the specimen and the camera."""

    kind: Literal["conventional", "microsphere", "coherent"] = "conventional"
    point_spread: Literal["camera", "airy"] = "camera"
    """Conventional only: as wide as `camera.psf_fwhm_px` says, or that of the objective."""
    wavelength_nm: PositiveFloat = 550.0
    """Peak of the white light."""
    na: Annotated[float, Field(gt=0.0, lt=1.0)] = 0.55
    """Nikon LU Plan EPI ELWD 50x, in air."""
    magnification: PositiveFloat = 50.0
    camera_pixel_um: PositiveFloat = 6.5
    """pco.edge 5.5."""
    in_focus_mm: float = 50.0
    """Where the focus drive sees the lowered specimen sharply."""
    microsphere: MicrosphereSettings = MicrosphereSettings()
    coherent: CoherentSettings = CoherentSettings()


class MechanicsSettings(Model):
    """PI P-733.3 and what its sensors do not see; "px" are camera pixels on the specimen."""

    time_constant_xy_s: PositiveFloat = 0.003
    """Of the closed loop: 53 Hz; 1 um settles into 10 nm in 14 ms, of 10 to 20."""
    time_constant_z_s: PositiveFloat = 0.001
    """159 Hz; 1 um settles into 10 nm in 4.6 ms, of 3 to 5."""
    resonance_xy_hz: PositiveFloat = 340.0
    resonance_z_hz: PositiveFloat = 1060.0
    """P-733.3 with 120 g on it; they are heard only while the loop is open."""
    tolerance_nm: PositiveFloat = 5.0
    settle_s: NonNegativeFloat = 0.004
    """Inside the tolerance for so long: on target."""
    slew_um_per_s: PositiveFloat = 5_000.0
    max_slew_um_per_s: PositiveFloat = 10_000.0
    headroom: Annotated[float, Field(gt=-0.5, le=1.0)] = 0.075
    """Part of the travel that the amplifier reaches beyond either end: P-733.3, 115 um at -20..120 V. Less than 0: an
    amplifier too weak for the travel, so that the loop saturates."""
    sensor_noise_nm: NonNegativeFloat = 0.3
    """P-733.3, resolution."""
    vibration_nm: NonNegativeFloat = 0.5
    """Rms of what the closed loop really trembles by."""
    position_error_px_rms: NonNegativeFloat = 3.0
    """Where a move really ends, radially."""
    backlash_px: NonNegativeFloat = 6.0
    hysteresis_nm: NonNegativeFloat = 2.0
    """Width of the loop that the sensors do not see; P-733.3, repeatability."""
    linearity_error: NonNegativeFloat = 0.0001
    """At most, as a part of the travel. P-733.3 promises 0.0003; a stage is better than promised (a choice)."""
    drift_nm_per_min: NonNegativeFloat = 5.0
    """Sideways; root mean square."""
    drift_z_nm_per_min: NonNegativeFloat = 3.0


class CantileverSettings(Model):
    """Bruker TESP read by an optical lever."""

    stiffness_n_per_m: PositiveFloat = 42.0
    sensitivity_nm_per_v: PositiveFloat = 50.0
    contact_height_um: PositiveFloat = 8.0
    """Scanner z at which the probe would touch a specimen of no height."""
    rides_on_focus: bool = True
    """Whether the focus drive carries the probe beside the microscope, so that its steps are the coarse approach;
    `contact_height_um` then holds with the drive at `optics.in_focus_mm`. Not so for a superlens: its virtual image
    hangs on the probe and is focused by moving the objective alone."""
    sphere_radius_um: PositiveFloat = 28.5
    """Barium titanate glass, 57 um across, glued to the tip."""
    contact_modulus_gpa: PositiveFloat = 50.0
    """Reduced modulus of glass on an oxide (textbook values of some 70 GPa on either side)."""
    work_of_adhesion_mj_per_m2: NonNegativeFloat = 50.0
    """Dry contact in air; 2 pi R W are 9 uN. In water it is some 1."""
    meniscus_nn: NonNegativeFloat = 26_000.0
    """Water neck in air, 4 pi R gamma cos(theta); 0 when immersed."""
    viscosity_mpa_s: NonNegativeFloat = 0.018
    """Air; water has 1.0."""
    noise_mv: NonNegativeFloat = 0.3
    """Detector, rms: one step of a 16 bit converter over +-10 V. The thermal motion of the lever comes on top."""
    laser_drift_mv_per_min: NonNegativeFloat = 0.3
    """Rms rate of the beam's wandering (a choice): 0.6 nN a minute."""


class CycleSettings(Model):
    """One speed of the scan."""

    frame_s: PositiveFloat
    passes: Annotated[int, Field(ge=1, le=64)] = 1
    """Line averaging: each line is written so often before the next."""


class ElectronSettings(Model):
    """A field emission SEM over the same stage, and what its video shows."""

    signal: Literal["secondary", "backscatter"] = "secondary"
    frame_shape_px: tuple[FrameSidePx, FrameSidePx] = (480, 640)
    """Rows, columns."""
    pixel_nm: PositiveFloat | None = None
    """On the specimen; None takes the camera's, or the widest that can be computed."""
    cycles: dict[str, CycleSettings] = {
        "tv": CycleSettings(frame_s=0.04),  # 25 a second
        "ld": CycleSettings(frame_s=2.7),  # CEMI: pixel averaging, speed 5
        "hd": CycleSettings(frame_s=26.2, passes=10),  # CEMI: line averaging, speed 7; how many passes is a choice
    }
    cycle: str = "ld"
    """What is shown to who does not ask for another."""
    beam_current_pa: PositiveFloat = 20.0
    efficiency: Annotated[float, Field(gt=0.0, le=1.0)] = 0.2
    """Quanta that count, per electron of the beam and unit of yield; with the current this makes 200 in a pixel of
    "ld", and 10 times as many in "hd"."""
    probe_fwhm_nm: NonNegativeFloat = 5.0
    defocus_um: NonNegativeFloat = 0.0
    convergence_mrad: NonNegativeFloat = 5.0
    """Half angle of the beam: how fast defocus widens the probe."""
    escape_nm: PositiveFloat = 60.0
    """Width of the bright rim at an edge (a choice; 10 to 100 nm are seen, by energy and material)."""
    detector_time_constant_ns: NonNegativeFloat = 50.0
    """Fitted to recorded frames of 100 ns dwell: neighbours on a line correlate by 0.49 and 0.09."""
    line_jitter_px: NonNegativeFloat = 0.05
    """In recorded frames of 5.8 nm pixels lines jitter by less than 0.1, as their noise allows to say."""
    black_dn: Annotated[float, Field(ge=0.0, lt=255.0)] = 10.0
    white_yield: PositiveFloat = 1.5
    charging_dose_pc_per_um2: PositiveFloat = 10.0
    """After which the charge has risen to 63 % (a choice)."""
    charging_decay_s: PositiveFloat = 60.0
    charging_shift_nm: NonNegativeFloat = 12.0
    """Of a saturated field: frames recorded within seconds lie up to 2 px of 5.8 nm apart."""
    charging_shade: Annotated[float, Field(ge=0.0, lt=1.0)] = 0.05
    """Part by which it brightens and darkens the frame, at low frequency."""

    @model_validator(mode="after")
    def _has_its_cycle(self) -> Self:
        if self.cycle not in self.cycles:
            raise ValueError(f"cycle: {self.cycle!r} is not one of {', '.join(self.cycles)}")
        return self


class FocusSettings(Model):
    """Newport IMS100V, the vertical stage; figures to be replaced from the data sheet delivered with it."""

    start_mm: Annotated[float, Field(ge=0.0, le=100.0)] = 50.0
    """Homed and half-way up, so that focus can be sought both ways."""
    encoder_um: PositiveFloat = 0.1
    """One count."""
    encoder_noise_um: NonNegativeFloat = 0.03
    """Rms, before it is rounded to counts."""
    play_um: NonNegativeFloat = 1.0
    """Lost between encoder and carriage when the direction changes: steps below it may do nothing."""
    scatter_um: NonNegativeFloat = 0.17
    """Rms of where a move ends; three times it and half the play make the +-1 um of bidirectional repeatability."""


class WorldSettings(Model):
    """All numbers of one world."""

    randomness: Literal["stream", "keyed"] = "stream"
    """`keyed`: noise is a function of seed, commanded position and exposure; `stream`: of the order of events too."""
    time: Literal["wall", "counted"] = "wall"
    """`counted`: time passes only by what is done, so that one client's night can be repeated bit for bit."""
    specimen_tilt_mrad: tuple[float, float] = (0.5, -0.3)
    """How the specimen rises along x and along y; sub-milliradian after a laboratory's levelling (a choice)."""
    camera: CameraSettings = CameraSettings()
    optics: OpticsSettings = OpticsSettings()
    mechanics: MechanicsSettings = MechanicsSettings()
    cantilever: CantileverSettings = CantileverSettings()
    focus: FocusSettings = FocusSettings()
    electron: ElectronSettings = ElectronSettings()


NAMED = {
    "lab": WorldSettings(),
    "still": WorldSettings(
        randomness="keyed",
        specimen_tilt_mrad=(0.0, 0.0),
        mechanics=MechanicsSettings(
            sensor_noise_nm=0.0,
            vibration_nm=0.0,
            backlash_px=0.0,
            hysteresis_nm=0.0,
            linearity_error=0.0,
            drift_nm_per_min=0.0,
            drift_z_nm_per_min=0.0,
        ),
        cantilever=CantileverSettings(noise_mv=0.0, laser_drift_mv_per_min=0.0),
        focus=FocusSettings(encoder_noise_um=0.0, play_um=0.0, scatter_um=0.0),
        electron=ElectronSettings(charging_shift_nm=0.0, charging_shade=0.0),
    ),
    "superlens": WorldSettings(
        optics=OpticsSettings(kind="microsphere"), cantilever=CantileverSettings(rides_on_focus=False)
    ),
    "diffraction": WorldSettings(
        camera=CameraSettings(pixel_nm=41.7, frame_shape_px=(64, 64)),  # OpticalNet
        optics=OpticsSettings(kind="coherent"),
    ),
}


def load_world(name: str) -> WorldSettings:
    """Find a world by its name, or read it from a TOML file.

    A file holds only what differs from `base` ("lab" unless it says otherwise).

    Raises:
        UsageError: no such world, or a key or value that no world has.
    """
    if name in NAMED:
        return NAMED[name]
    path = Path(name)
    if not path.is_file():
        raise UsageError(f"--world: {name!r} is neither {' nor '.join(NAMED)} nor a TOML file")
    try:
        changes = tomllib.loads(path.read_text(encoding="utf-8"))
        base = changes.pop("base", "lab")
        if not isinstance(base, str) or base not in NAMED:
            raise UsageError(f"--world {name}: base: {base!r} is not one of {', '.join(NAMED)}")
        return WorldSettings.model_validate(_merged(NAMED[base].model_dump(), changes))
    except ValidationError as error:
        raise UsageError(f"--world {name}: {_in_one_line(error)}") from error
    except (OSError, ValueError) as error:
        if isinstance(error, UsageError):
            raise
        raise UsageError(f"--world {name}: cannot be read as TOML: {error}") from error


def _merged(base: dict[str, Any], changes: dict[str, Any]) -> dict[str, Any]:
    """Lay `changes` over `base`, table by table."""
    merged = dict(base)
    for key, value in changes.items():
        below = merged.get(key)
        merged[key] = _merged(below, value) if isinstance(below, dict) and isinstance(value, dict) else value
    return merged


def _in_one_line(error: ValidationError) -> str:
    return "; ".join(
        f"{'.'.join(str(part) for part in problem['loc'])} = {problem['input']!r}: {problem['msg']}"
        for problem in error.errors()
    )
