"""An app's reading of one answer, without a server."""

from __future__ import annotations

from datetime import UTC, datetime
from typing import Any

import httpx

from gusto_pipeline.provisioning.app import App
from gusto_pipeline.provisioning.errors import AppError, RateLimitedError
from gusto_pipeline.provisioning.session import refusal

NOW = datetime(2026, 1, 5, 10, 45, tzinfo=UTC)


def refusal_of(
    app: App, status: int, body: Any, *, method: str = "POST", path: str = "/", **more: Any
) -> AppError | None:
    """body: an object for JSON, or text. more: headers, or the time it came at (`now`)."""
    content = {"text": body} if isinstance(body, str) else {"json": body}
    return read(app, httpx.Response(status, **content, headers=more.get("headers")), method, path, more.get("now", NOW))


def read(
    app: App, answer: httpx.Response, method: str = "POST", path: str = "/", now: datetime = NOW
) -> AppError | None:
    """The error in an answer, which has the request it came to or gets one."""
    if answer._request is None:
        answer.request = httpx.Request(method, f"https://app.example{path}")
    return refusal(app, answer, now)


def wait(app: App, answer: httpx.Response, now: datetime = NOW) -> float | None:
    """How many seconds an answer makes us wait; None when it is no rate limit, or does not say."""
    error = read(app, answer, now=now)
    return error.retry_after if isinstance(error, RateLimitedError) else None
