"""The rig file: which devices there are, and what a pixel is."""

import tomllib
from pathlib import Path
from typing import Annotated, Any, Self

from pydantic import (
    AwareDatetime,
    BeforeValidator,
    Field,
    FiniteFloat,
    NonNegativeFloat,
    PositiveFloat,
    PositiveInt,
    SerializeAsAny,
    ValidationError,
    ValidationInfo,
    field_validator,
    model_validator,
)

from devices.camera_matrix import Matrix, is_usable, pixel_size_um, rotation_deg, shear_deg
from devices.drivers import driver_named, driver_names
from devices.interlock_settings import DeviceSignal, Interlock
from devices.model import FileError, Model, Number, reasons
from devices.settings import DriverSettings, Kind
from devices.telling_settings import TellingSettings

ROLE_KINDS: dict[str, Kind] = {
    "scanner": "positioner",
    "focus": "positioner",
    "camera": "camera",
    "force": "force",
    "video": "video",
}
SAME_PIXEL = 0.01
"""By which part the pixel size may differ from what the matrix says: it is written with fewer digits."""


class RigFileError(FileError):
    """What is wrong with a rig file."""


def _by_driver(table: Any, info: ValidationInfo) -> Any:
    """Read a device's table with the model of its driver."""
    if not isinstance(table, dict):
        return table
    name = table.get("driver")
    driver = driver_named(str(name))
    if driver is None:
        raise ValueError(f"no driver {name!r}; there are {', '.join(driver_names())}")
    model, _ = driver
    return model.model_validate(table, context=info.context)


AnyDriver = Annotated[SerializeAsAny[DriverSettings], BeforeValidator(_by_driver)]


class Backlash(Model):
    """How far an axis lags behind its sensors after it moved downwards; after moving upwards they are right."""

    x: FiniteFloat = 0.0
    y: FiniteFloat = 0.0


class SettleTime(Model):
    """How long an axis takes from the command of a step of a quarter field until it rests within half a pixel."""

    x: NonNegativeFloat
    y: NonNegativeFloat


class Uncertainty(Model):
    """One standard deviation of what was measured; None: it was not."""

    pixel_size_um: NonNegativeFloat | None = None
    rotation_deg: NonNegativeFloat | None = None
    shear_deg: NonNegativeFloat | None = None
    backlash_um: Backlash | None = None
    settle_s: SettleTime | None = None
    sensitivity_nm_per_v: NonNegativeFloat | None = None


class MeasuredOn(Model):
    """When that was measured which may be measured without the rest; None: it was not, or nobody noted when."""

    backlash_um: AwareDatetime | None = None
    settle_s: AwareDatetime | None = None
    sensitivity_nm_per_v: AwareDatetime | None = None


class Calibration(Model):
    """What a pixel of the camera is on the specimen, and how far the scanner's word can be taken."""

    pixel_size_um: Annotated[Number, Field(ge=1e-6, le=1e3)]
    frame_shape_px: tuple[PositiveInt, PositiveInt]  # rows, columns
    camera_to_stage_um: Matrix | None = None
    """What lies (x, y) pixels from the middle of a frame lies this matrix times (x, y) from the scanner's place.

    None: the camera is upright.
    """
    backlash_um: Backlash | None = None  # None: not measured
    settle_s: SettleTime | None = None
    measured_at: AwareDatetime | None = None  # pixel size, rotation and shear
    measured_on: MeasuredOn = MeasuredOn()
    valid_days: PositiveFloat = 30.0
    uncertainty: Uncertainty = Uncertainty()

    @field_validator("camera_to_stage_um")
    @classmethod
    def _invertible(cls, matrix: Matrix | None) -> Matrix | None:
        if matrix is not None and not is_usable(matrix):
            raise ValueError("the directions of rows and columns must be at least 6 degrees apart")
        return matrix

    @model_validator(mode="after")
    def _one_pixel_size(self) -> Self:
        if self.camera_to_stage_um is not None:
            implied_um = pixel_size_um(self.camera_to_stage_um)
            if abs(implied_um / self.pixel_size_um - 1) > SAME_PIXEL:
                raise ValueError(
                    f"pixel_size_um = {self.pixel_size_um:g}: camera_to_stage_um implies {implied_um:g}; "
                    f"they may differ by {SAME_PIXEL:.0%}"
                )
        return self

    @property
    def matrix_um(self) -> Matrix:
        """`camera_to_stage_um`, or that of an upright camera."""
        if self.camera_to_stage_um is not None:
            return self.camera_to_stage_um
        return ((self.pixel_size_um, 0.0), (0.0, self.pixel_size_um))

    @property
    def rotation_deg(self) -> float:
        """How far the camera is turned against the stage, see `camera_matrix.rotation_deg`."""
        return rotation_deg(self.matrix_um)

    @property
    def shear_deg(self) -> float:
        """By how much rows and columns miss the right angle, see `camera_matrix.shear_deg`."""
        return shear_deg(self.matrix_um)


class Devices(Model):
    """The roles on a rig, and the driver of each."""

    scanner: AnyDriver
    camera: AnyDriver
    focus: AnyDriver | None = None
    force: AnyDriver | None = None
    video: AnyDriver | None = None

    @field_validator(*ROLE_KINDS)
    @classmethod
    def _of_the_right_kind(cls, settings: DriverSettings | None, info: ValidationInfo) -> DriverSettings | None:
        wanted = ROLE_KINDS[str(info.field_name)]
        if settings is not None and settings.kind != wanted:
            raise ValueError(f"driver {settings.driver!r} makes a {settings.kind}, the role needs a {wanted}")
        return settings

    def by_role(self) -> dict[str, DriverSettings]:
        """Settings of the devices that this rig has."""
        return {role: settings for role in ROLE_KINDS if (settings := getattr(self, role)) is not None}


class RigSettings(Model):
    """A rig file, read and checked."""

    name: Annotated[str, Field(min_length=1)]
    calibration: Calibration
    devices: Devices
    tell: TellingSettings = TellingSettings()
    interlocks: tuple[Interlock, ...] = ()

    @field_validator("interlocks")
    @classmethod
    def _named_once(cls, rules: tuple[Interlock, ...]) -> tuple[Interlock, ...]:
        names = [rule.name for rule in rules]
        if twice := sorted({name for name in names if names.count(name) > 1}):
            raise ValueError(f"two are called {twice[0]!r}")
        return rules

    @model_validator(mode="after")
    def _interlocks_have_their_devices(self) -> Self:
        for rule in self.interlocks:
            if isinstance(rule.signal, DeviceSignal) and rule.signal.device not in self.devices.by_role():
                raise ValueError(f"interlock {rule.name!r}: the rig has no {rule.signal.device}")
        return self

    @classmethod
    def load(cls, path: Path | str) -> Self:
        """Read a file; relative paths in it start at its folder.

        Raises:
            RigFileError: it cannot be read, or what it says is wrong.
        """
        path = Path(path)
        try:
            text = path.read_text(encoding="utf-8-sig")
        except (OSError, UnicodeDecodeError) as error:
            raise RigFileError([f"cannot read rig file {path}: {error}"]) from error
        try:
            return cls.from_toml(text, path.resolve().parent)
        except RigFileError as error:
            raise RigFileError([f"{path}: {reason}" for reason in error.reasons]) from error

    @classmethod
    def from_toml(cls, text: str, folder: Path | None = None) -> Self:
        """Read the text of a rig file; without a folder, relative paths stay as they are.

        Raises:
            RigFileError: what it says is wrong.
        """
        try:
            return cls.model_validate(tomllib.loads(text), context={"folder": folder})
        except ValidationError as error:
            raise RigFileError(reasons(error)) from None
        except (ValueError, RecursionError) as error:
            raise RigFileError([f"not TOML: {error}"]) from error
