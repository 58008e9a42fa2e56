"""The plan of a scan: a frozen description, read from TOML or JSON, refused as a whole when any of it is wrong."""

import hashlib
import json
import re
import tomllib
from collections.abc import Callable
from pathlib import Path
from typing import Annotated, Literal, Self

from pydantic import AfterValidator, ValidationError, field_validator, model_validator

from devices.model import FileError, Model, Number, reasons


class PlanError(FileError):
    """A plan that cannot be carried out."""


def within(low: float, high: float) -> Callable[[float], float]:
    """A check that quotes the whole range."""

    def check(value: float) -> float:
        if not low <= value <= high:
            raise ValueError(f"outside {low:g}..{high:g}")
        return value

    return check


def _known_policy(policy: str) -> str:
    if not re.fullmatch(r"retry:[1-9]\d?|skip|abort", policy):
        raise ValueError("should be 'retry:1' to 'retry:99', 'skip' or 'abort'")
    return policy


Overlap = Annotated[Number, AfterValidator(within(0.0, 0.9))]
LineBlur = Annotated[Number, AfterValidator(within(0.01, 10.0))]
ExposureMs = Annotated[Number, AfterValidator(within(0.01, 60_000.0))]
FailurePolicy = Annotated[str, AfterValidator(_known_policy)]


class Region(Model):
    """The rectangle of the specimen to be covered, in scanner coordinates."""

    x_um: tuple[Number, Number]
    y_um: tuple[Number, Number]

    @field_validator("x_um", "y_um")
    @classmethod
    def _low_before_high(cls, span_um: tuple[float, float]) -> tuple[float, float]:
        if not span_um[0] < span_um[1]:
            raise ValueError(f"the first value {span_um[0]:g} must lie below the second {span_um[1]:g}")
        return span_um


class Tiles(Model):
    """How the fields of view are laid over the region."""

    overlap: Overlap = 0.2  # fraction of the field of view, at least
    order: Literal["raster", "serpentine", "spiral"] = "serpentine"
    mode: Literal["step", "line"] = "step"
    """`step`: move, settle, expose. `line`: sweep each row, left to right; position triggers fire the camera."""
    line_blur_px: LineBlur = 0.5
    """How far the specimen may move across the camera during an exposure of a sweep; sets its speed."""

    @model_validator(mode="after")
    def _rows_in_a_line(self) -> Self:
        if self.mode == "line" and self.order == "spiral":
            raise ValueError("mode 'line' takes whole rows, order 'spiral' has none; use 'raster' or 'serpentine'")
        return self


class CameraSettings(Model):
    exposure_ms: ExposureMs = 20.0

    @property
    def exposure_s(self) -> float:
        return self.exposure_ms * 1e-3


class Focus(Model):
    policy: Literal["none"] = "none"


class Force(Model):
    policy: Literal["none"] = "none"


class OnFailure(Model):
    """What to do when a device fails at a tile: `retry:N` (then abort), `skip` (come back at the end), `abort`."""

    timeout: FailurePolicy = "retry:2"
    protocol: FailurePolicy = "retry:2"
    rejected: FailurePolicy = "abort"
    lost: FailurePolicy = "abort"


class Restoration(Model):
    model: str = "none"


class Plan(Model):
    """One scan. Only `region` is required."""

    name: str = "scan"
    region: Region
    tiles: Tiles = Tiles()
    camera: CameraSettings = CameraSettings()
    focus: Focus = Focus()
    force: Force = Force()
    on_failure: OnFailure = OnFailure()
    reconstruction: Restoration = Restoration()

    @classmethod
    def load(cls, path: Path) -> Self:
        """Read a plan file.

        Raises:
            PlanError: not readable, not TOML or JSON, or not a plan; says each key that is wrong.
        """
        kind = "JSON" if path.suffix.lower() == ".json" else "TOML"
        try:
            text = path.read_text(encoding="utf-8-sig")
            raw = json.loads(text, object_pairs_hook=_each_once) if kind == "JSON" else tomllib.loads(text)
        except OSError as error:
            raise PlanError([f"{path}: {error.strerror}"]) from error
        except (ValueError, RecursionError) as error:
            raise PlanError([f"{path}: not {kind}: {error}"]) from error
        try:
            return cls.model_validate(raw)
        except ValidationError as error:
            raise PlanError([f"{path}: {reason}" for reason in reasons(error)]) from error

    @property
    def hash(self) -> str:
        """SHA-256 of what the plan says, whatever the order and format it was written in."""
        canonical = json.dumps(self.model_dump(mode="json"), sort_keys=True, separators=(",", ":"))
        return hashlib.sha256(canonical.encode()).hexdigest()


def _each_once(pairs: list[tuple[str, object]]) -> dict[str, object]:
    """Refuse what JSON allows and TOML does not: a key that is given twice."""
    found = dict(pairs)
    if len(found) < len(pairs):
        keys = [key for key, _ in pairs]
        raise ValueError(f"{next(key for key in keys if keys.count(key) > 1)!r} is given twice")
    return found
