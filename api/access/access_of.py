"""How a route comes to who asks, and to the lease."""

from typing import Annotated, cast

from fastapi import Depends
from starlette.requests import HTTPConnection

from api.access.access import Access, Caller


async def access_of(connection: HTTPConnection) -> Access:
    return cast(Access, connection.app.state.access)


async def caller_of(connection: HTTPConnection) -> Caller:
    return cast(Caller, connection.scope["caller"])


AccessOf = Annotated[Access, Depends(access_of)]
CallerOf = Annotated[Caller, Depends(caller_of)]
