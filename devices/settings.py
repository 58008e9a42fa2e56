"""One settings model per driver, told apart by `driver`; each says which kind of device it makes."""

from pathlib import Path
from typing import Annotated, ClassVar, Literal, Self

from pydantic import (
    AfterValidator,
    Field,
    NonNegativeFloat,
    NonNegativeInt,
    PositiveFloat,
    PositiveInt,
    ValidationInfo,
    field_validator,
    model_validator,
)

from devices.model import Model, Number
from devices.pi_sweep_program import plan_sweep
from devices.protocols import Sweep

Kind = Literal["positioner", "camera", "force", "video"]
AxisName = Literal["x", "y", "z"]
Port = Annotated[int, Field(ge=1, le=65535)]
AnswerTime = Annotated[float, Field(gt=0, le=0.5)]  # a stop waits for at most two answers


def _low_below_high(limits: tuple[float, float]) -> tuple[float, float]:
    low, high = limits
    if not low < high:
        raise ValueError(f"the lower limit {low:g} um is not below the upper limit {high:g} um")
    return limits


LimitsUm = Annotated[tuple[Number, Number], AfterValidator(_low_below_high)]


def _openable(url: str) -> str:
    """Refuse a network address that lacks host or port; pyserial has no words for that."""
    scheme, separator, address = url.partition("://")
    host, _, port = address.partition("/")[0].rpartition(":")
    if separator and scheme in ("socket", "rfc2217") and not (host and port.isdecimal() and 0 < int(port) < 65536):
        raise ValueError(f"{url!r} should be {scheme}://HOST:PORT")
    return url


SerialUrl = Annotated[str, AfterValidator(_openable)]  # of pyserial: /dev/ttyUSB0, COM3, socket://host:port


class DriverSettings(Model):
    """What all drivers have in common; third-party drivers derive theirs from this."""

    kind: ClassVar[Kind]
    driver: str


class PiGcsSettings(DriverSettings):
    """PI controller, GCS 2.0 over TCP."""

    kind: ClassVar[Kind] = "positioner"
    driver: Literal["pi_gcs"] = "pi_gcs"
    host: str
    port: Port = 50000
    axes: Annotated[dict[AxisName, str], Field(min_length=1)]
    limits_um: dict[AxisName, LimitsUm] = Field(default_factory=dict)
    speed_um_per_s: PositiveFloat | None = None  # None: ask the controller (VEL?)
    settle_s: PositiveFloat = 1.0
    arrival_tolerance_um: PositiveFloat = 0.1
    answer_s: AnswerTime = 0.5
    start_up: tuple[Literal["online", "servo", "autozero"], ...] = ()  # empty: connecting sends queries only
    trigger_line: Annotated[int, Field(ge=1, le=3)] = 1  # OUT1..OUT3, to the camera's trigger input
    lag_s: PositiveFloat = 0.005  # of the closed loop, bandwidth 30 Hz: a sweep runs up for some of these

    def sweep_ends_um(self, sweep: Sweep) -> tuple[float, float]:
        """Tell how far down and up a sweep takes its axis, run-up included; see `LineScanner`."""
        low_um, high_um = sorted(plan_sweep(sweep, self.lag_s).ends_um)
        return low_um, high_um

    @field_validator("axes")
    @classmethod
    def _each_once(cls, axes: dict[AxisName, str]) -> dict[AxisName, str]:
        if len(set(axes.values())) < len(axes):
            raise ValueError(f"two axes have the same identifier: {axes}")
        return axes

    @field_validator("start_up")
    @classmethod
    def _in_order(cls, steps: tuple[str, ...]) -> tuple[str, ...]:
        order = ("online", "servo", "autozero")
        if steps != tuple(step for step in order if step in steps):
            raise ValueError(f"{list(steps)} is not in the order {', '.join(order)}")
        return steps

    @field_validator("limits_um")
    @classmethod
    def _of_known_axes(cls, limits: dict[AxisName, LimitsUm], info: ValidationInfo) -> dict[AxisName, LimitsUm]:
        axes = info.data.get("axes", limits)
        if strangers := limits.keys() - axes.keys():
            raise ValueError(f"limits of {', '.join(sorted(strangers))}, but the axes are {', '.join(axes)}")
        return limits


class Esp301Settings(DriverSettings):
    """One axis of a Newport ESP301 over any pyserial URL."""

    kind: ClassVar[Kind] = "positioner"
    driver: Literal["esp301"] = "esp301"
    url: SerialUrl
    axis: Annotated[int, Field(ge=1, le=3)] = 1
    limits_um: LimitsUm
    settle_s: PositiveFloat = 2.0
    arrival_tolerance_um: PositiveFloat = 5.0
    answer_s: AnswerTime = 0.5
    motor_on_connect: bool = False
    home_on_connect: bool = False
    baudrate: int = 19200
    rtscts: bool = True  # fixed in the RS-232 port of the controller


class XpsSettings(DriverSettings):
    """A Newport XPS group of one positioner, over TCP; the positioner counts in millimetres."""

    kind: ClassVar[Kind] = "positioner"
    driver: Literal["xps"] = "xps"
    host: str
    port: Port = 5001
    group: Annotated[str, Field(pattern=r"^\w+$")]
    positioner: Annotated[str, Field(pattern=r"^\w+\.\w+$")]  # with its group: "Z.Pos"
    user: Annotated[str, Field(pattern=r"^\w+$")] = "Administrator"
    password: Annotated[str, Field(pattern=r"^\w+$")] = "Administrator"  # as delivered
    limits_um: LimitsUm
    settle_s: PositiveFloat = 2.0
    arrival_tolerance_um: PositiveFloat = 5.0
    answer_s: AnswerTime = 0.5
    motor_on_connect: bool = False
    home_on_connect: bool = False


class MmCoreSettings(DriverSettings):
    """A camera named in a Micro-Manager configuration file; a relative path starts at the rig file."""

    kind: ClassVar[Kind] = "camera"
    driver: Literal["mmcore"] = "mmcore"
    cfg: Path
    readout_s: PositiveFloat = 2.0  # what a frame may take beyond its exposure
    skew_s: NonNegativeFloat = 0.0  # rolling shutter: from the first line's exposure to the last's, of the whole sensor
    first_frame_s: PositiveFloat = 10.0  # and the first of a sequence beyond that: its trigger may be late
    buffer_mb: Annotated[int, Field(ge=1, le=65536)] = 256  # for the frames of a sequence that wait to be taken
    identical_is_frozen: bool = False  # right where noise keeps any two frames from being equal
    black_below_dn: NonNegativeFloat | None = None  # a frame whose mean is lower saw no light; None: any may be dark
    external_trigger: tuple[str, str] | None = None  # property of the camera and its value, for triggered sequences
    internal_trigger: tuple[str, str] | None = None  # and for all else

    @field_validator("cfg")
    @classmethod
    def _from_the_rig_file(cls, cfg: Path, info: ValidationInfo) -> Path:
        folder = (info.context or {}).get("folder")
        return cfg if folder is None else Path(folder) / cfg

    @model_validator(mode="after")
    def _back_from_the_trigger(self) -> Self:
        if (self.external_trigger is None) != (self.internal_trigger is None):
            raise ValueError("external_trigger and internal_trigger: give both, or neither")
        return self


class DeflectionSettings(DriverSettings):
    """What turns the volts of an optical lever into nanonewton, and tells when not to believe them."""

    kind: ClassVar[Kind] = "force"
    stiffness_n_per_m: PositiveFloat
    sensitivity_nm_per_v: PositiveFloat  # inverse slope of the force curve in contact
    offset_v: Number = 0.0  # what the detector tells at zero force
    saturation_v: PositiveFloat = 9.9  # detectors and converters end at 10 V, or a little before
    stale_after_s: PositiveFloat = 1.0  # longest time from asking for a reading to having it
    frozen_after: Annotated[int, Field(ge=0)] = 0  # so many equal readings in a row are one old one; 0: any number
    rides_on: Literal["focus"] | None = None  # stage that carries the probe, upwards away from the specimen; None: none
    clear_above_um: Number | None = None  # heights of that stage at which the probe meets nothing, scanner z down

    @model_validator(mode="after")
    def _clear_above_on_a_stage(self) -> Self:
        if self.clear_above_um is not None and self.rides_on is None:
            raise ValueError(f"clear_above_um = {self.clear_above_um:g}: needs rides_on, the stage that it counts on")
        return self


class ScpiForceSettings(DeflectionSettings):
    """A SCPI voltmeter on the deflection signal, over any pyserial URL."""

    driver: Literal["scpi"] = "scpi"
    url: SerialUrl
    aperture_s: PositiveFloat | None = None  # over which it averages; None: leave the voltmeter as it is
    answer_s: AnswerTime = 0.5
    baudrate: int = 9600

    @model_validator(mode="after")
    def _aperture_before_the_answer(self) -> Self:
        if self.aperture_s is not None and self.aperture_s >= self.answer_s:
            raise ValueError(f"aperture_s = {self.aperture_s:g}: must be shorter than answer_s = {self.answer_s:g}")
        return self


class NidaqForceSettings(DeflectionSettings):
    """An analog input of an NI-DAQ device on the deflection signal; needs the package nidaqmx and NI's driver."""

    driver: Literal["nidaqmx"] = "nidaqmx"
    channel: Annotated[str, Field(min_length=1)]  # as NI MAX names it: Dev1/ai0
    terminal: Literal["DEFAULT", "RSE", "NRSE", "DIFF", "PSEUDO_DIFF"] = "DEFAULT"
    range_v: PositiveFloat = 10.0
    rate_hz: PositiveFloat = 10_000.0
    samples: Annotated[int, Field(ge=2)] = 10  # averaged for one reading; a finite acquisition has at least two
    answer_s: AnswerTime = 0.5  # beyond the time that the samples take

    @model_validator(mode="after")
    def _within_the_converter(self) -> Self:
        if self.saturation_v >= self.range_v:
            raise ValueError(f"saturation_v = {self.saturation_v:g}: must be below range_v = {self.range_v:g}")
        if self.samples / self.rate_hz >= self.stale_after_s:
            raise ValueError(
                f"{self.samples} samples at {self.rate_hz:g} Hz take longer than stale_after_s = {self.stale_after_s:g}"
            )
        return self


class OpenCvVideoSettings(DriverSettings):
    """A video as OpenCV opens it: a grabber by number, a stream by URL, a recording by path (from the rig file)."""

    kind: ClassVar[Kind] = "video"
    driver: Literal["opencv"] = "opencv"
    source: Annotated[int, Field(ge=0)] | Annotated[str, Field(min_length=1)]
    crop_px: tuple[NonNegativeInt, NonNegativeInt, PositiveInt, PositiveInt] | None = None  # x, y, width, height
    frame_s: PositiveFloat = 5.0  # longest time to a new frame
    open_s: PositiveFloat = 10.0
    period_s: PositiveFloat | None = None  # time between frames; None: what the source says, if it does
    identical_is_repeated: bool = True  # an analogue picture has noise; off for a screen that may stand still

    @field_validator("source")
    @classmethod
    def _from_the_rig_file(cls, source: int | str, info: ValidationInfo) -> int | str:
        folder = (info.context or {}).get("folder")
        if isinstance(source, int) or folder is None or "://" in source:
            return source
        return str(Path(folder) / source)
