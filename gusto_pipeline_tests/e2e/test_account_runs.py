"""Accounts in Dagster: assets for what is connected, runs that look, runs that act, one app's trouble its own."""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import redirect_stderr
from io import StringIO
from pathlib import Path

import dagster as dg
import pytest

from gusto_pipeline.accounts import connect_app
from gusto_pipeline.automation.sensors import open_access
from gusto_pipeline.clock import utcnow
from gusto_pipeline.config import Settings, load_settings
from gusto_pipeline.connections.sign_in import unattended
from gusto_pipeline.definitions import definitions
from gusto_pipeline.provisioning.session import Session
from gusto_pipeline.reconcile import late_removals
from gusto_pipeline.resources.pipeline import PipelineResource
from gusto_pipeline.sandbox.apps import SimulatedApp, running_apps
from gusto_pipeline.sync import open_store
from gusto_pipeline_tests.conftest import Pipeline, connected
from gusto_pipeline_tests.mailbox import mail_server, text
from gusto_pipeline_tests.provisioning.connected import withdraw_invitations

APPS = ("asana", "okta")


class Office:
    """One company with two connected apps, and Dagster's runs over them."""

    def __init__(self, pipeline: Pipeline, apps: dict[str, SimulatedApp], settings: Settings) -> None:
        self.pipeline = pipeline
        self.apps = apps
        self.defs = definitions(settings)

    def run(self, job: str) -> dg.ExecuteInProcessResult:
        with redirect_stderr(StringIO()):
            return self.defs.resolve_job_def(job).execute_in_process(
                instance=self.pipeline.instance, partition_key=self.pipeline.company.slug, raise_on_error=False
            )

    def states(self) -> dict[str, str]:
        return {f"{slug}/{m.id}": m.state for slug in APPS for m in self.apps[slug].directory.members.values()}


def metadata(result: dg.ExecuteInProcessResult, key: str) -> dict[str, object]:
    found = [
        event.step_materialization_data.materialization
        for event in result.get_asset_materialization_events()
        if event.step_materialization_data.materialization.asset_key.to_user_string() == key
    ]
    return {name: value.value for name, value in found[0].metadata.items()}


@pytest.fixture(scope="module")
def office(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Office]:
    with connected(tmp_path_factory.mktemp("home")) as pipeline, pytest.MonkeyPatch.context() as patch:
        world = pipeline.sandbox.world
        with running_apps(*APPS, company=world.companies[0], clock=world.clock) as apps:
            patch.setitem(Session.__init__.__kwdefaults__, "sleep", pipeline.sandbox.advance)
            leaver = next(p for p in world.companies[0].employees.values() if p["spells"][-1]["termination_date"])
            for one in apps.values():
                withdraw_invitations(one.directory)
                for member in list(one.directory.members.values()):
                    if member.family == leaver["last_name"]:
                        del one.directory.members[member.id]
                one.directory.add(leaver["work_email"] or leaver["email"], leaver["first_name"], leaver["last_name"])
            lines = [f"    {slug}: {{base_url: '{app.base_url}', mode: auto}}\n" for slug, app in apps.items()]
            Path("pipeline.yaml").write_text("provisioning:\n  apps:\n" + "".join(lines), encoding="utf-8")
            settings, store = load_settings(), open_store(pipeline.settings)
            for slug, app in apps.items():
                connect_app(settings, store, slug, pipeline.company, app.simulator.record, unattended)
            yield Office(pipeline, apps, settings)


def test_only_connected_apps_have_assets(office):
    keys = {key.to_user_string() for key in office.defs.resolve_all_asset_keys()}
    assert {key for key in keys if key.startswith(("accounts/", "reconciliation/"))} == {
        f"{group}/{slug}" for group in ("accounts", "reconciliation") for slug in APPS
    }


def test_without_a_connected_app_there_is_nothing_of_accounts(tmp_path):
    keys = {key.to_user_string() for key in definitions(Settings(home=tmp_path)).resolve_all_asset_keys()}
    assert not [key for key in keys if key.startswith(("accounts/", "provisioning", "people"))]


def test_looking_touches_no_account_and_says_what_it_found(office):
    before = office.states()
    result = office.run("reconcile_accounts")
    assert result.success
    assert office.states() == before
    assert metadata(result, "accounts/okta")["dagster/row_count"] == sum(key.startswith("okta/") for key in before)
    assert int(str(metadata(result, "provisioning_plan")["to_do"])) >= 0
    assert Path(str(metadata(result, "provisioning_report")["page"])).is_file()


def test_an_app_that_is_down_fails_its_check_and_holds_up_no_other(office):
    office.apps["okta"].fault("5xx=500")
    result = office.run("reconcile_accounts")
    office.apps["okta"].directory.faults.clear()
    assert result.success
    failed = {
        check.asset_key.to_user_string(): check.check_name
        for check in result.get_asset_check_evaluations()
        if not check.passed
    }
    assert failed["accounts/okta"] == "complete"
    assert "accounts/asana" not in failed
    assert metadata(result, "accounts/asana")["dagster/row_count"]


def test_a_sweep_acts_on_what_it_may_and_leaves_the_rest_to_a_person(office):
    before = office.states()
    result = office.run("sweep_accounts")
    assert result.success
    assert office.states() == before, "the first removal in an app needs a person"
    assert metadata(result, "provisioning_actions")["state"] in ("ok", "blocked")


@pytest.mark.filterwarnings("ignore::DeprecationWarning:apprise")
def test_access_of_leavers_that_is_open_too_long_is_told_once(office, monkeypatch):
    office.run("reconcile_accounts")
    resources, cursor, mails = {"pipeline": PipelineResource()}, None, []
    with mail_server() as mailbox:
        monkeypatch.setenv("GUSTO_PIPELINE_NOTIFY", mailbox.url)
        for _ in range(2):
            with dg.build_sensor_context(office.pipeline.instance, cursor=cursor, resources=resources) as context:
                cursor = open_access(context).cursor
            mails.append([text(mail) for mail in mailbox.open()])
    [told], again = mails
    assert again == []
    slug = office.pipeline.company.slug
    late = late_removals(office.pipeline.settings, office.pipeline.company, utcnow())
    assert f"{slug}: {len(late)} accounts of people who left are open" in told
    assert f"- asana: {sum(one.app == 'asana' for one in late)}, the longest for" in told
    assert f"gusto-pipeline plan --company {slug}" in told
    assert "@" not in f"{told}{cursor}", "it names nobody"
    assert open_access in office.defs.sensors
    assert open_access.default_status is dg.DefaultSensorStatus.RUNNING


def test_nothing_personal_goes_through_dagster(office):
    result = office.run("reconcile_accounts")
    texts = str([event.to_json() if hasattr(event, "to_json") else event for event in result.all_events])
    for person in office.pipeline.sandbox.world.companies[0].employees.values():
        assert (person["work_email"] or "@@") not in texts
        assert f"{person['first_name']} {person['last_name']}" not in texts
