"""Restore one run with one model: `python -m api.restoring RUN OUT MODEL`. It ends with standard input."""

import os
import sys
import threading
from pathlib import Path

from api.errors import lines
from api.reconstruct import reconstruct
from reconstruction.fusion import Fusion

POLITENESS = 15  # a run under way comes first, and its own worker


def main() -> int:
    run, out, model = sys.argv[1:]
    os.nice(POLITENESS)
    threading.Thread(target=_end_with_stdin, daemon=True).start()
    try:
        reconstruct(Path(run), Path(out), model, "auto", None, Fusion(), lambda said: None, _warn)
    except Exception as error:
        for line in lines(error):
            _warn(line)
        return 1
    return 0


def _warn(text: str) -> None:
    sys.stderr.write(f"nanoraster: restoring: {text}\n")


def _end_with_stdin() -> None:
    while os.read(0, 1):
        pass
    os._exit(1)


if __name__ == "__main__":
    sys.exit(main())
