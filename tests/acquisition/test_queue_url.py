"""Where a queue can be kept, and that a refusal quotes no password."""

from pathlib import Path

import pytest

from acquisition.queue import Queue


@pytest.mark.parametrize(
    ("url", "said"),
    [
        ("sqlite://", "in memory"),
        ("sqlite:///", "in memory"),
        ("sqlite:///:memory:", "in memory"),
        ("sqlite+pysqlite://", "in memory"),
        ("sqlite:///file:x?mode=memory&uri=true", "in memory"),
        ("sqlite:///file::memory:?cache=shared&uri=true", "in memory"),
        ("sqlite:///file:/queue?vfs=memdb&uri=true", "vfs = memdb: the URL of a SQLite file takes no options"),
        ("sqlite:///file:/queue.db", "file:/queue.db: a URI where a path should stand"),
        ("sqlite:////tmp/queue.db?timeout=abc", "timeout = abc: the URL of a SQLite file takes no options"),
        ("sqlite:////tmp/queue.db?timeout=1&timeout=2", "timeout = 1, 2: "),
        ("sqlite:////dev/null", "/dev/null: not a file"),
        ("sqlite:////tmp/q%00.db", "its name holds a null byte"),
        ("postgresql://u:s3cret@localhost/q%00", "its name holds a null byte"),
        (f"sqlite:////tmp/{'q' * 300}.db", "File name too long"),
        ("sqlite://u:s3cret@host/queue.db", "SQLite has no host, user or password"),
        ("mysql://u:s3cret@host/db", "mysql: neither SQLite nor PostgreSQL"),
        ("postgresql://u:p@s3cret@host/db", "%40"),
        ("postgresql://u:p@s/s3cret@host/db", "%40"),
        ("postgresql://u:s3cret", "%40"),
        ("postgresql://u:s3cret/x@host:port/db", "not a URL"),
        ("queue.db", "not a URL"),
    ],
)
def test_a_url_that_keeps_no_queue_is_refused_in_words(url: str, said: str) -> None:
    with pytest.raises(ValueError, match=r"^database: ") as refusal:
        Queue(url)
    assert said in str(refusal.value)
    assert "s3cret" not in "".join(map(str, (refusal.value, refusal.value.__cause__)))


def test_a_file_is_one(tmp_path: Path) -> None:
    url = f"sqlite:///{tmp_path / 'a@b.db'}"
    with Queue(url) as queue:
        queue.add("pads", {})
    with Queue(url) as queue:
        assert len(queue.jobs()) == 1
