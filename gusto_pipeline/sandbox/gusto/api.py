"""The parts every endpoint of the Gusto sandbox shares: routes, errors, pagination, versions, rate limit.

An endpoint is a plain function from a `Call` to a JSON value (status 200) or an `Answer`.
"""

import json
import logging
import math
import re
from collections import deque
from collections.abc import Callable, Iterable
from dataclasses import dataclass, field
from datetime import date, datetime, timedelta, timezone
from typing import Any, NamedTuple, Protocol, TypeVar

from starlette.requests import Request
from starlette.responses import Response
from starlette.types import Receive, Scope, Send

from gusto_pipeline.clock import Clock
from gusto_pipeline.sandbox.faults import Faults
from gusto_pipeline.sandbox.gusto.oauth import Authority, Token
from gusto_pipeline.sandbox.gusto.world import Company, Record, World

VERSIONS = ("2025-11-15", "2026-02-01", "2026-06-15")
DEFAULT_PER, MOST_PER = 25, 100
WINDOW = timedelta(seconds=60)
PACIFIC = timezone(timedelta(hours=-7))

T = TypeVar("T")
logger = logging.getLogger(__name__)


class Answer(NamedTuple):
    """An answer other than 200 with a body. `body` None means no body."""

    status: int
    body: Any = None


class RefusalError(Exception):
    """An error answer; `errors` are the rows of its body."""

    def __init__(self, status: int, *errors: Record, headers: dict[str, str] | None = None) -> None:
        super().__init__(status)
        self.status = status
        self.body = {"errors": list(errors)}
        self.headers = headers or {}


def error(key: str, category: str, message: str, **more: Any) -> Record:
    return {"error_key": key, "category": category, "message": message, **more}


def not_found() -> RefusalError:
    return RefusalError(404, error("request", "not_found", "The requested resource was not found."))


def stale() -> RefusalError:
    message = "You are attempting to update a resource using an out-of-date version."
    return RefusalError(409, error("base", "invalid_resource_version", message))


def invalid(key: str, message: str, category: str = "invalid_attribute_value") -> RefusalError:
    return RefusalError(422, error(key, category, message))


@dataclass
class Call:
    """One request, understood and allowed."""

    world: World
    token: Token
    scopes: frozenset[str]
    params: dict[str, str]
    query: dict[str, str]
    body: Record
    headers: dict[str, str] = field(default_factory=dict)
    own_company: Company | None = None

    @property
    def company(self) -> Company:
        """The company of the token. Raises RefusalError (404) for the application's own token."""
        if self.own_company is None:
            raise not_found()
        return self.own_company

    @property
    def today(self) -> date:
        return self.world.clock.today()

    def include(self) -> frozenset[str]:
        return frozenset(filter(None, self.query.get("include", "").split(",")))

    def flag(self, name: str) -> bool | None:
        """A true/false query argument; None when absent."""
        value = self.query.get(name)
        return None if value is None else value == "true"

    def day(self, name: str, default: date) -> date:
        try:
            return date.fromisoformat(self.query[name]) if self.query.get(name) else default
        except ValueError:
            raise invalid(name, f"Invalid date: {name}", "invalid_parameter") from None

    def page(self, rows: Iterable[T], shape: Callable[[T], Any], *, forced: bool = False) -> list[Any]:
        """The rows asked for, shaped; all of them without `page`, unless the endpoint always pages."""
        every = list(rows)
        if "page" not in self.query and not forced:
            return [shape(row) for row in every]
        number = self._positive("page", 1)
        per = min(self._positive("per", DEFAULT_PER), MOST_PER)
        self.headers |= {
            "X-Page": str(number),
            "X-Per-Page": str(per),
            "X-Total-Count": str(len(every)),
            "X-Total-Pages": str(math.ceil(len(every) / per)),
        }
        return [shape(row) for row in every[(number - 1) * per : number * per]]

    def _positive(self, name: str, default: int) -> int:
        text = self.query.get(name, "")
        return int(text) if text.isdigit() and int(text) else default


class Endpoint(Protocol):
    def __call__(self, call: Call, /) -> Any: ...


@dataclass(frozen=True)
class ApiRoute:
    method: str
    pattern: re.Pattern[str]
    scope: str
    system: bool
    endpoint: Endpoint


class Routes:
    """Collects endpoints by decorator. `{company}` in a path must be the token's own company."""

    def __init__(self) -> None:
        self.all: list[ApiRoute] = []

    def add(
        self, method: str, path: str, scope: str = "public", *, system: bool = False
    ) -> Callable[[Endpoint], Endpoint]:
        pattern = re.compile(re.sub(r"{(\w+)}", r"(?P<\1>[^/]+)", path))

        def register(endpoint: Endpoint) -> Endpoint:
            self.all.append(ApiRoute(method, pattern, scope, system, endpoint))
            return endpoint

        return register


class RateLimit:
    """At most `limit` requests of one grant in any 60 seconds (Gusto's rate limit guide)."""

    def __init__(self, limit: int, clock: Clock) -> None:
        self.limit = limit
        self.clock = clock
        self.taken: dict[str, deque[datetime]] = {}

    def take(self, grant: str) -> dict[str, str]:
        """Counts one request and returns the headers of its answer. Raises RefusalError (429) over the limit."""
        now = self.clock()
        taken = self.taken.setdefault(grant, deque())
        while taken and taken[0] <= now - WINDOW:
            taken.popleft()
        allowed = len(taken) < self.limit
        if allowed:
            taken.append(now)
        resets = (taken[0] if taken else now) + WINDOW
        headers = {
            "X-RateLimit-Limit": str(self.limit),
            "X-RateLimit-Remaining": str(self.limit - len(taken)),
            "X-RateLimit-Reset": resets.astimezone(PACIFIC).strftime("%Y-%m-%d %H:%M:%S %z"),
        }
        if not allowed:
            headers["Retry-After"] = str(max(1, math.ceil((resets - now).total_seconds())))
            row = error("request", "rate_limit_exceeded", "Rate limit exceeded. Please retry later.")
            raise RefusalError(429, row, headers=headers)
        return headers


class GustoApi:
    """The ASGI app behind /v1: version, token, rate limit, route, scope, then the endpoint."""

    def __init__(
        self,
        world: World,
        authority: Authority,
        routes: list[ApiRoute],
        faults: Faults,
        rate_limit: int,
        wrote: Callable[[], None],
    ) -> None:
        self.world = world
        self.authority = authority
        self.routes = routes
        self.faults = faults
        self.rate = RateLimit(rate_limit, world.clock.now)
        self.wrote = wrote

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        request = Request(scope, receive)
        headers: dict[str, str] = {}
        try:
            status, body = await self._answer(request, headers)
        except RefusalError as refusal:
            status, body = refusal.status, refusal.body
            headers |= refusal.headers
        except Exception:
            logger.exception("the sandbox failed on %s %s", request.method, request.url.path)
            status, body = 500, {"errors": [error("base", "internal_error", "An unexpected error has occurred.")]}
        content = b"" if body is None else json.dumps(body, ensure_ascii=False).encode()
        response = Response(content, status, headers, media_type=None if body is None else "application/json")
        await response(scope, receive, send)
        self.wrote()

    async def _answer(self, request: Request, headers: dict[str, str]) -> Answer:
        used = request.headers.get("x-gusto-api-version", VERSIONS[-1])
        if used not in VERSIONS:
            message = f"Invalid API Version `{used}`. Expected format: YYYY-MM-DD"
            raise RefusalError(406, error("request", "invalid_api_version", message))
        headers["X-Gusto-API-Version"] = used
        token = self._token(request)
        request.scope["sandbox.grant"] = token.grant.uuid
        headers |= self.rate.take(token.grant.uuid)
        route, params = self._route(request)
        scopes = token.grant.scopes - self.faults.missing_scopes()
        self._allow(route, token, scopes)
        own = token.grant.company_uuid
        if params.get("company", own) != own:
            raise not_found()
        call = Call(
            world=self.world,
            token=token,
            scopes=scopes,
            params=params,
            query=dict(request.query_params),
            body=await _json(request),
            headers=headers,
            own_company=self.world.company(own) if own else None,
        )
        answer = route.endpoint(call)
        return answer if isinstance(answer, Answer) else Answer(200, answer)

    def _token(self, request: Request) -> Token:
        text = request.headers.get("authorization", "").removeprefix("Bearer ")
        if self.faults.strike(request.url.path, "expired"):
            self.authority.expire(text)
        token = self.authority.use(text)
        if token is None:
            row = error("request", "invalid_token", "The access token is invalid, expired or was revoked.")
            raise RefusalError(401, row, headers={"WWW-Authenticate": 'Bearer error="invalid_token"'})
        return token

    def _route(self, request: Request) -> tuple[ApiRoute, dict[str, str]]:
        path = request.scope["path"]
        for route in self.routes:
            if route.method == request.method and (match := route.pattern.fullmatch(path)):
                return route, match.groupdict()
        raise not_found()

    def _allow(self, route: ApiRoute, token: Token, scopes: frozenset[str]) -> None:
        if route.system and token.grant.company_uuid is not None:
            raise RefusalError(403, error("request", "missing_permissions", "This needs a system access token."))
        if route.scope not in scopes:
            message = (
                f"You do not have the '{route.scope}' OAuth scope required for this request. "
                "Please reach out to developer@gusto.com for assistance."
            )
            named = {"missing_scope_name": route.scope}
            raise RefusalError(403, error("request", "missing_oauth_scopes", message, metadata=named))


async def _json(request: Request) -> Record:
    content = await request.body()
    if not content:
        return {}
    try:
        body = json.loads(content)
    except ValueError:
        body = None
    if not isinstance(body, dict):
        raise RefusalError(400, error("request", "invalid_request_error", "The body is not a JSON object."))
    return body
