"""A learning portal brought in line with Gusto: the whole way from Gusto's sandbox to the portal's, twice."""

from __future__ import annotations

import csv
import json
from collections import Counter
from collections.abc import Iterator
from datetime import date, datetime
from pathlib import Path
from typing import Any

import openpyxl
import pytest

from gusto_pipeline import learners, reconcile
from gusto_pipeline.accounts import connect_app, disconnect_app
from gusto_pipeline.clock import Clock
from gusto_pipeline.config import load_settings
from gusto_pipeline.learners import Brought, TooSoonError
from gusto_pipeline.provisioning.errors import AppError, SignInError
from gusto_pipeline.provisioning.session import Session
from gusto_pipeline.reports import write_report
from gusto_pipeline.sandbox.apps import SimulatedApp, running_apps
from gusto_pipeline.sandbox.apps.directory import Member
from gusto_pipeline.sync import open_store
from gusto_pipeline_tests.conftest import Pipeline, connected

MAPPED = """
  fields:
    - {field: Job title, attribute: title}
    - {field: Office, sql: "CASE WHEN title ILIKE '%a%' THEN 'Denver' ELSE 'Bostn' END"}
  groups:
    - {group: All staff, where: "email_domain = 'acme-tea-co.example'"}
"""


class School:
    """One company of 40 people, synced; five of them are to be learners, one in some days, one who has left. And its
    portal, with nobody in it but those a test puts there."""

    def __init__(self, pipeline: Pipeline, portal: SimulatedApp) -> None:
        self.pipeline = pipeline
        self.portal = portal
        self.directory = portal.directory
        self.directory.members.clear()
        self.directory.mails.clear()
        some = [*self.people()[:3], *self.people("coming")[:1], *self.people("gone")[:1]]
        self.chosen = {person["uuid"] for person in some}
        self.configure()
        connect_app(
            load_settings(), self.store, "learnupon", pipeline.company, dict(portal.simulator.record), clock=self.now
        )

    @property
    def now(self) -> Clock:
        return self.pipeline.sandbox.world.clock.now

    @property
    def store(self) -> Any:
        return open_store(self.pipeline.settings)

    def configure(self, more: str = MAPPED, mode: str = "auto") -> None:
        who = f"list_has_any(records, {[f'employee/{uuid}' for uuid in sorted(self.chosen)]})"
        text = f'learners:\n  base_url: {self.portal.base_url}\n  mode: {mode}\n  who: "{who}"\n'
        Path("pipeline.yaml").write_text(text + more, encoding="utf-8")

    def sync(self, **options: Any) -> Brought:
        return learners.sync(load_settings(), self.store, self.pipeline.company, who="ann", clock=self.now, **options)

    def approved(self) -> Brought:
        """A sync that a person has approved all of, so that brakes hold none of it."""
        self.approve()
        return self.sync()

    def approve(self) -> None:
        settings = load_settings()
        made = learners.plan(settings, self.store, self.pipeline.company, clock=self.now)
        reconcile.approve(settings, made.drafted.plan, [], who="ann", clock=self.now)

    def people(self, which: str = "here") -> list[dict[str, Any]]:
        """Employees with a work address: `here` without an end in sight, who are `gone`, or who are `coming`.

        Once the learners are chosen, only those.
        """
        today, found = self.pipeline.sandbox.world.clock.today().isoformat(), []
        for person in self.pipeline.sandbox.world.companies[0].employees.values():
            first, last = person["spells"][0]["hire_date"], person["spells"][-1]["termination_date"]
            state = "gone" if last and last < today else "coming" if first > today else "" if last else "here"
            if state == which and person["work_email"] and len(person["spells"]) == 1:
                found.append(person)
        chosen = getattr(self, "chosen", None)
        return [person for person in found if chosen is None or person["uuid"] in chosen]

    def add(self, person: dict[str, Any], **more: Any) -> Member:
        base = {"created_at": datetime.fromisoformat(f"{person['spells'][0]['hire_date']}T12:00+00:00")}
        return self.directory.add(person["work_email"], person["first_name"], person["last_name"], **(base | more))

    def resync(self) -> None:
        for category in ("employees", "contractors"):
            self.pipeline.sync(category)

    def writes(self) -> list[str]:
        return [
            f"{row.method} {row.path.removeprefix('/api/v1')}" for row in self.portal.requests if row.method != "GET"
        ]


@pytest.fixture
def school(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Iterator[School]:
    with connected(tmp_path) as pipeline:
        world = pipeline.sandbox.world
        pipeline.start("employees", "contractors")
        with running_apps("learnupon", company=world.companies[0], clock=world.clock) as apps:
            monkeypatch.setitem(Session.__init__.__kwdefaults__, "sleep", pipeline.sandbox.advance)
            yield School(pipeline, apps["learnupon"])


def test_the_portal_ends_as_the_rules_say_and_a_second_run_does_nothing(school):
    clerk, renamed, moved, *_ = school.people()
    gone = school.people("gone")[0]
    there = school.add(clerk, extra={"custom": {"Job title": "None of this", "Level": "2"}})
    leaver, name, address = school.add(gone), school.add(renamed), school.add(moved)
    stranger = school.directory.add("pupil@customer.example", "Pia", "Pupil")
    done = school.approved()

    logins = Counter(member.email for member in school.directory.members.values())
    assert set(logins) == {p["work_email"] for p in school.people()} | {gone["work_email"], stranger.email}
    assert set(logins.values()) == {1}
    assert leaver.state == "suspended"
    assert {m.state for m in school.directory.members.values() if m is not leaver} == {"active"}
    assert {m.role for m in school.directory.members.values()} == {"member"}
    assert there.extra["custom"]["Job title"] != "None of this"
    assert there.extra["custom"]["Level"] == "2", "nobody maps it"
    assert (stranger.groups, stranger.extra) == ([], {}), "nobody of Gusto's"
    assert name.groups == address.groups == ["41"]
    assert [misfit.value for misfit in done.planned.drafted.misfits] == ["Bostn"]
    offices = {member.extra.get("custom", {}).get("Office") for member in school.directory.members.values()}
    assert offices == {None, "Denver"}, "a value that does not fit holds back its field and not the person"
    assert 422 not in {row.status for row in school.portal.requests}

    before = school.writes()
    assert school.sync().applied.done == ()
    assert school.writes() == before

    renamed["last_name"], moved["work_email"] = "Newname", "moved.away@acme-tea-co.example"
    gone["spells"].append(
        {**gone["spells"][-1], "hire_date": school.now().date().isoformat(), "termination_date": None}
    )
    school.resync()
    school.sync()
    assert (name.family, address.email) == ("Newname", "moved.away@acme-tea-co.example")
    assert leaver.state == "active"
    assert len(school.directory.members) == len(logins)
    assert school.directory.mails == []
    after = school.writes()
    school.sync()
    assert school.writes() == after


def test_a_future_hire_becomes_a_learner_on_the_first_day(school):
    (person,) = school.people("coming")
    school.sync()
    assert school.directory.by_email(person["work_email"]) is None
    day, clock = date.fromisoformat(person["spells"][0]["hire_date"]), school.pipeline.sandbox.world.clock
    school.portal.advance(((day - clock.today()).days + 1) * 86_400)  # the day begins later in Gusto's zone
    school.resync()
    school.sync()
    assert school.directory.by_email(person["work_email"]).state == "active"


@pytest.mark.parametrize(
    ("how", "state", "mail"),
    [("active_with_mail", "active", "welcome"), ("active", "active", ""), ("pending", "invited", "invitation")],
)
def test_each_way_of_inviting_at_either_time_sends_the_mails_it_says_and_none_twice(school, how, state, mail):
    school.directory.extra["welcome_mail"] = how == "active_with_mail"
    here, coming = ({person["work_email"] for person in school.people(which)} for which in ("here", "coming"))
    assert (len(here), len(coming)) == (3, 1)
    for when, learners_now in (("hire_date", here), ("added", here | coming)):
        school.configure(f"  invite: {{how: {how}, when: {when}}}\n")
        school.sync()
        assert {member.email: member.state for member in school.directory.members.values()} == dict.fromkeys(
            learners_now, state
        )
        assert Counter(school.directory.mails) == ({(email, mail): 1 for email in learners_now} if mail else {})
    before = school.writes()
    school.sync()
    assert school.writes() == before
    assert len(school.directory.mails) == (4 if mail else 0)


def test_an_invitation_is_shown_until_accepted_and_its_end_as_well(school, command):
    school.configure("  invite: {how: pending}\n")
    done = school.sync()
    rows = json.loads(command("learners", "pending", "--json").out)
    assert len(rows) == len(school.directory.members) == len(done.applied.done)
    assert {row["expired"] for row in rows} == {False}
    first = rows[0]["email"]
    school.portal.accept(first)
    school.portal.advance(73 * 3600)
    again = school.sync()
    assert {done.item.action for done in again.applied.done} <= {"invite_again", "update"}
    book = openpyxl.load_workbook(again.report)
    shown = [row[1] for row in book["Pending invitations"].iter_rows(min_row=2, values_only=True)]
    assert first not in shown
    assert set(shown) <= {row["email"] for row in rows}


def test_what_is_listed_says_as_of_when_and_is_read_afresh_on_demand(school, command, tmp_path):
    school.configure(mode="observe")
    assert "never read" in command("learners", "pending").err
    pupil = school.add(school.people()[0])
    school.sync()
    read_at = learners.last_read(load_settings(), school.pipeline.company)
    school.directory.add("new@customer.example", "Nina", "New", state="invited", invited_at=school.now())
    said = command("learners", "pending", "--json")
    assert json.loads(said.out) == []
    assert f"As of {read_at.astimezone(load_settings().zone):%Y-%m-%d %H:%M}" in said.err

    said = command("learners", "pending", "--now", "--json")
    assert [row["email"] for row in json.loads(said.out)] == ["new@customer.example"]
    assert learners.last_read(load_settings(), school.pipeline.company) > read_at
    school.directory.change(pupil, "deleted")
    for option, count in (([], 2), (["--now"], 1)):
        said = command("learners", "export", str(tmp_path / "all.csv"), *option)
        assert f"Wrote {count} learners" in said.out
        assert "As of " in said.out
    assert school.writes() == []


@pytest.mark.parametrize(("how", "step"), [("active", "called"), ("pending", "called"), ("pending", "ended")])
def test_a_run_that_dies_at_any_boundary_doubles_nothing(school, how, step):
    class Died(BaseException):
        """Stands for the process being killed: nothing after it is written down."""

    def die(reached: str, item: Any) -> None:
        if reached == step:
            raise Died

    school.configure(f"{MAPPED}  invite: {{how: {how}}}\n")
    with pytest.raises(Died):
        school.sync(on_step=die)
    school.sync()
    logins = Counter(member.email for member in school.directory.members.values())
    assert set(logins) == {p["work_email"] for p in school.people()}
    assert set(logins.values()) == {1}
    assert set(Counter(school.directory.mails).values()) <= {1}
    before = school.writes()
    school.sync()
    assert [
        write for write in school.writes()[len(before) :] if "portal_invite" in write or write == "POST /users"
    ] == []


def test_many_newcomers_at_once_wait_for_a_person(school):
    del school.chosen
    school.chosen = {person["uuid"] for person in school.people()}
    school.configure()
    assert len(school.chosen) > 10
    held = school.sync()
    assert held.applied.state == "blocked"
    assert school.writes() == []
    assert {gated.verdict for gated in held.applied.waiting} == {"held"}


def test_what_is_only_observed_or_planned_is_not_done(school):
    for mode, verdict in (("observe", "observed"), ("plan", "needs approval")):
        school.configure(mode=mode)
        done = school.sync()
        assert done.applied.done == ()
        assert {gated.verdict for gated in done.applied.waiting} == {verdict}
    assert school.writes() == []


def test_by_hand_it_is_done_once_an_hour_and_the_second_attempt_says_when(school):
    school.configure(mode="observe")
    school.portal.fault("expired:once")
    with pytest.raises(AppError):
        school.sync(by_hand=True)
    school.sync(by_hand=True)  # an attempt that could not read the portal does not count
    school.portal.advance(3599)
    with pytest.raises(TooSoonError, match=r"once an hour, next at \d{4}-\d\d-\d\d \d\d:\d\d"):
        school.sync(by_hand=True)
    school.sync()
    school.portal.advance(2)
    school.sync(by_hand=True)


def test_a_change_without_effect_is_said_and_not_taken_for_done(school):
    there = school.add(school.people()[0] | {"first_name": "Other"})
    school.directory.extra["deaf"] = True
    school.configure(mode="auto", more="")
    done = school.sync()
    (failed,) = [one for one in done.applied.done if one.item.action == "update"]
    assert (str(failed.result), there.given) == ("unknown", "Other")
    assert "does not show it" in failed.problem


def test_connecting_and_disconnecting_leaves_learners_as_they_are(school, command, monkeypatch):
    school.add(school.people()[0])
    before = {id: vars(member).copy() for id, member in school.directory.members.items()}
    assert command("disconnect", "learnupon").code == 0
    with pytest.raises(SignInError, match="gusto-pipeline connect learnupon"):
        school.sync()
    for name, value in school.portal.simulator.record.items():
        monkeypatch.setenv(f"LEARNUPON_{name.upper()}", value)
    assert command("connect", "learnupon").code == 0
    school.configure(mode="observe")
    school.sync()
    assert {id: vars(member) for id, member in school.directory.members.items()} == before
    assert school.writes() == []


def test_the_commands_plan_sync_export_and_show_attributes(school, command, tmp_path):
    school.add(school.people("gone")[0])
    said = command("learners", "plan", "--json")
    assert said.code == 2
    told = json.loads(said.out)
    assert told["misfits"][0]["field"] == "Office"
    plan = told["plan"]["hash"][:12]
    assert command("approve", plan, "--by", "ann").code == 0
    ended = command("learners", "sync", "--by", "ann", "--json")
    assert ended.code == 2, ended.err
    counts = json.loads(ended.out)["counts"]
    assert (counts["create"], counts["suspend"]) == (len(school.people()), 1)
    assert command("learners", "sync").code == 1

    names = {row["name"]: row["example"] for row in json.loads(command("learners", "attributes", "--json").out)}
    assert names["title"]
    assert not {"ssn", "date_of_birth", "compensation__rate"} & names.keys()

    assert command("learners", "plan").code in (0, 2)
    file = tmp_path / "all.csv"
    assert command("learners", "export", str(file)).code == 0
    with file.open(encoding="utf-8-sig", newline="") as text:
        rows = list(csv.DictReader(text))
    assert {row["email"] for row in rows} == {member.email for member in school.directory.members.values()}
    assert all(not row["first_name"].startswith("=") for row in rows)


def test_applying_a_plan_of_learners_does_nothing_and_says_what_to_run(school, command):
    school.add(school.people("gone")[0])
    plan = json.loads(command("learners", "plan", "--json").out)["plan"]["hash"][:12]
    command("approve", plan)
    said = command("apply", plan)
    assert said.code == 1
    assert "gusto-pipeline learners sync" in said.err.replace("\n", " ")
    assert school.writes() == []


def test_the_portal_is_none_of_the_apps_that_are_reconciled(school, command):
    school.add(school.people()[0])
    school.sync()
    before = len(school.portal.requests)
    said = command("plan", "--json")
    assert json.loads(said.out)["items"] == json.loads(said.out)["questions"] == []
    report = write_report(load_settings(), school.store, school.pipeline.company, clock=school.now)
    assert "LearnUpon" not in report.page.read_text(encoding="utf-8")
    assert len(school.portal.requests) == before
    assert "learnupon" in {row["app"] for row in json.loads(command("accounts", "audit", "--json").out)}


def test_the_asset_is_there_when_a_portal_is_and_does_the_same(school):
    from gusto_pipeline.definitions import definitions

    defs = definitions(load_settings())
    job = defs.resolve_job_def("sync_learners")
    assert {schedule.name for schedule in defs.schedules} >= {"daily_learners"}
    ended = job.execute_in_process(
        instance=school.pipeline.instance, partition_key=school.pipeline.company.slug, raise_on_error=False
    )
    assert ended.success
    (made,) = [e for e in ended.get_asset_materialization_events() if e.asset_key.path == ["learners"]]
    assert made.materialization.metadata["create"].value == len(school.people())
    assert "jose" not in str(made.materialization.metadata).lower()
    assert [e.passed for e in ended.get_asset_check_evaluations() if e.check_name == "values_fit"] == [False]
    disconnect_app(school.store, "learnupon", school.pipeline.company)
    without = definitions(load_settings())
    assert "sync_learners" not in {job.name for job in without.jobs}


def test_a_portal_is_read_in_as_many_requests_as_it_has_pages_and_planned_at_once(school):
    for number in range(2100):
        school.directory.add(f"pupil{number}@customer.example", "Pia", f"Pupil{number}")
    before = len(school.portal.requests)
    planned = learners.plan(load_settings(), school.store, school.pipeline.company, clock=school.now)
    lists = Counter(row.path.removeprefix("/api/v1") for row in school.portal.requests[before:])
    once = dict.fromkeys(("/group_invites", "/groups", "/group_memberships"), 1)
    assert lists == {"/users": 5, "/users/customuserdata": 2, **once}
    assert planned.requests == 10
