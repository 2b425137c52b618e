"""A list that is not whole takes nobody's access away, in any app."""

from __future__ import annotations

from collections.abc import Iterator

import pytest

from gusto_pipeline.accounts import connect_app
from gusto_pipeline.config import Settings
from gusto_pipeline.connections.sign_in import unattended
from gusto_pipeline.provisioning.apply import REMOVALS
from gusto_pipeline.provisioning.apps import SLUGS
from gusto_pipeline.provisioning.matching import match
from gusto_pipeline.provisioning.people import refresh_people
from gusto_pipeline.provisioning.planning import make_plan
from gusto_pipeline.provisioning.plans import Item
from gusto_pipeline.provisioning.reconciliation import decide_all, prepare
from gusto_pipeline.provisioning.session import Session
from gusto_pipeline.reconcile import managed_apps, refresh_accounts
from gusto_pipeline.sandbox.apps import running_apps
from gusto_pipeline.sync import open_store, open_warehouse
from gusto_pipeline_tests.conftest import Pipeline, connected

PARTIAL = {
    "no accounts at all": ("short-page=0",),
    "79 % of the accounts": ("short-page=0.79",),
    "a rate limit that stays": ("429=400",),
    "a server error": ("5xx=500",),
    "no permission, as 404": ("status=404",),
    "no permission, as 403": ("status=403",),
    "an answer cut short": ("truncate",),
}


@pytest.fixture(scope="module")
def pipeline(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Pipeline]:
    with connected(tmp_path_factory.mktemp("home")) as pipeline:
        pipeline.start("locations", "departments", "admins", "employees", "contractors", "time_off")
        with open_warehouse(pipeline.settings).write() as connection:
            prepare(connection)
            refresh_people(connection, pipeline.company.uuid, pipeline.sandbox.world.clock.now())
        with pytest.MonkeyPatch.context() as patch:
            patch.setitem(Session.__init__.__kwdefaults__, "sleep", pipeline.sandbox.advance)
            yield pipeline


@pytest.mark.parametrize("slug", SLUGS)
def test_nothing_is_removed_after_a_partial_read(pipeline, slug):
    world, company = pipeline.sandbox.world, pipeline.company
    clock = world.clock.now
    with running_apps(slug, company=world.companies[0], clock=world.clock, size=120) as apps:
        simulated = apps[slug]
        given = {"home": pipeline.settings.home, "provisioning": {"apps": {slug: {"base_url": simulated.base_url}}}}
        settings = Settings.model_validate(given)
        store = open_store(settings)
        for person in world.companies[0].employees.values():
            last_day, email = person["spells"][-1]["termination_date"], person["work_email"]
            left = last_day and last_day < world.clock.today().isoformat()
            if left and email and not simulated.directory.by_email(email):
                simulated.directory.add(email, person["first_name"], person["last_name"])
        connect_app(settings, store, slug, company, simulated.simulator.record, unattended, clock=clock)

        def removals() -> list[Item]:
            read = refresh_accounts(settings, store, company, [slug], clock=clock)[0]
            apps = managed_apps(settings, store, company)
            with open_warehouse(settings).write() as connection:
                match(connection, company.uuid, [slug], clock())
                decisions = decide_all(connection, company.uuid, {slug: apps[slug]}, clock())
            plan = make_plan(decisions, apps, company.slug, company.uuid, {}, clock())
            assert bool(read.problem) == bool(simulated.directory.faults.active or not simulated.requests)
            return [item for item in plan.items if item.action in REMOVALS]

        assert removals(), "there is a leaver to remove"
        for what, faults in PARTIAL.items():
            simulated.fault(*faults)
            assert removals() == [], what
            simulated.directory.faults.clear()
        assert removals(), "and once it can be read again, the removal is due again"
        simulated.directory.revoke()
        simulated.fault("expired")
        assert removals() == [], "a revoked token"
