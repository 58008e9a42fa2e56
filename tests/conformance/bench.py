"""Arm faults in the twin, ask the world what is true, and judge what a driver made of a fault."""

import json
import time
import urllib.request
from collections.abc import Callable, Mapping
from dataclasses import dataclass
from typing import Any

from devices.errors import DeviceError
from hardware_sim.fault_kinds import known
from tests.devices.device_twin import Twin

ANSWER_S = 0.3  # what the drivers wait for an answer; 0.2 s are within the stalls of a machine with a load of six
SHORT: dict[str, Mapping[str, float]] = {
    "late_answer": {"delay_s": 1.5 * ANSWER_S},
    "stuck_axis": {"for_s": 0.4},
    "drift_burst": {"over_s": 0.1},
    "force_runaway": {"for_s": 0.3},
    "frozen_reading": {"readings": 5},
    "stall": {"for_s": 1.0},
}  # parameters that keep a fault short; the others stay as they are
BUSY_MACHINE_S = 3.0  # what a deadline may be exceeded by where several processes share two cores
PATIENCE_S = 10.0


@dataclass(frozen=True)
class Outcome:
    """What a call returned or raised, and how long it took."""

    value: Any
    error: DeviceError | None
    took_s: float


class Bench:
    """The twin as the suites need it."""

    def __init__(self, twin: Twin) -> None:
        self.ready = twin.ready
        self.twin = twin

    def truth(self) -> dict[str, Any]:
        return self.twin.truth()

    def exposures(self, after: int = 0) -> list[dict[str, Any]]:
        found: list[dict[str, Any]] = self._get(f"/exposures?after={after}")["exposures"]
        return found

    def injected(self) -> list[dict[str, Any]]:
        """All faults that befell an operation so far."""
        found: list[dict[str, Any]] = self._get("/faults")
        return found

    def arm(self, device: str, name: str, after: int = 0, **parameters: float) -> None:
        """Let a fault befall the operation that comes after so many."""
        assert name in known(device)
        armed = {"name": name, "device": device, "after": after, **SHORT.get(name, {}), **parameters}
        request = urllib.request.Request(f"{self._url}/faults", json.dumps(armed).encode(), method="POST")
        with urllib.request.urlopen(request, timeout=PATIENCE_S):
            pass

    def latest_fault_is_over(self) -> bool:
        """Whether a fault that lasts for some time of the world has ended."""
        if not self.injected():
            return True  # it befell a stub, of which the world knows nothing
        latest = self.injected()[-1]
        return bool(self.truth()["time_s"] > latest["time_s"] + latest["parameters"].get("for_s", 0.0))

    def until(self, happened: Callable[[], bool]) -> None:
        """Wait for something that happens in the world."""
        deadline = time.monotonic() + PATIENCE_S
        while not happened():
            assert time.monotonic() < deadline, "it did not happen"
            time.sleep(0.003)

    @property
    def _url(self) -> str:
        return str(self.ready["world"]["url"])

    def _get(self, path: str) -> Any:
        with urllib.request.urlopen(self._url + path, timeout=PATIENCE_S) as answer:
            return json.load(answer)


def outcome_of(call: Callable[[], Any]) -> Outcome:
    """Make a call; anything raised that is no `DeviceError` is raised on."""
    began = time.monotonic()
    value, error = None, None
    try:
        value = call()
    except DeviceError as raised:
        error = raised
    return Outcome(value, error, time.monotonic() - began)


def judge(outcome: Outcome, what: str, allowed: tuple[type[DeviceError], ...], limit_s: float) -> None:
    """Refuse an error that is not documented for this fault, and one that came after its deadline."""
    error = outcome.error
    assert error is None or isinstance(error, allowed), f"{what}: {error!r} is not one of {allowed}"
    assert outcome.took_s < limit_s + BUSY_MACHINE_S, f"{what}: took {outcome.took_s:.2f} s, not {limit_s:.2f} s"
