"""The HTTP face of a service: routes, errors, and the service's life from start to end."""

import asyncio
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from importlib.metadata import version

from fastapi import FastAPI

from api.problems import tell_problems
from api.routes import jobs, plans, runs, status
from api.service import Service

PREFIX = "/api/v1"


def create_app(service: Service) -> FastAPI:
    """An app that begins the work of `service` when it starts, and ends it when it is shut down."""

    @asynccontextmanager
    async def alive(app: FastAPI) -> AsyncIterator[None]:
        service.begin()
        try:
            yield
        finally:
            await asyncio.to_thread(service.close)

    app = FastAPI(title="nanoraster", version=version("nanoraster"), lifespan=alive, docs_url=None, redoc_url=None)
    app.state.service = service
    app.include_router(status.health)
    for routes in (status.router, jobs.router, runs.router, plans.router):
        app.include_router(routes, prefix=PREFIX)
    tell_problems(app)
    return app
