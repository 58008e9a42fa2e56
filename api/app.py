"""The HTTP face of a service: routes, errors, and the service's life from start to end."""

import asyncio
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from importlib.metadata import version

from fastapi import FastAPI

from api.access.access import Access
from api.access.gate import Gate
from api.access.roles import API
from api.problems import tell_problems
from api.routes import devices, jobs, lease, mosaic, plans, runs, status
from api.service import Service


def create_app(service: Service, access: Access | None = None) -> FastAPI:
    """An app that begins the work of `service` when it starts, and ends it when it is shut down.

    Args:
        access: who is let in; by default, whom the tokens in the service's folder say.
    """
    access = access or Access(service.folder.path)

    @asynccontextmanager
    async def alive(app: FastAPI) -> AsyncIterator[None]:
        service.begin()
        try:
            yield
        finally:
            await asyncio.to_thread(service.close)

    app = FastAPI(title="nanoraster", version=version("nanoraster"), lifespan=alive, docs_url=None, redoc_url=None)
    app.state.service, app.state.access = service, access
    app.add_middleware(Gate, access=access)
    app.include_router(status.health)
    for routes in (status.router, lease.router, devices.router, jobs.router, runs.router, mosaic.router, plans.router):
        app.include_router(routes, prefix=API)
    tell_problems(app)
    return app
