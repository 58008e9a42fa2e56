"""`nanoraster serve`: its words; `api.serve` does the work."""

from pathlib import Path
from typing import Annotated

import typer

from api.show import result


def serve(
    rig: Annotated[Path | None, typer.Option(help="Rig file (TOML) for jobs that name none.")] = None,
    data: Annotated[Path, typer.Option(metavar="DIR", envvar="NANORASTER_DATA", help="Queue and runs.")] = Path(),
    host: Annotated[str, typer.Option(help="Beyond loopback only once there are tokens.")] = "127.0.0.1",
    port: Annotated[int, typer.Option(min=0, max=65535, help="0: any that is free.")] = 8600,
    sim: Annotated[bool, typer.Option("--sim", help="Start the twin too, and use it as the rig.")] = False,
    sim_options: Annotated[str, typer.Option(help="What `nanoraster sim` understands, in quotes.")] = "",
    database: Annotated[
        str | None, typer.Option(metavar="URL", envvar="NANORASTER_DATABASE", help="Default: nanoraster.db in DIR.")
    ] = None,
    as_json: Annotated[bool, typer.Option("--json", help="One JSON object on stdout, nothing else there.")] = False,
) -> None:
    """Work off the queue and answer over HTTP until told to end; what was interrupted goes on at the next start."""
    from api.serve import Serving  # brings the web server, which no other command needs
    from api.serve import serve as run_service

    def ready(url: str) -> None:
        folder = data.absolute()
        result(as_json, {"url": url, "data": folder}, [f"nanoraster serves at {url}, data in {folder}"])

    run_service(Serving(data, rig, host, port, sim, sim_options, database), ready)
