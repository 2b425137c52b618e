"""The demo's story, of people of the sandbox's first company by name: accounts that only they have, the learning portal
before it was connected, and what happens while the demo looks. Whoever, and whatever app, is not there is left out.
"""

from __future__ import annotations

from collections.abc import Mapping
from datetime import datetime, timedelta
from typing import Any

from gusto_pipeline.sandbox.apps import SimulatedApp
from gusto_pipeline.sandbox.apps.directory import Directory
from gusto_pipeline.sandbox.gusto.shapes import onboarded
from gusto_pipeline.sandbox.gusto.world import Company, Record

PORTAL = "learnupon"
LEARNING = ("Retail", "Sales")  # departments
NEWCOMER = "Laura Benson"
PROMOTED = "José Muñoz"  # the portal does not know yet
LEAVER, RETURNS = "Brian Hoffman", "Hayley Nolan"
RENAMED, NEW_NAME = "Victoria Lee", "Whitfield"
MOVED, NEW_MAILBOX = "Rick Lewis", "richard.lewis"
WITHDRAWN = "Donald Ibarra"  # not onboarded yet; the offer is taken back
DELETED = "Edgar Berg"  # whose account somebody deletes in Google
REVOKED = "hubspot"  # where somebody takes our access back

# Whose account, in which app, and what of it is otherwise than of everybody else's.
_ACCOUNTS: tuple[tuple[str, str, dict[str, Any]], ...] = (
    ("15five", LEAVER, {}),
    ("asana", WITHDRAWN, {"state": "invited"}),
    ("box", "Lee Macdonald", {}),  # who starts in some days
    ("google_workspace", DELETED, {}),
    ("dropbox", "Rachael Forbes", {"email": "tea.lover@mail.example"}),  # who left; a name proves nothing
    ("trello", "Maria Garcia", {"email": "gardener@mail.example"}),  # two are called so
)
# Who has accounts in these apps only.
_ONLY_IN = {
    RENAMED: (),
    RETURNS: ("microsoft_365", "okta", "slack"),
    "Cristian Dickerson": ("asana", "github", "okta", "slack"),  # whose contract ended
}


def stage(apps: Mapping[str, SimulatedApp], company: Company) -> None:
    """Put the story's accounts into the apps, and its learners into the portal in place of whoever is there."""
    for name, slugs in _ONLY_IN.items():
        for person in _called(company, name):
            for slug in apps.keys() - slugs:
                _forget(apps[slug].directory, person["work_email"] or person["email"])
    for slug, name, more in _ACCOUNTS:
        for person in _called(company, name)[:1]:
            if slug in apps:
                _add(apps[slug].directory, person, more)
    if PORTAL in apps:
        _enrol(apps[PORTAL].directory, company)


def meanwhile(apps: Mapping[str, SimulatedApp], company: Company) -> None:
    """In Gusto somebody is hired again, two change name and address, and an offer is withdrawn. In Google somebody
    deletes an account that is needed, and in another app somebody takes our access back."""
    for person in _called(company, RETURNS):
        last = person["spells"][-1]
        day = datetime.fromisoformat(last["termination_date"]).date() + timedelta(days=30)
        place = person["work_addresses"][-1]["location_uuid"]
        again = {"hire_date": day.isoformat(), "termination_date": None, "work_location_uuid": place}
        person["spells"].append(last | again)
    for person in _called(company, RENAMED):
        person["last_name"] = NEW_NAME
    for person in _called(company, MOVED):
        person["work_email"] = f"{NEW_MAILBOX}@{company.slug}.example"
    for person in _called(company, WITHDRAWN):
        del company.employees[person["uuid"]]
    for person in _called(company, DELETED) if "google_workspace" in apps else ():
        google = apps["google_workspace"].directory
        if there := google.by_email(person["work_email"]):
            google.change(there, "deleted")
    if REVOKED in apps:
        apps[REVOKED].directory.revoke()


def _enrol(portal: Directory, company: Company) -> None:
    portal.members.clear()
    contract = {"id": 235, "type_id": 4, "label": "Contract", "predefined_values": ["Full time", "Part time"]}
    portal.extra["fields"].append(contract)
    for person in company.employees.values():
        name = f"{person['first_name']} {person['last_name']}"
        if name != NEWCOMER and _learned(company, person, portal):
            title = "Trainee" if name == PROMOTED else person["jobs"][0]["compensations"][0]["title"]
            known = {"Job title": title, "Contract": "Full time"}
            _add(portal, person, {"groups": ["41"], "extra": {"custom": known}})
    portal.add("pia@customer.example", "Pia", "Pupil", extra={"custom": {"Level": "2"}})
    portal.add("tim@trainers.example", "Tim", "Trainer", extra={"kind": "instructor"})


def _learned(company: Company, person: Record, portal: Directory) -> bool:
    """Whether they have worked in one of the departments, and are not about to begin anew."""
    department = company.departments.get(person["department_uuid"] or "", {}).get("title")
    begun = person["spells"][-1]["hire_date"] < portal.clock.today().isoformat()
    return department in LEARNING and begun and onboarded(person)


def _called(company: Company, name: str) -> list[Record]:
    everybody = [*company.employees.values(), *company.contractors.values()]
    return [one for one in everybody if f"{one['first_name']} {one['last_name']}" == name]


def _add(directory: Directory, person: Record, more: dict[str, Any]) -> None:
    """An account for them, made some months after their first day, in place of one with the same address."""
    now, day = directory.clock.now(), timedelta(days=1)
    since = min(datetime.fromisoformat(f"{person['spells'][0]['hire_date']}T17:00+00:00") + 150 * day, now - day)
    base: dict[str, Any] = {"email": person["work_email"] or person["email"], "created_at": since}
    base |= {"given": person["first_name"], "family": person["last_name"], "last_seen": now - day}
    if more.get("state") == "invited":
        base |= {"invited_at": since, "last_seen": None}
    base |= more
    _forget(directory, base["email"])
    directory.add(**base)


def _forget(directory: Directory, email: str) -> None:
    if there := directory.by_email(email):
        del directory.members[there.id]
