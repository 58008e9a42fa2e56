"""The gate in front of every route: nothing of a request is acted on before it was let through, and then logged."""

import secrets
from contextlib import AbstractAsyncContextManager, nullcontext
from http import HTTPStatus

from starlette.responses import RedirectResponse
from starlette.types import ASGIApp, Message, Receive, Scope, Send

from api.access.access import Access, Caller
from api.access.asked import Asked
from api.access.body import glance_at_body, read_body, replayed
from api.access.open_socket import POLICY_VIOLATION, while_let_in
from api.access.refused import Refused
from api.access.roles import LOGIN, READING, Rule, is_of_page, rule_for
from api.access.turns import Turns
from api.problems import problem

SHORT_BYTES = 4096  # of a body that takes no time to read
LOGGED_CHARACTERS = 2000  # of a body: a move whole, of a plan its beginning; the queue has the rest


class Gate:
    """ASGI middleware; `scope["caller"]` is who was let through."""

    def __init__(self, app: ASGIApp, access: Access) -> None:
        self._app = app
        self._access = access
        self._looking, self._commanding = Turns(), Turns()

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        if scope["type"] not in ("http", "websocket"):
            return await self._app(scope, receive, send)
        asked = Asked.of(scope)
        rule = rule_for(asked.method, asked.path)
        try:
            caller = self._access.admit(asked)
            body = b"" if asked.method in READING else await self._body(rule, caller, asked, receive)
        except Refused as refusal:
            return await _refuse(refusal, asked, scope, receive, send)
        scope["caller"] = caller
        if asked.is_websocket:
            return await while_let_in(self._app, scope, receive, send, lambda: self._access.lets_in(caller))
        if asked.method in READING:
            return await self._app(scope, receive, send)
        receive = replayed(body, receive)
        try:
            async with self._turn(rule, caller, body):
                if not rule.is_command:
                    return await self._app(scope, receive, send)
                return await self._logged(asked, caller, body, scope, receive, send)
        except Refused as refusal:
            return await _refuse(refusal, asked, scope, receive, send)

    async def _body(self, rule: Rule, caller: Caller, asked: Asked, receive: Receive) -> bytes:
        if not rule.waits_for_body:
            return await glance_at_body(receive)
        try:
            return await read_body(receive)
        except Refused as refusal:
            if rule.role is not None:  # else strangers could fill the log
                self._access.log_refusal(caller, asked, refusal)
            raise

    def _turn(self, rule: Rule, caller: Caller, body: bytes) -> AbstractAsyncContextManager[None]:
        """Of those who look and of those who command: neither waits for the other."""
        if not rule.takes_long and (len(body) <= SHORT_BYTES or not rule.is_limited):
            return nullcontext()
        return (self._commanding if rule.is_command else self._looking).turn(caller.name)

    async def _logged(
        self, asked: Asked, caller: Caller, body: bytes, scope: Scope, receive: Receive, send: Send
    ) -> None:
        """Log a command before it begins, for then it may be cut off, and when it has been answered."""
        command = secrets.token_hex(8)
        text = body[:LOGGED_CHARACTERS].decode(errors="backslashreplace")
        who, what, client = caller.name, asked.what, asked.client
        self._access.audit.write(who, what, "begun", command=command, role=caller.role, client=client, body=text)
        status: int = 500

        async def noting(message: Message) -> None:
            nonlocal status
            if message["type"] == "http.response.start":
                status = message["status"]
                outcome = "done" if status < 400 else "refused" if status < 500 else "failed"
                self._access.audit.write(who, what, outcome, command=command, status=status)
            await send(message)

        try:
            await self._app(scope, receive, noting)
        except Exception as error:
            self._access.audit.write(who, what, "failed", command=command, status=500, reason=str(error))
            raise


async def _refuse(refusal: Refused, asked: Asked, scope: Scope, receive: Receive, send: Send) -> None:
    if asked.is_websocket:
        return await send({"type": "websocket.close", "code": POLICY_VIOLATION, "reason": ""})
    if refusal.status is HTTPStatus.UNAUTHORIZED and asked.opens_page and (asked.path == "/" or is_of_page(asked.path)):
        return await RedirectResponse(LOGIN, HTTPStatus.SEE_OTHER)(scope, receive, send)
    answer = problem(refusal.status, str(refusal))
    answer.headers.update(refusal.headers)
    return await answer(scope, receive, send)
