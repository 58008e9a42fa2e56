"""A request that is not let through, and what is said to whoever made it."""

from collections.abc import Mapping
from http import HTTPStatus


class Refused(Exception):
    """With the HTTP status, and headers that go with it."""

    def __init__(self, status: HTTPStatus, detail: str, headers: Mapping[str, str] | None = None) -> None:
        super().__init__(detail)
        self.status = status
        self.headers = dict(headers or {})
