"""What an ended command says, and with which exit code: 0, 1 or 2, nothing else."""

from collections.abc import Callable
from typing import Any

import pytest

from acquisition.run_store import RunError
from api.cli import exit_code
from devices.errors import DeviceLost
from reconstruction.errors import InputError


def raising(error: BaseException) -> Callable[[], Any]:
    def command() -> Any:
        raise error

    return command


@pytest.mark.parametrize(
    ("command", "code", "said"),
    [
        (lambda: None, 0, ""),
        (lambda: 1, 1, ""),
        (lambda: 130, 1, "nanoraster: interrupted\n"),  # typer's own answer to Ctrl-C
        (raising(KeyboardInterrupt()), 1, "nanoraster: interrupted\n"),
        (raising(DeviceLost("camera", "gone")), 1, "nanoraster: camera: gone\n"),
        (raising(OSError(28, "No space left on device", "raw.zarr")), 1, "No space left"),
        (raising(InputError("tiles.csv: lists\nno tiles")), 2, "nanoraster: tiles.csv: lists no tiles\n"),
        (raising(RunError("output folder in use: x")), 2, "nanoraster: output folder in use: x\n"),
    ],
)
def test_each_end_has_its_code_and_its_line(
    command: Callable[[], Any], code: int, said: str, capsys: pytest.CaptureFixture[str]
) -> None:
    assert exit_code(command, debug=False) == code
    error = capsys.readouterr().err
    assert said in error
    assert len(error.splitlines()) == (1 if said else 0)


def test_debug_lets_the_traceback_through() -> None:
    with pytest.raises(RunError):
        exit_code(raising(RunError("in use")), debug=True)
