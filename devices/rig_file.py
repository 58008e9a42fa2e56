"""The rig file: which devices there are, and what a pixel is."""

import tomllib
from pathlib import Path
from typing import Annotated, Any, Self

from pydantic import (
    BeforeValidator,
    Field,
    FiniteFloat,
    PositiveInt,
    SerializeAsAny,
    ValidationError,
    ValidationInfo,
    field_validator,
)

from devices.drivers import driver_named, driver_names
from devices.model import FileError, Model, Number, reasons
from devices.settings import DriverSettings, Kind

ROLE_KINDS: dict[str, Kind] = {
    "scanner": "positioner",
    "focus": "positioner",
    "camera": "camera",
    "force": "force",
    "video": "video",
}


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


class Calibration(Model):
    """What a pixel of the camera is on the specimen, and how far the scanner's word can be taken."""

    pixel_size_um: Annotated[Number, Field(ge=1e-6, le=1e3)]
    frame_shape_px: tuple[PositiveInt, PositiveInt]  # rows, columns
    backlash_um: Backlash | None = None  # None: not measured


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
