"""The rig file's `[[interlocks]]`: what must hold before and during a run, and what happens when it does not."""

from pathlib import Path
from typing import Annotated, Literal, Self

from pydantic import Field, NonNegativeFloat, ValidationInfo, field_validator, model_validator

from devices.model import Model, Number
from devices.web_address import Url

PollS = Annotated[Number, Field(ge=0.1, le=3600.0)]


class DiskSignal(Model):
    """Free space, in GB (1e9 bytes), on the disk of the run."""

    kind: Literal["disk_free_gb"]


class DeviceSignal(Model):
    """What a device of the rig reads: `force_nn`, or a position such as `z_um`."""

    kind: Literal["device"]
    device: Literal["scanner", "focus", "force"]
    reading: Literal["force_nn", "x_um", "y_um", "z_um"]

    @model_validator(mode="after")
    def _reading_of_this_device(self) -> Self:
        if (self.device == "force") != (self.reading == "force_nn"):
            raise ValueError(f"a {self.device} has no {self.reading}")
        return self


class HttpSignal(Model):
    """What a web server answers: a number or a word, or JSON in which `key` (`room.temperature_c`) leads to it."""

    kind: Literal["http"]
    url: Url
    key: str = ""


class FileSignal(Model):
    """What a file holds: a number or a word. A relative path starts at the rig file."""

    kind: Literal["file"]
    path: Path

    @field_validator("path")
    @classmethod
    def _from_the_rig_file(cls, path: Path, info: ValidationInfo) -> Path:
        folder = (info.context or {}).get("folder")
        return path if folder is None else Path(folder) / path


Signal = Annotated[DiskSignal | DeviceSignal | HttpSignal | FileSignal, Field(discriminator="kind")]


class Interlock(Model):
    """One rule. It trips once its signal has been `below`, `above` or `other_than` what is given for `for_s`."""

    name: Annotated[str, Field(min_length=1)]
    signal: Signal
    below: Number | None = None
    above: Number | None = None
    other_than: str | Number | None = None
    missing: Literal["trip", "ignore"] = "trip"
    """What a signal counts for that cannot be read three times in a row."""
    for_s: NonNegativeFloat = 0.0
    action: Literal["warn", "pause", "retract", "stop", "abort"] = "pause"
    """`retract` takes the probe off at once and pauses; `pause` lets the engine do so as it pauses."""
    resume: Literal["auto", "manual"] = "auto"
    clear_s: NonNegativeFloat = 10.0
    """How long all must be well again before an `auto` run goes on, or a `manual` one may be told to."""
    poll_s: PollS = 1.0

    @model_validator(mode="after")
    def _trips_on_something(self) -> Self:
        given = [limit for limit in (self.below, self.above, self.other_than) if limit is not None]
        if not given and "missing" not in self.model_fields_set:
            raise ValueError("never trips: give below, above or other_than, or missing = 'trip'")
        if not given and self.missing == "ignore":
            raise ValueError("never trips: give below, above or other_than besides missing = 'ignore'")
        if self.other_than is not None and len(given) > 1:
            raise ValueError("other_than goes with neither below nor above")
        if self.below is not None and self.above is not None and self.below > self.above:
            raise ValueError(f"no value is well: below = {self.below:g} is higher than above = {self.above:g}")
        return self
