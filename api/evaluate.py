"""`evaluate`: a table and pictures of how good restorers are, on pairs, single images or the twin."""

from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Any

import typer

from acquisition.run_folder import ensure_empty
from api.errors import UsageError
from api.folders import LOCK, writing_in
from api.show import Bars, bars, result
from api.twin import running_twin

if TYPE_CHECKING:
    from reconstruction.evaluation.data import DataSet

TWIN = "twin:"
PIXEL_NM = 80.0  # of the twin's specimen, where none is asked for
SHOWN = (  # metric, its head in the terminal, digits behind the point
    ("psnr_db", "PSNR dB", 2),
    ("psnr_gain_fitted_db", "fitted dB", 2),
    ("ssim", "SSIM", 3),
    ("epi", "EPI", 3),
    ("frc_period_px", "FRC px", 2),
    ("spectrum_error_db", "spectrum dB", 1),
    ("dark_bradley_error_pp", "dark pp", 2),
    ("stitch_accepted_pct", "stitched %", 1),
    ("rsp", "RSP", 3),
    ("decorrelation_px", "decorr. px", 2),
    ("sem_niqe", "SEM-NIQE", 1),
)


@dataclass(frozen=True)
class Asked:
    """What is to be judged, on what."""

    data: str
    models: tuple[str, ...] = ()
    baselines: bool = True
    border_px: int = 16
    pixel_nm: float | None = None
    align: bool = True
    lines: bool = False
    device: str = "auto"
    specimen: str = "alloy"
    electrons: float = 30.0
    images: int = 8


def evaluate(
    data: Annotated[
        str, typer.Argument(metavar="DATA", help="A folder of pairs or of single images, or twin:SEED; see above.")
    ],
    out: Annotated[Path, typer.Option(help="Folder for table and pictures; absent or empty.")],
    model: Annotated[list[str] | None, typer.Option(help="A name, or a model's folder; as often as you like.")] = None,
    baselines: Annotated[
        bool, typer.Option("--baselines/--no-baselines", help="With classical denoisers beside.")
    ] = Asked.baselines,
    border_px: Annotated[int, typer.Option(help="Left out at each side, for all methods alike.")] = Asked.border_px,
    pixel_nm: Annotated[float | None, typer.Option(help="Size of a pixel, where the files do not say it.")] = None,
    align: Annotated[
        bool, typer.Option("--align/--as-is", help="Lay each truth on its frame, below a pixel.")
    ] = Asked.align,
    lines: Annotated[bool, typer.Option("--lines", help="Printed lines along y: their width and roughness.")] = False,
    device: Annotated[str, typer.Option(help="Where networks run: auto, cpu or cuda.")] = Asked.device,
    specimen: Annotated[
        str, typer.Option(help="Of the twin: alloy, chip, siemens, blocks, or an image.")
    ] = Asked.specimen,
    electrons: Annotated[
        float, typer.Option(help="Of the twin, in a white pixel; high definition would have 300.")
    ] = Asked.electrons,
    images: Annotated[int, typer.Option(help="Of the twin: how many frames.")] = Asked.images,
    as_json: Annotated[bool, typer.Option("--json", help="One JSON object on stdout, nothing else there.")] = False,
) -> None:
    """Measure how good models are, beside classical denoisers: one table, and pictures to look at.

    DATA is a folder with pairs.csv (header low,high), or with low/NAME and high/NAME; a folder of single images, for
    metrics that need no truth; or twin:SEED, frames of a specimen of the twin at a tenth of the dose.
    """
    asked = Asked(
        data,
        tuple(model or ()),
        baselines,
        border_px,
        pixel_nm,
        align,
        lines,
        device,
        specimen,
        electrons,
        images,
    )
    with bars() as shown:
        found = run_evaluation(asked, out, shown)
    result(as_json, found, [*table_lines(found), *(f"{key:<10} {path}" for key, path in found["files"].items())])


def run_evaluation(asked: Asked, out: Path, shown: Bars) -> dict[str, Any]:
    """Judge models on data; what `results.json` holds, and under `files` where everything lies.

    Raises:
        InputError, RunError, UsageError: bad input; nothing was written.
    """
    from reconstruction.evaluation.files import IMAGES, RESULTS, TABLE, write_files
    from reconstruction.evaluation.judging import evaluate as judge
    from reconstruction.evaluation.methods import methods_for
    from reconstruction.evaluation.pictures import write_pictures
    from reconstruction.restore import restorer

    ensure_empty(out)
    models = [restorer(name, asked.device, shown.warn) for name in asked.models]
    data = _data(asked)
    made = judge(data, methods_for(data, models, asked.baselines), asked.border_px, asked.lines, shown.judged)
    out.mkdir(parents=True, exist_ok=True)
    with writing_in(out):
        found = write_files(made, out)
        pictures = write_pictures(made, out)
    (out / LOCK).unlink()
    for remark in made.remarks:
        shown.warn(remark)
    files = {"results": out / RESULTS, "table": out / TABLE, "images_csv": out / IMAGES, **pictures}
    return {**found, "files": {key: str(path) for key, path in files.items()}}


def table_lines(found: dict[str, Any]) -> list[str]:
    """The table as a terminal shows it: a row for a method, the mean over images of what says most."""
    shown = [column for column in SHOWN if column[0] in found["metrics"]]
    rows = [["", *(head for _, head, _ in shown)]]
    for method in found["methods"]:
        mark = " *" if method["name"] == found["best_classical"] else ""
        rows.append(
            [method["name"] + mark, *(_cell(method["mean"][name]["mean"], digits) for name, _, digits in shown)]
        )
    widths = [max(len(row[at]) for row in rows) for at in range(len(rows[0]))]
    table = [
        "  ".join(
            [row[0].ljust(widths[0]), *(cell.rjust(wide) for cell, wide in zip(row[1:], widths[1:], strict=True))]
        )
        for row in rows
    ]
    facts = found["data"]
    count = len(facts["images"])
    best = "; * best classical" if found["best_classical"] else ""
    over = f"means over {count} image{'s' if count > 1 else ''} of {facts['name']}"
    return [*table, f"{over}, without {facts['border_px']} px of rim; intervals in {found['files']['table']}{best}"]


def _cell(value: float | None, digits: int) -> str:
    return "-" if value is None else f"{value:.{digits}f}"


def _data(asked: Asked) -> "DataSet":
    from api.reconstruct import refuse_pixel_size
    from reconstruction.evaluation.data import read_data
    from reconstruction.evaluation.specimen import exposures

    refuse_pixel_size(asked.pixel_nm)
    if not asked.data.startswith(TWIN):
        return read_data(Path(asked.data), asked.pixel_nm, asked.align)
    seed = asked.data.removeprefix(TWIN)
    if not (seed.isascii() and seed.isdigit()):
        raise UsageError(f"DATA {asked.data}: the seed {seed!r} is not a whole number of 0 or more")
    size_nm = asked.pixel_nm or PIXEL_NM
    options = ["--specimen", asked.specimen, "--pixel-nm", str(size_nm), "--seed", seed, "--world", "still"]
    with running_twin(options) as twin:
        image, _ = twin.world.specimen()
    return exposures(image, f"{asked.data} {asked.specimen}", size_nm, asked.electrons, int(seed), asked.images)
