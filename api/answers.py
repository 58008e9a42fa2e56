"""What the API answers, for those who read its description; a test holds the answers against it."""

from dataclasses import fields
from typing import Annotated, Any, get_type_hints

from pydantic import BaseModel, ConfigDict, Field, create_model

from acquisition.job import JobState
from acquisition.journal import Attempt
from acquisition.states import Outcome, State
from api.access.roles import Role
from devices.settings import Kind

Utc = Annotated[str, Field(description="ISO 8601, UTC.", examples=["2026-11-21T22:00:00Z"])]
RunId = Annotated[str, Field(examples=["20261121T220000Z-pads"])]
PerAxisUm = Annotated[dict[str, float], Field(description="Micrometre, by axis.", examples=[{"x": 20.0, "y": 30.0}])]


CornersUm = Annotated[
    list[list[float]],
    Field(
        description="Corners of the field of view from its centre, x, y; micrometre.",
        examples=[[[-5.1, -4.0], [5.1, -4.0], [5.1, 4.0], [-5.1, 4.0]]],
    ),
]


class Answer(BaseModel):
    model_config = ConfigDict(extra="forbid")


class Problem(Answer):
    """RFC 9457."""

    type: str = Field(examples=["about:blank"])
    title: str = Field(examples=["Unprocessable Entity"])
    status: int = Field(examples=[422])
    detail: str = Field(examples=["scanner: x = 120 um is outside 0..100 um"])
    errors: dict[str, list[str]] | None = Field(None, description="For input: what is wrong, by key.")


class LeaseFacts(Answer):
    holder: str = Field(description="Name of a token.", examples=["mia"])
    expires_at: Utc
    left_s: float = Field(description="Seconds.", examples=[287.5])


class LeaseAnswer(Answer):
    lease: LeaseFacts


class CallerFacts(Answer):
    name: str = Field(description="Of a token; `local` where none is asked for.", examples=["mia"])
    role: Role


class Health(Answer):
    service: str = Field(description="working, hindered, over", examples=["working"])
    worker: str = Field(description="idle, starting, working, died", examples=["working"])
    guardian: str = Field(description="idle, guarding, retracted, silent", examples=["guarding"])
    devices: dict[str, str] = Field(
        description="ok, failed, in doubt, not asked since (when it was well last)",
        examples=[{"scanner": "ok", "camera": "ok"}],
    )


class Healthz(Health):
    ok: bool


class DeviceHealth(Answer):
    ok: bool | None = Field(description="null: it was not asked yet.")
    error: str | None = Field(examples=["no answer within 0.5 s"])
    at: Utc | None


class RunningJobFacts(Answer):
    id: int = Field(examples=[7])
    name: str = Field(examples=["pads, die 4"])
    run: RunId | None
    started_at: Utc | None


class Progress(Answer):
    tiles: int = Field(description="Taken.", examples=[12])
    planned: int = Field(examples=[48])
    placed: int = Field(description="In the mosaic.", examples=[11])


class ServiceStatus(Answer):
    state: State
    job: RunningJobFacts | None
    progress: Progress | None
    pause_pending: bool | None
    waits_because: str | None = Field(description="Who or what pauses the run, and why.", examples=["pause over HTTP"])
    ending: Outcome | None = Field(description="How somebody told the run to end.")
    retakes: list[int] | None = Field(
        description="Tiles that are taken again before the run ends, because somebody wants it.", examples=[[12, 40]]
    )
    held: str | None = Field(description="Why no job may begin.", examples=["stopped over HTTP"])
    troubles: list[str] = Field(description="What is in the way of the service.")
    rig: str | None = Field(description="The service's rig file.")


class Status(ServiceStatus):
    caller: CallerFacts
    lease: LeaseFacts | None
    health: Health
    devices: dict[str, DeviceHealth]


class TilesOfJob(Answer):
    ok: int | None
    planned: int


class JobAnswer(Answer):
    id: int = Field(examples=[7])
    name: str = Field(examples=["pads, die 4"])
    state: JobState
    doing: State
    outcome: Outcome | None
    error: str | None
    tiles: TilesOfJob | None
    rig: str | None = Field(description="A rig file of its own.")
    run: RunId | None
    start_at: Utc | None
    window: str | None = Field(examples=["22:00-07:00 Europe/Berlin"])
    starts_at: Utc | None = Field(description="When it may run, if nothing stands before it.")
    created_at: Utc
    started_at: Utc | None
    ended_at: Utc | None


class JobWithPlan(JobAnswer):
    plan: dict[str, Any]


class Jobs(Answer):
    queue_version: int = Field(examples=[41])
    jobs: list[JobAnswer]
    damaged: list[str]


class RunHead(Answer):
    id: RunId
    name: str | None = None
    plan_hash: str | None = None
    seed: int | None = None
    created_at: Utc | None = None
    versions: dict[str, str] | None = None
    error: str | None = Field(None, description="Of a run that cannot be read.")


class Runs(Answer):
    runs: list[RunHead]


class TileCounts(Answer):
    planned: int
    ok: int
    retried: int
    flagged: int
    skipped: int
    failed: int


class Times(Answer):
    total_s: float = Field(description="Seconds.", examples=[731.5])
    physics_s: float = Field(description="Seconds.")
    overhead_ms_p50: float | None = Field(description="Milliseconds.", examples=[3.1])
    overhead_ms_p99: float | None = Field(description="Milliseconds.", examples=[6.4])


class Run(RunHead):
    has_report: bool
    plan: dict[str, Any]
    pixel_size_um: float = Field(description="Micrometre.", examples=[0.05])
    field_corners_um: CornersUm
    tiles: TileCounts
    time: Times
    lost_time_s: dict[str, float] = Field(description="Seconds, by cause.")
    lost_time_details: list[dict[str, Any]]
    resumed: int
    outcome: Outcome | None


def _attempt_fields() -> dict[str, Any]:
    """Of the journal's own description of an attempt, with what its names say of units."""
    units = {"um": "Micrometre.", "nn": "Nanonewton.", "s": "Seconds."}
    hints = get_type_hints(Attempt)
    return {
        each.name: (hints[each.name], Field(description=units.get(each.name.rsplit("_", 1)[-1])))
        for each in fields(Attempt)
    }


TileAttempt = create_model("TileAttempt", __base__=Answer, number=(int, Field(examples=[12])), **_attempt_fields())


class TilesOfRun(Answer):
    tiles: list[TileAttempt]  # type: ignore[valid-type]
    last: int = Field(description="To ask again after.")


class Level(Answer):
    shape_px: list[int] = Field(description="y, x; pixels.", examples=[[4096, 6144]])
    pixel_size_um: float | None = Field(description="Micrometre.", examples=[0.02])
    origin_um: list[float] | None = Field(description="y, x of the first pixel's centre; micrometre.")


class RestoredAgain(Answer):
    model: str = Field(examples=["nlm"])
    state: str = Field(description="working, done, cut off", examples=["done"])


class MosaicAnswer(Answer):
    tile_px: int = Field(description="Pixels.", examples=[256])
    display_range: list[int] | None = Field(description="Grey values shown as black and white.", examples=[[900, 4100]])
    layers: dict[str, list[Level]] = Field(description="Levels by layer, from full resolution on.")
    restored_again: list[RestoredAgain]


class DrawnBlocks(Answer):
    block_tiles: int = Field(description="Tiles along a side.", examples=[4])
    blocks: dict[str, str] = Field(description="Version by row/column.", examples=[{"0/0": "1f3-18a0c2"}])


class Restoring(Answer):
    run: RunId
    restored_again: list[RestoredAgain]


class ModelAnswer(Answer):
    name: str = Field(examples=["nlm"])
    sha256: str | None
    scale: int = Field(description="Pixels made of one, along each axis.", examples=[1])
    card: dict[str, Any] | None = Field(description="What is known of a network; null of classical methods.")


class Models(Answer):
    models: list[ModelAnswer]


class DeviceAnswer(DeviceHealth):
    name: str = Field(examples=["scanner"])
    kind: Kind
    driver: str = Field(examples=["pi_gcs"])
    taken_by: str | None = Field(examples=["job 7 (pads) has it"])
    reading: dict[str, Any] | None = Field(
        description="position_um and limits_um in micrometre, force_nn in nanonewton, frame_shape_px in pixels.",
        examples=[{"position_um": {"x": 20.0, "y": 30.0, "z": 0.0}}],
    )


class Devices(Answer):
    devices: list[DeviceAnswer]


class Moved(Answer):
    name: str = Field(examples=["scanner"])
    position_um: PerAxisUm


class InterlockFacts(Answer):
    name: str = Field(examples=["disk"])
    watches: str = Field(examples=["free disk space, GB"])
    trips: str = Field(examples=["below 1"])
    action: str = Field(description="warn, pause, retract, stop, abort", examples=["pause"])
    resume: str = Field(description="auto, manual", examples=["auto"])
    is_read_now: bool = Field(description="false: it watches a device, which only runs look at.")
    wrong: str | None = Field(description="What it has against a run now.", examples=["0.4 is below 1"])


class RigAnswer(Answer):
    name: str = Field(examples=["bench 2"])
    pixel_size_um: float = Field(description="Micrometre.", examples=[0.05])
    field_um: list[float] = Field(description="Width, height of the field of view; micrometre.", examples=[[10.2, 8.0]])
    field_corners_um: CornersUm
    limits_um: dict[str, list[float]] = Field(
        description="Travel of the scanner's axes as far as the file gives it; micrometre.",
        examples=[{"x": [0.0, 100.0]}],
    )
    is_twin: bool = Field(description="The service was started with it: `sim/faults` injects faults.")
    probe_rides_on: str | None = Field(
        description="The stage that carries the probe: by hand it moves away from the specimen only.",
        examples=["focus"],
    )
    drivers: dict[str, str] = Field(examples=[{"scanner": "pi_gcs", "camera": "mmcore"}])
    interlocks: list[InterlockFacts]


class ParameterFacts(Answer):
    usual: float = Field(description="In the unit that its name ends with.", examples=[2.0])
    low: float = Field(description="In the unit that its name ends with.", examples=[0.0])
    high: float = Field(description="In the unit that its name ends with.", examples=[3600.0])


class InjectedFault(Answer):
    number: int
    name: str = Field(examples=["stuck_axis"])
    device: str = Field(examples=["scanner"])
    operation: int = Field(description="Of the device: its how manyth it befell.")
    time_s: float = Field(description="Seconds, in the world.")
    parameters: dict[str, float]


class FaultsAnswer(Answer):
    kinds: dict[str, dict[str, dict[str, ParameterFacts]]] = Field(description="By device and name: parameters.")
    injected: list[InjectedFault]


class ArmedFault(Answer):
    device: str = Field(examples=["scanner"])
    name: str = Field(examples=["stuck_axis"])
    times: int
    parameters: dict[str, float]


class Preview(Answer):
    tiles: int | None = Field(None, examples=[48])
    rows: int | None = Field(None, examples=[6])
    columns: int | None = Field(None, examples=[8])
    overlap: list[float] | None = Field(None, description="x, y; of the field of view.", examples=[[0.2, 0.21]])
    duration_s: float | None = Field(None, description="Seconds.", examples=[95.0])
    disk_bytes: int | None = Field(None, description="Bytes.", examples=[510_000_000])
    places_um: list[list[float]] | None = Field(
        None, description="Centres of the tiles in their order, x, y; micrometre. null: there are too many to list."
    )
    field_corners_um: CornersUm | None = None
    plan_hash: str
    problems: list[str] = Field(description="All that stands in the way.")
    warnings: list[str]
