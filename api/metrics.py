"""What people alarm on, for Prometheus. Counters begin with the service; gauges are read when they are asked for."""

import shutil
import threading
from collections import Counter
from typing import Any

from prometheus_client import CollectorRegistry, Gauge, Histogram, generate_latest
from prometheus_client import Counter as Count

from acquisition.job import JobState
from acquisition.journal import utc_now
from acquisition.states import State
from api.events.log import EventLog
from api.service import Service

AT_ONCE = 1000
OVERHEAD_S = (0.001, 0.002, 0.004, 0.006, 0.008, 0.012, 0.02, 0.05, 0.1, 0.5, 2.0)


class Metrics:
    """All metrics of a service, in a registry of their own."""

    def __init__(self, service: Service, log: EventLog) -> None:
        self._service = service
        self._log = log
        self._seen = log.newest
        self._began_at = utc_now()  # a log that is copied anew tells of old runs too
        self._lock = threading.Lock()
        self._registry = registry = CollectorRegistry()

        def gauge(name: str, meaning: str, *labels: str) -> Gauge:
            return Gauge(f"nanoraster_{name}", meaning, labels, registry=registry)

        self._tiles = Count("nanoraster_tiles", "Attempts at tiles, by verdict.", ["verdict"], registry=registry)
        self._events = Count("nanoraster_events", "Events of the runs, by kind.", ["kind"], registry=registry)
        self._overhead = Histogram(
            "nanoraster_tile_overhead_seconds",
            "Of a tile that was taken: its time less what moving, settling, exposing, focus, drift and probe took.",
            buckets=OVERHEAD_S,
            registry=registry,
        )
        self._force = Gauge("nanoraster_force_nanonewtons", "Force on the probe at the last tile.", registry=None)
        self._is_force_known = False
        self._drift = gauge("drift_micrometres", "Drift of the specimen as known at the last tile.", "axis")
        self._jobs = gauge("jobs", "Jobs in the queue, by state.", "state")
        self._held = gauge("queue_held", "1 while no job may begin.")
        self._state = gauge("run_state", "1 for what the run does now.", "state")
        self._planned = gauge("run_tiles_planned", "Tiles of the run under way.")
        self._taken = gauge("run_tiles_taken", "Tiles of the run under way that were taken.")
        self._lag = gauge("worker_lag_tiles", "Tiles that were taken and are not in the mosaic yet.")
        self._disk = gauge("disk_free_bytes", "Free space where the runs are kept.")
        self._troubles = gauge("troubles", "What is in the way of the service.")

    def text(self) -> bytes:
        """In Prometheus' text format.

        Raises:
            QueueError: the database does not answer.
        """
        with self._lock:
            self._count()
            self._read()
            return generate_latest(self._registry)

    def _count(self) -> None:
        """Take in what has happened since it was asked last."""
        while found := self._log.after(self._seen, AT_ONCE):
            for happened in found:
                self._seen = happened["seq"]
                if happened["at"] < self._began_at:
                    continue
                if happened["kind"] == "tile":
                    self._count_tile(happened["data"])
                else:
                    self._events.labels(happened["kind"]).inc()

    def _count_tile(self, tile: dict[str, Any]) -> None:
        self._tiles.labels(tile["verdict"]).inc()
        if tile["force_nn"] is not None:
            self._tell_force(tile["force_nn"])
        for axis in "xy":
            self._drift.labels(axis).set(tile[f"drift_{axis}_um"])
        if tile["verdict"] == "ok" and tile["settle_s"] is not None:
            busy_s = tile["attending_s"] + tile["settle_s"] + tile["exposure_s"]
            self._overhead.observe(max(tile["total_s"] - busy_s, 0.0))

    def _tell_force(self, force_nn: float) -> None:
        """Show it from the first time on that it is known: none is not 0 nN."""
        self._force.set(force_nn)
        if not self._is_force_known:
            self._registry.register(self._force)
        self._is_force_known = True

    def _read(self) -> None:
        status = self._service.status()
        progress = status["progress"] or {"tiles": 0, "planned": 0, "placed": 0}
        for state in State:
            self._state.labels(state).set(state == status["state"])
        self._planned.set(progress["planned"])
        self._taken.set(progress["tiles"])
        self._lag.set(max(progress["tiles"] - progress["placed"], 0))
        self._held.set(status["held"] is not None)
        self._troubles.set(len(status["troubles"]))
        self._disk.set(shutil.disk_usage(self._service.folder.runs).free)
        states = Counter(job.state for job in self._service.queue.jobs())
        for job_state in set(JobState) - {JobState.REMOVED}:  # which the queue does not list any more
            self._jobs.labels(job_state).set(states[job_state])
