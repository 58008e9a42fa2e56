"""How a route comes to the service behind it."""

from typing import Annotated, cast

from fastapi import Depends, Request

from api.service import Service


async def service_of(request: Request) -> Service:
    return cast(Service, request.app.state.service)


ServiceOf = Annotated[Service, Depends(service_of)]
