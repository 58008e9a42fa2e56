"""Where `nanoraster` begins: light, so that Ctrl-C has its answer while the libraries are still being loaded."""

import sys


def main() -> None:
    """Run the command line; an interrupted start ends as quietly as an interrupted command."""
    try:
        from api.cli import main as run

        run()
    except KeyboardInterrupt:
        sys.exit(1)
