"""What can go wrong with the queue.

QueueError              it cannot be read or written now; what was committed is safe
NoSuchJob               no job has this number
JobRefused              what was asked does not go with the state of the job; nothing was changed
├── NotRunning          only the running job can be told this
└── QueueChanged        somebody else has changed the queue since
RetakeRefused           a tile cannot be taken again, or not like this
"""


class QueueError(OSError):
    """The database is locked, full or gone."""


class NoSuchJob(LookupError):
    """It never was."""


class JobRefused(ValueError):
    """Too early or too late for this job."""


class NotRunning(JobRefused):
    """It does not run yet, or not any more."""


class QueueChanged(JobRefused):
    """Whoever asks looked at an older queue."""


class RetakeRefused(ValueError):
    """There is no such tile, or it cannot be exposed like this."""
