"""The log of commands outlives whoever writes it."""

import json
import stat
import subprocess
import sys
from pathlib import Path

import pytest

from api.access.audit import AuditLog

WRITE_FOR_EVER = """
import sys
from pathlib import Path
from api.access.audit import AuditLog
log, number = AuditLog(Path(sys.argv[1])), 0
while True:
    log.write("mia", f"POST /{number}", "done")
    print(number := number + 1, flush=True)
"""


def test_every_line_that_was_written_outlives_kill_minus_nine(tmp_path: Path) -> None:
    command = [sys.executable, "-c", WRITE_FOR_EVER, str(tmp_path)]
    with subprocess.Popen(command, stdout=subprocess.PIPE, text=True) as writer:
        assert writer.stdout is not None
        while int(writer.stdout.readline()) < 200:
            pass
        writer.kill()
        said = 200 + len(writer.stdout.readlines())
    AuditLog(tmp_path).write("max", "POST /stop", "done", status=202)
    lines = [json.loads(line) for line in (tmp_path / "audit.jsonl").read_text().splitlines()]
    assert len(lines) >= said + 1
    assert [line["what"] for line in lines[:-1]] == [f"POST /{number}" for number in range(len(lines) - 1)]
    assert lines[-1].keys() == {"at", "who", "what", "outcome", "status"}


def test_half_a_line_does_not_spoil_the_next(tmp_path: Path) -> None:
    log = tmp_path / "audit.jsonl"
    AuditLog(tmp_path).write("mia", "a", "done")
    assert stat.S_IMODE(log.stat().st_mode) == 0o600
    with log.open("a") as file:
        file.write('{"who": "m')
    AuditLog(tmp_path).write("mia\n", "b\u2028\ud800", "done")
    first, torn, last = log.read_text().splitlines()
    assert (json.loads(first)["what"], torn, json.loads(last)["what"]) == ("a", '{"who": "m', "b\u2028\ud800")


def test_a_log_that_cannot_be_written_is_told_and_stops_nobody(
    tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    (tmp_path / "audit.jsonl").mkdir()
    AuditLog(tmp_path).write("mia", "POST /stop", "done")
    assert "audit.jsonl" in (said := capsys.readouterr().err)
    assert "POST /stop" in said
