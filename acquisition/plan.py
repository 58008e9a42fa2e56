"""The plan of a scan: a frozen description, read from TOML or JSON, refused as a whole when any of it is wrong."""

import hashlib
import json
import re
from pathlib import Path
from typing import Annotated, Literal, Self

from pydantic import AfterValidator, Field, ValidationError, field_validator, model_validator

from acquisition.plan_file import PlanError as PlanError
from acquisition.plan_file import read_plan
from acquisition.region import AnyRegion, FollowedVideo, PlaceUm
from devices.model import Model, Number, Printable, Whole, reasons, within


def _known_policy(policy: str) -> str:
    if not re.fullmatch(r"retry:[1-9]\d?( then (skip|pause|abort))?|skip|pause|abort", policy):
        raise ValueError("should be 'skip', 'pause', 'abort', 'retry:1' to 'retry:99', or 'retry:3 then skip'")
    return policy


def _of_a_name_s_length(name: str) -> str:
    if not name.strip() or len(name) > LONGEST_NAME:
        raise ValueError(f"should be 1..{LONGEST_NAME} characters, not all of them blank")
    return name


LONGEST_EXPOSURE_MS = 60_000.0
MOST_TIMES = 10.0  # as long as planned, for a tile that is taken again
LONGEST_NAME = 200  # fits a line of the queue and the head of a report
Name = Annotated[Printable, AfterValidator(_of_a_name_s_length)]
Overlap = Annotated[Number, AfterValidator(within(0.0, 0.9))]
LineBlur = Annotated[Number, AfterValidator(within(0.01, 10.0))]
ExposureMs = Annotated[Number, AfterValidator(within(0.01, LONGEST_EXPOSURE_MS))]
ExposureFactor = Annotated[Number, AfterValidator(within(1.0, MOST_TIMES))]
FailurePolicy = Annotated[str, AfterValidator(_known_policy)]
SpanUm = Annotated[Number, AfterValidator(within(0.01, 1000.0))]
ForceNn = Annotated[Number, AfterValidator(within(0.1, 1e6))]
DurationS = Annotated[Number, AfterValidator(within(0.1, 1e6))]
DwellS = Annotated[Number, AfterValidator(within(0.0, 3600.0))]


class Tiles(Model):
    """How the fields of view are laid over the region."""

    overlap: Overlap = 0.2  # fraction of the field of view, at least
    overlap_band: tuple[Overlap, Overlap] | None = None
    """What the measured overlap may be; given, it is measured between rows and the tiles to come are laid out anew."""
    fit: Literal["step", "roi"] = "step"
    """How the region is met exactly: by spacing the tiles, or by cutting the camera area."""
    order: Literal["raster", "serpentine", "spiral"] = "serpentine"
    mode: Literal["step", "line"] = "step"
    """`step`: move, settle, expose. `line`: sweep each row, left to right; position triggers fire the camera."""
    line_blur_px: LineBlur = 0.5
    """How far the specimen may move across the camera during an exposure of a sweep; sets its speed."""
    dwell_s: DwellS = 0.0
    """How long to rest on a tile before it is exposed, for what settles slowly; not in `line` mode."""

    @field_validator("overlap_band")
    @classmethod
    def _band_is_a_band(cls, band: tuple[float, float] | None) -> tuple[float, float] | None:
        if band is not None and not band[0] < band[1]:
            raise ValueError(f"the first value {band[0]:g} must lie below the second {band[1]:g}")
        return band

    @model_validator(mode="after")
    def _overlap_in_its_band(self) -> Self:
        if self.overlap_band is not None and not self.overlap_band[0] <= self.overlap <= self.overlap_band[1]:
            raise ValueError(f"overlap = {self.overlap:g}: outside overlap_band = {list(self.overlap_band)}")
        return self

    @model_validator(mode="after")
    def _rows_to_correct(self) -> Self:
        if self.overlap_band is not None and self.order == "spiral":
            raise ValueError("overlap_band is kept row by row, order 'spiral' has none; use 'raster' or 'serpentine'")
        return self

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
    """When the focus is sought, and how far around the place where it is expected."""

    policy: Literal["none", "once", "row", "tile", "map"] = "none"
    range_um: SpanUm = 4.0  # of the search: half of it on either side
    map_points: Annotated[Whole, Field(ge=3, le=1000)] = 9
    largest_jump_um: SpanUm = 1.0  # between a measured focus and the one expected there; more is refused


class Force(Model):
    """How the probe meets the specimen.

    `contact`: engaged once and held at the set-point, between tiles too. `hover`: lifted between tiles, held at the
    set-point while a tile is taken. `none`: the probe stays where it is.
    """

    policy: Literal["none", "hover", "contact"] = "none"
    set_point_nn: ForceNn = 500.0
    limit_nn: ForceNn = 2000.0
    lift_um: SpanUm = 2.0  # between tiles, in `hover`: more than the adhesion pulls (0.83 um for 35 uN at 42 N/m)
    approach_um: SpanUm = 100.0  # how far the stage that carries the probe may lower it in search of the specimen
    steepest: Annotated[Number, AfterValidator(within(1e-4, 1.0))] = 0.15
    """Rise over run of the specimen as the probe feels it; sets how fast it glides in `contact`. A sphere of radius R
    on an edge of height h: sqrt(2 h / R), for 28.5 um and 0.3 um 0.145."""

    @model_validator(mode="after")
    def _set_point_below_limit(self) -> Self:
        if self.set_point_nn >= self.limit_nn:
            raise ValueError(f"set_point_nn = {self.set_point_nn:g}: must be below limit_nn = {self.limit_nn:g}")
        return self


class Drift(Model):
    """An anchor field that is visited again and again; how far it has moved corrects the targets to come."""

    policy: Literal["none", "anchor"] = "none"
    anchor_um: tuple[PlaceUm, PlaceUm] | None = None  # x, y of its centre; None: the first tile
    tolerance_px: Annotated[Number, AfterValidator(within(0.05, 100.0))] = 0.5
    """How far the targets may be off between two visits; the rate that was measured sets the time to the next."""
    longest_s: DurationS = 900.0
    shortest_s: DurationS = 20.0

    @model_validator(mode="after")
    def _shortest_not_above_longest(self) -> Self:
        if self.shortest_s > self.longest_s:
            raise ValueError(f"shortest_s = {self.shortest_s:g}: must not be above longest_s = {self.longest_s:g}")
        return self


class Quality(Model):
    """When a tile is not good enough, and how often it is taken again the same night."""

    policy: Literal["none", "flag", "retake"] = "flag"
    retakes: Annotated[Whole, Field(ge=0, le=10)] = 2  # of one tile
    budget: Annotated[Number, AfterValidator(within(0.0, 1.0))] = 0.1  # retakes of the run, as a part of its tiles
    saturated_part: Annotated[Number, AfterValidator(within(0.0, 1.0))] = 0.01
    least_contrast: Annotated[Number, AfterValidator(within(0.0, 10.0))] = 0.0  # sd over mean
    least_focus: Annotated[Number, AfterValidator(within(0.0, 1.0))] = 0.5
    """Of the sharpness of the tile before, in the strip that both show."""
    doubtful_exposure: ExposureFactor | None = None
    """Times the exposure for a tile that is taken again because its restored image does not explain its frame."""

    @model_validator(mode="after")
    def _doubtful_are_taken_again(self) -> Self:
        if self.doubtful_exposure is not None and self.policy != "retake":
            raise ValueError(
                f"doubtful_exposure = {self.doubtful_exposure:g}: needs policy = 'retake', not {self.policy!r}"
            )
        return self


class OnFailure(Model):
    """What to do when a device fails at a tile, by type of failure.

    `retry:N` tries again N times, waiting twice as long each time, and then aborts, or does what stands behind `then`.
    `skip` comes back to the tile once, at the end. `pause` leaves the rig safe and waits for somebody; where nobody
    can answer, it aborts. Where a run pauses for a device that does not answer as it should (`timeout`, `protocol`,
    `lost`), it tries again by itself, less and less often, for `come_back_s`. `consecutive` tiles that failed one
    after the other pause the run whatever the policy.
    """

    timeout: FailurePolicy = "retry:3 then skip"
    protocol: FailurePolicy = "retry:3 then skip"
    rejected: FailurePolicy = "retry:2 then skip"
    lost: FailurePolicy = "retry:6 then pause"
    force: FailurePolicy = "retry:2 then skip"  # the trip-wire retracted the probe
    disk: FailurePolicy = "retry:3 then pause"  # a frame or a line of the journal could not be stored
    consecutive: Annotated[Whole, Field(ge=1, le=1000)] = 5
    come_back_s: Annotated[Number, AfterValidator(within(0.0, 1e6))] = 14_400.0
    """For so long a device may be without power before the run waits for somebody; 0: it waits at once."""


class Storage(Model):
    """How raw frames go to the disk: as they come, or smaller and at the cost of a core's time (see `frame_array`)."""

    compression: Literal["none", "lz4"] = "none"


class Restoration(Model):
    model: str = "none"


class Plan(Model):
    """One scan. Only `region` is required."""

    name: Name = "scan"
    region: AnyRegion
    tiles: Tiles = Tiles()
    camera: CameraSettings = CameraSettings()
    focus: Focus = Focus()
    force: Force = Force()
    drift: Drift = Drift()
    quality: Quality = Quality()
    on_failure: OnFailure = OnFailure()
    storage: Storage = Storage()
    reconstruction: Restoration = Restoration()

    @model_validator(mode="after")
    def _doubtful_are_restored_and_can_be_exposed(self) -> Self:
        times, exposure_ms = self.quality.doubtful_exposure, self.camera.exposure_ms
        if times is None:
            return self
        if self.reconstruction.model == "none":
            raise ValueError(f"quality.doubtful_exposure = {times:g}: needs a reconstruction.model, not 'none'")
        if times * exposure_ms > LONGEST_EXPOSURE_MS:
            raise ValueError(
                f"quality.doubtful_exposure = {times:g}: outside 1..{LONGEST_EXPOSURE_MS / exposure_ms:g}, for "
                f"camera.exposure_ms = {exposure_ms:g} and at most {LONGEST_EXPOSURE_MS:g}"
            )
        return self

    @classmethod
    def load(cls, path: Path) -> Self:
        """Read a plan file.

        Raises:
            PlanError: not readable, not TOML or JSON, or not a plan; says each key that is wrong.
        """
        try:
            return cls.model_validate(read_plan(path))
        except ValidationError as error:
            raise PlanError([f"{path}: {reason}" for reason in reasons(error)]) from error

    @property
    def follows_video(self) -> bool:
        """Whether its tiles are those of a moving-stage video, and no grid."""
        return isinstance(self.region, FollowedVideo)

    @property
    def hash(self) -> str:
        """SHA-256 of what the plan says, whatever the order and format it was written in."""
        return hash_of(self.model_dump(mode="json"))


def hash_of(plan: object) -> str:
    """SHA-256 of a plan as JSON gives it, whatever the order of its keys."""
    canonical = json.dumps(plan, sort_keys=True, separators=(",", ":"))
    return hashlib.sha256(canonical.encode()).hexdigest()
