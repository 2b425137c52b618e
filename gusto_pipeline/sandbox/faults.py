"""Faults put into the sandbox's answers on purpose, for any mounted app.

Written `KIND[=VALUE][:once|:times=N|:every=N][:/PATH]`, as in `5xx:once:/employees`, `429:every=5`, `slow=0.5`,
`missing-scope=employees:read`, `short-page=0.79`. Without a path a fault strikes API requests (Gusto's `/v1/`; with the
other apps, whatever is not signing in), with one it strikes every request whose path contains it.
"""

import asyncio
import re
from collections.abc import Callable, Iterable
from dataclasses import dataclass

from starlette.responses import JSONResponse, Response
from starlette.types import ASGIApp, Message, Receive, Scope, Send

KINDS = ("429", "5xx", "slow", "drop", "truncate", "expired", "missing-scope", "short-page", "drop-write", "status")
_OPTION = re.compile(r":(?=once$|once:|times=|every=|/)")


@dataclass
class Fault:
    """`value`: status for 5xx and status, seconds for slow and 429's Retry-After, the scope for missing-scope, the
    fraction that short-page leaves. `path`: what a request's path must contain, None for any that is an API request."""

    kind: str
    value: str = ""
    path: str | None = None
    times: int | None = None
    every: int = 1
    seen: int = 0

    def strikes(self, path: str, is_api: bool) -> bool:
        """Whether it strikes this request; counts it."""
        if not (is_api if self.path is None else self.path in path) or self.times == 0:
            return False
        self.seen += 1
        if self.seen % self.every:
            return False
        if self.times is not None:
            self.times -= 1
        return True


def parse_fault(text: str) -> Fault:
    """A fault from its written form. Raises ValueError when it is not one."""
    head, *options = _OPTION.split(text)
    kind, _, value = head.partition("=")
    fault = Fault(kind, value)
    if kind not in KINDS:
        raise ValueError(f"there is no fault {kind!r}; there are {', '.join(KINDS)}")
    if kind == "missing-scope" and not value:
        raise ValueError("missing-scope needs a scope, as in missing-scope=employees:read")
    if kind == "status" and not re.fullmatch(r"4\d\d", value):
        raise ValueError(f"status takes one from 400 to 499, not {value!r}")
    if kind == "5xx" and not re.fullmatch(r"5\d\d|", value):
        raise ValueError(f"5xx takes a status from 500 to 599, not {value!r}")
    if kind in ("slow", "429") and not re.fullmatch(r"(\d+(\.\d+)?)?", value):
        raise ValueError(f"{kind} takes seconds, not {value!r}")
    for option in options:
        name, _, number = option.partition("=")
        if option.startswith("/"):
            fault.path = option
        elif option == "once":
            fault.times = 1
        elif name in ("times", "every") and number.isdigit() and int(number):
            setattr(fault, name, int(number))
        else:
            raise ValueError(f"{option!r} in fault {text!r} is not understood")
    return fault


class Faults:
    """The faults in force. An app asks `strike` for the kinds it stages itself. is_api: tells API requests by path."""

    def __init__(self, faults: Iterable[str] = (), is_api: Callable[[str], bool] = lambda path: "/v1/" in path) -> None:
        self.active = [parse_fault(text) for text in faults]
        self.is_api = is_api

    def add(self, text: str) -> None:
        self.active.append(parse_fault(text))

    def clear(self) -> None:
        self.active.clear()

    def strike(self, path: str, *kinds: str) -> Fault | None:
        """The first fault of these kinds that strikes a request to `path`."""
        for fault in list(self.active):
            if fault.kind in kinds and fault.strikes(path, self.is_api(path)):
                return fault
        return None

    def missing_scopes(self) -> frozenset[str]:
        return frozenset(fault.value for fault in self.active if fault.kind == "missing-scope")


class FaultInjection:
    """ASGI middleware staging the faults that need no knowledge of the app. refuse: how it words 429 and 5xx."""

    def __init__(self, app: ASGIApp, faults: Faults, refuse: Callable[[Fault], Response]) -> None:
        self.app = app
        self.faults = faults
        self.refuse = refuse

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        path = scope["path"]
        if slow := self.faults.strike(path, "slow"):
            await asyncio.sleep(float(slow.value or 1))
        if refused := self.faults.strike(path, "429", "5xx", "status"):
            await self.refuse(refused)(scope, receive, send)
        elif cut := self.faults.strike(path, "drop", "truncate"):
            await self._cut(cut, scope, receive, send)
        else:
            await self.app(scope, receive, send)

    async def _cut(self, fault: Fault, scope: Scope, receive: Receive, send: Send) -> None:
        """Half the body: announced whole and the connection dropped, or announced as half and thus malformed."""
        start: Message = {}

        async def cut(message: Message) -> None:
            if message["type"] == "http.response.start":
                start.update(message)
                return
            body = message.get("body", b"")
            half = body[: len(body) // 2]
            announced = len(body) + 1 if fault.kind == "drop" else len(half)
            kept = [(name, value) for name, value in start["headers"] if name.lower() != b"content-length"]
            start["headers"] = [*kept, (b"content-length", str(announced).encode())]
            await send(start)
            await send({"type": "http.response.body", "body": half, "more_body": fault.kind == "drop"})

        await self.app(scope, receive, cut)


def refuse_as_gusto(fault: Fault) -> Response:
    """Gusto's own 429 and 500; statuses above come from what stands in front of the application, as HTML."""
    if fault.kind == "429":
        error = {"error_key": "request", "category": "rate_limit_exceeded", "message": "Rate limit exceeded."}
        return JSONResponse({"errors": [error]}, 429, {"retry-after": fault.value or "1"})
    status = int(fault.value or 500)
    if status > 500:
        return Response(f"<html><body><h1>{status}</h1></body></html>", status, {"content-type": "text/html"})
    error = {"error_key": "base", "category": "internal_error", "message": "An unexpected error has occurred."}
    return JSONResponse({"errors": [error]}, status)
