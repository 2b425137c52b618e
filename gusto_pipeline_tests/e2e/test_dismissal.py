"""Somebody's last day ends at midnight in California: every app, on time, whatever one of them does."""

from __future__ import annotations

from datetime import date, datetime, timedelta
from pathlib import Path
from statistics import median

import pytest

from gusto_pipeline import reconcile
from gusto_pipeline.accounts import connect_app
from gusto_pipeline.config import Settings
from gusto_pipeline.connections.sign_in import unattended
from gusto_pipeline.provisioning.apps import SLUGS
from gusto_pipeline.provisioning.dismissal import t_end
from gusto_pipeline.provisioning.session import Session
from gusto_pipeline.sandbox.apps import running_apps
from gusto_pipeline.sync import open_store
from gusto_pipeline_tests.conftest import connected

MINUTE = timedelta(minutes=1)
LIMITED = "slack"  # this one answers 429 for 20 minutes


def test_every_account_of_a_leaver_is_closed_within_the_hour_though_one_app_is_down(tmp_path, monkeypatch):
    with connected(tmp_path) as pipeline:
        world, company = pipeline.sandbox.world, pipeline.company
        made, clock = world.companies[0], world.clock
        pipeline.start("locations", "departments", "admins", "employees", "contractors", "time_off")
        leaver = next(
            person
            for person in made.employees.values()
            if person["spells"][-1]["termination_date"] == clock.today().isoformat() and person["work_email"]
        )
        ends = t_end(date.fromisoformat(leaver["spells"][-1]["termination_date"]))
        with running_apps(*SLUGS, company=made, clock=clock) as apps:
            for one in apps.values():
                for member in list(one.directory.members.values()):
                    if member.family == leaver["last_name"]:
                        del one.directory.members[member.id]
                name, seen = (leaver["first_name"], leaver["last_name"]), clock.now() - timedelta(days=30)
                one.directory.add(leaver["work_email"], *name, created_at=seen, last_seen=seen)
            managed = {slug: {"base_url": one.base_url, "mode": "auto"} for slug, one in apps.items()}
            given = {"home": pipeline.settings.home, "provisioning": {"apps": managed}}
            settings, store = Settings.model_validate(given), open_store(pipeline.settings)
            for slug, one in apps.items():
                connect_app(settings, store, slug, company, one.simulator.record, unattended, clock=clock.now)
            monkeypatch.setitem(Session.__init__.__kwdefaults__, "sleep", lambda seconds: None)

            reconcile.refresh_accounts(settings, store, company, clock=clock.now)
            ahead = reconcile.reconcile(settings, store, company, clock=clock.now).plan
            reconcile.approve(settings, ahead, [], who="ann", why="read the day before", clock=clock.now)
            theirs = {item.app for item in ahead.items if item.due_at == ends.isoformat()}
            assert len(theirs) >= len(SLUGS) - 1

            closed: dict[str, datetime] = {}
            for minute in range(-1, 61):
                now = ends + minute * MINUTE
                clock.advance((now - clock.now()).total_seconds())
                if minute == 0:
                    apps[LIMITED].fault("429=30")
                if minute == 20:
                    apps[LIMITED].directory.faults.clear()
                if minute < 0:
                    assert not reconcile.sweep_due(settings, company, now)
                elif reconcile.sweep_due(settings, company, now):
                    reconcile.refresh_accounts(settings, store, company, clock=clock.now)
                    plan = reconcile.reconcile(settings, store, company, clock=clock.now).plan
                    reconcile.carry_out(
                        settings, store, company, plan, who="sweep", just_made=True, clock=clock.now,
                        gusto=lambda: pipeline.client(company),
                    )  # fmt: skip
                for slug in theirs - closed.keys():
                    member = apps[slug].directory.by_email(leaver["work_email"], "active")
                    if member is None:
                        closed[slug] = now
            late = {slug: (at - ends) / MINUTE for slug, at in closed.items()}
            assert late.keys() == theirs
            assert median(late.values()) <= 10
            assert max(late.values()) == late[LIMITED] <= 60
            assert {slug for slug, minutes in late.items() if minutes > 1} == {LIMITED}


@pytest.fixture(autouse=True)
def _home(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.chdir(tmp_path)
