"""The sandbox's state: companies and their people as plain records, and the clock they live by.

A record holds what was entered; whatever follows from it and the date (active, terminated, current
compensation, version) is worked out when it is served, in `shapes`.
"""

from collections.abc import Callable, Iterator
from dataclasses import dataclass, field
from datetime import date, datetime, timedelta
from typing import Any
from uuid import uuid4

from gusto_pipeline.clock import Clock, utcnow

Record = dict[str, Any]


class SandboxClock:
    """Real time plus what was advanced; `today` may start on any date and moves along with it."""

    def __init__(self, today: date | None = None, source: Clock = utcnow) -> None:
        self._source = source
        self._offset = timedelta()
        self.watchers: list[Callable[[date, date], None]] = []
        self._first_day = source().date()
        self._first_today = today or self._first_day

    def now(self) -> datetime:
        """The current instant, aware, in UTC."""
        return self._source() + self._offset

    def today(self) -> date:
        """The business date: what is active, terminated or due depends on it."""
        return self._first_today + (self.now().date() - self._first_day)

    def advance(self, seconds: float) -> None:
        """Lets time pass, and tells the watchers when that changed the date (before, after)."""
        before = self.today()
        self._offset += timedelta(seconds=seconds)
        if (after := self.today()) != before:
            for watcher in self.watchers:
                watcher(before, after)


@dataclass
class Company:
    """One company. Dicts are keyed by uuid and keep their order of creation."""

    uuid: str
    name: str
    slug: str
    record: Record
    admins: list[Record]
    locations: dict[str, Record]
    departments: dict[str, Record]
    employees: dict[str, Record]
    contractors: dict[str, Record]
    pay_schedules: dict[str, Record]
    assignment_type: str
    department_schedules: dict[str, str]
    custom_fields: dict[str, Record]
    policies: dict[str, Record]
    time_off_requests: list[Record]
    earning_types: dict[str, list[Record]]
    applicants: list[Record]
    benefits: dict[str, Record]
    payrolls: dict[str, Record] = field(default_factory=dict)  # processed ones: settled once, never recomputed

    def jobs(self) -> Iterator[tuple[Record, Record]]:
        """Every job with its employee."""
        for employee in self.employees.values():
            for job in employee["jobs"]:
                yield employee, job


@dataclass
class World:
    """All companies, the events about them, and the time."""

    companies: list[Company]
    clock: SandboxClock
    applicants_offered: bool = False
    jobs_offered: bool = False
    events: list[Record] = field(default_factory=list)

    def __post_init__(self) -> None:
        for company in self.companies:
            self.emit(company, "company.provisioned", "Company", company.uuid)
        self.clock.watchers.append(self._dates_came)

    def _dates_came(self, before: date, after: date) -> None:
        """Dismissals take effect the day after the last day of work, rehires on their date."""
        for company in self.companies:
            for employee in company.employees.values():
                for number, spell in enumerate(employee["spells"]):
                    left = spell["termination_date"]
                    if left and before.isoformat() <= left < after.isoformat():
                        self.emit(company, "employee.terminated_effective", "Employee", employee["uuid"])
                    if number and before.isoformat() < spell["hire_date"] <= after.isoformat():
                        self.emit(company, "employee.rehire_effective", "Employee", employee["uuid"])

    def company(self, name_or_uuid: str) -> Company | None:
        """The company of that uuid, name or slug."""
        for company in self.companies:
            if name_or_uuid in (company.uuid, company.name, company.slug):
                return company
        return None

    def emit(self, company: Company, event_type: str, entity_type: str, entity_uuid: str) -> None:
        """Records that something happened (GET /v1/events)."""
        self.events.append(
            {
                "uuid": str(uuid4()),
                "event_type": event_type,
                "resource_type": "Company",
                "resource_uuid": company.uuid,
                "entity_type": entity_type,
                "entity_uuid": entity_uuid,
                "timestamp": int(self.clock.now().timestamp()),
            }
        )
