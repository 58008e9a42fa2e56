"""Calibrate a rig, and show what came of it beside what its file says."""

from collections.abc import Callable, Iterator
from contextlib import ExitStack
from dataclasses import asdict, dataclass, replace
from datetime import UTC, datetime
from pathlib import Path
from typing import Any

from acquisition.calibrate import Wishes, calibrate
from acquisition.calibration import Findings, calibrated, calibration_warnings
from acquisition.instructions import Instructions
from api.errors import UsageError
from api.guardian_process import guarded
from devices.rig import Calibration, RigSettings, open_rig
from devices.rig_file import Backlash, RigFileError, SettleTime
from devices.rig_lock import holding
from devices.rig_writer import refuse_unwritable, write_calibration

NOT_NEEDED = ("video", "focus")
"""Roles that are not opened: the focus stays where it is."""
UNKNOWN = "-"


@dataclass(frozen=True)
class Calibrated:
    """A calibration beside the one before it.

    `copy` is the rig file as it was, where a new one was written; `not_written` why none could be, though asked for.
    """

    rig: Path
    was: RigSettings
    now: Calibration
    found: Findings
    copy: Path | None = None
    not_written: str | None = None

    @property
    def is_whole(self) -> bool:
        """Whether everything was measured, and written, that was asked for and that the rig has."""
        excused = {"not asked for", "the rig has no deflection sensor"}
        return self.not_written is None and set(self.found.not_measured.values()) <= excused

    @property
    def sensitivity_nm_per_v(self) -> float | None:
        """As measured, None if it was not."""
        return self.found.sensitivity.nm_per_v if self.found.sensitivity else None

    def facts(self) -> dict[str, Any]:
        """All of it, for `--json`."""
        return {
            "rig": self.rig,
            "written": self.copy is not None,
            "copy": self.copy,
            "not_written": self.not_written,
            "was": self.was.calibration.model_dump(mode="json"),
            "calibration": self.now.model_dump(mode="json"),
            "rotation_deg": self.now.rotation_deg,
            "shear_deg": self.now.shear_deg,
            "sensitivity_nm_per_v": self.sensitivity_nm_per_v,
            "camera": asdict(self.found.camera) if self.found.camera else None,
            "not_measured": dict(self.found.not_measured),
            "warnings": calibration_warnings(self.now, datetime.now(UTC)),
        }

    def table(self) -> list[str]:
        """All of it, for people: old -> new, and how sure that is."""
        return [
            f"{'':<22}{'was':>12}{'is':>14}   +-",
            *self._rows(),
            *(f"{name} not measured: {reason}" for name, reason in self.found.not_measured.items()),
            f"written to {self.rig}; as it was: {self.copy}" if self.copy else self._why_not_written(),
        ]

    def _why_not_written(self) -> str:
        return f"not written: {self.not_written}" if self.not_written else "not written; --write does"

    def _rows(self) -> Iterator[str]:
        was, now, doubt = self.was.calibration, self.now, self.now.uncertainty
        if self.found.camera is not None:
            yield _row("pixel size, nm", was.pixel_size_um, now.pixel_size_um, doubt.pixel_size_um, 1000.0)
            yield _row("rotation, degrees", was.rotation_deg, now.rotation_deg, doubt.rotation_deg)
            yield _row("shear, degrees", was.shear_deg, now.shear_deg, doubt.shear_deg)
            for axis in ("x", "y"):
                before_um, after_um = _of(was.backlash_um, axis), _of(now.backlash_um, axis)
                yield _row(f"backlash {axis}, nm", before_um, after_um, _of(doubt.backlash_um, axis), 1000.0)
        for axis in self.found.settling:
            before_s, after_s = _of(was.settle_s, axis), _of(now.settle_s, axis)
            yield _row(f"settling {axis}, ms", before_s, after_s, _of(doubt.settle_s, axis), 1000.0)
        if self.found.sensitivity is not None:
            before = getattr(self.was.devices.force, "sensitivity_nm_per_v", None)
            yield _row("sensitivity, nm/V", before, self.sensitivity_nm_per_v, doubt.sensitivity_nm_per_v)


def run_calibration(
    rig_file: Path, wishes: Wishes, write: bool, told: Instructions, say: Callable[[str], None]
) -> Calibrated:
    """Calibrate the rig of a file and, if asked to, write what was found into it.

    Raises:
        RigFileError: the file is wrong, or cannot be written; nothing was moved.
        DeviceError, Interrupted, Undetermined: see `calibrate`; nothing was written.
        GuardianFailed: the probe would be brought down with nobody to guard it; nothing was moved.
    """
    settings = RigSettings.load(rig_file)
    if write:
        sensor = settings.devices.force if wishes.force else None
        refuse_unwritable(rig_file, settings.calibration, getattr(sensor, "sensitivity_nm_per_v", None))

    def note(kind: str, **data: Any) -> None:
        say(f"{kind.replace('_', ' ')}: {data}")

    with holding(settings), open_rig(settings, leave_out=NOT_NEEDED) as rig, ExitStack() as leaving:
        heart = leaving.enter_context(guarded(settings, None, note)) if wishes.force else None
        found = calibrate(rig, wishes, told, say, heart)
    now = calibrated(settings.calibration, found)
    made = Calibrated(rig_file, settings, now, found)
    if not write:
        return made
    try:
        return replace(made, copy=write_calibration(rig_file, now, made.sensitivity_nm_per_v))
    except RigFileError as error:  # somebody was at the file meanwhile; what was measured is told all the same
        return replace(made, not_written="; ".join(error.reasons))


def place(text: str | None) -> tuple[float, float] | None:
    """Read `--at X,Y`.

    Raises:
        UsageError: it is not two numbers.
    """
    if text is None:
        return None
    try:
        x_um, y_um = (float(part) for part in text.split(","))
    except ValueError:
        raise UsageError(f"--at {text}: should be X,Y in micrometre, like 50,40") from None
    return x_um, y_um


def _of(pair: Backlash | SettleTime | None, axis: str) -> float | None:
    value: float | None = getattr(pair, axis, None)
    return value


def _row(name: str, was: float | None, now: float | None, doubt: float | None, scale: float = 1.0) -> str:
    before, after = (UNKNOWN if value is None else f"{value * scale:.5g}" for value in (was, now))
    sd = UNKNOWN if doubt is None else f"{doubt * scale:.2g}"
    return f"{name:<22}{before:>12}{after:>14}   {sd}"
