"""The simulated apps, one module each that declares `SIMULATOR`; and some of them running over one company's people."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from dataclasses import dataclass, field
from importlib import import_module

from starlette.applications import Starlette
from starlette.responses import Response
from starlette.types import ASGIApp, Message, Receive, Scope, Send

from gusto_pipeline.sandbox.apps.directory import Directory, crowd, settle
from gusto_pipeline.sandbox.apps.simulator import Simulator
from gusto_pipeline.sandbox.faults import Fault, Faults
from gusto_pipeline.sandbox.gusto.world import Company, SandboxClock
from gusto_pipeline.sandbox.people import make_companies
from gusto_pipeline.sandbox.server import Logged, Site, hosting


@dataclass
class SimulatedApp:
    """One running app: where it is, what it holds, what a connection needs, and the faults in force."""

    simulator: Simulator
    directory: Directory
    base_url: str
    log: list[Logged] = field(repr=False)

    @property
    def requests(self) -> list[Logged]:
        """Requests to this app since it started."""
        return [row for row in self.log if row.app == self.simulator.slug]

    def fault(self, *faults: str) -> None:
        """Puts faults in force, written as in the module `sandbox.faults`."""
        for text in faults:
            self.directory.faults.add(text)

    def accept(self, who: str) -> None:
        """What happens when an invited person (address or id) accepts."""
        member = self.directory.by_email(who, "invited") or self.directory.members[who]
        self.directory.change(member, "active")
        member.last_seen = self.directory.clock.now()

    def advance(self, seconds: float) -> None:
        self.directory.clock.advance(seconds)

    def key_record(self) -> dict[str, str]:
        """The record of a connection that signs in with a service account's key."""
        assert self.simulator.key_record, f"{self.simulator.slug} has no service accounts"
        return dict(self.simulator.key_record(self.directory))

    def connected_record(self) -> dict[str, str]:
        """The record of a connection that somebody has consented to, as far as the app wants consent."""
        record = dict(self.simulator.record)
        if "client_id" in record:
            record["refresh_token"] = self.directory.new_refresh_token()
        return record


@contextmanager
def running_apps(
    *slugs: str,
    company: Company | None = None,
    clock: SandboxClock | None = None,
    size: int = 0,
    seats: int | None = None,
    faults: Sequence[str] = (),
) -> Iterator[dict[str, SimulatedApp]]:
    """Simulated apps, each on its own loopback port, stopped on leaving.

    company: whose people they hold, one of 40 employees by default. size: how many accounts at least. seats: how many
    at most. faults: put in force in each.
    """
    clock = clock or SandboxClock()
    company = company or make_companies(1, employees=40, seed=7, today=clock.today())[0]
    log: list[Logged] = []
    made = [_made(load(slug), company, clock, size, seats, faults) for slug in slugs]
    sites = [_site(simulator, directory) for simulator, directory in made]
    with hosting(sites, log, clock) as urls:
        yield {
            simulator.slug: SimulatedApp(simulator, directory, urls[simulator.slug], log)
            for simulator, directory in made
        }


def load(slug: str) -> Simulator:
    """The simulator of this app."""
    found: Simulator = import_module(f"{__name__}.{slug.replace('15', 'fifteen')}").SIMULATOR
    return found


def _made(
    simulator: Simulator, company: Company, clock: SandboxClock, size: int, seats: int | None, faults: Sequence[str]
) -> tuple[Simulator, Directory]:
    domain = f"{company.slug}.example"
    in_force = Faults(faults, lambda path: not path.startswith(simulator.spared))
    directory = Directory(clock, in_force, simulator.new_id, dict(simulator.record), domain, company.name, seats)
    settle(directory, company, simulator.slug)
    crowd(directory, size)
    if simulator.prepare:
        simulator.prepare(directory, company)
    return simulator, directory


def _site(simulator: Simulator, directory: Directory) -> Site:
    def refuse(fault: Fault) -> Response:
        if fault.kind == "429":
            return simulator.rate_limited(float(fault.value or 1))
        return simulator.failed(int(fault.value or 500))

    app = DroppedWrites(Starlette(routes=list(simulator.routes(directory))), directory)
    return Site(simulator.slug, app, directory.faults, refuse=refuse)


class DroppedWrites:
    """ASGI middleware for the fault drop-write: the connection ends after a request that changed a member did so."""

    def __init__(self, app: ASGIApp, directory: Directory) -> None:
        self.app = app
        self.directory = directory

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        before, answer = self.directory.changes, list[Message]()

        async def keep(message: Message) -> None:
            answer.append(message)

        await self.app(scope, receive, keep)
        if self.directory.changes > before and self.directory.faults.strike(scope["path"], "drop-write"):
            headers = [(b"content-type", b"application/json"), (b"content-length", b"100")]
            answer = [
                {"type": "http.response.start", "status": 200, "headers": headers},
                {"type": "http.response.body", "body": b"", "more_body": True},
            ]
        for message in answer:
            await send(message)
