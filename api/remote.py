"""How a program asks a service: one connection, and one exception for whatever is refused or goes wrong."""

import json
import time
from collections.abc import Mapping
from http import HTTPStatus
from json import JSONDecodeError
from types import TracebackType
from typing import Any, Self, TypeVar
from urllib.parse import quote

import httpx
import numpy as np
from pydantic import BaseModel, ValidationError

API = "/api/v1"
PROBLEM = "application/problem+json"
JSON = {"Content-Type": "application/json"}
POLL_S = 0.5  # between two looks at what takes long
TRIES = 5  # where the answer is that it came too often

Found = TypeVar("Found", bound=BaseModel)


class NanorasterError(RuntimeError):
    """What a service refused or could not do, in its own words.

    `status` is the HTTP status, None where no service answered; `errors` says for input what is wrong, by key.
    """

    def __init__(self, detail: str, status: int | None = None, errors: Mapping[str, list[str]] | None = None) -> None:
        super().__init__(detail if status is None else f"{detail} ({status})")
        self.detail = detail
        self.status = status
        self.errors = dict(errors or {})


class Connection:
    """HTTP to one service; may be used by several threads."""

    def __init__(self, url: str, token: str | None, timeout_s: float) -> None:
        self.url = url.rstrip("/")
        self.headers = {"Authorization": f"Bearer {token}"} if token else {}
        try:
            self._http = httpx.Client(base_url=self.url, headers=self.headers, timeout=timeout_s)
        except httpx.InvalidURL as error:
            raise NanorasterError(f"{url!r}: no URL: {error}") from error
        except UnicodeEncodeError as error:
            raise NanorasterError("token: should be of ASCII letters, as `nanoraster token create` gave it") from error

    def __enter__(self) -> Self:
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        self.close()

    def close(self) -> None:
        """End it; may be called twice."""
        self._http.close()

    def ask(self, method: str, path: str, body: Any = None, params: Mapping[str, Any] | None = None) -> httpx.Response:
        """Ask under `/api/v1`; the answer if it is a good one.

        Raises:
            NanorasterError: it is not, or there is none.
        """
        for left in reversed(range(TRIES)):
            answer = self._ask_once(method, path, body, params)
            if answer.status_code != HTTPStatus.TOO_MANY_REQUESTS or not left:
                break
            time.sleep(float(answer.headers.get("Retry-After", 1)))
        if answer.is_success:
            return answer
        raise _refusal(answer)

    def _ask_once(self, method: str, path: str, body: Any, params: Mapping[str, Any] | None) -> httpx.Response:
        try:
            text = None if body is None else json.dumps(body, default=_plain, allow_nan=False)
            return self._http.request(method, API + path, content=text, headers=JSON if text else None, params=params)
        except (httpx.HTTPError, httpx.InvalidURL, TypeError, ValueError) as error:
            said = str(error) or type(error).__name__
            raise NanorasterError(f"{method} {self.url}{API}{path}: {said}") from error

    def get(self, kind: type[Found], path: str, **params: Any) -> Found:
        """What is to be read under a path."""
        return self._read(kind, self.ask("GET", path, params=params))

    def post(self, kind: type[Found], path: str, body: Any = None) -> Found:
        """What comes of a command."""
        return self._read(kind, self.ask("POST", path, body))

    def _read(self, kind: type[Found], answer: httpx.Response) -> Found:
        """An answer by its model; keys that a newer service adds are left out."""
        try:
            return kind.model_validate_json(answer.content, extra="ignore")
        except ValidationError as error:
            raise NanorasterError(f"{answer.url}: not an answer of nanoraster: {error}") from error


def part(name: str) -> str:
    """A name as one part of a path.

    Raises:
        NanorasterError: it would be taken for several, or for a way up.
    """
    if not name.strip(".") or "/" in name:  # a server takes a quoted slash for one
        raise NanorasterError(f"{name!r}: should be a name, neither empty nor a path")
    return quote(name, safe="")


def _plain(value: Any) -> Any:
    """What JSON has no word for: numbers and arrays of numpy are numbers and lists."""
    if isinstance(value, (np.generic, np.ndarray)):
        return value.tolist()
    raise TypeError(f"{value!r}: {type(value).__name__} cannot be sent as JSON")


def _refusal(answer: httpx.Response) -> NanorasterError:
    status = answer.status_code
    try:
        told = answer.json() if answer.headers.get("Content-Type") == PROBLEM else {}
    except (JSONDecodeError, UnicodeDecodeError):
        told = {}
    if not isinstance(told.get("detail"), str):
        return NanorasterError(f"{answer.request.method} {answer.url}: {answer.reason_phrase}", status)
    return NanorasterError(told["detail"], status, told.get("errors"))
