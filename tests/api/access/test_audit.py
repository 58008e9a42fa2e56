"""The log of commands outlives whoever writes it."""

import fcntl
import gzip
import json
import stat
import subprocess
import sys
from pathlib import Path

import pytest

from api.access import audit, old_audits
from api.access.audit import AuditLog
from tests.api.service_bench import eventually

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


def parts(folder: Path) -> list[Path]:
    return sorted(folder.glob("audit-*"))


def read(part: Path) -> list[str]:
    text = gzip.decompress(part.read_bytes()).decode() if part.suffix == ".gz" else part.read_text()
    return [json.loads(line)["what"] for line in text.splitlines()]


def packed(folder: Path, but: int) -> bool:
    return [part.suffix for part in parts(folder)].count(".jsonl") == but and not list(folder.glob("*.partial"))


def test_a_full_log_is_put_aside_and_packed_and_no_line_is_lost(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(audit, "FULL_BYTES", 1000)
    log = AuditLog(tmp_path)
    for number in range(100):
        log.write("mia", f"POST /{number}", "done")
    eventually(lambda: packed(tmp_path, but=1))
    *packs, last = parts(tmp_path)
    assert len(packs) > 5
    assert {part.suffix for part in packs} == {".gz"}
    found = [what for part in (*packs, last, *tmp_path.glob("audit.jsonl")) for what in read(part)]
    assert found == [f"POST /{number}" for number in range(100)]
    assert {stat.S_IMODE(part.stat().st_mode) for part in packs} == {0o600}


def test_that_the_oldest_part_was_removed_stands_in_the_log(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(audit, "FULL_BYTES", 200)
    monkeypatch.setattr(old_audits, "MOST", 3)
    log = AuditLog(tmp_path)
    for number in range(40):
        log.write("mia", f"POST /{number}", "done")
        eventually(lambda: packed(tmp_path, but=min(len(parts(tmp_path)), 1)))
    assert len(parts(tmp_path)) == 3
    text = "".join(gzip.decompress(part.read_bytes()).decode() for part in parts(tmp_path) if part.suffix == ".gz")
    assert "is the oldest of too many, and was removed" in text


def test_a_log_that_cannot_be_put_aside_grows_on(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    monkeypatch.setattr(audit, "FULL_BYTES", 1)

    def fail(self: Path, target: Path) -> Path:
        raise PermissionError(13, "Permission denied")

    monkeypatch.setattr(Path, "rename", fail)
    for what in ("a", "b"):
        AuditLog(tmp_path).write("mia", what, "done")
    assert read(tmp_path / "audit.jsonl") == ["a", "b"]
    assert "Permission denied; it is full, and grows on" in capsys.readouterr().err


def test_files_that_others_named_alike_stay_as_they_are(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(audit, "FULL_BYTES", 400)
    monkeypatch.setattr(old_audits, "MOST", 2)
    names = ("audit-of-mine.jsonl", "audit-2024-copy.jsonl.gz", "audit-20240101T000000-000000Z-copy.jsonl")
    for name in names:
        (tmp_path / name).write_text(name)
    log = AuditLog(tmp_path)
    for number in range(40):
        log.write("mia", f"POST /{number}", "done")
        eventually(lambda: packed(tmp_path, but=min(len(parts(tmp_path)) - len(names), 1) + 2))  # two of `names`
    assert len(parts(tmp_path)) == 2 + len(names)
    assert [(tmp_path / name).read_text() for name in names] == list(names)


WRITE_100 = """
import sys, threading
from pathlib import Path
from api.access import audit
audit.FULL_BYTES = 400
log = audit.AuditLog(Path(sys.argv[1]))
for number in range(100):
    log.write(sys.argv[2], f"POST /{number}", "done")
for thread in threading.enumerate()[1:]:
    thread.join()
"""


def test_several_writers_pack_together_and_lose_nothing(tmp_path: Path) -> None:
    commands = [[sys.executable, "-c", WRITE_100, str(tmp_path), name] for name in ("mia", "max", "root")]
    writers = [subprocess.Popen(command, stderr=subprocess.PIPE, text=True) for command in commands]
    assert [writer.communicate()[1] for writer in writers] == ["", "", ""]
    found = [what for part in (*parts(tmp_path), *tmp_path.glob("audit.jsonl")) for what in read(part)]
    assert sorted(found) == sorted(f"POST /{number}" for number in range(100) for _ in writers)


def test_what_another_process_packs_is_left_to_it(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    there, gone = (tmp_path / f"audit-2026112{day}T220000-000000Z.jsonl" for day in (1, 2))
    there.write_text("{}\n")
    with there.open() as theirs:
        fcntl.flock(theirs, fcntl.LOCK_EX)
        old_audits.OldAudits(tmp_path / "audit.jsonl")._pack([there, gone])
    assert parts(tmp_path) == [there]
    assert capsys.readouterr().err == ""
