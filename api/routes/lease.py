"""The control lease: taken, renewed and given up."""

from dataclasses import replace
from functools import partial
from typing import Annotated, Any

from fastapi import APIRouter
from pydantic import Field

from api.access.access_of import AccessOf, CallerOf
from api.access.lease import LONGEST_S, USUAL_S
from api.access.roles import Role
from devices.model import Model, Number

router = APIRouter(prefix="/lease")


class Wish(Model):
    """How long, in seconds; take it again before it ends to keep it."""

    seconds: Annotated[Number, Field(ge=1, le=LONGEST_S, examples=[USUAL_S])] = USUAL_S


USUAL = Wish()


@router.post("")
async def take_lease(access: AccessOf, caller: CallerOf, wish: Wish = USUAL) -> dict[str, Any]:
    """Be the only one who moves and changes things, or go on being so; 409 while somebody else is."""
    owner = replace(caller, session=None)  # other pages, with the same token, may go on with it
    access.lease.take(caller.name, wish.seconds, partial(access.lets_in, owner))
    return {"lease": access.lease.facts()}


@router.delete("", status_code=204)
async def give_up_lease(access: AccessOf, caller: CallerOf) -> None:
    """Let others move and change things; an admin ends anybody's lease."""
    access.lease.give_up(caller.name, anyones=caller.role is Role.ADMIN)
