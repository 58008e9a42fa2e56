"""The process that previews plans, as seen from the service: begun when it is needed first, one plan at a time."""

import json
import select
import subprocess
import threading
from contextlib import suppress
from http import HTTPStatus
from pathlib import Path
from typing import Any

from fastapi import HTTPException

from acquisition.plan import PlanError
from api.modules import module_command

LONGEST_S = 30.0  # a region of 1000 corners with 100,000 tiles takes 10 s


class Previews:
    """Asked from any thread."""

    def __init__(self) -> None:
        self._lock = threading.Lock()
        self._process: subprocess.Popen[bytes] | None = None
        self._over = False

    def preview(self, plan: str, rig: Path, runs: Path) -> dict[str, Any]:
        """What a plan in JSON, of which nothing is known yet, amounts to on a rig.

        Raises:
            PlanError: it cannot be read, or not for this rig.
            HTTPException: it takes too long, or the process has died.
            RuntimeError: the rig file cannot be read.
        """
        asked = json.dumps({"plan": plan, "rig": str(rig), "runs": str(runs)})
        with self._lock:
            answer = self._answer(asked.encode() + b"\n")
        if "refused" in answer:
            raise PlanError(answer["refused"])
        if "failed" in answer:
            raise RuntimeError(answer["failed"])
        found: dict[str, Any] = answer["found"]
        return found

    def close(self) -> None:
        """End it; whoever still waits for an answer gets none."""
        self._over = True
        if (process := self._process) is not None:
            process.kill()
        with self._lock:
            self._end()

    def _answer(self, asked: bytes) -> dict[str, Any]:
        process = self._begun()
        assert process.stdin is not None
        assert process.stdout is not None
        try:
            process.stdin.write(asked)
            process.stdin.flush()
            answering = select.poll()
            answering.register(process.stdout, select.POLLIN)
            if not answering.poll(LONGEST_S * 1000):
                said = f"the preview took longer than {LONGEST_S:g} s; make the region smaller, or its outline simpler"
                raise HTTPException(HTTPStatus.SERVICE_UNAVAILABLE, said)
            answer: dict[str, Any] = json.loads(process.stdout.readline())
        except BaseException as error:
            self._end()
            if isinstance(error, OSError | ValueError):
                said = "the process that previews plans has died; ask again"
                raise HTTPException(HTTPStatus.SERVICE_UNAVAILABLE, said) from error
            raise
        return answer

    def _begun(self) -> "subprocess.Popen[bytes]":
        if self._over:
            raise HTTPException(HTTPStatus.SERVICE_UNAVAILABLE, "the service ends")
        if self._process is None or self._process.poll() is not None:
            self._end()
            self._process = subprocess.Popen(
                module_command("api.previewer"),
                stdin=subprocess.PIPE,  # it ends with us
                stdout=subprocess.PIPE,
                process_group=0,  # Ctrl-C is for the service
            )
        return self._process

    def _end(self) -> None:
        if self._process is not None:
            self._process.kill()
            self._process.wait()
            for pipe in (self._process.stdin, self._process.stdout):
                if pipe is not None:
                    with suppress(OSError):  # of what was not written yet
                        pipe.close()
        self._process = None
