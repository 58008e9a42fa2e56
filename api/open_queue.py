"""The queue of a data folder, wherever it is kept."""

from collections.abc import Callable
from datetime import datetime

from acquisition.queue import Queue, utc_clock
from acquisition.queue_database import sqlite_url
from api.data_folder import DataFolder
from api.errors import UsageError


def open_queue(folder: DataFolder, url: str | None = None, clock: Callable[[], datetime] = utc_clock) -> Queue:
    """Open the queue at `url`, or that in the folder.

    Raises:
        UsageError: the URL cannot be used.
        QueueError: the database does not answer.
    """
    try:
        return Queue(url or sqlite_url(folder.database), clock)
    except ValueError as error:
        raise UsageError(str(error)) from error
