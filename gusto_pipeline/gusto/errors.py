"""What can go wrong when talking to Gusto, as exceptions, and how an HTTP answer becomes one of them.

Messages are for people: what happened, Gusto's request id, what to do next. They carry paths without their
query, and never a token.
"""

import json
import re
from collections.abc import Mapping
from datetime import datetime
from typing import Any

import httpx

from gusto_pipeline.clock import http_date


class GustoError(Exception):
    """Gusto did not do what was asked.

    status: HTTP status, None when there was no answer. errors: Gusto's own list, nested ones flattened, each
    `{"error_key", "category", "message", ...}`. retry_after: seconds the server asks to wait, when it does.
    """

    def __init__(
        self,
        message: str,
        *,
        status: int | None = None,
        request_id: str | None = None,
        path: str | None = None,
        errors: list[dict[str, Any]] | None = None,
        retry_after: float | None = None,
    ) -> None:
        super().__init__(message)
        self.status = status
        self.request_id = request_id
        self.path = path
        self.errors = errors or []
        self.retry_after = retry_after


class UnreachableError(GustoError):
    """No whole answer came. `sent` is False when the request provably never left."""

    sent = True


class NotSentError(GustoError):
    """What was asked cannot be right; nothing was sent to Gusto, or nothing that changes anything."""


class ReauthorizeError(GustoError):
    """The grant is dead or was declined: a person must connect again."""


class MissingScopeError(GustoError):
    """The grant does not cover this (403). `scope` is the missing one, when Gusto names it."""

    scope: str | None = None


class NotFoundError(GustoError):
    """No such record, or no permission to see it (404)."""


class ApiVersionError(GustoError):
    """Gusto no longer speaks this API version (406)."""


class ConflictError(GustoError):
    """The record changed since it was read (409, or category invalid_resource_version)."""


class InvalidRequestError(GustoError):
    """Gusto refuses the values (422). `fields` maps each error_key to what is wrong with it."""

    @property
    def fields(self) -> dict[str, str]:
        fields: dict[str, list[str]] = {}
        for error in self.errors:
            fields.setdefault(str(error.get("error_key", "base")), []).append(str(error.get("message", "")))
        return {key: "; ".join(messages) for key, messages in fields.items()}


class RateLimitedError(GustoError):
    """Too many requests (429), also after waiting as asked."""


class ServerError(GustoError):
    """Gusto failed (5xx)."""


class MalformedAnswerError(GustoError):
    """The answer is not what the API promises: no JSON, the wrong type, or pages that do not add up."""


class ClientCredentialsError(GustoError):
    """Gusto does not know this application (OAuth invalid_client)."""


def error_for(response: httpx.Response, *, received_at: datetime) -> GustoError:
    """The error for an answer that is not 2xx, whose body has been read.

    Statuses and categories: Gusto's API guide, errors; OAuth errors: RFC 6749 section 5.2.
    """
    status, path = response.status_code, response.request.url.path
    request_id = response.headers.get("x-request-id")
    body = _json(response)
    errors = _flat(body.get("errors")) if isinstance(body, dict) else []
    oauth = body.get("error") if isinstance(body, dict) else None
    categories = {error.get("category") for error in errors}
    said = _readable("; ".join(str(error.get("message", "")) for error in errors if error.get("message")))
    where = f"{response.request.method} {path}"
    scope = _missing_scope(errors) if status == 403 else None
    kind: type[GustoError]
    if oauth == "invalid_client":
        kind, text = ClientCredentialsError, _unknown_client(response.request.url)
    elif oauth == "invalid_grant":
        kind = ReauthorizeError
        text = (
            "Gusto no longer accepts this authorization (used, expired or revoked). "
            "Connect again, run: gusto-pipeline connect gusto"
        )
    elif status == 401:
        kind = ReauthorizeError
        text = f"Gusto does not accept the access token for {where}. Connect again, run: gusto-pipeline reconnect gusto"
    elif status == 403:
        kind = MissingScopeError
        text = (
            f"the connection lacks the scope {scope}, which {where} needs. Ask Gusto to add the scope to your "
            "application, then run: gusto-pipeline reconnect gusto"
            if scope
            else f"Gusto refuses {where}{said}. It may lack a scope, or belong to another company"
        )
    elif status == 404:
        kind = NotFoundError
        text = f"Gusto has nothing at {where}. This may also mean that the connection has no permission to see it"
    elif status == 406:
        version = response.request.headers.get("x-gusto-api-version")
        kind = ApiVersionError
        text = f"Gusto does not serve API version {version} (asked by {where}){said}. Update gusto-pipeline"
    elif status == 409 or "invalid_resource_version" in categories:
        kind = ConflictError
        text = f"the record behind {where} was changed by someone else{said}. Read it again and decide anew"
    elif status == 422:
        kind, text = InvalidRequestError, f"Gusto refuses the values of {where}{said or ', without a reason'}"
    elif status == 429:
        kind = RateLimitedError
        text = f"too many requests for this connection ({where}). Another program uses the same grant; try later"
    elif status >= 500:
        kind, text = ServerError, f"Gusto failed on {where} with {status}. Nothing to do here but to try later"
    elif 300 <= status < 400:
        kind, text = GustoError, f"{where} answers with a redirect ({status}). Check GUSTO_BASE_URL"
    else:
        kind, text = GustoError, f"Gusto refuses {where} with {status}{said}"
    if request_id:
        text = f"{text} (request {request_id})"
    error = kind(
        text,
        status=status,
        request_id=request_id,
        path=path,
        errors=errors,
        retry_after=retry_after(response, received_at),
    )
    if isinstance(error, MissingScopeError):
        error.scope = scope
    return error


def retry_after(response: httpx.Response, received_at: datetime) -> float | None:
    """Seconds to wait by `Retry-After` (RFC 9110 section 10.2.3: seconds or a date); a 429 without it waits
    until `X-RateLimit-Reset`; None when the answer does not say."""
    value = response.headers.get("retry-after", "").strip()
    if value.isdecimal():
        return float(value)
    if until := http_date(value):
        return max(0.0, (until - received_at).total_seconds())
    return seconds_to_reset(response.headers, received_at) if response.status_code == 429 else None


def seconds_to_reset(headers: Mapping[str, str], received_at: datetime) -> float | None:
    """Seconds until `X-RateLimit-Reset`, a date like `2025-07-08 15:35:40 -0700`; None when there is none.

    Never more than the 60 s that Gusto's window lasts, so that clocks that disagree cannot stall a sync.
    """
    try:
        reset = datetime.strptime(headers.get("x-ratelimit-reset", ""), "%Y-%m-%d %H:%M:%S %z")
    except ValueError:
        return None
    return min(60.0, max(0.0, (reset - received_at).total_seconds()))


def unreachable(error: httpx.RequestError, method: str, path: str, host: str) -> UnreachableError:
    """The typed error for a transport failure, which may have struck before or after the request was sent."""
    if isinstance(error, httpx.ConnectError | httpx.ConnectTimeout | httpx.PoolTimeout):
        found = UnreachableError(f"cannot reach Gusto at {host}: check the network and GUSTO_BASE_URL", path=path)
        found.sent = False
        return found
    what = "did not answer in time" if isinstance(error, httpx.TimeoutException) else "broke off the answer"
    unknown = "" if method == "GET" else ". Whether it was carried out is not known: look before trying again"
    return UnreachableError(f"{host} {what} on {method} {path}{unknown}", path=path)


def _json(response: httpx.Response) -> Any:
    try:
        return json.loads(response.content)
    except (ValueError, RecursionError):
        return None  # an HTML page from a proxy, say: the status still tells


def _flat(errors: Any) -> list[dict[str, Any]]:
    rows = [error for error in errors if isinstance(error, dict)] if isinstance(errors, list) else []
    flat: list[dict[str, Any]] = []
    for row in rows:
        nested = _flat(row.get("errors"))
        flat += nested or [row]
    return flat


def _readable(said: str) -> str:
    # Gusto may quote a refused value back; a social security number must not reach a log.
    hidden = re.sub(r"\b\d{3}-?\d{2}-?\d{4}\b", "[hidden]", said)
    return f": {hidden[:500]}" if hidden else ""


def _missing_scope(errors: list[dict[str, Any]]) -> str | None:
    for error in errors:
        metadata = error.get("metadata")
        if isinstance(metadata, dict) and metadata.get("missing_scope_name"):
            return str(metadata["missing_scope_name"])
        if named := re.search(r"'([a-z_]+:[a-z_:]+)' OAuth scope", str(error.get("message", ""))):
            return named[1]
    return None


def _unknown_client(url: httpx.URL) -> str:
    text = f"{url.host} does not accept the client id and secret (GUSTO_CLIENT_ID, GUSTO_CLIENT_SECRET)"
    if url.host == "api.gusto.com":
        return f"{text}. This is production: credentials of a demo application work at https://api.gusto-demo.com only"
    if url.host == "api.gusto-demo.com":
        return f"{text}. This is the demo environment: production credentials work at https://api.gusto.com only"
    return f"{text}. Check that they belong to the application registered there (GUSTO_BASE_URL)"
