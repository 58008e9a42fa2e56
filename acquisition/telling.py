"""Telling people what happens in a run: a thread for each channel follows the journal and never holds up the run.

`python -m acquisition.telling RUN` tells what nobody could tell any more: for a guardian whose service is gone. Nobody
waits for it, so it tries for as long as a message is kept.
"""

import sys
import threading
import time
from pathlib import Path
from types import TracebackType
from typing import Self

from acquisition.run_store import RunError, RunStore
from acquisition.telling_channel import END_S, KEPT_S, Picture, follow, no_picture
from acquisition.telling_memory import ToldMemory
from acquisition.telling_webhook import TIMEOUT_S
from devices.telling_settings import TellingSettings


class Telling:
    """Tells every channel of the settings, from entering until leaving.

    Leaving waits for what is still to be told, `end_s` and one time-out at most.
    """

    def __init__(
        self, settings: TellingSettings, run: Path, picture: Picture = no_picture, end_s: float = END_S
    ) -> None:
        """Prepare to tell of the run in the folder `run`.

        Args:
            picture: a PNG of the mosaic so far, for messages that carry one; called from the channels' threads.
        """
        self._ending = threading.Event()
        self._end_s = end_s
        memory = ToldMemory(run)
        self._threads = [
            threading.Thread(
                target=follow,
                args=(channel, settings.skipped_every_min * 60, run, memory, picture, self._ending, end_s),
                name=f"telling {channel.name}",
                daemon=True,
            )
            for channel in settings.channels
        ]

    def __enter__(self) -> Self:
        for thread in self._threads:
            thread.start()
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        self._ending.set()
        if isinstance(error, KeyboardInterrupt):
            return  # whoever insists need not wait: the threads end by themselves, or with the process
        deadline = time.monotonic() + self._end_s + TIMEOUT_S
        for thread in self._threads:  # one whose other end feeds it byte by byte is left to end with the process
            thread.join(max(deadline - time.monotonic(), 0))


def main() -> int:
    """Tell what is in a run's journal and was not told yet."""
    if len(sys.argv) != 2:
        sys.stderr.write("usage: python -m acquisition.telling RUN\n")
        return 2
    run = Path(sys.argv[1])
    try:
        store = RunStore(run)
    except RunError as error:
        sys.stderr.write(f"telling: {error}\n")
        return 2
    settings = TellingSettings.model_validate(store.rig.get("tell", {}))
    store.close()
    with Telling(settings, run, end_s=KEPT_S):
        return 0


if __name__ == "__main__":
    sys.exit(main())
