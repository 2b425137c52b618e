"""What people are told about runs: what it says, that it arrives once, and that nobody's data is in it."""

from __future__ import annotations

import io
from collections.abc import Iterator
from datetime import UTC, datetime
from email.message import EmailMessage
from pathlib import Path
from zoneinfo import ZoneInfo

import dagster as dg
import pytest

from gusto_pipeline import notify
from gusto_pipeline.assets import spreadsheets
from gusto_pipeline.automation.sensors import again
from gusto_pipeline.config import EVERYBODY, load_settings
from gusto_pipeline.definitions import definitions, defs
from gusto_pipeline.notify import Changed, Message, NotifyError, Problem, send
from gusto_pipeline.sync import open_store
from gusto_pipeline_tests.conftest import Pipeline, connected
from gusto_pipeline_tests.mailbox import RUN_SENSORS, Mailbox, RunSensors, free_port, mail_server, text

pytestmark = pytest.mark.filterwarnings("ignore::DeprecationWarning:apprise")

JOB = "sync_departments_only"
ZONE = ZoneInfo("America/Los_Angeles")
FAILED_AT = datetime(2026, 7, 2, 12, 3, tzinfo=UTC)
LAST_GOOD = datetime(2026, 7, 1, 12, 2, tzinfo=UTC)


def failure(*problems: Problem, last_good: datetime | None = LAST_GOOD, company: str = "acme") -> Message:
    return notify.failure(
        "sync_everything", company, problems,
        failed_at=FAILED_AT, last_good=last_good, again="gusto-pipeline sync --company acme", run_id="run-1", zone=ZONE,
    )  # fmt: skip


def test_a_failure_says_which_job_whose_why_since_when_and_what_to_do():
    told = failure(Problem("sync_company", "Gusto failed on GET /v1/x with 503"))
    assert told.title == "Gusto: sync_everything failed for acme"
    assert "sync_everything failed for acme at 2026-07-02 05:03 PDT." in told.body
    assert "- sync_company: Gusto failed on GET /v1/x with 503" in told.body
    assert "gusto-pipeline sync --company acme" in told.body
    assert "Last good sync: 2026-07-01 05:02 PDT." in told.body
    assert "Run: run-1" in told.body


def test_a_company_that_must_be_reconnected_is_announced_as_such():
    told = failure(Problem("sync_company", "Gusto no longer accepts it. Run: gusto-pipeline reconnect gusto acme"))
    assert told.title == "Gusto: acme must be reconnected"
    assert "signs in to Gusto again: gusto-pipeline reconnect acme" in told.body


def test_the_same_cause_in_many_steps_is_said_once():
    told = failure(*(Problem(f"sync_{number}", "the same") for number in range(12)))
    assert told.body.count("the same") == 1
    assert "- sync_0, sync_1, sync_2 and 9 more: the same" in told.body


def test_many_causes_and_long_ones_are_cut():
    told = failure(*(Problem(f"step_{number}", f"{number} " + "long " * 1000) for number in range(9)))
    assert len(told.body) < 6 * notify.LONGEST
    assert "- and 4 more, shown with the run" in told.body


def test_a_company_that_was_never_synced_has_no_last_good_sync():
    assert "Last good sync: none yet." in failure(Problem("a", "b"), last_good=None).body


def test_a_run_about_no_company_fails_for_nobody():
    assert failure(Problem("a", "b"), company="").title == "Gusto: sync_everything failed"


@pytest.fixture(scope="module")
def server() -> Iterator[Mailbox]:
    with mail_server() as mailbox:
        yield mailbox


@pytest.fixture
def mailbox(server: Mailbox, monkeypatch: pytest.MonkeyPatch) -> Mailbox:
    """Where notifications go, empty."""
    monkeypatch.setenv("GUSTO_PIPELINE_NOTIFY", server.url)
    server.open()
    return server


def test_a_message_arrives_as_it_was_written(mailbox):
    send(Message("Fürs Büro", "a <b> & *c*\n\n  - d_e_f"), {EVERYBODY: mailbox.url})
    [mail] = mailbox.open()
    assert (mail["subject"], mail["to"], mail["from"]) == ("Fürs Büro", "it@example.com", "pipeline@example.com")
    assert mail.get_content_type() == "text/plain"
    assert mail.get_content().replace("\r\n", "\n").strip() == "a <b> & *c*\n\n  - d_e_f"


@pytest.mark.parametrize("separator", [",", " ", ", ", "\n"])
def test_it_goes_to_every_address(mailbox, separator):
    send(Message("a", "b"), {EVERYBODY: separator.join([mailbox.url, mailbox.url.replace("it@", "hr@")])})
    assert {mail["to"] for mail in mailbox.open()} == {"it@example.com", "hr@example.com"}


@pytest.mark.parametrize("urls", ["", "  "])
def test_without_addresses_nobody_is_told(urls):
    send(Message("a", "b"), {EVERYBODY: urls})


def test_one_service_that_is_down_keeps_no_other_from_being_told(mailbox, capfd):
    dead = f"mailto://user:pass-canary@127.0.0.1:{free_port()}?from=a@example.com&to=b@example.com"
    with pytest.raises(NotifyError) as trouble:
        send(Message("a", "b"), {EVERYBODY: f"{dead} {mailbox.url}"})
    assert len(mailbox.open()) == 1
    assert "did not take the message" in str(trouble.value)
    printed = capfd.readouterr()
    assert "canary" not in str(trouble.value) + printed.out + printed.err


def test_an_address_nobody_knows_is_a_readable_error_without_the_address(mailbox, capfd):
    with pytest.raises(NotifyError, match="an address in HR_NOTIFY") as trouble:
        send(Message("a", "b"), {"HR_NOTIFY": f"nosuch://token-canary@host {mailbox.url}"})
    assert len(mailbox.open()) == 1
    printed = capfd.readouterr()
    assert "canary" not in str(trouble.value) + printed.out + printed.err


def test_an_address_that_a_job_names_and_nobody_set_is_a_readable_error(mailbox):
    with pytest.raises(NotifyError, match="HR_NOTIFY is not set"):
        send(Message("a", "b"), {"HR_NOTIFY": "", EVERYBODY: mailbox.url})
    assert len(mailbox.open()) == 1


def test_google_that_must_be_reconnected_is_announced_as_such():
    told = failure(Problem("spreadsheets__tabs", "It was withdrawn; run: gusto-pipeline reconnect google"))
    assert told.title == "Google must be reconnected: sync_everything failed for acme"
    assert "signs in again: gusto-pipeline reconnect google" in told.body


def test_a_digest_counts_what_changed_in_each_sheet():
    changed = [Changed("headcount, employees", 3, 0, 1200), Changed("headcount, jobs", 0, 1, 0)]
    told = notify.success(
        "flatten_headcount", "acme", changed,
        good_at=FAILED_AT, categories=1, rows=60, requests=2, run_id="run-1", zone=ZONE,
    )  # fmt: skip
    assert told.title == "Gusto: flatten_headcount changed spreadsheets for acme"
    assert "- headcount, employees: 3 rows added, 1,200 cells changed" in told.body.splitlines()
    assert "- headcount, jobs: 1 rows removed" in told.body.splitlines()


def test_a_digest_of_very_many_sheets_is_cut():
    changed = [Changed(f"sheet {number}", 1, 1, 1) for number in range(notify.MOST_SHEETS + 7)]
    told = notify.success(
        "sync_everything", "acme", changed,
        good_at=FAILED_AT, categories=1, rows=60, requests=2, run_id="run-1", zone=ZONE,
    )  # fmt: skip
    assert "- and 7 more sheets" in told.body


@pytest.fixture
def pipeline(tmp_path: Path) -> Iterator[Pipeline]:
    """A small company, connected, nothing synced yet."""
    with connected(tmp_path, employees=2) as pipeline:
        yield pipeline


@pytest.fixture
def sensors(pipeline: Pipeline) -> RunSensors:
    """Watching since before the first run."""
    return RunSensors(pipeline.instance)


def test_a_failed_run_is_one_mail_with_everything_needed(pipeline, sensors, mailbox):
    assert pipeline.run(JOB).success
    pipeline.sandbox.fault("missing-scope=departments:read")
    run = pipeline.run(JOB).run_id
    sensors.tick()
    sensors.tick()
    [mail] = mailbox.open()
    said = text(mail)
    assert f"{JOB} failed for {pipeline.company.slug} at " in said
    assert "lacks the scope departments:read" in said
    assert "gusto-pipeline reconnect" in said
    assert "Last good sync: 20" in said
    assert run in said


def test_what_was_told_is_not_told_again(pipeline, mailbox):
    """Sensors that are switched on, or restarted, start where they stopped."""
    pipeline.sandbox.fault("missing-scope=departments:read")
    pipeline.run(JOB)
    sensors = RunSensors(pipeline.instance)
    sensors.tick()
    assert mailbox.open() == []


def test_recovery_is_told_once(pipeline, sensors, mailbox):
    def subjects(*faults: str) -> list[str]:
        pipeline.sandbox.clear_faults()
        pipeline.sandbox.fault(*faults)
        pipeline.run(JOB)
        sensors.tick()
        return [mail["subject"] for mail in mailbox.open()]

    slug, broken = pipeline.company.slug, "missing-scope=departments:read"
    failed, recovered = f"Gusto: {slug} must be reconnected", f"Gusto: {JOB} is good again for {slug}"
    assert [subjects(*faults) for faults in ([broken], [broken], [], [])] == [[failed], [failed], [recovered], []]


def test_a_run_that_dies_outside_its_steps_is_told_too(pipeline, sensors, mailbox):
    tags = {"dagster/partition": pipeline.company.slug}
    run = pipeline.instance.create_run_for_job(defs.resolve_job_def(JOB), tags=tags)
    pipeline.instance.report_run_failed(run, "The machine went down.")
    sensors.tick()
    [mail] = mailbox.open()
    assert f"{JOB} failed for {pipeline.company.slug}" in text(mail)
    assert f"- {JOB}: The machine went down." in text(mail)
    assert "Last good sync: none yet." in text(mail)


def test_another_jobs_good_run_is_no_recovery(pipeline, sensors, mailbox):
    pipeline.sandbox.fault("missing-scope=departments:read")
    pipeline.run(JOB)
    pipeline.run("sync_locations_only")
    sensors.tick()
    assert len(mailbox.open()) == 1


def test_in_a_run_of_several_companies_each_failing_one_has_its_own_mail(tmp_path, mailbox):
    with connected(tmp_path, companies=3, employees=1) as pipeline:
        sensors = RunSensors(pipeline.instance)
        good = pipeline.companies[0]
        bad = pipeline.companies[1:]
        for company in bad:
            pipeline.sandbox.fault(f"5xx=503:/v1/companies/{company.uuid}/departments")
        pipeline.run(JOB, *pipeline.companies)
        sensors.tick()
        mails = mailbox.open()
        assert sorted(mail["subject"] for mail in mails) == sorted(f"Gusto: {JOB} failed for {c.slug}" for c in bad)
        for company in bad:
            [said] = [text(mail) for mail in mails if mail["subject"].endswith(f" {company.slug}")]
            assert company.uuid in said
            assert not [other for other in pipeline.companies if other != company and other.uuid in said]
        pipeline.sandbox.clear_faults()
        pipeline.run(JOB, good)
        pipeline.run(JOB, bad[0])
        sensors.tick()
        assert [mail["subject"] for mail in mailbox.open()] == [f"Gusto: {JOB} is good again for {bad[0].slug}"]


@pytest.mark.parametrize(("switch", "expected"), [("on_failure", ["good again"]), ("on_recovery", ["reconnected"])])
def test_what_is_switched_off_is_not_told(pipeline, sensors, mailbox, tmp_path, switch, expected):
    (tmp_path / "pipeline.yaml").write_text(f"notify: {{{switch}: false}}\n")
    pipeline.sandbox.fault("missing-scope=departments:read")
    pipeline.run(JOB)
    pipeline.sandbox.clear_faults()
    pipeline.run(JOB)
    sensors.tick()
    subjects = [mail["subject"] for mail in mailbox.open()]
    assert len(subjects) == len(expected)
    assert all(words in subject for words, subject in zip(expected, subjects, strict=True))


def test_good_runs_are_told_when_asked_for(pipeline, sensors, mailbox, tmp_path):
    (tmp_path / "pipeline.yaml").write_text("notify: {on_success: true}\n")
    pipeline.run(JOB)
    sensors.tick()
    [mail] = mailbox.open()
    rows = pipeline.count("departments") + pipeline.count("department_members")
    assert mail["subject"] == f"Gusto: {JOB} went well for {pipeline.company.slug}"
    assert f"1 categories, {rows} rows, 1 requests to Gusto." in text(mail)


JOBS = """
notify: {on_success: true}
jobs:
  - name: list
    category: contractors
    format: {format}
    columns: [uuid, last_name, email]
    notify: {to: [HR_NOTIFY], on_success: false, on_change: true}
  - {name: other, category: contractors, notify: {to: [GUSTO_PIPELINE_NOTIFY, HR_NOTIFY], on_success: false}}
"""


class Jobs:
    """Flatten jobs of a pipeline.yaml, run in a company, told of to two people."""

    def __init__(self, pipeline: Pipeline, mailbox: Mailbox, sensors: RunSensors) -> None:
        self.pipeline, self.mailbox, self.sensors = pipeline, mailbox, sensors
        self.defs = definitions(load_settings())

    def run(self, name: str) -> list[EmailMessage]:
        """The mails of a run, and no longer in the mailbox."""
        self.defs.resolve_job_def(name).execute_in_process(
            instance=self.pipeline.instance, partition_key=self.pipeline.company.slug, raise_on_error=False
        )
        self.sensors.tick()
        return self.mailbox.open()


@pytest.fixture(params=["xlsx"])
def jobs(pipeline, mailbox, sensors, tmp_path, monkeypatch, request) -> Jobs:
    (tmp_path / "pipeline.yaml").write_text(JOBS.replace("{format}", request.param))
    monkeypatch.setenv("HR_NOTIFY", mailbox.url.replace("it@", "hr@"))
    return Jobs(pipeline, mailbox, sensors)


@pytest.mark.parametrize(
    ("job", "said"),
    [
        ("flatten_head_count", "gusto-pipeline flatten head_count --company acme"),
        ("export_for_it", "gusto-pipeline profiles for_it --company acme"),
        ("sync_time_off_only", "gusto-pipeline sync time_off --company acme"),
        ("sync_everything", "gusto-pipeline sync --company acme"),
        ("sync_learners", "gusto-pipeline learners sync --company acme"),
        ("sweep_accounts", "start the job again in Dagster's UI"),
        ("onboard_new_hires", "start the job again in Dagster's UI"),
    ],
)
def test_how_to_run_it_again_fits_the_job(job, said):
    assert again(job, "acme") == said


def test_a_jobs_failure_goes_to_whom_the_job_names_and_says_how_to_run_it_again(jobs):
    jobs.pipeline.sandbox.fault("5xx=503:/contractors")
    [mail] = jobs.run("flatten_list")
    assert mail["to"] == "hr@example.com"
    assert f"flatten_list failed for {jobs.pipeline.company.slug} at " in text(mail)
    assert f"gusto-pipeline flatten list --company {jobs.pipeline.company.slug}" in text(mail)
    assert {mail["to"] for mail in jobs.run("flatten_other")} == {"hr@example.com", "it@example.com"}


def test_what_a_job_does_not_say_is_as_for_all(jobs):
    """`on_recovery` is on there, `on_success` too but switched off for the job."""
    assert jobs.run("flatten_list") == []
    jobs.pipeline.sandbox.fault("5xx=503:/contractors")
    assert len(jobs.run("flatten_list")) == 1
    jobs.pipeline.sandbox.clear_faults()
    [mail] = jobs.run("flatten_list")
    assert "is good again" in mail["subject"]
    [mail] = jobs.run("sync_contractors_only")
    assert "went well" in mail["subject"]
    assert mail["to"] == "it@example.com"


@pytest.mark.parametrize("jobs", ["xlsx", "csv", "parquet"], indirect=True)
def test_a_change_is_told_in_numbers_and_only_when_there_is_one(jobs):
    contractors = jobs.pipeline.sandbox.world.companies[0].contractors
    assert jobs.run("flatten_list") == []
    assert jobs.run("flatten_list") == []
    first, second, *_ = contractors.values()
    first["email"], first["last_name"] = "canary@example.com", "Canary"
    del contractors[second["uuid"]]
    [mail] = jobs.run("flatten_list")
    assert mail["subject"] == f"Gusto: flatten_list changed spreadsheets for {jobs.pipeline.company.slug}"
    assert "- list, contractors: 1 rows removed, 2 cells changed" in text(mail)
    assert "canary" not in text(mail).casefold()
    assert jobs.run("flatten_list") == []


def test_a_test_message_goes_to_whom_a_job_names(jobs, command):
    assert command("notify", "other").code == 0
    assert {mail["to"] for mail in jobs.mailbox.open()} == {"hr@example.com", "it@example.com"}
    assert command("notify").code == 0
    assert [mail["to"] for mail in jobs.mailbox.open()] == ["it@example.com"]


def test_a_test_message_to_nobody_says_what_to_set(pipeline, command):
    said = command("notify")
    assert (said.code, len(said.err.splitlines())) == (1, 1)
    assert "GUSTO_PIPELINE_NOTIFY not set" in said.err


def test_nobodys_data_and_no_secret_is_in_any_mail(pipeline, sensors, mailbox, tmp_path, monkeypatch):
    """Not even when an error nobody foresaw quotes it."""
    (tmp_path / "pipeline.yaml").write_text("notify: {on_success: true}\n")
    person = next(iter(pipeline.sandbox.world.companies[0].employees.values()))
    record = open_store(pipeline.settings).read(f"gusto/{pipeline.company.slug}") or {}
    canaries = [person["email"], f"{person['first_name']} {person['last_name']}"]
    canaries += [record["access_token"], record["refresh_token"], pipeline.sandbox.client_secret]

    def stumble(*_: object, **__: object) -> None:
        raise KeyError(" ".join(canaries))

    with monkeypatch.context() as patch:
        patch.setattr(spreadsheets, "write_tables", stumble)
        assert not pipeline.run("sync_employees_only").success
    pipeline.log = io.StringIO()  # Dagster's quotes such an error, for whoever has to find out
    assert pipeline.run("sync_employees_only").success
    assert pipeline.run("sync_employees_only").success
    pipeline.sandbox.fault("missing-scope=employees:read")
    assert not pipeline.run("sync_employees_only").success
    sensors.tick()
    mails = mailbox.open()
    assert len(mails) == 4
    assert "an error nobody foresaw (KeyError)" in "".join(map(text, mails))
    assert [canary for canary in canaries for mail in mails if canary in text(mail) or canary in str(mail)] == []


def test_when_nobody_can_be_told_the_log_says_so_and_nothing_else_breaks(
    pipeline, sensors, monkeypatch, capfd, tmp_path
):
    monkeypatch.setenv("GUSTO_PIPELINE_NOTIFY", f"mailto://127.0.0.1:{free_port()}?from=a@example.com&to=b@example.com")
    pipeline.sandbox.fault("missing-scope=departments:read")
    pipeline.run(JOB)
    capfd.readouterr()
    sensors.tick()
    lines = [line for line in capfd.readouterr().err.splitlines() if "Not everybody was told" in line]
    assert len(lines) == 1
    assert "Traceback" not in lines[0]


def test_both_sensors_run_without_being_switched_on():
    assert [sensor.default_status for sensor in RUN_SENSORS] == [dg.DefaultSensorStatus.RUNNING] * 2
