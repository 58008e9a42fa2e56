"""Both ways to the detector: a SCPI voltmeter, the twin's, and NI-DAQ, of which the twin has only the volts."""

from collections.abc import Callable, Mapping
from dataclasses import dataclass

from devices.errors import DeviceError, DeviceLost, DeviceRejected, DeviceTimeout, ProtocolError, Saturated, Stale
from devices.force_nidaq import NidaqForce
from devices.force_scpi import ScpiForce
from devices.protocols import ForceSensor
from devices.settings import NidaqForceSettings, ScpiForceSettings
from hardware_sim.fault_kinds import known
from tests.conformance.bench import ANSWER_S, Bench
from tests.conformance.ni_stub import StubTask

STIFFNESS_N_PER_M, SENSITIVITY_NM_PER_V = 42.0, 50.0
NN_PER_V = STIFFNESS_N_PER_M * SENSITIVITY_NM_PER_V
DEFLECTION = {
    "stiffness_n_per_m": STIFFNESS_N_PER_M,
    "sensitivity_nm_per_v": SENSITIVITY_NM_PER_V,
    "frozen_after": 2,  # the noise of the detector has more digits than it takes to keep two readings apart
}

# fault: errors allowed; none for what is no fault of the sensor but of the world that it shows
WIRE: Mapping[str, tuple[type[DeviceError], ...]] = {
    "silence": (DeviceTimeout,),
    "late_answer": (DeviceTimeout,),
    "garbage": (ProtocolError, DeviceTimeout),
    "partial_line": (DeviceTimeout, ProtocolError),
    "closed_socket": (DeviceLost,),
    "overload": (Saturated,),
    "frozen_reading": (Stale,),
}


@dataclass(frozen=True)
class ForceBackend:
    """A driver, how its faults are set off, and which of them it has."""

    name: str
    open: Callable[[Bench], ForceSensor]
    strike: Callable[[Bench, str], None]
    mend: Callable[[], None]
    allowed: Mapping[str, tuple[type[DeviceError], ...]]


def _open_scpi(bench: Bench) -> ScpiForce:
    settings = {"url": bench.ready["force"]["url"], "answer_s": ANSWER_S, **DEFLECTION}
    return ScpiForce("force", ScpiForceSettings.model_validate(settings))


def _open_nidaq(bench: Bench) -> NidaqForce:
    StubTask.volts = lambda: float(bench.truth()["force_nn"]) / NN_PER_V
    settings = {"channel": "Dev1/ai0", "answer_s": ANSWER_S, "samples": 4, **DEFLECTION}
    return NidaqForce("force", NidaqForceSettings.model_validate(settings))


def _strike_scpi(bench: Bench, fault: str) -> None:
    bench.arm("force", fault)


def _strike_nidaq(bench: Bench, fault: str) -> None:
    StubTask.fault = fault


def _mend_nidaq() -> None:
    StubTask.stuck = False


FORCE_SENSORS = (
    ForceBackend("SCPI", _open_scpi, _strike_scpi, lambda: None, {**WIRE, "force_runaway": ()}),
    ForceBackend("NI-DAQ", _open_nidaq, _strike_nidaq, _mend_nidaq, {**WIRE, "controller_error": (DeviceRejected,)}),
)
assert set(FORCE_SENSORS[0].allowed) == set(known("force"))
