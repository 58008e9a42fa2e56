"""The command line. Each command takes its words apart, calls what does the work, and says what came of it.

What does the work is imported by the command: all of it takes a second and more.
"""

import os
import signal
import sys
import threading
from collections.abc import Callable, Iterator
from contextlib import contextmanager, nullcontext
from pathlib import Path
from types import FrameType
from typing import Annotated, Any

import typer
from typer.exceptions import Abort, TyperException

from acquisition.instructions import Instructions
from acquisition.plan import PlanError
from acquisition.states import Outcome
from api import queue_commands, token_commands
from api.errors import BAD_INPUT, DevicesFailed, UsageError, lines
from api.evaluate import evaluate
from api.models import list_models
from api.modules import module_command
from api.results_told import edges_told, places_told
from api.serve_command import serve
from api.show import bars, progress_line, result, show_check
from api.train import train
from devices.rig import RigSettings
from devices.rig_lock import holding

INTERRUPTED = 130  # what typer makes of Ctrl-C
ENDINGS = signal.SIGINT, signal.SIGTERM, signal.SIGHUP

app = typer.Typer(
    help="Plan a region, walk away, and wake up to a zoomable mosaic. With --debug, errors come with tracebacks.",
    add_completion=False,
    pretty_exceptions_enable=False,
    rich_markup_mode=None,
)

Json = Annotated[bool, typer.Option("--json", help="One JSON object on stdout, nothing else there.")]
Rig = Annotated[Path, typer.Option("--rig", help="Rig file (TOML).")]
ModelName = Annotated[
    str, typer.Option(metavar="NAME or FILE", help="How frames are restored: a name of `nanoraster models`, or a file.")
]
PlanFile = Annotated[Path, typer.Argument(metavar="FILE", help="Plan (TOML, JSON), or useq MDASequence (JSON, YAML).")]


@app.command()
def demo(
    out: Annotated[Path, typer.Option(help="Folder for the run directory.")] = Path("runs"),
    specimen: Annotated[str, typer.Option(help="chip, alloy, siemens, blocks, or an image file.")] = "chip",
    pixel_nm: Annotated[float, typer.Option(help="Size of a specimen pixel, and of a camera pixel on it.")] = 20.0,
    region_um: Annotated[str | None, typer.Option(metavar="WxH", help="Default: 60x48, or what the image has.")] = None,
    overlap: Annotated[float, typer.Option(help="Fraction of the field of view, at least.")] = 0.2,
    seed: Annotated[int, typer.Option(help="Of the specimen, the stage errors and the noise.")] = 1,
    speed: Annotated[float, typer.Option(help="How much faster than real the twin's clock runs.")] = 1.0,
    faults: Annotated[str, typer.Option(help="none, night (one operation in 100 fails), or a TOML file.")] = "none",
    world: Annotated[str, typer.Option(help="lab, still, superlens, diffraction, or a TOML file.")] = "lab",
    model: ModelName = "sem_denoise",
    as_json: Json = False,
) -> None:
    """Scan a specimen on the simulated rig and compare the mosaic with the truth."""
    from api import demo as demonstration

    asked = demonstration.Demo(out, specimen, pixel_nm, region_um, overlap, seed, speed, faults, world, model)
    with bars() as shown, told_by_signals() as told:
        run, outcome, summary = demonstration.run_demo(asked, told, shown)
    report_run(run, outcome, summary, as_json)


@app.command()
def check(
    rig: Rig,
    move: Annotated[bool, typer.Option("--move", help="Move each axis a little and back; retracts the probe.")] = False,
    as_json: Json = False,
) -> None:
    """Connect to each device and test it. Moves nothing, unless told to."""
    from devices.self_test import check_rig

    settings = RigSettings.load(rig)
    checks = []
    with holding(settings) if move else nullcontext():
        for found in check_rig(settings, move):
            checks.append(found)
            if not as_json:
                show_check(found)
    failed = [found.found for found in checks if not found.ok]
    if as_json:
        result(True, {"rig": settings.name, "ok": not failed, "devices": [vars(found) for found in checks]}, [])
    if failed:
        raise DevicesFailed("; ".join(failed))


@app.command()
def calibrate(
    rig: Rig,
    write: Annotated[bool, typer.Option("--write", help="Put what is measured into the rig file.")] = False,
    at: Annotated[str | None, typer.Option(metavar="X,Y", help="Where, in um; default: around here.")] = None,
    force: Annotated[bool, typer.Option("--force/--no-force", help="Measure the cantilever in contact.")] = True,
    force_limit_nn: Annotated[float, typer.Option(min=1.0, max=1e6, help="The probe retracts beyond it.")] = 2000.0,
    exposure_ms: Annotated[float, typer.Option(min=0.01, max=60_000.0, help="Of each picture.")] = 20.0,
    as_json: Json = False,
) -> None:
    """Measure pixel size, rotation and shear of the camera, backlash, settling, and the cantilever's sensitivity."""
    from acquisition.calibrate import Wishes
    from api.calibrate import place, run_calibration

    wishes = Wishes(place(at), exposure_ms / 1000, force, force_limit_nn)
    with told_by_signals() as told:
        made = run_calibration(rig, wishes, write, told, progress_line)
    result(as_json, made.facts(), made.table())
    if not made.is_whole:
        raise typer.Exit(1)


@app.command()
def plan(
    file: PlanFile,
    rig: Rig,
    preview: Annotated[Path | None, typer.Option(metavar="OUT.png", help="Draw the tiles.")] = None,
    as_json: Json = False,
) -> None:
    """Say what a plan amounts to and what stands in its way. Moves nothing."""
    from acquisition.field import Field
    from acquisition.sequence import load_plan
    from api.foreseen_plan import foreseen
    from api.preview import write_preview
    from api.scan import limits_of

    settings = RigSettings.load(rig)
    planned = load_plan(file, Field.calibrated(settings.calibration))
    found = foreseen(planned, settings, Path())
    if found.problems or found.cost is None:
        if as_json:
            result(as_json, {"problems": found.problems, "warnings": found.warnings}, [])
        raise PlanError(found.problems)
    costs = found.cost
    if preview is not None:
        write_preview(preview, planned, Field.calibrated(settings.calibration), limits_of(settings))
    facts = {**vars(costs), "plan_hash": planned.hash, "problems": [], "warnings": found.warnings, "preview": preview}
    text = [
        f"tiles     {costs.tiles} ({costs.columns} columns x {costs.rows} rows)",
        f"overlap   {costs.overlap[0]:.1%} in x, {costs.overlap[1]:.1%} in y",
        f"duration  about {costs.duration_s:.0f} s",
        f"disk      about {costs.disk_bytes / 1e6:.0f} MB",
        *([f"picture   {preview}"] if preview else []),
        *(f"warning   {warning}" for warning in found.warnings),
    ]
    result(as_json, facts, text)


@app.command()
def scan(
    file: PlanFile,
    rig: Rig,
    out: Annotated[Path, typer.Option(help="The run directory; absent or empty.")],
    as_json: Json = False,
) -> None:
    """Acquire one plan in the foreground and make its mosaic meanwhile."""
    from acquisition.field import Field
    from acquisition.sequence import load_plan
    from api.scan import scan as run_scan

    settings = RigSettings.load(rig)
    planned = load_plan(file, Field.calibrated(settings.calibration))
    with bars() as shown, told_by_signals() as told:
        outcome, summary = run_scan(planned, settings, out, told, shown.watcher(told))
    report_run(out, outcome, summary, as_json)


@app.command()
def resume(
    run: Annotated[Path, typer.Argument(metavar="RUN", help="A run directory.")],
    rig: Annotated[Path | None, typer.Option("--rig", help="Rig file, where devices answer elsewhere now.")] = None,
    mend: Annotated[
        bool, typer.Option("--mend", help="Take again what the disk has lost of acknowledged frames.")
    ] = False,
    as_json: Json = False,
) -> None:
    """Go on with an interrupted run, with its own order, settings and calibration. A finished run is left alone."""
    from api.scan import is_finished
    from api.scan import resume as resume_run

    if is_finished(run):
        result(as_json, {"run": run, **where(run), "outcome": Outcome.COMPLETED}, [f"{run} is finished"])
        return
    settings = RigSettings.load(rig) if rig else None
    with bars() as shown, told_by_signals() as told:
        outcome, summary = resume_run(run, settings, told, shown.watcher(told), mend=mend)
    report_run(run, outcome, summary, as_json)


@app.command()
def reconstruct(
    source: Annotated[Path, typer.Argument(help="A run directory or a folder of tiles.")],
    out: Annotated[Path, typer.Option(help="Folder for mosaic, positions and report; absent or empty.")],
    model: ModelName = "none",
    pixel_nm: Annotated[float | None, typer.Option(help="Size of a pixel, where the source does not know it.")] = None,
    device: Annotated[str, typer.Option(help="Where networks run: auto, cpu or cuda.")] = "auto",
    blend: Annotated[str, typer.Option(help="Overlaps: bands, or feather (averages all of them).")] = "bands",
    flat_field: Annotated[bool, typer.Option("--flat-field/--no-flat-field", help="Take out common shading.")] = True,
    exposure: Annotated[bool, typer.Option("--exposure/--no-exposure", help="Match the brightness of tiles.")] = True,
    sub_pixel: Annotated[
        bool, typer.Option("--sub-pixel/--whole-pixel", help="Draw tiles between pixels, and straightened.")
    ] = True,
    as_json: Json = False,
) -> None:
    """Restore, register, place and fuse what was acquired, whenever and by whomever.

    To measure grey values in the mosaic, add --no-flat-field --no-exposure --whole-pixel: pixels are copied then.
    """
    from api.reconstruct import reconstruct as reconstruct_source
    from reconstruction.fusion import Fusion, blend_named

    with bars() as shown:
        fusion = Fusion(blend_named(blend), flat_field, exposure, sub_pixel)
        summary = reconstruct_source(source, out, model, device, pixel_nm, fusion, shown.placed, shown.warn)
    stitch = summary["stitch"]
    text = [
        *places_told(out),
        edges_told(stitch),
    ]
    result(as_json, {**where(out), "summary": summary}, text)


@app.command()
def export(
    source: Annotated[Path, typer.Argument(metavar="RUN_OR_DIR", help="A run, or what reconstruct has made.")],
    out: Annotated[Path | None, typer.Option(help="A pyramidal OME-TIFF that is not there yet.")] = None,
    layer: Annotated[str, typer.Option(help="Which layer of the mosaic.")] = "raw",
    tile_configuration: Annotated[
        Path | None, typer.Option(help="Write the places of the tiles as Fiji's TileConfiguration.txt.")
    ] = None,
    tiles: Annotated[
        Path | None, typer.Option(metavar="DIR", help="Write a run's tiles as TIFF, with a TileConfiguration.txt.")
    ] = None,
    as_json: Json = False,
) -> None:
    """Write a mosaic as one OME-TIFF, or the tiles of a run and their places for Fiji."""
    from api.export import export as export_from

    wrote = export_from(source, out, layer, tile_configuration, tiles)
    result(as_json, wrote, [f"{name:<9} {path}" for name, path in wrote.items()])


@app.command()
def video(
    out: Annotated[Path, typer.Option(help="Folder for mosaic, positions and report; absent or empty.")],
    files: Annotated[
        list[Path] | None, typer.Argument(metavar="FILE...", help="Videos, a row each or all in one.")
    ] = None,
    rig: Annotated[Path | None, typer.Option("--rig", help="Follow the video of this rig (TOML) instead.")] = None,
    overlap: Annotated[str, typer.Option(metavar="LOW:HIGH", help="Of neighbouring tiles, measured.")] = "0.3:0.6",
    crop: Annotated[
        str | None, typer.Option(metavar="X,Y,W,H", help="What of a frame is specimen; default: bars are found.")
    ] = None,
    rows: Annotated[str, typer.Option(help="Which way rows go: found, same or serpentine.")] = "found",
    row_step_px: Annotated[
        float | None, typer.Option(help="From row to row, where it cannot be found; negative: upwards.")
    ] = None,
    pixel_nm: Annotated[float | None, typer.Option(help="Size of a pixel.")] = None,
    stage_um_s: Annotated[
        float | None, typer.Option(help="Speed of the stage; tells the size of a pixel where that is not known.")
    ] = None,
    model: ModelName = "none",
    as_json: Json = False,
) -> None:
    """Take frames out of a moving-stage video by their measured overlap, and make their mosaic.

    Of a rig's video until Ctrl-C, into a run directory, while somebody else moves the stage.
    """
    from api.video import options_of, reconstruct_video, video_lines
    from api.video_live import record_video

    options = options_of(overlap, crop, rows, row_step_px, pixel_nm, stage_um_s)
    if bool(files) == (rig is not None):
        raise UsageError("video: give FILE..., or --rig for a live source")
    if rig is not None:
        with bars() as shown, told_by_signals() as told:
            outcome, summary = record_video(RigSettings.load(rig), out, options, model, told, shown.live_watcher())
        report_run(out, outcome, summary, as_json)
        return
    assert files is not None
    with bars() as shown:
        summary = reconstruct_video(files, out, model, options, shown.selected, shown.placed)
    result(as_json, {**where(out), "summary": summary}, video_lines(out, summary))


@app.command()
def report(
    run: Annotated[Path, typer.Argument(help="A run directory, whether its run goes on, ended or was cut off.")],
    as_json: Json = False,
) -> None:
    """Write the morning report of a run as it stands now. Moves nothing."""
    from api.night.report import write_night_report

    summary = write_night_report(run)
    tiles = summary["tiles"]
    text = [
        f"{summary['outcome'] or 'not ended'}: {tiles['ok']} of {tiles['planned']} tiles",
        f"report    {where(run)['report']}",
    ]
    result(as_json, {"report": where(run)["report"], "summary": summary}, text)


@app.command()
def tell(rig: Rig, as_json: Json = False) -> None:
    """Send a test message by every channel of a rig file's [tell] table."""
    from acquisition.telling_trial import try_channels

    settings = RigSettings.load(rig)
    if not settings.tell.channels:
        raise UsageError(f"{rig}: tell: no webhooks and no mails, nobody would be told")
    trials = list(try_channels(settings.tell, settings.name))
    text = [f"{trial.channel:<12} {trial.trouble or 'told'}" for trial in trials]
    result(as_json, {"rig": settings.name, "channels": [vars(trial) for trial in trials]}, text)
    if any(trial.trouble for trial in trials):
        raise typer.Exit(1)


@app.command(
    context_settings={"allow_extra_args": True, "ignore_unknown_options": True, "help_option_names": []},
    help="The twin alone; the same as `python -m hardware_sim` (try --help).",
)
def sim(context: typer.Context) -> None:
    command = module_command("hardware_sim", *context.args)
    os.execv(command[0], command)


app.command("models")(list_models)
app.command()(serve)
app.command()(train)
app.command()(evaluate)
app.add_typer(queue_commands.app, name="queue")
app.add_typer(token_commands.app, name="token")


def report_run(run: Path, outcome: Outcome, summary: dict[str, Any], as_json: bool) -> None:
    """Where the run's results are, and how good they are; exit code 1 unless every tile was taken."""
    tiles, stitch = summary["tiles"], summary["stitch"]
    text = [
        f"{outcome}: {tiles['ok']} of {tiles['planned']} tiles",
        *places_told(run),
        edges_told(stitch),
    ]
    if truth := summary.get("truth"):
        text += [
            f"truth     {truth['position_error_px_rms']:.2f} px rms, {truth['position_error_px_max']:.2f} px at most; "
            f"PSNR {truth['psnr_raw_db']:.1f} dB raw, {truth['psnr_restored_db']:.1f} dB restored"
        ]
    result(as_json, {"run": run, **where(run), "outcome": outcome, "summary": summary}, text)
    if outcome is not Outcome.COMPLETED or tiles["ok"] < tiles["planned"]:
        raise typer.Exit(1)


def where(folder: Path) -> dict[str, Path]:
    report = folder / "report"
    return {
        "mosaic": folder / "mosaic.zarr",
        "picture": report / "preview.png",
        "report": report / "report.html",
    }


@contextmanager
def told_by_signals() -> Iterator[Instructions]:
    """Ctrl-C, SIGTERM or a closed terminal end a scan at once and cleanly, and later the wait for its mosaic."""
    told = Instructions(attended=sys.stdin.isatty())

    def end(number: int, frame: FrameType | None) -> None:
        if told.stopped:
            raise KeyboardInterrupt
        told.stop(f"told to by {signal.Signals(number).name}")

    before = {number: signal.signal(number, end) for number in ENDINGS}
    if told.attended:
        threading.Thread(target=_go_on_with_enter, args=[told], daemon=True).start()
    try:
        yield told
    finally:
        for number, handler in before.items():
            signal.signal(number, handler)


def _go_on_with_enter(told: Instructions) -> None:
    while sys.stdin.readline():
        told.resume()


def main() -> int:
    """Run a command; errors end in one line each on stderr and in exit code 1 or 2, or with --debug as they are."""
    words = sys.argv[1:]
    debug = "--debug" in words and words[0] != "sim"  # the twin has a --debug of its own
    if debug:
        words.remove("--debug")
    return exit_code(lambda: app(words, standalone_mode=False), debug)


def exit_code(command: Callable[[], Any], debug: bool) -> int:
    """Run a command, say in a line what ended it if it did not go well, and return 0, 1 or 2."""
    try:
        code = command()
    except (Abort, KeyboardInterrupt):
        code = INTERRUPTED
    except TyperException as error:
        return _say([error.format_message()], 2)
    except Exception as error:
        if debug:
            raise
        return _say(lines(error), 2 if isinstance(error, BAD_INPUT) else 1)
    if code == INTERRUPTED:
        return _say(["interrupted"], 1)
    return code if isinstance(code, int) else 0


def _say(wrong: list[str], code: int) -> int:
    for line in wrong:
        sys.stderr.write(f"nanoraster: {line}\n")
    return code
