"""Whether a request is let through, and as whose."""

import math
from dataclasses import dataclass
from http import HTTPStatus
from pathlib import Path

from api.access.asked import Asked
from api.access.audit import AuditLog
from api.access.foreign_pages import refuse_other_names, refuse_other_origins
from api.access.lease import Lease, LeaseHeld
from api.access.rate import USUAL, Buckets, Rates
from api.access.refused import Refused
from api.access.roles import Role, Rule, is_of_page, rule_for
from api.access.sessions import Sessions
from api.access.tokens import Token, TokenFileError, Tokens

ASK_FOR_TOKEN = {"WWW-Authenticate": 'Bearer realm="nanoraster"'}


@dataclass(frozen=True)
class Caller:
    """Who asks."""

    name: str
    role: Role | None
    token: Token | None = None
    session: str | None = None
    """Cookie of the browser that was logged in, where it was by that."""


ANYBODY = Caller("anybody", None)
LOCAL = Caller("local", Role.ADMIN)
"""Who is on this machine, as long as there are no tokens: they are all one."""


class Access:
    """What the gate asks, from the one thread of the event loop."""

    def __init__(
        self,
        folder: Path,
        tokens_required: bool = False,
        loopback_names_only: bool = False,
        rates: Rates = USUAL,
        lease: Lease | None = None,
    ) -> None:
        """Ask for the tokens of a data folder.

        Args:
            tokens_required: also if there is none; else all is allowed then.
            loopback_names_only: where no token is asked for, answer to no name that others could have given us.
        """
        self.tokens = Tokens(folder)
        self._sessions = Sessions(folder)
        self.lease = lease or Lease()
        self.audit = AuditLog(folder)
        self._tokens_required = tokens_required
        self._loopback_names_only = loopback_names_only
        self._viewing, self._commands, self._strangers = map(Buckets, (rates.viewing, rates.commands, rates.strangers))
        self._openly = Buckets(rates.openly)  # by address, and apart: who fails to get in may still see who is well

    def admit(self, asked: Asked) -> Caller:
        """Who asks, and may.

        Raises:
            Refused: it is in the log, unless it only came too often.
        """
        rule = rule_for(asked.method, asked.path)
        caller = ANYBODY
        try:
            try:
                caller = self._caller(asked, rule)
            except Refused:
                _refuse_haste(self._strangers.take(asked.client))
                raise
            if rule.is_limited:
                _refuse_haste(self._buckets(rule).take(caller.name if caller.role else asked.client))
            self._refuse_unfit(caller, rule)
        except Refused as refusal:
            if refusal.status is not HTTPStatus.TOO_MANY_REQUESTS:
                self.log_refusal(caller, asked, refusal)
            raise
        return caller

    def log_refusal(self, caller: Caller, asked: Asked, refusal: Refused) -> None:
        """Keep that somebody asked in vain, and why."""
        why = {"status": refusal.status, "reason": str(refusal), "client": asked.client}
        self.audit.write(caller.name, asked.what, "refused", **why)

    def log_in(self, asked: Asked, secret: str) -> str:
        """The cookie of a new session, for whoever shows a token.

        Raises:
            Refused: it is in the log, unless it only came too often.
        """
        try:
            refuse_other_origins(asked)
            token = self._owner_of(secret)
            cookie = self._sessions.begin(token)
        except TokenFileError as error:
            raise Refused(HTTPStatus.SERVICE_UNAVAILABLE, f"nobody is let in: {error}") from error
        except Refused as refusal:
            _refuse_haste(self._strangers.take(asked.client))
            self.log_refusal(ANYBODY, asked, refusal)
            raise
        self.audit.write(token.name, asked.what, "done", role=token.role, client=asked.client)
        return cookie

    def log_out(self, asked: Asked) -> None:
        """End the session whose cookie is shown; nothing happens if it is none, or over.

        Raises:
            Refused: a page from elsewhere asks.
        """
        refuse_other_origins(asked)
        try:
            token = self._sessions.owner_of(asked.session, self.tokens.all()) if asked.session else None
            if token is not None and asked.session:
                self._sessions.end(asked.session)
                self.audit.write(token.name, asked.what, "done", role=token.role, client=asked.client)
        except TokenFileError as error:
            raise Refused(HTTPStatus.SERVICE_UNAVAILABLE, f"the session may go on: {error}") from error

    def asks_for_token(self) -> bool:
        """Whether nobody is let in without one."""
        try:
            return self._tokens_required or bool(self.tokens.all())
        except TokenFileError:
            return True

    def lets_in(self, caller: Caller) -> bool:
        """Whether who was let in still would be; for what goes on for long."""
        try:
            tokens = self.tokens.all()
            if caller.session is not None:
                return self._sessions.owner_of(caller.session, tokens) == caller.token
        except TokenFileError:
            return False
        return caller.token in tokens if caller.token else not tokens and not self._tokens_required

    def _buckets(self, rule: Rule) -> Buckets:
        if rule.role is None:
            return self._openly
        return self._commands if rule.is_command else self._viewing

    def _caller(self, asked: Asked, rule: Rule) -> Caller:
        if rule.role is None:
            return ANYBODY
        try:
            if not self._tokens_required and not self.tokens.all():
                self._refuse_foreign_pages(asked, rule)
                return LOCAL
            if asked.session is not None and asked.authorization is None:
                return self._of_session(asked, asked.session, rule)
            return self._bearer(asked.authorization)
        except TokenFileError as error:
            raise Refused(HTTPStatus.SERVICE_UNAVAILABLE, f"nobody is let in: {error}") from error

    def _refuse_foreign_pages(self, asked: Asked, rule: Rule) -> None:
        if self._loopback_names_only:
            refuse_other_names(asked)
        _refuse_foreign_scripts(asked, rule)

    def _bearer(self, authorization: str | None) -> Caller:
        """Whose token a header shows (RFC 6750)."""
        scheme, _, secret = (authorization or "").partition(" ")
        if scheme.lower() != "bearer" or not secret.strip():
            raise Refused(HTTPStatus.UNAUTHORIZED, "Authorization: should be Bearer TOKEN", ASK_FOR_TOKEN)
        token = self._owner_of(secret.strip())
        return Caller(token.name, token.role, token)

    def _owner_of(self, secret: str) -> Token:
        token = self.tokens.owner_of(secret)
        if token is None:
            challenge = {"WWW-Authenticate": f'{ASK_FOR_TOKEN["WWW-Authenticate"]}, error="invalid_token"'}
            raise Refused(HTTPStatus.UNAUTHORIZED, "the token is unknown, or was revoked", challenge)
        return token

    def _of_session(self, asked: Asked, cookie: str, rule: Rule) -> Caller:
        """Who was logged in. A browser sends its cookie with whatever a page asks: only with what our own pages ask."""
        if rule.is_command and asked.origin is None:
            raise Refused(HTTPStatus.FORBIDDEN, "Origin: should be given where a session commands")
        _refuse_foreign_scripts(asked, rule)
        token = self._sessions.owner_of(cookie, self.tokens.all())
        if token is None:
            raise Refused(HTTPStatus.UNAUTHORIZED, "the session is over; log in again", ASK_FOR_TOKEN)
        return Caller(token.name, token.role, token, cookie)

    def _refuse_unfit(self, caller: Caller, rule: Rule) -> None:
        if rule.role is not None and (caller.role is None or not caller.role.includes(rule.role)):
            raise Refused(HTTPStatus.FORBIDDEN, f"{caller.name} has the role {caller.role}; this needs {rule.role}")
        if rule.needs_control:
            try:
                self.lease.refuse_others(caller.name)
            except LeaseHeld as held:
                raise Refused(HTTPStatus.CONFLICT, str(held)) from held


def _refuse_foreign_scripts(asked: Asked, rule: Rule) -> None:
    """What needs no answer, or has one that the page's shell would show to all origins."""
    if rule.is_command or asked.is_websocket or is_of_page(asked.path):
        refuse_other_origins(asked)


def _refuse_haste(wait_s: float) -> None:
    if wait_s:
        headers = {"Retry-After": str(math.ceil(wait_s))}
        raise Refused(HTTPStatus.TOO_MANY_REQUESTS, f"too many requests; again in {math.ceil(wait_s)} s", headers)
