"""A list that is not whole takes nobody's access away, in any app."""

from __future__ import annotations

import pytest

from gusto_pipeline.accounts import connect_app
from gusto_pipeline.config import Settings
from gusto_pipeline.connections.sign_in import unattended
from gusto_pipeline.provisioning.apply import REMOVALS
from gusto_pipeline.provisioning.apps import SLUGS
from gusto_pipeline.provisioning.matching import match
from gusto_pipeline.provisioning.people import refresh_people
from gusto_pipeline.provisioning.planning import make_plan
from gusto_pipeline.provisioning.reconciliation import decide_all, prepare
from gusto_pipeline.provisioning.session import Session
from gusto_pipeline.reconcile import managed_apps, refresh_accounts
from gusto_pipeline.sandbox.apps import running_apps
from gusto_pipeline.sync import open_store, open_warehouse
from gusto_pipeline_tests.conftest import connected

PARTIAL = {
    "no accounts at all": ("short-page=0",),
    "79 % of the accounts": ("short-page=0.79",),
    "a rate limit that stays": ("429=400",),
    "a server error": ("5xx=500",),
    "no permission, as 404": ("status=404",),
    "no permission, as 403": ("status=403",),
    "an answer cut short": ("truncate",),
}


def test_nothing_is_removed_after_a_partial_read(tmp_path):
    with (
        connected(tmp_path) as pipeline,
        running_apps(
            *SLUGS, company=(world := pipeline.sandbox.world).companies[0], clock=world.clock, size=120
        ) as simulated,
        pytest.MonkeyPatch.context() as patch,
    ):
        patch.setitem(Session.__init__.__kwdefaults__, "sleep", pipeline.sandbox.advance)
        pipeline.start("locations", "departments", "admins", "employees", "contractors", "time_off")
        company, clock = pipeline.company, world.clock.now
        with open_warehouse(pipeline.settings).write() as connection:
            prepare(connection)
            refresh_people(connection, company.uuid, clock())
        managed = {slug: {"base_url": app.base_url} for slug, app in simulated.items()}
        settings = Settings.model_validate({"home": pipeline.settings.home, "provisioning": {"apps": managed}})
        store = open_store(settings)
        for person in world.companies[0].employees.values():
            last_day, email = person["spells"][-1]["termination_date"], person["work_email"]
            if last_day and last_day < world.clock.today().isoformat() and email:
                for app in simulated.values():
                    if not app.directory.by_email(email):
                        app.directory.add(email, person["first_name"], person["last_name"])
        for slug, app in simulated.items():
            connect_app(settings, store, slug, company, app.simulator.record, unattended, clock=clock)
        apps = managed_apps(settings, store, company)

        def removals() -> set[str]:
            """The apps that somebody is to be removed from."""
            reads = refresh_accounts(settings, store, company, clock=clock)
            with open_warehouse(settings).write() as connection:
                match(connection, company.uuid, SLUGS, clock())
                decisions = decide_all(connection, company.uuid, apps, clock())
            plan = make_plan(decisions, apps, company.slug, company.uuid, {}, clock())
            failed = {read.slug for read in reads if read.problem}
            assert failed == {slug for slug, app in simulated.items() if app.directory.faults.active}
            return {item.app for item in plan.items if item.action in REMOVALS}

        assert removals() == set(SLUGS), "there is a leaver to remove"
        for what, faults in PARTIAL.items():
            for app in simulated.values():
                app.fault(*faults)
            assert removals() == set(), what
            for app in simulated.values():
                app.directory.faults.clear()
        assert removals() == set(SLUGS), "and once it can be read again, the removal is due again"
        for app in simulated.values():
            app.directory.revoke()
            app.fault("expired")
        assert removals() == set(), "a revoked token"
