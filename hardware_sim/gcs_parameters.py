"""The parameter memory of a GCS controller: `SPA`, `SPA?`, `HPA?` and the command levels that protect it."""

from dataclasses import dataclass

from hardware_sim.gcs_errors import Error, Refusal
from hardware_sim.gcs_language import Command, Commands, Items, groups, parameter_id, real, whole, without_arguments
from hardware_sim.landing import NM_PER_UM
from hardware_sim.mechanics import TRAVEL_UM
from hardware_sim.settings import MechanicsSettings

STAGE_NAME = 0x3C
LOWEST_UM = 0x07000000
HIGHEST_UM = 0x07000001
TOLERANCE_UM = 0x07000900
SETTLING_S = 0x07000901
SERVO_TIME = 0x0E000200
RECORDER_MEMORY = 0x16000200
RECORDER_LENGTH = 0x16000201
RECORDER_TABLES = 0x16000300
SINGLE_DIRECTION = 0x18000300

SERVO_TIME_S = 50e-6  # E-727
TABLES = 8
TABLE_POINTS = 32_768
FREE, ADVANCED, NEVER = 0, 1, 2
"""Command level from which a parameter may be written."""
PASSWORD = "advanced"
LONGEST_SETTLING_S = 10.0

Value = int | float | str


@dataclass(frozen=True)
class Parameter:
    """What a parameter is, and what it is before anybody writes it."""

    name: str
    values: tuple[Value, ...]
    """One per axis, or only one for the whole controller."""
    writable_from: int = NEVER
    ranges: tuple[tuple[float, float], ...] = ()
    """What may be written; as many as values."""

    @property
    def kind(self) -> str:
        """Name the type as `HPA?` does."""
        return {int: "INT", float: "FLOAT", str: "CHAR"}[type(self.values[0])]


def parameters_of(settings: MechanicsSettings, has_wave_generator: bool) -> dict[int, Parameter]:
    """Describe the parameters of a controller that drives the scanner."""
    widths_um = tuple((1e-4, high_um - low_um) for low_um, high_um in TRAVEL_UM)
    tolerance_um = settings.tolerance_nm / NM_PER_UM
    table = {
        STAGE_NAME: Parameter("Stage Name", ("P-733.3CD",) * 3),
        LOWEST_UM: Parameter("Range Limit Min", tuple(low for low, _ in TRAVEL_UM), FREE, TRAVEL_UM),
        HIGHEST_UM: Parameter("Range Limit Max", tuple(high for _, high in TRAVEL_UM), FREE, TRAVEL_UM),
        TOLERANCE_UM: Parameter("On Target Tolerance", (tolerance_um,) * 3, FREE, widths_um),
        SETTLING_S: Parameter("Settling Time", (settings.settle_s,) * 3, FREE, ((0.0, LONGEST_SETTLING_S),) * 3),
        SERVO_TIME: Parameter("Servo Update Time", (SERVO_TIME_S,)),
    }
    if has_wave_generator:
        table |= {
            RECORDER_MEMORY: Parameter("Data Recorder Max Points", (TABLES * TABLE_POINTS,)),
            RECORDER_LENGTH: Parameter("Data Recorder Points Per Table", (TABLE_POINTS,), FREE, ((1, TABLE_POINTS),)),
            RECORDER_TABLES: Parameter("Data Recorder Channel Number", (TABLES,)),
            SINGLE_DIRECTION: Parameter("Trigger In One Direction Only", (0,) * 3, ADVANCED, ((0, 1),) * 3),
        }
    return table


class ParameterMemory:
    """The values of all parameters, and who may write them."""

    def __init__(self, axes: Items, table: dict[int, Parameter]) -> None:
        self._axes = axes
        self._table = table
        self._values: dict[int, list[Value]] = {number: list(row.values) for number, row in table.items()}
        self._level = FREE

    def number(self, parameter: int, axis: int = 0) -> float:
        """Read a parameter that is a number."""
        return float(self._values[parameter][axis])

    def commands(self) -> Commands:
        """List the commands for parameters."""
        return {
            "SPA": Command("{<ItemID> <PamID> <PamValue>} - Set Volatile Memory Parameters", self._write),
            "SPA?": Command("[{<ItemID> <PamID>}] - Get Volatile Memory Parameters", self._read),
            "HPA?": Command("- Get List Of Available Parameters", without_arguments(self._help)),
            "CCL": Command("<Level> [<PSWD>] - Set Command Level", self._set_level),
            "CCL?": Command("- Get Command Level", without_arguments(lambda: [str(self._level)])),
        }

    def _find(self, item: str, word: str) -> tuple[int, int]:
        """Find a parameter and the place of its value; one of the whole controller goes by any item."""
        number = parameter_id(word)
        if number not in self._table:
            raise Refusal(Error.UNKNOWN_PARAMETER)
        if len(self._values[number]) == 1:
            if item != "1":
                self._axes.index(item)
            return number, 0
        return number, self._axes.index(item)

    def _write(self, words: list[str]) -> None:
        """Write all values of a line, or none."""
        values = {number: list(row) for number, row in self._values.items()}
        for item, parameter, word in groups(words, 3):
            number, place = self._find(item, parameter)
            values[number][place] = self._checked(number, place, word)
        if any(low >= high for low, high in zip(values[LOWEST_UM], values[HIGHEST_UM], strict=True)):  # type: ignore[operator]
            raise Refusal(Error.OUT_OF_RANGE)
        self._values = values

    def _checked(self, number: int, place: int, word: str) -> Value:
        row = self._table[number]
        if row.writable_from > self._level:
            raise Refusal(Error.PARAMETER_READ_ONLY if self._level == ADVANCED else Error.PARAMETER_PROTECTED)
        value = whole(word) if row.kind == "INT" else real(word)
        low, high = row.ranges[place]
        if not low <= value <= high:
            raise Refusal(Error.OUT_OF_RANGE)
        return value

    def _read(self, words: list[str]) -> list[str]:
        asked = groups(words, 2) if words else self._everything()
        lines = []
        for item, parameter in asked:
            number, place = self._find(item, parameter)
            value = self._values[number][place]
            lines.append(
                f"{item} 0x{number:X}={value:.9g}" if isinstance(value, float) else f"{item} 0x{number:X}={value}"
            )
        return lines

    def _everything(self) -> list[list[str]]:
        return [
            [item, str(number)] for number, row in self._table.items() for item in self._axes.names[: len(row.values)]
        ]

    def _help(self) -> list[str]:
        lines = [
            f"0x{number:X}= {row.writable_from} {len(row.values)} {row.kind} {row.name}"
            for number, row in self._table.items()
        ]
        return ["The following parameters are valid:", *lines, "end of help"]

    def _set_level(self, words: list[str]) -> None:
        if not words:
            raise Refusal(Error.MISSING_PARAMETER)
        if len(words) > 2:
            raise Refusal(Error.WRONG_NUMBER_OF_PARAMETERS)
        level = whole(words[0])
        if level not in (FREE, ADVANCED):
            raise Refusal(Error.OUT_OF_RANGE)
        if level == ADVANCED and words[1:] != [PASSWORD]:
            raise Refusal(Error.INVALID_PASSWORD)
        self._level = level
