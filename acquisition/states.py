"""What a run is doing, and how it ended."""

from enum import StrEnum


class State(StrEnum):
    IDLE = "idle"
    PREPARING = "preparing"
    ACQUIRING = "acquiring"
    PAUSED = "paused"
    FINISHING = "finishing"


class Outcome(StrEnum):
    COMPLETED = "completed"
    STOPPED = "stopped"
    FAILED = "failed"
