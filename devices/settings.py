"""One settings model per driver, told apart by `driver`; each says which kind of device it makes."""

from pathlib import Path
from typing import Annotated, ClassVar, Literal

from pydantic import AfterValidator, Field, PositiveFloat, ValidationInfo, field_validator

from devices.model import Model, Number

Kind = Literal["positioner", "camera", "force"]
AxisName = Literal["x", "y", "z"]
Port = Annotated[int, Field(ge=1, le=65535)]
AnswerTime = Annotated[float, Field(gt=0, le=0.5)]  # a stop waits for at most two answers


def _low_below_high(limits: tuple[float, float]) -> tuple[float, float]:
    low, high = limits
    if not low < high:
        raise ValueError(f"the lower limit {low:g} um is not below the upper limit {high:g} um")
    return limits


LimitsUm = Annotated[tuple[Number, Number], AfterValidator(_low_below_high)]


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

    @field_validator("axes")
    @classmethod
    def _each_once(cls, axes: dict[AxisName, str]) -> dict[AxisName, str]:
        if len(set(axes.values())) < len(axes):
            raise ValueError(f"two axes have the same identifier: {axes}")
        return axes

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
    url: str
    axis: Annotated[int, Field(ge=1, le=3)] = 1
    limits_um: LimitsUm
    settle_s: PositiveFloat = 2.0
    arrival_tolerance_um: PositiveFloat = 5.0
    answer_s: AnswerTime = 0.5
    baudrate: int = 19200
    rtscts: bool = True  # fixed in the RS-232 port of the controller


class MmCoreSettings(DriverSettings):
    """A camera named in a Micro-Manager configuration file; a relative path starts at the rig file."""

    kind: ClassVar[Kind] = "camera"
    driver: Literal["mmcore"] = "mmcore"
    cfg: Path
    readout_s: PositiveFloat = 2.0  # what a frame may take beyond its exposure

    @field_validator("cfg")
    @classmethod
    def _from_the_rig_file(cls, cfg: Path, info: ValidationInfo) -> Path:
        folder = (info.context or {}).get("folder")
        return cfg if folder is None else Path(folder) / cfg


class ScpiForceSettings(DriverSettings):
    """A SCPI voltmeter on the deflection signal, over any pyserial URL."""

    kind: ClassVar[Kind] = "force"
    driver: Literal["scpi"] = "scpi"
    url: str
    stiffness_n_per_m: PositiveFloat
    sensitivity_nm_per_v: PositiveFloat
    answer_s: AnswerTime = 0.5
    baudrate: int = 9600
