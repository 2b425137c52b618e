"""Runs sandbox apps on loopback ports of this process, each with a request log, faults and a control endpoint.

The control endpoint is `/_sandbox/` on every port: GET requests, GET/POST/DELETE faults, POST clock, POST reset.
"""

import asyncio
import signal
import socket
import threading
from collections import Counter
from collections.abc import Callable, Iterable, Iterator, Sequence
from contextlib import contextmanager, suppress
from dataclasses import asdict, dataclass, field
from datetime import date
from typing import Any
from uuid import uuid4

import uvicorn
from starlette.applications import Starlette
from starlette.datastructures import MutableHeaders
from starlette.requests import Request
from starlette.responses import JSONResponse, Response
from starlette.routing import Mount, Route
from starlette.types import ASGIApp, Message, Receive, Scope, Send

from gusto_pipeline.sandbox.faults import Fault, FaultInjection, Faults, refuse_as_gusto
from gusto_pipeline.sandbox.google.accounts import PERSON, SERVICE_ACCOUNT, Accounts
from gusto_pipeline.sandbox.google.faults import GoogleFault
from gusto_pipeline.sandbox.google.site import Drive, GoogleSite
from gusto_pipeline.sandbox.google.workbook import Spreadsheet
from gusto_pipeline.sandbox.gusto.oauth import CLIENT_ID, CLIENT_SECRET, Authority
from gusto_pipeline.sandbox.gusto.site import gusto_site
from gusto_pipeline.sandbox.gusto.world import SandboxClock, World
from gusto_pipeline.sandbox.people import make_companies

HOST = "127.0.0.1"


@dataclass(frozen=True)
class Logged:
    """One request as the log keeps it: no headers, no bodies. `grant` is None before a token was accepted."""

    app: str
    method: str
    path: str
    query: str
    status: int
    grant: str | None
    request_id: str


@dataclass
class Site:
    """An ASGI app to run. `port` 0 takes a free one; `control` adds routes under `/_sandbox/`; `refuse` is how it
    words the faults 429 and 5xx."""

    name: str
    app: ASGIApp
    faults: Faults
    port: int = 0
    latency: float = 0.0
    control: Sequence[Route] = ()
    refuse: Callable[[Fault], Response] = refuse_as_gusto


@dataclass
class GustoSandbox:
    """A running sandbox: where it is, what it holds, and the levers tests pull."""

    base_url: str
    world: World
    authority: Authority
    faults: Faults
    requests: list[Logged]
    client_id: str = CLIENT_ID
    client_secret: str = field(default=CLIENT_SECRET, repr=False)

    def requests_by_path(self) -> Counter[str]:
        """How often each path was asked for."""
        return Counter(row.path for row in self.requests)

    def fault(self, *faults: str) -> None:
        """Puts faults in force, written as in the module `faults`."""
        for text in faults:
            self.faults.add(text)

    def clear_faults(self) -> None:
        self.faults.clear()

    def advance(self, seconds: float) -> None:
        """Lets time pass: tokens expire, rate windows open, dates come."""
        self.world.clock.advance(seconds)

    def new_grant(self, company_uuid: str | None = None, scopes: Iterable[str] | None = None) -> dict[str, Any]:
        """The token answer of a company that has consented; the first company by default."""
        company = self.world.company(company_uuid) if company_uuid else self.world.companies[0]
        if company is None:
            raise ValueError(f"the sandbox has no company {company_uuid}")
        wanted = None if scopes is None else frozenset(scopes)
        return self.authority.issue(self.authority.new_grant(company.uuid, company.admins[0]["uuid"], wanted))


@contextmanager
def running(
    *,
    companies: int = 1,
    employees: int = 40,
    contractors: int | None = None,
    seed: int = 7,
    port: int = 0,
    today: date | None = None,
    applicants: bool = False,
    jobs: bool = False,
    rate_limit: int = 200,
    latency: float = 0.0,
    faults: Sequence[str] = (),
) -> Iterator[GustoSandbox]:
    """A Gusto sandbox in the background, stopped on leaving.

    `employees` and `contractors` are per company, `rate_limit` is per grant and minute, `latency` in seconds; `jobs`
    lets jobs be written, which Gusto offers to some applications only.
    Raises OSError when the port is taken and ValueError for a fault that does not exist.
    """
    clock = SandboxClock(today)
    made = make_companies(companies, employees=employees, contractors=contractors, seed=seed, today=clock.today())
    world = World(made, clock, applicants_offered=applicants, jobs_offered=jobs)
    authority = Authority(clock.now)
    gusto_faults = Faults(faults)
    site = Site(
        name="gusto",
        app=gusto_site(world, authority, gusto_faults, rate_limit=rate_limit),
        faults=gusto_faults,
        port=port,
        latency=latency,
        control=_gusto_control(world),
    )
    log: list[Logged] = []
    with hosting([site], log, clock) as urls:
        yield GustoSandbox(urls["gusto"], world, authority, gusto_faults, log)


@dataclass
class GoogleSandbox:
    """A running Google: where it is, what it holds, and the levers tests pull."""

    base_url: str
    drive: Drive = field(repr=False)
    accounts: Accounts = field(repr=False)
    clock: SandboxClock = field(repr=False)
    faults: Faults = field(repr=False)
    requests: list[Logged] = field(repr=False)

    @property
    def base_urls(self) -> dict[str, str]:
        """What stands in for each of Google's addresses."""
        return {f"https://{name}.googleapis.com": self.base_url for name in ("sheets", "www", "oauth2")}

    @property
    def service_account_key(self) -> dict[str, Any]:
        """The JSON of the service account's key."""
        return self.accounts.service_account_key(self.base_url)

    @property
    def oauth_record(self) -> dict[str, Any]:
        """What is kept of a person's consent: refresh token and client."""
        return self.accounts.oauth_record(self.base_url)

    def new_spreadsheet(self, title: str = "People", *, shared: bool = True) -> Spreadsheet:
        """A person's spreadsheet with one empty tab, shared with the service account unless said otherwise."""
        return self.drive.create(title, {PERSON, SERVICE_ACCOUNT} if shared else {PERSON})

    def fault(self, kind: str, value: str = "", *, after: int = 0, times: int | None = 1) -> GoogleFault:
        """Puts one of Google's own faults in force (the module `google.faults` lists them).

        It lets `after` requests pass that it could strike, then strikes `times` times, None being for good.
        """
        fault = GoogleFault(kind, value, times=times, passing=after)
        self.faults.active.append(fault)
        return fault

    def advance(self, seconds: float) -> None:
        """Lets time pass: tokens expire, quotas refill."""
        self.clock.advance(seconds)


@contextmanager
def running_google(*, port: int = 0, per_minute: int = 60, faults: Sequence[str] = ()) -> Iterator[GoogleSandbox]:
    """A Google sandbox in the background, stopped on leaving.

    `per_minute` is the quota of reads, and of writes, per user. Raises OSError when the port is taken and
    ValueError for a fault that does not exist.
    """
    clock = SandboxClock()
    drive, accounts, google_faults = Drive(clock.now), Accounts(clock.now), Faults(faults)
    app = GoogleSite(drive, accounts, google_faults, clock.now, per_minute).app()
    log: list[Logged] = []
    with hosting([Site("google", app, google_faults, port)], log, clock) as urls:
        yield GoogleSandbox(urls["google"], drive, accounts, clock, google_faults, log)


def serve(announce: Callable[[GustoSandbox], object], **options: Any) -> None:
    """Runs a sandbox (`options` as for `running`) until SIGINT or SIGTERM; `announce` gets it once it is up.

    For the main thread of a process.
    """
    stop = threading.Event()
    before = {number: signal.signal(number, lambda *_: stop.set()) for number in (signal.SIGINT, signal.SIGTERM)}
    try:
        with running(**options) as sandbox:
            announce(sandbox)
            stop.wait()
    finally:
        for number, handler in before.items():
            signal.signal(number, handler)


@contextmanager
def hosting(sites: Sequence[Site], log: list[Logged], clock: SandboxClock) -> Iterator[dict[str, str]]:
    """Runs each site on its own loopback port, in one background thread; yields their addresses by name."""
    sockets = [_listen(site.port) for site in sites]
    servers = [_server(site, log, clock) for site in sites]

    async def run() -> None:
        await asyncio.gather(*(server.serve(sockets=[sock]) for server, sock in zip(servers, sockets, strict=True)))

    thread = threading.Thread(target=lambda: asyncio.run(run()), name="sandbox", daemon=True)
    thread.start()
    try:
        yield {site.name: f"http://{HOST}:{sock.getsockname()[1]}" for site, sock in zip(sites, sockets, strict=True)}
    finally:
        for server in servers:
            server.stop()
        thread.join()


def _listen(port: int) -> socket.socket:
    """Listening already, so that a request made before the server runs waits instead of failing."""
    # The protocol is named because asyncio turns Nagle's algorithm off only then: 2 ms instead of 44 per answer.
    sock = socket.socket(socket.AF_INET, socket.SOCK_STREAM, socket.IPPROTO_TCP)
    sock.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
    try:
        sock.bind((HOST, port))
    except OSError:
        sock.close()
        raise
    sock.listen(512)
    return sock


class _Server(uvicorn.Server):
    """uvicorn's, but told to stop it does so at once: it looks only every tenth of a second, and then waits another."""

    async def main_loop(self) -> None:
        self._loop, self._stopped, ticks = asyncio.get_running_loop(), asyncio.Event(), 0
        while not await self.on_tick(ticks):
            ticks += 10  # each tick is a second's
            with suppress(TimeoutError):
                await asyncio.wait_for(self._stopped.wait(), 1)

    def stop(self) -> None:
        """From any thread, once it has started."""
        self.should_exit = True
        with suppress(AttributeError, RuntimeError):  # not started yet, or ended already
            self._loop.call_soon_threadsafe(self._stopped.set)

    async def shutdown(self, sockets: list[socket.socket] | None = None) -> None:
        for server in self.servers:
            server.close()
        for sock in sockets or []:
            sock.close()
        state, loop = self.server_state, asyncio.get_running_loop()
        patience = loop.time() + 1
        for connection in list(state.connections):
            connection.shutdown()
        while (state.connections or state.tasks) and loop.time() < patience:
            await asyncio.sleep(0.001)
        for task in state.tasks:
            task.cancel()


def _server(site: Site, log: list[Logged], clock: SandboxClock) -> _Server:
    control = Starlette(routes=_control(site, log, clock))
    watched = Watched(FaultInjection(site.app, site.faults, site.refuse), site, log)
    app = Starlette(routes=[Mount("/_sandbox", control), Mount("/", watched)])
    config = uvicorn.Config(
        app,
        log_config=None,
        log_level="critical",  # a dropped connection is meant, not an error
        access_log=False,
        lifespan="off",
        ws="none",
        timeout_graceful_shutdown=1,
    )
    return _Server(config)


class Watched:
    """ASGI middleware: logs each request, gives its answer a request id, and takes its time."""

    def __init__(self, app: ASGIApp, site: Site, log: list[Logged]) -> None:
        self.app = app
        self.site = site
        self.log = log

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        if self.site.latency:
            await asyncio.sleep(self.site.latency)
        request_id = str(uuid4())

        async def noted(message: Message) -> None:
            if message["type"] == "http.response.start":
                MutableHeaders(scope=message)["x-request-id"] = request_id
                self.log.append(
                    Logged(
                        app=self.site.name,
                        method=scope["method"],
                        path=scope["path"],
                        query=scope["query_string"].decode(),
                        status=message["status"],
                        grant=scope.get("sandbox.grant"),
                        request_id=request_id,
                    )
                )
            await send(message)

        await self.app(scope, receive, noted)


def _control(site: Site, log: list[Logged], clock: SandboxClock) -> list[Route]:
    async def requests(request: Request) -> Response:
        grants = Counter(row.grant for row in log if row.grant)
        return JSONResponse({"requests": [asdict(row) for row in log], "by_grant": grants})

    async def faults(request: Request) -> Response:
        if request.method == "POST":
            try:
                site.faults.add(str((await request.json())["fault"]))
            except (ValueError, KeyError, TypeError) as wrong:
                return JSONResponse({"error": f'send {{"fault": "5xx:once"}} or the like: {wrong}'}, 422)
        elif request.method == "DELETE":
            site.faults.clear()
        return JSONResponse({"faults": [asdict(fault) for fault in site.faults.active]})

    async def clock_route(request: Request) -> Response:
        if request.method == "POST":
            try:
                clock.advance(float((await request.json())["advance_seconds"]))
            except (ValueError, KeyError, TypeError):
                return JSONResponse({"error": 'send {"advance_seconds": 7200}'}, 422)
        return JSONResponse({"now": clock.now().isoformat(), "today": clock.today().isoformat()})

    async def reset(request: Request) -> Response:
        log.clear()
        return JSONResponse({})

    return [
        Route("/requests", requests),
        Route("/faults", faults, methods=["GET", "POST", "DELETE"]),
        Route("/clock", clock_route, methods=["GET", "POST"]),
        Route("/reset", reset, methods=["POST"]),
        *site.control,
    ]


def _gusto_control(world: World) -> list[Route]:
    async def companies(request: Request) -> Response:
        return JSONResponse(
            [
                {
                    "uuid": row.uuid,
                    "name": row.name,
                    "slug": row.slug,
                    "employees": len(row.employees),
                    "contractors": len(row.contractors),
                }
                for row in world.companies
            ]
        )

    return [Route("/companies", companies)]
