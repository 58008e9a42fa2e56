"""The numbers of a world: two named ones, and TOML files that change some of them."""

import tomllib
from pathlib import Path
from typing import Annotated, Any, Literal

from pydantic import BaseModel, ConfigDict, Field, NonNegativeFloat, PositiveFloat, ValidationError

from hardware_sim.errors import UsageError

FrameSidePx = Annotated[int, Field(ge=16, le=4096)]


class Model(BaseModel):
    """Frozen, and closed to unknown keys."""

    model_config = ConfigDict(frozen=True, extra="forbid", allow_inf_nan=False)


class CameraSettings(Model):
    """pco.edge 5.5 behind a microscope; light and optics belong to it here."""

    pixel_nm: PositiveFloat | None = None
    """On the specimen; None takes the specimen's own pixel."""
    frame_shape_px: tuple[FrameSidePx, FrameSidePx] = (512, 512)
    """Rows, columns."""
    psf_fwhm_px: PositiveFloat = 2.0
    """The magnification is chosen so that the point spread is sampled at Nyquist."""
    electrons_per_s: PositiveFloat = 30_000.0
    """From a pixel that reflects everything: 600 in 20 ms."""
    electrons_per_dn: PositiveFloat = 0.46
    offset_dn: NonNegativeFloat = 100.0
    read_noise_e: NonNegativeFloat = 1.4
    full_well_e: PositiveFloat = 30_000.0


class MechanicsSettings(Model):
    """PI P-733.3 and what its sensors do not see; "px" are camera pixels on the specimen."""

    time_constant_xy_s: PositiveFloat = 0.003
    time_constant_z_s: PositiveFloat = 0.001
    tolerance_nm: PositiveFloat = 5.0
    settle_s: NonNegativeFloat = 0.004
    """Inside the tolerance for so long: on target."""
    slew_um_per_s: PositiveFloat = 5_000.0
    max_slew_um_per_s: PositiveFloat = 10_000.0
    sensor_noise_nm: NonNegativeFloat = 0.4
    position_error_px_rms: NonNegativeFloat = 3.0
    """Where a move really ends, radially."""
    backlash_px: NonNegativeFloat = 6.0
    drift_nm_per_min: NonNegativeFloat = 5.0


class CantileverSettings(Model):
    """Bruker TESP read by an optical lever."""

    stiffness_n_per_m: PositiveFloat = 42.0
    sensitivity_nm_per_v: PositiveFloat = 50.0
    contact_height_um: PositiveFloat = 8.0
    """Scanner z at which the probe would touch a specimen of no height."""
    noise_mv: NonNegativeFloat = 0.3
    """Rms; one step of a 16 bit converter over +-10 V, which outweighs the thermal noise."""


class WorldSettings(Model):
    """All numbers of one world."""

    randomness: Literal["stream", "keyed"] = "stream"
    """`keyed`: noise is a function of seed, commanded position and exposure; `stream`: of the order of events too."""
    camera: CameraSettings = CameraSettings()
    mechanics: MechanicsSettings = MechanicsSettings()
    cantilever: CantileverSettings = CantileverSettings()


NAMED = {
    "lab": WorldSettings(),
    "still": WorldSettings(
        randomness="keyed",
        mechanics=MechanicsSettings(sensor_noise_nm=0.0, backlash_px=0.0, drift_nm_per_min=0.0),
        cantilever=CantileverSettings(noise_mv=0.0),
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
        if base not in NAMED:
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
