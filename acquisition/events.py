"""What can happen in a run, and which of it people want to be told; the journal refuses what is not listed here."""

from collections.abc import Mapping
from enum import StrEnum


class Class(StrEnum):
    """What a subscriber asks for; a `note` is for the journal and the report alone."""

    STARTED = "started"
    COMPLETED = "completed"
    FAILED = "failed"
    PAUSED = "paused"
    SKIPPED = "skipped"
    INTERLOCK = "interlock"
    GUARDIAN = "guardian"
    NOTE = "note"


KINDS: Mapping[str, Class] = {
    "run_started": Class.STARTED,
    "run_resumed": Class.STARTED,
    "resume_begun": Class.NOTE,
    "run_mended": Class.NOTE,
    "run_completed": Class.COMPLETED,
    "run_stopped": Class.COMPLETED,
    "run_failed": Class.FAILED,
    "mosaic_failed": Class.FAILED,
    "paused": Class.PAUSED,
    "still_paused": Class.NOTE,
    "trying_again": Class.NOTE,
    "continued": Class.PAUSED,
    "needs_somebody": Class.NOTE,
    "told": Class.NOTE,
    "tile_skipped": Class.SKIPPED,
    "backed_off": Class.NOTE,
    "cut_short": Class.NOTE,
    "quality_refused": Class.NOTE,
    "retake_asked": Class.NOTE,
    "tile_restored": Class.NOTE,
    "restoration_late": Class.NOTE,
    "interlock_tripped": Class.INTERLOCK,
    "interlock_cleared": Class.INTERLOCK,
    "guardian_retracted": Class.GUARDIAN,
    "guardian_released": Class.GUARDIAN,
    "guardian_died": Class.GUARDIAN,
    "force_engaged": Class.NOTE,
    "force_tripped": Class.FAILED,
    "force_measured": Class.NOTE,
    "focus_found": Class.NOTE,
    "focus_measured": Class.NOTE,
    "focus_refused": Class.NOTE,
    "drift_measured": Class.NOTE,
    "drift_refused": Class.NOTE,
    "overlap_measured": Class.NOTE,
    "overlap_corrected": Class.NOTE,
    "overlap_kept": Class.NOTE,
    "overlap_unknown": Class.NOTE,
    "calibration_doubtful": Class.NOTE,
    "video_overlap": Class.NOTE,
    "video_overlap_leaving": Class.NOTE,
    "video_gap": Class.NOTE,
    "preflight_warning": Class.NOTE,
    "clock_jumped": Class.NOTE,
    "device_trouble": Class.NOTE,
    "worker_started": Class.NOTE,
    "worker_died": Class.NOTE,
    "worker_warned": Class.NOTE,
    "telling_failed": Class.NOTE,
}
