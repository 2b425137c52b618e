"""Requests to one app over one connection: signed in, retried where that is safe, refused in words.

Knows HTTP and what all apps share. What an app's answers mean is its connector's business.
"""

from __future__ import annotations

import json as jsonlib
import re
import time
from collections.abc import Callable, Mapping
from datetime import UTC, datetime
from typing import TYPE_CHECKING, Any

import httpx
import tenacity

from gusto_pipeline.clock import Clock, ServerTime, http_date, utcnow
from gusto_pipeline.provisioning.errors import (
    COMMON,
    AppError,
    MalformedAnswerError,
    NotFoundError,
    OutcomeUnknownError,
    RateLimitedError,
    ServerError,
    SignInError,
    UnreachableError,
)
from gusto_pipeline.provisioning.signin import AppAuth, Credentials
from gusto_pipeline.tls import trusted

if TYPE_CHECKING:
    from gusto_pipeline.provisioning.app import App


class Session:
    """One connection to `app`. Close it, or use it as a context manager.

    base_url: another server that speaks the app's API, in place of all its hosts. retries, retry_seconds: how often a
    request that may be repeated is, and how long all its waits may be. timeout: seconds to connect, and between two
    pieces of an answer.

    Repeated are: anything the app refused for its rate limit before doing it, anything that never left, and reads
    that met a passing fault. A change whose answer never came raises OutcomeUnknownError instead.
    """

    def __init__(
        self,
        app: App,
        credentials: Credentials,
        *,
        base_url: str | None = None,
        retries: int = 5,
        retry_seconds: float = 300,
        timeout: float = 30,
        clock: Clock = utcnow,
        sleep: Callable[[float], None] = time.sleep,
        transport: httpx.BaseTransport | None = None,
    ) -> None:
        self.app = app
        self.record = credentials.read()
        self.clock = clock
        self.requests = 0
        self.server_time = ServerTime()
        self._elsewhere = httpx.URL(base_url.rstrip("/")) if base_url else None
        self._retries = retries
        self._retry_seconds = retry_seconds
        self.sleep = sleep
        self._http = httpx.Client(
            auth=AppAuth(app.name, app.slug, app.signs_in(self.record), credentials, self.locate, clock),
            verify=trusted(base_url or app.base_url),
            headers={"Accept": "application/json", "User-Agent": "gusto-pipeline", **app.headers},
            timeout=timeout,
            event_hooks={"request": [self._count], "response": [self.server_time]},
            transport=transport,
        )

    def __enter__(self) -> Session:
        return self

    def __exit__(self, *exception: object) -> None:
        self.close()

    def close(self) -> None:
        self._http.close()

    def locate(self, target: str) -> str:
        """The URL of `target`: a path below the app's base URL, or an absolute URL on one of its hosts.

        Raises MalformedAnswerError for a URL elsewhere, which a page's next link might hold: our token stays home.
        """
        if not target.startswith(("http://", "https://")):
            target = f"{self.app.base_url.format_map(self.record).rstrip('/')}/{target.lstrip('/')}"
        url = httpx.URL(target)
        hosts = {httpx.URL(host.format_map(self.record)).host for host in (self.app.base_url, *self.app.hosts)}
        if self._elsewhere:
            if url.host not in hosts | {self._elsewhere.host}:
                raise self._malformed(f"points to {url.host}")
            place = {"scheme": self._elsewhere.scheme, "host": self._elsewhere.host, "port": self._elsewhere.port}
            return str(url.copy_with(**place))
        if url.host not in hosts or url.scheme != "https":
            raise self._malformed(f"points to {url.scheme}://{url.host}")
        return str(url)

    def get(self, target: str, params: Mapping[str, Any] | None = None) -> Any:
        """The JSON of a read; None for an empty body."""
        return self.json(self.send("GET", target, params=params))

    def json(self, response: httpx.Response) -> Any:
        """The JSON of an answer; None for an empty body. Raises MalformedAnswerError."""
        if not response.content.strip():
            return None
        try:
            return jsonlib.loads(response.content)
        except (ValueError, RecursionError):
            raise self._malformed(f"to {response.request.method} {response.request.url.path} is not JSON") from None

    def send(
        self,
        method: str,
        target: str,
        *,
        params: Mapping[str, Any] | None = None,
        json: Any = None,
        data: Mapping[str, Any] | None = None,
        headers: Mapping[str, str] | None = None,
        reads: bool | None = None,
        timeout: float | None = None,
    ) -> httpx.Response:
        """One request, repeated as the class says; the answer is a success whose body has been read.

        reads: nothing changes by it, so it may be repeated (by default what GET does). timeout: in place of the
        session's, in seconds. Parameters that are None are left out. Raises the AppError that fits.
        """
        safe = method == "GET" if reads is None else reads
        params = {name: value for name, value in params.items() if value is not None} if params else None
        request = {"params": params, "json": json, "data": data, "headers": headers}
        if timeout is not None:
            request["timeout"] = timeout
        attempts = tenacity.Retrying(
            retry=tenacity.retry_if_exception(lambda error: _worth_repeating(error, safe)),
            stop=self._enough,
            wait=_wait,
            sleep=self.sleep,
            reraise=True,
        )
        return attempts(self._once, method, self.locate(target), safe, request)

    def _count(self, request: httpx.Request) -> None:
        self.requests += 1

    def _enough(self, state: tenacity.RetryCallState) -> bool:
        return state.attempt_number > self._retries or state.idle_for + state.upcoming_sleep > self._retry_seconds

    def _once(self, method: str, url: str, safe: bool, request: dict[str, Any]) -> httpx.Response:
        try:
            response = self._http.request(method, url, **request)
        except httpx.RequestError as error:
            raise self._unreachable(error, method, url, safe) from error
        if refusal := self._refusal(response, safe):
            raise refusal
        if safe:
            self.json(response)  # a body cut short must be noticed where the read can be repeated
        return response

    def _refusal(self, response: httpx.Response, safe: bool) -> AppError | None:
        """The error in an answer, if there is one: the app's own reading of it first."""
        name, status = self.app.name, response.status_code
        where = f"{response.request.method} {response.request.url.path}"
        if error := refusal(self.app, response, self.clock()):
            return error
        if response.is_success:
            return None
        if status >= 500:
            if not safe:
                text = f"{name} failed on {where} with {status}: whether it was carried out is not known"
                return OutcomeUnknownError(text, status=status)
            text = f"{name} failed on {where} with {status}. Nothing to do here but to try later"
            return ServerError(text, status=status, retry_after=retry_after(response, self.clock()))
        if status == 404:
            return NotFoundError(f"{name} has nothing, or shows nothing, at {where} ({status})", status=status)
        if status == 401:
            text = f"{name} does not accept the credentials for {where} ({status})"
            return SignInError(f"{text}. Connect it again, run: gusto-pipeline connect {self.app.slug}", status=status)
        return AppError(f"{name} refuses {where} ({status})", status=status)

    def _unreachable(self, error: httpx.RequestError, method: str, url: str, safe: bool) -> AppError:
        host, path = httpx.URL(url).host, httpx.URL(url).path
        if isinstance(error, httpx.ConnectError | httpx.ConnectTimeout | httpx.PoolTimeout):
            found = UnreachableError(f"cannot reach {self.app.name} at {host}: check the network and its base_url")
            found.sent = False
            return found
        what = "did not answer in time" if isinstance(error, httpx.TimeoutException) else "broke off the answer"
        if safe:
            return UnreachableError(f"{self.app.name} {what} on {method} {path}")
        return OutcomeUnknownError(
            f"{self.app.name} {what} on {method} {path}: whether it was carried out is not known"
        )

    def _malformed(self, what: str) -> MalformedAnswerError:
        return MalformedAnswerError(f"an answer of {self.app.name} {what}. Try again later, and check its base_url")


def refusal(app: App, response: httpx.Response, received_at: datetime) -> AppError | None:
    """The error that the app's own words in an answer mean (`App.refusals`); None when they mean none.

    Too many requests are always a RateLimitedError, which says how many seconds to wait if the answer or the app do.
    """
    status, call = response.status_code, f"{response.request.method} {response.request.url.path}"
    # Who asks (401) and what is not there (404) are told by the status; others may stand for anything.
    fitting = [
        each
        for each in (app.refusals if status in (401, 404) else (*app.refusals, *COMMON))
        if status in (app.refuses_with if each.status is None else each.status) and re.search(each.call, call)
    ]
    try:
        said = app.said(response).strip().rstrip(".") if fitting else ""
    except (ValueError, LookupError, TypeError, AttributeError):  # nothing that the app would answer
        said = ""
    # Without words the status is all there is to go by, and only two mean that what was sent is wrong.
    told = said or status in (400, 422)
    heard = (each for each in fitting if re.search(each.words, said, re.IGNORECASE) if told or each.status is not None)
    means = None if response.is_success and not said else next(heard, None)
    if status == 429 or (means and means.error is RateLimitedError):
        asked = retry_after(response, received_at)
        asked = means.seconds if asked is None and means else asked
        text = f"{app.name} refuses {call}: too many requests. It will be tried again later"
        return RateLimitedError(text, status=status, retry_after=asked)
    if means is None:
        return None
    connect = f", run: gusto-pipeline connect {app.slug}" if means.error.reconnects else ""
    why = said or f"no reason given for refusing {call} ({status})"
    text = f"{app.name}{means.error.what}: {why}. {means.step or means.error.step}{connect}"
    return means.error(text, status=status)


def retry_after(response: httpx.Response, received_at: datetime) -> float | None:
    """Seconds to wait as the answer says, None when it does not.

    By `Retry-After` (RFC 9110 section 10.2.3: seconds or a date); else by the Unix time at which a limit that is used
    up starts anew, which several apps send, and a second more. Both are counted from the answer's own `Date`, so that
    clocks which differ do no harm.
    """
    headers = response.headers
    value = headers.get("retry-after", "").strip()
    try:
        return max(0.0, float(value))
    except ValueError:
        until, more = http_date(value), 0.0
    for limit in ("x-ratelimit", "x-rate-limit"):
        reset = headers.get(f"{limit}-reset", "")
        if until is None and reset.isdecimal() and headers.get(f"{limit}-remaining", "0") == "0":
            until, more = datetime.fromtimestamp(min(int(reset), MAX_RESET), UTC), 1.0
    if until is None:
        return None
    return max(0.0, (until - (http_date(headers.get("date", "")) or received_at)).total_seconds()) + more


MAX_RESET = 4_102_444_800  # the year 2100
_backoff = tenacity.wait_exponential_jitter(multiplier=0.5, max=30, jitter=0.5)


def _wait(state: tenacity.RetryCallState) -> float:
    error = state.outcome.exception() if state.outcome else None
    asked = error.retry_after if isinstance(error, AppError) else None
    return max(asked or 0.0, _backoff(state))


def _worth_repeating(error: BaseException, safe: bool) -> bool:
    match error:
        case RateLimitedError():
            return True
        case UnreachableError():
            return safe or not error.sent
        case ServerError() | MalformedAnswerError():
            return safe
    return False
