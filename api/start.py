"""Where `nanoraster` begins: light, so that Ctrl-C has its answer while the libraries are still being loaded."""

import os
import signal
import sys


def main() -> None:
    """Run the command line; an interrupted start ends as quietly as an interrupted command."""
    signal.signal(signal.SIGTERM, signal.default_int_handler)  # until a scan handles both in its own way
    try:
        from api.cli import main as run

        code = run()
    except KeyboardInterrupt:
        sys.stderr.write("nanoraster: interrupted\n")
        code = 1
    sys.stdout.flush()
    sys.stderr.flush()
    os._exit(code)  # all is closed; threads that vendor libraries left behind would crash an interpreter that tidies up
