"""An app's reading of one answer, without a server."""

from __future__ import annotations

from typing import Any

import httpx

from gusto_pipeline.provisioning.app import App
from gusto_pipeline.provisioning.errors import AppError


def refusal_of(app: App, status: int, body: Any, *, method: str = "POST", path: str = "/") -> AppError | None:
    """body: an object for JSON, or text."""
    content = {"text": body} if isinstance(body, str) else {"json": body}
    request = httpx.Request(method, f"https://app.example{path}")
    return app.refusal(httpx.Response(status, **content, request=request))
