"""Requests to Gusto's API: paced, retried, paged, and handed on as received.

Knows HTTP and the conventions all endpoints share; what the endpoints are is the catalog's business.
"""

import json
import re
import tempfile
import threading
import time
from collections.abc import Callable, Iterator, Mapping
from concurrent.futures import ThreadPoolExecutor, wait
from contextlib import suppress
from dataclasses import dataclass, replace
from datetime import datetime
from importlib.metadata import version
from pathlib import Path
from typing import IO, Any
from urllib.parse import unquote

import httpx
import tenacity
from pydantic_core import SchemaValidator, ValidationError, core_schema, from_json

from gusto_pipeline.clock import Clock, ServerTime, utcnow
from gusto_pipeline.gusto.errors import (
    GustoError,
    MalformedAnswerError,
    RateLimitedError,
    ServerError,
    UnreachableError,
    error_for,
    seconds_to_reset,
    unreachable,
)
from gusto_pipeline.gusto.rate_window import RateWindow
from gusto_pipeline.tls import trusted

_PRODUCT = f"gusto-pipeline/{version('gusto-pipeline')}"
_RECORDS = SchemaValidator(core_schema.list_schema(core_schema.typed_dict_schema({}, extra_behavior="ignore")))
PASSING = {500, 502, 503, 504}  # failures of the moment
RESERVE = 20  # requests a minute that bulk work leaves to people who wait for an answer


@dataclass(frozen=True)
class Answer:
    """One page as received. `rows`: length of a top-level array, else 1, and 0 for an empty body. `total` and
    `pages`: X-Total-Count and X-Total-Pages, None where the endpoint does not page."""

    path: str
    page: int
    body: bytes
    rows: int
    total: int | None
    pages: int | None
    request_id: str
    received_at: datetime
    api_version: str


@dataclass(frozen=True)
class TokenInfo:
    """Whose token it is. `company_uuid` is None for a system token; `owner_type`: CompanyAdmin, Employee, ..."""

    scopes: frozenset[str]
    company_uuid: str | None
    owner_type: str | None


class GustoClient:
    """One grant's access to Gusto; safe to share by threads. Close it, or use it as a context manager.

    grant: names the rate limit window, which clients with the same `state_folder` share across processes.
    per_minute, reserve: the grant's limit, and how much of it to leave to others (bulk work: `RESERVE`, to people).
    retries, retry_seconds: a GET that meets a passing fault (429, 500, 502, 503, 504, lost connection, broken body)
    is tried again so often at most, waiting no longer than that in all. Writes are tried again only on a 429 and
    when the request provably never left.
    timeout: seconds for connecting, and between two pieces of an answer.
    """

    def __init__(
        self,
        base_url: str,
        auth: httpx.Auth | None,
        *,
        grant: str = "default",
        state_folder: Path | None = None,
        api_version: str = "2026-06-15",
        per_minute: int = 200,
        reserve: int = 0,
        concurrency: int = 8,
        retries: int = 4,
        retry_seconds: float = 120,
        timeout: float = 30,
        clock: Clock = utcnow,
        sleep: Callable[[float], None] = time.sleep,
        transport: httpx.BaseTransport | None = None,
    ) -> None:
        self.state_folder = state_folder
        self._api_version = api_version
        self._retries = retries
        self._retry_seconds = retry_seconds
        self._clock = clock
        self._sleep = sleep
        self._count_lock = threading.Lock()
        self.requests_sent = 0
        self.server_time = ServerTime()
        self._pool = ThreadPoolExecutor(concurrency, thread_name_prefix="gusto")  # starts no thread until used
        self._http = httpx.Client(
            base_url=base_url,
            auth=auth,
            verify=trusted(base_url),
            headers={
                "Accept": "application/json",
                "User-Agent": _PRODUCT,
                "X-Gusto-API-Version": api_version,
            },
            timeout=timeout,
            limits=httpx.Limits(max_connections=None, max_keepalive_connections=concurrency),
            event_hooks={"request": [self._count], "response": [self.server_time]},
            transport=transport,
        )
        self._window = RateWindow(
            grant, per_minute=per_minute, reserve=reserve, folder=state_folder, clock=clock, sleep=sleep
        )

    def __enter__(self) -> "GustoClient":
        return self

    def __exit__(self, *exception: object) -> None:
        self.close()

    def close(self) -> None:
        """Ends what is under way and closes all connections."""
        self._pool.shutdown(cancel_futures=True)
        self._http.close()
        self._window.close()

    def get(self, path: str, params: Mapping[str, Any] | None = None) -> Answer:
        """One GET. Raises the GustoError that fits once retrying is exhausted or pointless."""
        return self.request("GET", path, params=params)

    def request(self, method: str, path: str, *, params: Mapping[str, Any] | None = None, json: Any = None) -> Answer:
        """One request, paced and retried as the class says.

        `path` starts with `/v1/`; ids in it are one segment each (ValueError otherwise). In `params`, lists become
        comma-joined values, as Gusto takes them, and None is left out.
        """
        _check_path(path)
        query = _query(params)
        attempts = tenacity.Retrying(
            retry=tenacity.retry_if_exception(lambda error: _worth_retrying(error, method)),
            stop=self._enough,
            wait=_wait,
            sleep=self._sleep,
            reraise=True,
        )
        return attempts(self._once, method, path, query, json)

    def pages(self, path: str, params: Mapping[str, Any] | None = None, *, per: int = 100) -> Iterator[Answer]:
        """All pages of a list, in order: the first, then the others by X-Total-Pages, several in flight.

        Nothing is yielded before all pages are there and agree: someone may be hired while they are read, which
        shifts rows between pages. Then all is read once more, and MalformedAnswerError raised if it still does
        not add up. Until then bodies wait in an unnamed temporary file, so memory holds only those in flight.
        """
        for _ in range(2):
            with tempfile.TemporaryFile(dir=self.state_folder) as file:
                spool = _Spool(file)
                first = self.get(path, {**(params or {}), "page": 1, "per": per})
                answers = [first]
                if first.pages and 1 < first.pages <= (first.total or first.pages):
                    answers += self._others(path, params, per, first.pages, spool)
                problem = _disagreement(answers)
                if not problem:
                    yield first
                    yield from map(spool.filled, answers[1:])
                    return
        raise MalformedAnswerError(
            f"the pages of {path} do not add up, read twice: {problem}. Try again later; if it stays, report it to "
            f"Gusto (request {first.request_id})",
            status=200,
            request_id=first.request_id,
            path=path,
        )

    def token_info(self) -> TokenInfo:
        """Whom the token speaks for (GET /v1/token_info)."""
        answer = self.get("/v1/token_info")
        info = json.loads(answer.body)
        if not isinstance(info, dict):
            raise _malformed(answer.path, {}, "is no object", answer.request_id)
        resource = info.get("resource") or {}
        owner = info.get("resource_owner") or {}
        return TokenInfo(
            scopes=frozenset(str(info.get("scope") or "").split()),
            company_uuid=resource.get("uuid") if resource.get("type") == "Company" else None,
            owner_type=owner.get("type"),
        )

    def _count(self, request: httpx.Request) -> None:
        with self._count_lock:
            self.requests_sent += 1

    def _enough(self, state: tenacity.RetryCallState) -> bool:
        # Counts the waits between attempts, not those for a place in the window.
        waits = state.idle_for + state.upcoming_sleep
        return state.attempt_number > self._retries or waits > self._retry_seconds

    def _once(self, method: str, path: str, query: dict[str, str], payload: Any) -> Answer:
        self._window.take()
        try:
            with self._http.stream(method, path, params=query, json=payload) as response:
                if not response.is_success:
                    response.read()
                    refusal = error_for(response, received_at=self._clock())
                    if isinstance(refusal, RateLimitedError):
                        self._window.close_for(refusal.retry_after or 0)
                    raise refusal
                # Not response.read(): httpx's responses live on until the garbage collector finds them, so a body
                # left in one would stay in memory long after it was spooled.
                body = b"".join(response.iter_bytes())
        except httpx.DecodingError as error:
            raise _malformed(path, query, "cannot be decompressed", None) from error
        except httpx.RequestError as error:
            raise unreachable(error, method, path, self._http.base_url.host) from error
        received_at = self._clock()
        remaining = response.headers.get("x-ratelimit-remaining", "")
        if remaining.isdecimal():
            reset = seconds_to_reset(response.headers, received_at)
            self._window.close_for(reset or 0, remaining=int(remaining))
        return self._answer(response, body, path, query, received_at)

    def _answer(
        self, response: httpx.Response, body: bytes, path: str, query: dict[str, str], received_at: datetime
    ) -> Answer:
        headers = response.headers
        request_id = headers.get("x-request-id", "")
        rows = 0
        if body or response.status_code == 200:
            try:
                length = _length(body)
            except ValueError:
                raise _malformed(path, query, "is not JSON, or was cut short", request_id) from None
            if length is None:
                raise _malformed(path, query, "is neither a list nor an object", request_id)
            rows = length

        def number(header: str) -> int | None:
            text = headers.get(header)
            if text is not None and not text.isdecimal():
                raise _malformed(path, query, f"has no number in its header {header}", request_id)
            return None if text is None else int(text)

        return Answer(
            path=path,
            page=number("x-page") or int(query.get("page", 1)),
            body=body,
            rows=rows,
            total=number("x-total-count"),
            pages=number("x-total-pages"),
            request_id=request_id,
            received_at=received_at,
            api_version=headers.get("x-gusto-api-version", self._api_version),
        )

    def _others(
        self, path: str, params: Mapping[str, Any] | None, per: int, pages: int, spool: "_Spool"
    ) -> list[Answer]:
        def fetch(page: int) -> Answer:
            return spool.emptied(self.get(path, {**(params or {}), "page": page, "per": per}))

        futures = [self._pool.submit(fetch, page) for page in range(2, pages + 1)]
        try:
            return [future.result() for future in futures]
        finally:
            for future in futures:
                future.cancel()
            wait(futures)  # a page still under way would write to a file that is gone


class _Spool:
    """Bodies parked in a file by page number."""

    def __init__(self, file: IO[bytes]) -> None:
        self._file = file
        self._lock = threading.Lock()
        self._places: dict[int, tuple[int, int]] = {}

    def emptied(self, answer: Answer) -> Answer:
        with self._lock:
            self._places[answer.page] = (self._file.tell(), len(answer.body))
            self._file.write(answer.body)
        return replace(answer, body=b"")

    def filled(self, answer: Answer) -> Answer:
        place, length = self._places[answer.page]
        self._file.seek(place)
        return replace(answer, body=self._file.read(length))


def _disagreement(answers: list[Answer]) -> str | None:
    """Why these are not all the pages of one list, in order; None when they are."""
    first = answers[0]
    if len(answers) != (first.pages or 1):
        return f"{first.total} rows cannot fill {first.pages} pages"
    for number, answer in enumerate(answers, start=1):
        if answer.page != number:
            return f"page {answer.page} came when page {number} was asked for"
        if (answer.total, answer.pages) != (first.total, first.pages):
            return f"page 1 counts {first.total} rows in all, page {number} counts {answer.total}"
    rows = sum(answer.rows for answer in answers)
    is_list = first.body.lstrip().startswith(b"[")  # in an object, the count is of something inside it
    if is_list and first.total not in (None, rows):
        return f"{first.total} rows were announced on {first.pages} pages, {rows} came"
    return None


_backoff = tenacity.wait_exponential_jitter(multiplier=0.5, max=10, jitter=0.5)


def _wait(state: tenacity.RetryCallState) -> float:
    error = state.outcome.exception() if state.outcome else None
    asked = error.retry_after if isinstance(error, GustoError) else None
    return max(asked or 0.0, _backoff(state))


def _worth_retrying(error: BaseException, method: str) -> bool:
    match error:
        case RateLimitedError():
            return True
        case UnreachableError():
            return method == "GET" or not error.sent
        case ServerError():
            return method == "GET" and error.status in PASSING
        case MalformedAnswerError():
            return method == "GET"
    return False


def _length(body: bytes) -> int | None:
    """The length of a list, 1 for an object, None for anything else. Raises ValueError if the body is no JSON."""
    with suppress(ValidationError):
        return len(_RECORDS.validate_json(body))  # makes no objects of what is in the records: a third of the time
    value = from_json(body, allow_inf_nan=False)
    return len(value) if isinstance(value, list) else 1 if isinstance(value, dict) else None


def _malformed(path: str, query: Mapping[str, str], what: str, request_id: str | None) -> MalformedAnswerError:
    page = f", page {query['page']}," if "page" in query else ""
    request = f" (request {request_id})" if request_id else ""
    return MalformedAnswerError(
        f"the answer to {path}{page} {what}. Try again later; if it stays, check GUSTO_BASE_URL{request}",
        path=path,
        request_id=request_id,
    )


def _check_path(path: str) -> None:
    segments = path.split("/")
    proper = all(re.fullmatch(r"[\w.~%:-]+", segment, re.ASCII) for segment in segments[1:])
    if segments[0] or len(segments) < 2 or not proper or {".", ".."} & {unquote(segment) for segment in segments}:
        raise ValueError(f"{path!r} is no API path: one segment for each id, without /, .., ? or #")


def _query(params: Mapping[str, Any] | None) -> dict[str, str]:
    query = {}
    for name, value in (params or {}).items():
        if isinstance(value, bool):
            query[name] = str(value).lower()
        elif isinstance(value, list | tuple):
            query[name] = ",".join(map(str, value))
        elif value is not None:
            query[name] = str(value)
    return query
