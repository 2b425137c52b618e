"""Taking on who is in a file: each exactly once, whatever happens in between; every file ends where it says."""

from __future__ import annotations

import csv
import json
import os
import shutil
import signal
import stat
import subprocess
import sys
import threading
from collections.abc import Iterator
from concurrent.futures import ThreadPoolExecutor
from datetime import UTC, datetime, timedelta
from pathlib import Path
from typing import Any

import pytest

from gusto_pipeline.gusto.errors import GustoError
from gusto_pipeline.new_hires import HiresError
from gusto_pipeline.onboarding import Outcome, Processed, check_file, find_file, process, waiting_files
from gusto_pipeline.sandbox.gusto.world import Record
from gusto_pipeline.spreadsheets.files import sha256_of
from gusto_pipeline_tests.conftest import Pipeline, connected

FAMILY = "Newcanary"


def hire(name: str, **more: str) -> dict[str, str]:
    return {
        "first_name": name, "last_name": FAMILY, "email": f"{name.lower()}@example.com", "start_date": "2027-01-04",
        "job_title": "Taster", "home_street_1": "1 Leaf St", "home_city": "Oakland", "home_state": "CA",
        "home_zip": "94607", "rate": "91357.00", "payment_unit": "Year", "flsa_status": "Exempt",
    } | more  # fmt: skip


ADA, BO, CY = hire("Ada"), hire("Bo"), hire("Cy")


@pytest.fixture(scope="module")
def shared(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Pipeline]:
    home = tmp_path_factory.mktemp("home")
    with connected(home, employees=5, jobs=True, rate_limit=100_000) as pipeline:
        yield pipeline


@pytest.fixture
def pipeline(shared: Pipeline, tmp_path: Path) -> Iterator[Pipeline]:
    """With a folder of new hires of its own, and nobody created yet."""
    shared.sandbox.advance(61)
    before = shared.settings
    own = before.onboarding.model_copy(update={"folder": tmp_path / "new-hires"})
    shared.settings = before.model_copy(update={"onboarding": own})
    shared.settings.onboarding.folder.mkdir()
    yield shared
    shared.settings = before
    shutil.rmtree(before.home / "onboarding", ignore_errors=True)
    shared.sandbox.clear_faults()
    for row in newcomers(shared):
        del shared.sandbox.world.companies[0].employees[row["uuid"]]


def newcomers(pipeline: Pipeline) -> list[Record]:
    return [row for row in pipeline.sandbox.world.companies[0].employees.values() if row["last_name"] == FAMILY]


def put(pipeline: Pipeline, *rows: dict[str, str], name: str = "hires.json") -> Path:
    file = pipeline.settings.onboarding.folder / name
    file.write_text(json.dumps(rows), encoding="utf-8")
    return file


def run(pipeline: Pipeline, file: Path, **options: Any) -> Processed:
    return process(pipeline.settings, pipeline.company, file, pipeline.client, **options)


def outcomes(done: Processed) -> list[str]:
    return [str(result.outcome) for result in done.results]


def files(pipeline: Pipeline) -> set[str]:
    folder = pipeline.settings.onboarding.folder
    return {str(file.relative_to(folder)) for file in folder.rglob("*") if file.is_file()}


def held(pipeline: Pipeline) -> str:
    """All that is kept about people between runs."""
    return "".join(file.read_text() for file in (pipeline.settings.home / "onboarding").rglob("*.json"))


def result_rows(done: Processed) -> list[dict[str, str]]:
    with done.result_file.open(encoding="utf-8", newline="") as file:
        return list(csv.DictReader(file))


# -- all is well --------------------------------------------------------------------------------------------------


def test_everybody_is_created_with_all_parts_and_the_result_is_beside_the_file(pipeline):
    place = next(iter(pipeline.sandbox.world.companies[0].locations.values()))
    done = run(pipeline, put(pipeline, ADA | {"work_location": place["street_1"]}, BO))
    ada, bo = newcomers(pipeline)
    [job] = ada["jobs"]
    [pay] = job["compensations"]
    assert (pay["title"], job["hire_date"], pay["rate"], pay["payment_unit"]) == (
        "Taster", "2027-01-04", "91357.00", "Year"
    )  # fmt: skip
    assert ada["home_addresses"][0]["street_1"] == "1 Leaf St"
    assert ada["work_addresses"][0]["location_uuid"] == place["uuid"]
    assert files(pipeline) == {"done/hires.json", "done/hires.json.result.csv"}
    assert result_rows(done) == [
        {"row": str(number), "email": row["email"], "status": "created", "employee_uuid": row["uuid"], "warnings": "",
         "what_to_do": ""}
        for number, row in enumerate((ada, bo), 1)
    ]  # fmt: skip


def test_nothing_about_somebody_who_is_created_is_kept_but_their_uuid(pipeline):
    run(pipeline, put(pipeline, ADA))
    kept = held(pipeline)
    assert newcomers(pipeline)[0]["uuid"] in kept
    assert not [value for value in ADA.values() if value in kept and value not in ("CA",)]


def test_the_same_file_again_creates_nobody_and_says_the_same(pipeline):
    first = run(pipeline, put(pipeline, ADA, BO))
    sent = len(pipeline.sandbox.requests)
    assert run(pipeline, first.file).results == first.results
    assert not [row for row in pipeline.sandbox.requests[sent:] if row.method != "GET"]
    assert files(pipeline) == {"done/hires.json", "done/hires.json.result.csv"}


def test_a_longer_file_creates_who_is_new_and_both_files_are_kept(pipeline):
    first = run(pipeline, put(pipeline, ADA))
    done = run(pipeline, put(pipeline, ADA, BO))
    assert outcomes(done) == ["already there", "created"]
    assert "were created on" in result_rows(done)[0]["warnings"]
    assert len(newcomers(pipeline)) == 2
    assert done.file.name == f"hires.{sha256_of(done.file)[:8]}.json"
    assert result_rows(first)[0]["status"] == "created"


def test_a_row_that_says_something_else_of_somebody_who_was_created_changes_nothing(pipeline):
    run(pipeline, put(pipeline, ADA))
    done = run(pipeline, put(pipeline, ADA | {"rate": "99999.00"}))
    assert outcomes(done) == ["already there"]
    assert "This row says something else now." in result_rows(done)[0]["warnings"]
    assert newcomers(pipeline)[0]["jobs"][0]["compensations"][0]["rate"] == "91357.00"


def test_somebody_with_this_address_in_gusto_is_not_created_again(pipeline):
    there = next(row for row in pipeline.sandbox.world.companies[0].employees.values() if row["email"])
    done = run(pipeline, put(pipeline, ADA | {"email": there["email"].upper()}))
    assert (outcomes(done), done.results[0].employee_uuid) == (["already there"], there["uuid"])
    assert newcomers(pipeline) == []
    assert not done.created


def test_somebody_who_was_created_is_not_created_again_after_their_address_was_changed_in_gusto(pipeline):
    file = run(pipeline, put(pipeline, ADA)).file
    newcomers(pipeline)[0]["email"] = "other@example.com"
    assert outcomes(run(pipeline, file)) == ["created"]
    assert outcomes(run(pipeline, put(pipeline, ADA, BO))) == ["already there", "created"]
    assert len(newcomers(pipeline)) == 2


def test_a_file_of_another_place_stays_there(pipeline, tmp_path):
    file = put(pipeline, ADA).rename(tmp_path / "mine.json")
    done = run(pipeline, file)
    assert (done.file, done.result_file) == (file, tmp_path / "mine.json.result.csv")
    assert outcomes(done) == ["created"]


def test_whoever_may_read_a_file_may_read_what_came_of_it(pipeline):
    folder = pipeline.settings.onboarding.folder
    folder.chmod(0o2770)
    file = put(pipeline, ADA)
    file.chmod(0o640)
    done = run(pipeline, file)
    assert [stat.S_IMODE(path.stat().st_mode) for path in (folder / "done", done.file, done.result_file)] == [
        0o2770, 0o640, 0o640
    ]  # fmt: skip


def test_a_result_runs_no_formula(pipeline):
    done = run(pipeline, put(pipeline, ADA | {"email": "=1+1@example.com"}))
    assert result_rows(done)[0]["email"] == "'=1+1@example.com"


def test_bulk_work_reports_each_row_as_it_ends(pipeline):
    told: list[tuple[int, int]] = []
    run(pipeline, put(pipeline, ADA, BO), on_result=lambda result, of: told.append((result.row, of)))
    assert told == [(1, 2), (2, 2)]


# -- the file is wrong --------------------------------------------------------------------------------------------


def test_a_wrong_file_is_set_aside_with_the_reasons_and_nothing_is_asked_or_done(pipeline):
    sent = len(pipeline.sandbox.requests)
    with pytest.raises(HiresError) as refused:
        run(pipeline, put(pipeline, ADA, BO | {"start_date": "soon"}))
    assert files(pipeline) == {"set-aside/hires.json", "set-aside/hires.json.why.txt"}
    why = (pipeline.settings.onboarding.folder / "set-aside" / "hires.json.why.txt").read_text()
    assert why.startswith("hires.json: row 2, start_date: must be a date like 2027-01-04\nNobody was created.")
    assert "reasons beside it" in str(refused.value)
    assert len(pipeline.sandbox.requests) == sent


def test_a_location_that_the_company_does_not_have_is_said_before_anybody_is_created(pipeline):
    rows = [ADA, BO | {"work_location": "Atlantis078051120"}]
    with pytest.raises(HiresError, match="row 2, work_location: is not one of the company's locations") as refused:
        run(pipeline, put(pipeline, *rows))
    place = next(iter(pipeline.sandbox.world.companies[0].locations.values()))
    assert place["street_1"] in str(refused.value)
    assert "Atlantis" not in str(refused.value)
    assert newcomers(pipeline) == []


def test_a_file_that_was_corrected_and_put_back_leaves_nothing_behind_where_it_was_set_aside(pipeline):
    with pytest.raises(HiresError):
        run(pipeline, put(pipeline, ADA | {"start_date": "soon"}))
    aside = pipeline.settings.onboarding.folder / "set-aside" / "hires.json"
    aside.write_text(json.dumps([ADA]))
    run(pipeline, aside)
    assert files(pipeline) == {"done/hires.json", "done/hires.json.result.csv"}


def test_checking_does_nothing(pipeline):
    there = next(row for row in pipeline.sandbox.world.companies[0].employees.values() if row["email"])
    file = put(pipeline, ADA, BO | {"email": there["email"]})
    found = check_file(pipeline.settings, pipeline.company, file, pipeline.client)
    assert [(one.outcome, one.employee_uuid) for one in found] == [
        (Outcome.WAITING, ""), (Outcome.ALREADY, there["uuid"])
    ]  # fmt: skip
    assert files(pipeline) == {"hires.json"}
    assert newcomers(pipeline) == []


# -- Gusto refuses, or is in trouble ------------------------------------------------------------------------------


def test_what_gusto_refuses_is_set_aside_with_what_to_do_and_done_once_it_is_corrected(pipeline):
    pipeline.sandbox.fault("status=422:once:/home_addresses")
    done = run(pipeline, put(pipeline, ADA, BO))
    assert outcomes(done) == ["partial", "created"]
    assert files(pipeline) == {f"set-aside/hires.json{end}" for end in ("", ".result.csv", ".why.txt")}
    row = result_rows(done)[0]
    assert "home_address: Gusto refuses" in row["warnings"]
    assert "only what is left is done" in row["what_to_do"]
    [left] = done.unfinished
    assert left.brief[0].startswith("home_address: InvalidRequestError (request ")
    done.file.write_text(json.dumps([ADA | {"home_street_1": "2 Leaf St"}, BO]))
    assert outcomes(run(pipeline, done.file)) == ["created", "already there"]
    assert files(pipeline) == {"done/hires.json", "done/hires.json.result.csv"}
    assert [len(row["home_addresses"]) for row in newcomers(pipeline)] == [1, 1]
    assert newcomers(pipeline)[0]["home_addresses"][0]["street_1"] == "2 Leaf St"


def test_what_was_left_to_do_and_is_taken_out_of_the_file_is_no_longer_to_do(pipeline):
    pipeline.sandbox.fault("status=422:/home_addresses")
    done = run(pipeline, put(pipeline, ADA))
    done.file.write_text(json.dumps([{name: value for name, value in ADA.items() if not name.startswith("home")}]))
    assert outcomes(run(pipeline, done.file)) == ["created"]


def employees_of(pipeline: Pipeline) -> str:
    """What the path of the list of employees contains, which is where they are created too."""
    return f"/{pipeline.company.uuid}/employees"


CREATING = "every=3:times=1"  # the file's look at who is there, then the creation's, then the creation


def test_somebody_whom_gusto_refused_is_created_once_the_row_is_right(pipeline):
    pipeline.sandbox.fault(f"status=422:{CREATING}:{employees_of(pipeline)}")
    done = run(pipeline, put(pipeline, ADA))
    assert (outcomes(done), done.created, newcomers(pipeline)) == (["failed"], False, [])
    assert "set-aside/hires.json" in files(pipeline)
    done.file.write_text(json.dumps([ADA | {"middle_initial": "Q"}]))
    assert outcomes(run(pipeline, done.file)) == ["created"]
    assert [row["middle_initial"] for row in newcomers(pipeline)] == ["Q"]


def test_a_creation_whose_answer_is_lost_is_found_and_not_repeated(pipeline):
    pipeline.sandbox.fault(f"drop-write:once:{employees_of(pipeline)}")
    assert outcomes(run(pipeline, put(pipeline, ADA))) == ["created"]
    assert len(newcomers(pipeline)) == 1


def test_while_gusto_is_in_trouble_a_file_stays_and_is_finished_later(pipeline):
    pipeline.sandbox.fault("5xx:/home_addresses")
    done = run(pipeline, put(pipeline, ADA))
    assert (outcomes(done), done.results[0].passing) == (["partial"], True)
    assert files(pipeline) == {"hires.json", "hires.json.result.csv"}
    pipeline.sandbox.clear_faults()
    assert outcomes(run(pipeline, done.file)) == ["created"]
    assert files(pipeline) == {"done/hires.json", "done/hires.json.result.csv"}
    assert len(newcomers(pipeline)) == 1


def test_a_connection_that_ends_in_the_middle_ends_the_run_and_the_next_goes_on(pipeline):
    told: list[str] = []

    def stop(result: Any, of: int) -> None:
        told.append(result.email)
        pipeline.sandbox.fault("missing-scope=employees:manage")

    file = put(pipeline, ADA, BO)
    with pytest.raises(GustoError):
        run(pipeline, file, on_result=stop)
    assert told == [ADA["email"]]
    assert files(pipeline) == {"hires.json"}
    pipeline.sandbox.clear_faults()
    assert outcomes(run(pipeline, file)) == ["created", "created"]
    assert len(newcomers(pipeline)) == 2


def test_what_is_known_of_somebody_and_is_damaged_is_said_and_stops_nobody_else(pipeline):
    run(pipeline, put(pipeline, ADA))
    [entry] = (pipeline.settings.home / "onboarding").rglob("*.json")
    entry.write_text("{")
    done = run(pipeline, put(pipeline, ADA, BO))
    assert outcomes(done) == ["failed", "created"]
    assert f"{entry}, which says how far they have come, is damaged" in done.results[0].warnings[0]


def test_two_who_process_the_same_file_at_once_create_everybody_once(pipeline):
    file = put(pipeline, ADA, BO)
    started = threading.Barrier(2)

    def one(_: int) -> list[str]:
        started.wait()
        try:
            return outcomes(run(pipeline, file))
        except FileNotFoundError:  # the other has moved it
            return []

    with ThreadPoolExecutor(2) as pool:
        ended = list(pool.map(one, range(2)))
    assert ["created", "created"] in ended
    assert len(newcomers(pipeline)) == 2


# -- the process is killed ----------------------------------------------------------------------------------------

# Processes a file and kills itself right before the n-th request that changes something is sent, or right after it
# was answered; says how many there were.
KILLED = """
import os, signal, sys
from pathlib import Path
import httpx
from gusto_pipeline.config import load_settings
from gusto_pipeline.gusto.client import GustoClient
from gusto_pipeline.onboarding import process
from gusto_pipeline.sync import Bearer, Company

base_url, token, slug, uuid, file, moment, fatal = sys.argv[1:]
count = 0

class Transport(httpx.HTTPTransport):
    def handle_request(self, request):
        global count
        writes = request.method != "GET"
        count += writes
        if writes and moment == "before" and count == int(fatal):
            os.kill(os.getpid(), signal.SIGKILL)
        response = super().handle_request(request)
        response.read()
        if writes and moment == "after" and count == int(fatal):
            os.kill(os.getpid(), signal.SIGKILL)
        return response

def connect():
    return GustoClient(base_url, Bearer(token), state_folder=Path("state").absolute(), transport=Transport())

process(load_settings(), Company(slug, uuid, slug), Path(file), connect)
print(count)
"""


def killed(pipeline: Pipeline, tmp_path: Path, file: Path, moment: str, fatal: int) -> subprocess.CompletedProcess[str]:
    (tmp_path / "pipeline.yaml").write_text(f"home: {pipeline.settings.home}\n")
    token = pipeline.sandbox.new_grant()["access_token"]
    company = pipeline.company
    arguments = [pipeline.sandbox.base_url, token, company.slug, company.uuid, str(file), moment, str(fatal)]
    environment = {name: value for name, value in os.environ.items() if name != "GUSTO_PIPELINE_HOME"}
    return subprocess.run(
        [sys.executable, "-c", KILLED, *arguments],
        cwd=tmp_path, env=environment, capture_output=True, text=True, check=False,
    )  # fmt: skip


# Ada and Bo take four writes each: employee, home address, job, compensation.
@pytest.mark.parametrize(("moment", "fatal"), [("after", 1), ("after", 3), ("before", 5), ("after", 5), ("after", 8)])
def test_a_kill_anywhere_and_the_same_file_again_create_everybody_once_and_whole(pipeline, tmp_path, moment, fatal):
    file = put(pipeline, ADA, BO)
    first = killed(pipeline, tmp_path, file, moment, fatal)
    assert first.returncode == -signal.SIGKILL, first.stderr
    assert files(pipeline) == {"hires.json"}
    done = run(pipeline, file)
    assert outcomes(done) == ["created", "created"]
    assert [row["first_name"] for row in newcomers(pipeline)] == ["Ada", "Bo"]
    for row in newcomers(pipeline):
        assert len(row["home_addresses"]) == len(row["jobs"]) == 1
        assert [pay["rate"] for pay in row["jobs"][0]["compensations"]] == ["91357.00"]


# -- the folder ---------------------------------------------------------------------------------------------------


def later(seconds: float = 61) -> datetime:
    return datetime.now(UTC) + timedelta(seconds=seconds)


def test_a_file_waits_once_it_has_not_changed_for_a_minute(pipeline):
    file = put(pipeline, ADA)
    assert waiting_files(pipeline.settings, later(0)) == []
    [found] = waiting_files(pipeline.settings, later())
    assert (found.name, found.digest) == ("hires.json", sha256_of(file))


@pytest.mark.parametrize(
    "name",
    [".hires.csv", "~$hires.xlsx", "hires.csv.part", "hires.csv.tmp", "hires.csv~", "hires.csv.crdownload",
     "hires.csv.result.csv", "hires.csv.why.txt"],
)  # fmt: skip
def test_what_is_being_written_and_our_own_files_are_left_alone(pipeline, name):
    put(pipeline, ADA, name=name)
    assert waiting_files(pipeline.settings, later()) == []


def test_what_was_moved_away_does_not_wait(pipeline):
    run(pipeline, put(pipeline, ADA))
    assert waiting_files(pipeline.settings, later()) == []


def test_a_file_of_an_unknown_kind_waits_too_so_that_somebody_is_told(pipeline):
    put(pipeline, ADA, name="hires.docx")
    assert [file.name for file in waiting_files(pipeline.settings, later())] == ["hires.docx"]


def test_a_file_is_asked_for_once_an_hour_once_more_when_it_changes_and_once_more_when_it_is_put_back(pipeline):
    file = put(pipeline, ADA)

    def key(seconds: float) -> str:
        [found] = waiting_files(pipeline.settings, later(seconds))
        return found.key

    assert key(61) == key(3500)
    assert len({key(61), key(3700), key(7300)}) == 3
    before = key(61)
    file.rename(file.with_suffix(".away")).rename(file)
    assert key(61) != before
    before = key(61)
    put(pipeline, BO)
    assert key(61).partition("-")[0] != before.partition("-")[0]


def test_without_a_folder_nothing_waits(pipeline):
    pipeline.settings.onboarding.folder.rmdir()
    assert waiting_files(pipeline.settings, later()) == []


def test_a_file_is_found_by_its_content_wherever_it_has_moved(pipeline):
    content = [sha256_of(put(pipeline, row)) for row in (ADA, BO)]
    for row in (ADA, BO):
        run(pipeline, put(pipeline, row))
    found = [find_file(pipeline.settings, "hires.json", digest) for digest in content]
    assert [sha256_of(file) for file in found] == content
    assert find_file(pipeline.settings, "hires.json") == pipeline.settings.onboarding.folder / "done" / "hires.json"
    with pytest.raises(HiresError, match="is not there with the content it had"):
        find_file(pipeline.settings, "hires.json", "0" * 64)
