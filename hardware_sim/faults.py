"""What goes wrong, when, and the log of what did.

A fault befalls one operation of one device: a command line, a query, an exposure. It is armed by name (`POST /faults`,
a file) or drawn by a schedule, which is a function of seed, device and the number of the operation alone. There are
three sorts: those of the wire spoil the next answer (`wire.py`), those of the world act at once (a stuck axis, a drift
burst), and the others are handed to the device's server, which knows what they mean there.
"""

import threading
import tomllib
from collections import Counter
from collections.abc import Callable, Mapping
from dataclasses import asdict, dataclass, field
from pathlib import Path
from typing import Any, Self

from pydantic import (
    BaseModel,
    ConfigDict,
    Field,
    NonNegativeFloat,
    NonNegativeInt,
    PositiveInt,
    ValidationError,
    model_validator,
)

from hardware_sim.chance import Stream, generator
from hardware_sim.clock import Clock
from hardware_sim.errors import UsageError
from hardware_sim.fault_kinds import DEVICES, WORLD, known, usual

NIGHT_RATE = 0.01
Effect = Callable[[str, Mapping[str, float]], None]


@dataclass(frozen=True)
class Fault:
    """One fault that befell one operation."""

    number: int
    name: str
    device: str
    operation: int
    time_s: float
    parameters: dict[str, float] = field(default_factory=dict)


class Armed(BaseModel):
    """A fault that waits for its operation; keys that are not listed here are its parameters."""

    model_config = ConfigDict(extra="allow", allow_inf_nan=False)

    name: str
    device: str
    after: NonNegativeInt = 0
    """So many operations of the device still go well."""
    at_s: NonNegativeFloat = 0.0
    """World time before which it waits."""
    times: PositiveInt = 1
    """So many operations in a row."""

    @model_validator(mode="before")
    @classmethod
    def _with_device(cls, given: Any) -> Any:
        """Find the device where only one has this fault, and take `parameters` apart."""
        if not isinstance(given, dict):
            return given
        nested = given.get("parameters", {})
        flat = {key: value for key, value in given.items() if key != "parameters"}
        if not isinstance(nested, dict):
            raise ValueError(f"parameters: {nested!r} is not a table")
        flat = {**nested, **flat}
        if isinstance(flat.get("name"), str) and "device" not in flat:
            flat["device"] = _only_device_with(flat["name"])
        return flat

    @model_validator(mode="after")
    def _of_a_device(self) -> Self:
        if self.device not in DEVICES:
            raise ValueError(f"device: {self.device!r} is not one of {', '.join(DEVICES)}")
        faults = known(self.device)
        if self.name not in faults:
            raise ValueError(f"name: {self.name!r} is not a fault of {self.device}, which has {', '.join(faults)}")
        for key, value in (self.model_extra or {}).items():
            if key not in faults[self.name]:
                raise ValueError(f"{key}: {self.name} has {', '.join(faults[self.name]) or 'no parameters'}")
            if problem := faults[self.name][key].problem(value):
                raise ValueError(f"{key}: {problem}")
        return self

    def parameters(self) -> dict[str, float]:
        """All parameters of the fault, those that were told over the usual ones."""
        return {**usual(self.device, self.name), **(self.model_extra or {})}


def _only_device_with(name: str) -> str:
    owners = [device for device in DEVICES if name in known(device)]
    if not owners:
        every = sorted({fault for device in DEVICES for fault in known(device)})
        raise ValueError(f"name: {name!r} is no fault; there are {', '.join(every)}")
    if len(owners) > 1:
        raise ValueError(f"device: {name} can befall {', '.join(owners)}; say which")
    return owners[0]


class Script(BaseModel):
    """A file of faults: `rate` of a random schedule, and `[[fault]]` tables of single ones."""

    model_config = ConfigDict(frozen=True, extra="forbid", allow_inf_nan=False)

    rate: float = Field(default=0.0, ge=0.0, le=1.0)
    fault: list[Armed] = Field(default_factory=list)


def load_script(name: str) -> Script:
    """Read `--faults`: none, night, or a TOML file.

    Raises:
        UsageError: no such file, or it does not describe faults.
    """
    if name in ("none", "night"):
        return Script(rate=NIGHT_RATE if name == "night" else 0.0)
    path = Path(name)
    if not path.is_file():
        raise UsageError(f"--faults: {name!r} is neither none nor night nor a TOML file")
    try:
        return Script.model_validate(tomllib.loads(path.read_text(encoding="utf-8")))
    except ValidationError as error:
        raise UsageError(f"--faults {name}: {in_one_line(error)}") from error
    except (OSError, ValueError, RecursionError) as error:
        raise UsageError(f"--faults {name}: cannot be read as TOML: {error}") from error


def in_one_line(error: ValidationError) -> str:
    """Say what is wrong with an armed fault or a script."""
    return "; ".join(
        f"{'.'.join(str(part) for part in problem['loc'])}: {problem['msg']}".removeprefix(": ").replace(
            "Value error, ", ""
        )
        for problem in error.errors()
    )


class Faults:
    """All faults of one world; safe to use from any thread."""

    def __init__(self, clock: Clock, seed: int, script: Script | None = None) -> None:
        script = script or Script()
        self._clock = clock
        self._seed = seed
        self._rate = script.rate
        self._lock = threading.RLock()
        self._armed = [armed.model_copy() for armed in script.fault]
        self._injected: list[Fault] = []
        self._operations: Counter[str] = Counter()
        self._drawn: Counter[str] = Counter()
        self._effects: dict[str, Effect] = {}

    def on(self, name: str, effect: Effect) -> None:
        """Say what a fault of the world does; called with the device and the parameters."""
        self._effects[name] = effect

    def arm(self, armed: Armed) -> None:
        """Let a fault befall the next operations of its device; one of the world that need not wait acts now."""
        with self._lock:
            if armed.name in WORLD and not armed.after and armed.at_s <= self._clock.now_s():
                self._inject(armed.name, armed.device, armed.parameters())
            else:
                self._armed.append(armed.model_copy())

    def injected(self) -> list[dict[str, Any]]:
        """List what befell which operation, oldest first."""
        with self._lock:
            return [asdict(fault) for fault in self._injected]

    def next(self, device: str) -> Fault | None:
        """Begin an operation of a device: the fault that befalls it, if any; those of the world have acted then."""
        self._clock.tick()
        with self._lock:
            self._operations[device] += 1
            found = self._due(device) or self._drawn_for(device)
            if found is None:
                return None
            fault = self._inject(found[0], device, found[1])
            return None if fault.name in WORLD else fault

    def _due(self, device: str) -> tuple[str, dict[str, float]] | None:
        now_s = self._clock.now_s()
        waiting = [armed for armed in self._armed if armed.device == device and armed.at_s <= now_s]
        due = next((armed for armed in waiting if armed.after == 0), None)
        for armed in waiting:
            armed.after = max(armed.after - 1, 0)
        if due is None:
            return None
        due.times -= 1
        if due.times == 0:
            self._armed.remove(due)
        return due.name, due.parameters()

    def _drawn_for(self, device: str) -> tuple[str, dict[str, float]] | None:
        """Draw by the schedule: each device deals its faults from a shuffled deck, so none is left out for long."""
        if not self._rate:
            return None
        place = DEVICES.index(device)
        random = generator(self._seed, Stream.FAULTS, [place, self._operations[device]])
        if random.random() >= self._rate:
            return None
        names = list(known(device))
        deck, card = divmod(self._drawn[device], len(names))
        self._drawn[device] += 1
        order = generator(self._seed, Stream.FAULT_DECK, [place, deck]).permutation(len(names))
        name = names[order[card]]
        return name, usual(device, name)

    def _inject(self, name: str, device: str, parameters: dict[str, float]) -> Fault:
        number = len(self._injected) + 1
        fault = Fault(number, name, device, self._operations[device], self._clock.now_s(), parameters)
        if name in self._effects:
            self._effects[name](device, parameters)
        self._injected.append(fault)
        return fault
