"""The `[tell]` table of a rig file: who is told what, and how to reach them. Secrets stay in the environment."""

import re
from collections.abc import Mapping
from typing import Annotated, Literal, Self

from pydantic import AfterValidator, Field, model_validator
from pydantic_core import PydanticCustomError

from devices.model import HIDDEN, Model, Number
from devices.web_address import Url

EventClass = Literal["started", "completed", "failed", "paused", "skipped", "interlock", "guardian"]
EVENT_CLASSES: tuple[EventClass, ...] = ("started", "completed", "failed", "paused", "skipped", "interlock", "guardian")
Classes = Annotated[tuple[EventClass, ...], Field(min_length=1)]


def _variable(name: str) -> str:
    if not re.fullmatch(r"[A-Za-z_]\w*", name, re.ASCII):
        raise PydanticCustomError(HIDDEN, "should be the name of an environment variable")  # is it the secret itself?
    return name


def _address(address: str) -> str:
    if not re.fullmatch(r"[^@\s]+@[^@\s]+", address):
        raise ValueError("should be an address like lab@example.org")
    return address


Variable = Annotated[str, AfterValidator(_variable)]
Address = Annotated[str, AfterValidator(_address)]
Name = Annotated[str, Field(min_length=1, max_length=60)]


class Channel(Model):
    """What every way of telling has in common."""

    name: Name
    classes: Classes = EVENT_CLASSES
    picture: bool = True  # of the mosaic, with what ended or halted the run


class Webhook(Channel):
    """A POST of JSON to an address."""

    name: Name = "webhook"
    url: Url | None = None
    url_env: Variable | None = None  # where the address itself is the secret, as with most chat services
    headers_env: Mapping[str, Variable] = {}  # header: the environment variable that holds its value

    @model_validator(mode="after")
    def _one_address(self) -> Self:
        if (self.url is None) == (self.url_env is None):
            raise ValueError("give either url or url_env")
        return self

    @property
    def variables(self) -> list[str]:
        """The environment variables that it reads."""
        return [*self.headers_env.values(), *([self.url_env] if self.url_env else [])]


class Mail(Channel):
    """A message by SMTP."""

    name: Name = "mail"
    host: Annotated[str, Field(min_length=1)]
    port: Annotated[int, Field(ge=1, le=65535)] = 587
    security: Literal["starttls", "tls", "none"] = "starttls"
    sender: Address
    to: Annotated[tuple[Address, ...], Field(min_length=1, max_length=50)]
    user: str | None = None
    password_env: Variable | None = None

    @model_validator(mode="after")
    def _logs_in_whole_and_unseen(self) -> Self:
        if (self.user is None) != (self.password_env is None):
            raise ValueError("user and password_env go together")
        if self.user is not None and self.security == "none":
            raise ValueError("security = 'none' would show the password to everybody; use 'starttls' or 'tls'")
        return self

    @property
    def variables(self) -> list[str]:
        """The environment variables that it reads."""
        return [self.password_env] if self.password_env else []


class TellingSettings(Model):
    """All ways of telling, and how often the same class may be told."""

    webhooks: tuple[Webhook, ...] = ()
    mails: tuple[Mail, ...] = ()
    skipped_every_min: Annotated[Number, Field(ge=0, le=1440)] = 30.0
    """Skipped tiles are told at once, and then at most this often, all that came meanwhile in one message."""

    @model_validator(mode="after")
    def _names_differ(self) -> Self:
        names = [channel.name for channel in self.channels]
        if twice := {name for name in names if names.count(name) > 1}:
            raise ValueError(f"name = {min(twice)!r} is given twice; what was told is remembered by name")
        return self

    @property
    def channels(self) -> tuple[Webhook | Mail, ...]:
        """Every way of telling."""
        return (*self.webhooks, *self.mails)
