"""How our own modules are run as processes of their own."""

import sys


def module_command(module: str, *arguments: str) -> list[str]:
    """The command that runs an installed module, whatever files of the same name lie in the current folder (-P)."""
    return [sys.executable, "-P", "-m", module, *arguments]
