"""The HTTP face of a service: routes, errors, and the service's life from start to end."""

import asyncio
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager, closing
from importlib.metadata import version

from fastapi import FastAPI

from api.access.access import Access
from api.access.gate import Gate
from api.access.roles import API
from api.bell import Bell
from api.drawn_tiles import DrawnTiles
from api.events.collector import Collector
from api.events.log import EventLog
from api.live_view import LiveView
from api.metrics import Metrics
from api.openapi import describe
from api.page import login
from api.previews import Previews
from api.problems import tell_problems
from api.restorations import Restorations
from api.routes import devices, events, health, jobs, lease, live, models, mosaic, plans, rig, runs, sim, status
from api.routes.seats import Seats
from api.service import Service


def create_app(service: Service, access: Access | None = None) -> FastAPI:
    """An app that begins the work of `service` when it starts, and ends it when it is shut down.

    Args:
        access: who is let in; by default, whom the tokens in the service's folder say.
    """
    access = access or Access(service.folder.path)

    @asynccontextmanager
    async def alive(app: FastAPI) -> AsyncIterator[None]:
        app.state.pictures, app.state.news = Bell(), Bell()
        service.begin()
        try:
            with (
                closing(Previews()) as previews,
                closing(Restorations(service.folder)) as restorations,
                closing(LiveView(service, app.state.pictures.ring)) as live,
                closing(EventLog(service.folder.path, app.state.news.ring)) as log,
                Collector(log, service.folder.runs, service.running, service.queue.unended_runs),
            ):
                app.state.restorations, app.state.live, app.state.previews = restorations, live, previews
                app.state.events, app.state.metrics = log, Metrics(service, log)
                yield
        finally:
            await asyncio.to_thread(service.close)

    app = FastAPI(title="nanoraster", version=version("nanoraster"), lifespan=alive, docs_url=None, redoc_url=None)
    app.state.service, app.state.access, app.state.is_ending = service, access, False
    app.state.listeners, app.state.watchers, app.state.drawn_tiles = Seats(), Seats(), DrawnTiles()
    app.add_middleware(Gate, access=access)
    app.include_router(health.router)
    app.include_router(login.router)
    for module in (status, lease, rig, devices, live, events, jobs, runs, mosaic, models, plans, sim):
        app.include_router(module.router, prefix=API)
    tell_problems(app)
    describe(app)
    return app
