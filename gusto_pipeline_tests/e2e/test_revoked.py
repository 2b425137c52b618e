"""A grant is revoked at Gusto: one mail says so, nothing is lost, one command heals it, and nothing else is touched."""

from __future__ import annotations

import json
from collections.abc import Callable, Iterator
from datetime import datetime
from pathlib import Path
from zoneinfo import ZoneInfo

import dagster as dg
import pytest

from gusto_pipeline.config import load_settings
from gusto_pipeline.definitions import definitions
from gusto_pipeline.gusto.auth import revoke
from gusto_pipeline.resources.pipeline import PipelineResource
from gusto_pipeline.sync import Company, connected_companies, open_store
from gusto_pipeline_tests.conftest import Pipeline, Said, connected
from gusto_pipeline_tests.mailbox import RunSensors, mail_server, text

YAML = "jobs: [{name: list, category: departments, format: csv, frequency: daily, timezone: America/Los_Angeles}]\n"


class Morning:
    """Two companies with a flatten job each day, whose schedule asks for the runs and whose sensors look at them."""

    def __init__(self, pipeline: Pipeline, on_disk: dg.DagsterInstance) -> None:
        self.pipeline = pipeline
        self.on_disk = on_disk  # what a schedule needs, and runs go faster without
        self.defs = definitions(load_settings())
        self.sensors = RunSensors(pipeline.instance)
        self.day = 0

    def comes(self) -> dict[str, bool]:
        """Whether each company's scheduled run was good."""
        self.day += 1
        tick = datetime(2026, 7, self.day, 6, tzinfo=ZoneInfo("America/Los_Angeles"))
        resources = {"pipeline": PipelineResource()}
        [schedule] = [one for one in self.defs.schedules or () if one.name == "flatten_list_schedule"]
        with dg.build_schedule_context(self.on_disk, tick, resources=resources) as context:
            requests = [str(request.partition_key) for request in schedule(context)]
        job = self.defs.resolve_job_def("flatten_list")
        good = {
            slug: job.execute_in_process(
                instance=self.pipeline.instance, partition_key=slug, raise_on_error=False
            ).success
            for slug in requests
        }
        self.sensors.tick()
        return good

    def rename_a_department(self, name: str) -> None:
        """In both companies, so that every good run has something to write."""
        for company in self.pipeline.sandbox.world.companies:
            next(iter(company.departments.values()))["title"] = name

    def file(self, company: Company) -> str:
        return self.pipeline.spreadsheet("list.csv", company).read_text()


@pytest.fixture
def morning(tmp_path: Path) -> Iterator[Morning]:
    with dg.DagsterInstance.local_temp() as on_disk, connected(tmp_path, companies=2, employees=2) as pipeline:
        (tmp_path / "pipeline.yaml").write_text(YAML)
        yield Morning(pipeline, on_disk)


@pytest.mark.filterwarnings("ignore::DeprecationWarning:apprise")
def test_it_is_told_once_shown_and_healed_without_touching_a_job(morning, command: Callable[..., Said], monkeypatch):
    company, other = morning.pipeline.companies
    store = open_store(morning.pipeline.settings)
    both_good = {company.slug: True, other.slug: True}
    with mail_server() as mailbox:
        monkeypatch.setenv("GUSTO_PIPELINE_NOTIFY", mailbox.url)
        assert morning.comes() == both_good
        assert mailbox.open() == []
        yesterday = morning.file(company)

        revoke(morning.pipeline.app, (store.read(f"gusto/{company.slug}") or {})["access_token"])
        morning.rename_a_department("Renamed")
        assert morning.comes() == both_good | {company.slug: False}
        [mail] = mailbox.open()
        assert mail["subject"] == f"Gusto: {company.slug} must be reconnected"
        assert f"gusto-pipeline reconnect {company.slug}" in text(mail)
        assert "Last good sync: 20" in text(mail)
        assert morning.file(company) == yesterday
        assert "Renamed" in morning.file(other)

        said = command("status", "--json")
        assert said.code == 1
        stands = {row["company"]: row for row in json.loads(said.out)}
        assert (stands[company.slug]["connection"], stands[other.slug]["connection"]) == (
            "needs attention",
            "authorized",
        )
        assert "its authorization was revoked or has lapsed" in stands[company.slug]["why"]

        assert command("reconnect", company.slug, "--as", company.uuid).code == 0
        assert command("status", "--check").code == 0
        assert morning.comes() == both_good
        [mail] = mailbox.open()
        assert mail["subject"] == f"Gusto: flatten_list is good again for {company.slug}"
        assert "Renamed" in morning.file(company)

        assert morning.comes() == both_good
        assert mailbox.open() == []
    assert connected_companies(store) == [company, other]
    assert Path("pipeline.yaml").read_text() == YAML
