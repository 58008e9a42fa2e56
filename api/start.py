"""Where `nanoraster` begins: light, so that Ctrl-C has its answer while the libraries are still being loaded."""

import signal
import sys


def main() -> None:
    """Run the command line; an interrupted start ends as quietly as an interrupted command."""
    signal.signal(signal.SIGTERM, signal.default_int_handler)  # until a scan handles both in its own way
    try:
        from api.cli import main as run

        run()
    except KeyboardInterrupt:
        sys.stderr.write("nanoraster: interrupted\n")
        sys.exit(1)
