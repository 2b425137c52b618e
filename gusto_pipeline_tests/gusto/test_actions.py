"""Writing to Gusto: nobody is created twice, nothing of others' is overwritten, and what was not done is said."""

from __future__ import annotations

import json
import subprocess
import sys
import threading
from collections.abc import Callable, Iterator
from concurrent.futures import ThreadPoolExecutor
from typing import Any

import httpx
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from gusto_pipeline.connections.store import ConnectionStore
from gusto_pipeline.gusto import actions
from gusto_pipeline.gusto.actions import Created, Status
from gusto_pipeline.gusto.auth import GustoAuth, OAuthApp
from gusto_pipeline.gusto.client import Answer, GustoClient
from gusto_pipeline.gusto.errors import (
    ClientCredentialsError,
    MissingScopeError,
    NotFoundError,
    NotSentError,
    ServerError,
    UnreachableError,
)
from gusto_pipeline.sandbox.gusto.oauth import SCOPES
from gusto_pipeline.sandbox.gusto.world import Company, Record
from gusto_pipeline.sandbox.server import GustoSandbox, running
from gusto_pipeline.sync import Bearer

EMAIL = "ada.new@example.com"
EMPLOYEE = {"first_name": "Ada", "last_name": "New", "email": EMAIL, "date_of_birth": "1990-12-10", "ssn": "078051120"}
HOME = {"street_1": "1 Leaf Street", "city": "Oakland", "state": "CA", "zip": "94607"}
JOB = {"title": "Taster", "hire_date": "2027-01-04"}
PAY = {"rate": "61000.00", "payment_unit": "Year", "flsa_status": "Exempt"}


class Client(GustoClient):
    """A client that does something `meanwhile` before its first PUT."""

    meanwhile: Callable[[], Any] | None = None

    def request(self, method: str, path: str, **options: Any) -> Answer:
        if method == "PUT" and self.meanwhile:
            meanwhile, self.meanwhile = self.meanwhile, None
            meanwhile()
        return super().request(method, path, **options)


@pytest.fixture(scope="module")
def sandbox() -> Iterator[GustoSandbox]:
    with running(employees=25, jobs=True, rate_limit=1_000_000) as sandbox:
        yield sandbox


@pytest.fixture(autouse=True)
def clean(sandbox: GustoSandbox) -> Iterator[None]:
    """Every test starts and ends without the new employee and without faults."""
    yield
    sandbox.clear_faults()
    for row in newcomers(sandbox):
        del sandbox.world.companies[0].employees[row["uuid"]]


def connect(sandbox: GustoSandbox, scopes: list[str] | None = None, **options: Any) -> Client:
    token = sandbox.new_grant(scopes=scopes)["access_token"]
    return Client(sandbox.base_url, Bearer(token), per_minute=1_000_000, sleep=lambda _: None, **options)


@pytest.fixture
def client(sandbox: GustoSandbox) -> Iterator[Client]:
    with connect(sandbox) as client:
        yield client


@pytest.fixture
def company(sandbox: GustoSandbox) -> Company:
    return sandbox.world.companies[0]


@pytest.fixture
def place(company: Company) -> Record:
    return next(row for row in company.locations.values() if row["active"])


@pytest.fixture
def somebody(company: Company) -> Record:
    """Someone who works here, at home in one place, in one job whose pay was not settled yet."""
    rows = [row for row in company.employees.values() if len(row["jobs"]) == 1 and len(row["home_addresses"]) == 1]
    return rows[1]


def newcomers(sandbox: GustoSandbox) -> list[Record]:
    return [row for row in sandbox.world.companies[0].employees.values() if row["last_name"] == "New"]


def everything(place: Record) -> dict[str, Any]:
    return {"home_address": HOME, "work_address": {"location": place["street_1"]}, "job": JOB, "compensation": PAY}


def complete(row: Record, place: Record) -> bool:
    """Whether somebody has each of the parts, once."""
    [home], [work], [job] = row["home_addresses"], row["work_addresses"], row["jobs"]
    [pay] = job["compensations"]
    return (
        {**home, **HOME} == home
        and work["location_uuid"] == place["uuid"]
        and (job["hire_date"], pay["title"]) == (JOB["hire_date"], JOB["title"])
        and {**pay, **PAY} == pay
    )


# -- looking ------------------------------------------------------------------------------------------------------


def test_all_employees_are_listed_or_one_page_of_them(client, company):
    everyone = actions.list_employees(client)
    assert [row["uuid"] for row in everyone.rows] == list(company.employees)
    page = actions.list_employees(client, page=2, per=10)
    assert (page.rows, page.page, page.total) == (everyone.rows[10:20], 2, 25)


def test_employees_are_searched_and_filtered(client, company, somebody):
    found = actions.list_employees(client, search=f"{somebody['first_name']} {somebody['last_name']}")
    assert somebody["uuid"] in [row["uuid"] for row in found.rows]
    gone = actions.list_employees(client, terminated=True)
    assert gone.rows
    assert all(row["terminated"] for row in gone.rows)


def test_employees_are_filtered_by_the_name_of_a_location(client, place):
    assert actions.list_employees(client, location=place["street_1"]) == actions.list_employees(
        client, location=place["uuid"]
    )


def test_a_filter_that_gusto_does_not_have_is_refused(client):
    with pytest.raises(NotSentError, match="did you mean terminated"):
        actions.list_employees(client, terminatd=True)


def test_an_employee_comes_with_home_address_and_all_compensations(client, company):
    row = max(
        company.employees.values(), key=lambda row: sum(len(job["compensations"]) for job in row["jobs"])
    )  # the longest history of pay
    person = actions.get_employee(client, row["uuid"])
    assert {pay["uuid"] for pay in person.compensations} == {
        pay["uuid"] for job in row["jobs"] for pay in job["compensations"]
    }
    assert len(person.compensations) > 1
    assert person.home_address
    assert person.home_address["street_1"] in {home["street_1"] for home in row["home_addresses"]}


def test_an_unknown_employee_is_not_found(client):
    with pytest.raises(NotFoundError, match="no permission"):
        actions.get_employee(client, "00000000-0000-4000-8000-000000000000")


def test_time_off_has_activities_by_type_balances_and_requests(client, company):
    row = next(row for row in company.time_off_requests if company.employees[row["employee_uuid"]]["balances"])
    found = actions.time_off(client, row["employee_uuid"])
    assert found.status == Status.DONE
    assert {each["time_off_type"] for each in found.activities["vacation"]} <= {"vacation"}
    assert len(found.balances) == len(company.employees[row["employee_uuid"]]["balances"])
    mine = {each["uuid"] for each in company.time_off_requests if each["employee_uuid"] == row["employee_uuid"]}
    assert {each["uuid"] for each in found.requests} == mine


def test_time_off_says_what_could_not_be_read(client, sandbox, somebody):
    sandbox.fault("5xx:/time_off_requests")
    found = actions.time_off(client, somebody["uuid"])
    assert found.status == Status.PARTIAL
    assert [warned.part for warned in found.warnings] == ["requests"]


def test_time_off_that_cannot_be_read_at_all_is_an_error(client, sandbox, somebody):
    sandbox.fault("5xx:/time_off_", f"5xx:/employees/{somebody['uuid']}")
    with pytest.raises(ServerError):
        actions.time_off(client, somebody["uuid"])


def test_the_company_and_its_locations_are_those_of_the_token(client, company):
    assert [row["uuid"] for row in actions.company(client).rows] == [company.uuid]
    assert {row["uuid"] for row in actions.locations(client).rows} == set(company.locations)


@pytest.mark.parametrize("name", ["street_1", "city", "uuid"])
def test_a_location_goes_by_street_city_or_uuid(name):
    rows = [
        {"uuid": "1", "street_1": "1 A St", "city": "Reno", "active": True},
        {"uuid": "2", "street_1": "2 B St", "city": "Elko", "active": True},
    ]
    assert actions.find_location(rows, rows[1][name]) == "2"
    assert actions.find_location(rows, "2 b st, elko") == "2"


def test_a_location_that_is_none_or_several_is_not_guessed():
    rows = [{"uuid": str(number), "street_1": f"{number} A St", "city": "Reno"} for number in (1, 2)]
    with pytest.raises(NotSentError, match="several locations are called 'reno'"):
        actions.find_location(rows, "reno")
    with pytest.raises(NotSentError, match="no location is called 'Elko'"):
        actions.find_location(rows, "Elko")


# -- permissions and environments ---------------------------------------------------------------------------------


def act(name: str, client: GustoClient, company: Company) -> Any:
    uuid, place = list(company.employees)[1], next(iter(company.locations.values()))
    match name:
        case "get_employee" | "time_off":
            return getattr(actions, name)(client, uuid)
        case "create_employee":
            return actions.create_employee(client, EMPLOYEE, **everything(place))
        case "update_employee":
            return actions.update_employee(client, uuid, {"first_name": "A"}, **everything(place))
    return getattr(actions, name)(client)


def needed(name: str) -> set[str]:
    also = [actions.PART_SCOPES[part] for part in actions.PARTS] if name == "update_employee" else []
    also += [actions.PART_SCOPES[part] for part in actions.PARTS[1:]] if name == "create_employee" else []
    return set(actions.SCOPES[name]).union(*also)


@pytest.mark.parametrize(
    ("name", "scope"), [(name, scope) for name in actions.SCOPES for scope in sorted(needed(name))]
)
def test_an_action_says_which_scope_lacks_before_it_does_anything(sandbox, company, name, scope):
    with connect(sandbox, [each for each in SCOPES if each != scope]) as client:
        before = len(sandbox.requests)
        with pytest.raises(MissingScopeError, match=rf"lacks the scope {scope}, which {name} needs") as refused:
            act(name, client, company)
    assert refused.value.scope == scope
    assert [row.path for row in sandbox.requests[before:]] == ["/v1/token_info"]


@pytest.mark.parametrize("name", actions.SCOPES)
def test_an_action_needs_no_more_than_it_says(sandbox, company, name):
    with connect(sandbox, sorted(needed(name))) as client:
        done = act(name, client, company)
    assert not [warned for warned in done.warnings if "scope" in warned.text]


def test_parts_that_are_not_given_need_no_scope(sandbox):
    with connect(sandbox, ["employees:read", "employees:manage"]) as client:
        assert actions.create_employee(client, EMPLOYEE).status == Status.DONE


def test_a_token_is_good_for_what_it_lacks_nothing_for(sandbox, company):
    with connect(sandbox, ["employees:read", "companies:read"]) as client:
        standing = actions.validate(client, sandbox.base_url)
    assert (standing.company_uuid, standing.owner_type) == (company.uuid, "CompanyAdmin")
    assert standing.lacking["list_employees"] == []
    assert standing.lacking["get_employee"] == ["compensations:read"]
    assert standing.status == Status.PARTIAL


PRODUCTION, DEMO = "https://api.gusto.com", "https://api.gusto-demo.com"


@pytest.mark.parametrize(("made", "asked"), [(DEMO, PRODUCTION), (PRODUCTION, DEMO)])
def test_a_connection_of_the_other_environment_is_told_before_any_request(sandbox, client, made, asked):
    before = len(sandbox.requests)
    standing = actions.validate(client, asked, made)
    assert standing.status == Status.FAILED
    assert f"made with Gusto's {actions.environment(made)}" in str(standing.warnings[0])
    assert f"GUSTO_BASE_URL is {actions.environment(asked)}" in str(standing.warnings[0])
    assert len(sandbox.requests) == before


@pytest.mark.parametrize(("asked", "words"), [(PRODUCTION, "This is production"), (DEMO, "This is the demo")])
def test_credentials_of_the_other_environment_are_told_when_gusto_refuses_them(sandbox, tmp_path, asked, words):
    def as_gusto_does(request: httpx.Request) -> httpx.Response:
        wrong = {"error": "invalid_client"}
        return httpx.Response(401, json=wrong if request.url.path == "/oauth/token" else {})

    store, clock = ConnectionStore(tmp_path), sandbox.world.clock.now
    record = {"access_token": "a", "refresh_token": "b", "expires_at": "2100-01-01T00:00:00+00:00", "base_url": asked}
    store.write("gusto/acme", record)
    auth = GustoAuth(OAuthApp(asked, "id", "secret"), store, "gusto/acme", clock=clock)
    with (
        GustoClient(asked, auth, transport=httpx.MockTransport(as_gusto_does)) as client,
        pytest.raises(ClientCredentialsError, match=words),
    ):
        actions.validate(client, asked, asked)


# -- taking somebody on -------------------------------------------------------------------------------------------


def test_somebody_is_taken_on_with_everything(client, sandbox, place):
    made = actions.create_employee(client, EMPLOYEE, **everything(place))
    [row] = newcomers(sandbox)
    assert (made.status, made.warnings, made.todo) == (Status.DONE, (), {})
    assert made.employee_uuid == row["uuid"]
    assert made.done == actions.PARTS
    assert row["has_ssn"]
    assert complete(row, place)


# Where a fault strikes one step's write and nothing else.
STEPS = {
    "employee": ":every=2:times=1:/{company}/employees",  # the first request there looks who is there already
    "home_address": ":once:/home_addresses",
    "work_address": ":once:/work_addresses",
    "job": ":once:/jobs",
    "compensation": ":once:/v1/compensations/",
}


@pytest.mark.parametrize("fault", ["5xx=502", "status=422", "status=409"])
@pytest.mark.parametrize("step", actions.PARTS)
def test_a_step_that_fails_is_told_and_resumed(client, sandbox, company, place, step, fault):
    sandbox.fault(fault + STEPS[step].format(company=company.uuid))
    made = actions.create_employee(client, EMPLOYEE, **everything(place))
    left = {"employee": list(actions.PARTS), "job": ["job", "compensation"]}.get(step, [step])
    assert made.status == (Status.FAILED if step == "employee" else Status.PARTIAL)
    assert list(made.todo) == left
    assert [warned.part for warned in made.warnings] == (left if step == "job" else [step])
    assert len(newcomers(sandbox)) == (step != "employee")
    with connect(sandbox) as another:
        resumed = actions.resume(another, Created.from_json(made.to_json()), ssn="078051120")
    [row] = newcomers(sandbox)
    assert (resumed.status, resumed.todo, resumed.warnings) == (Status.DONE, {}, ())
    assert resumed.employee_uuid == row["uuid"]
    assert row["has_ssn"]
    assert complete(row, place)


@pytest.mark.parametrize("fault", ["drop", "truncate"])
@pytest.mark.parametrize("step", actions.PARTS)
def test_a_step_whose_answer_is_lost_is_looked_up(client, sandbox, company, place, step, fault):
    sandbox.fault(fault + STEPS[step].format(company=company.uuid))
    made = actions.create_employee(client, EMPLOYEE, **everything(place))
    [row] = newcomers(sandbox)
    assert (made.status, made.employee_uuid, made.job_uuid) == (Status.DONE, row["uuid"], row["jobs"][0]["uuid"])
    assert complete(row, place)


@pytest.mark.parametrize("contact", [{"email": EMAIL}, {"work_email": EMAIL}, {}])
def test_what_could_not_be_looked_up_is_found_when_resumed(client, sandbox, company, place, contact):
    """The answer is lost, and Gusto is down when it is looked up; without an e-mail address, the name has to do."""
    person = {name: value for name, value in EMPLOYEE.items() if name != "email"} | contact
    there = f"times=1:/{company.uuid}/employees"
    sandbox.fault(f"drop:every=2:{there}", f"5xx:every=3:{there}")
    with connect(sandbox, retries=0) as impatient:
        made = actions.create_employee(impatient, person, **everything(place))
    assert (made.status, len(newcomers(sandbox))) == (Status.FAILED, 1)
    assert "Whether it was carried out is not known" in str(made.warnings[0])
    resumed = actions.resume(client, Created.from_json(made.to_json()))
    [row] = newcomers(sandbox)
    assert resumed.status == Status.DONE
    assert complete(row, place)


def test_a_creation_that_gusto_carries_out_late_is_found_when_resumed(client, sandbox, place):
    """It was not there yet when it was looked for."""
    real, late = client.request, []

    def slow(method: str, path: str, **options: Any) -> Answer:
        if method == "POST" and not late:
            late.append((method, path, options))
            raise UnreachableError("127.0.0.1 did not answer in time", path=path)
        return real(method, path, **options)

    client.request = slow
    made = actions.create_employee(client, EMPLOYEE, **everything(place))
    assert (made.status, newcomers(sandbox)) == (Status.FAILED, [])
    [(method, path, options)] = late
    real(method, path, **options)
    assert actions.resume(client, made).status == Status.DONE
    [row] = newcomers(sandbox)
    assert complete(row, place)


@pytest.mark.parametrize("before", [True, False])
@pytest.mark.parametrize("step", range(5))
def test_a_process_that_is_killed_at_any_step_leaves_what_to_resume(client, sandbox, place, tmp_path, step, before):
    """Before a write is sent, and after it was carried out but nothing of it was noted."""
    file, real, writes = tmp_path / "unfinished.json", client.request, []

    def killed(method: str, path: str, **options: Any) -> Answer:
        writes.extend([path] if method != "GET" else [])
        dies = method != "GET" and len(writes) == step + 1
        if dies and before:
            raise KeyboardInterrupt
        answer = real(method, path, **options)
        if dies:
            raise KeyboardInterrupt
        return answer

    client.request = killed
    with pytest.raises(KeyboardInterrupt):
        actions.create_employee(client, EMPLOYEE, **everything(place), progress=lambda made: made.keep(file))
    left = Created.from_json(file.read_text())
    with connect(sandbox) as another:
        made = actions.resume(another, left, ssn=EMPLOYEE["ssn"], progress=lambda made: made.keep(file))
    assert made.status == Status.DONE
    assert not file.exists()
    [row] = newcomers(sandbox)
    assert complete(row, place)


def test_a_social_security_number_among_corrections_is_not_kept_either(client, sandbox, company):
    sandbox.fault(f"status=422:every=2:times=2:/{company.uuid}/employees")
    made = actions.create_employee(client, EMPLOYEE)
    again = actions.resume(client, made, corrections={"employee": {"ssn": "219099999"}})
    assert again.status == Status.FAILED
    assert "219099999" not in again.to_json()


def test_what_gusto_refused_is_corrected_when_resumed(client, sandbox, place):
    made = actions.create_employee(client, EMPLOYEE, **{**everything(place), "home_address": {**HOME, "zip": "9"}})
    assert list(made.todo) == ["home_address"]
    resumed = actions.resume(client, made, corrections={"home_address": {"zip": HOME["zip"]}})
    assert resumed.status == Status.DONE
    assert complete(newcomers(sandbox)[0], place)


# Takes somebody on as soon as it is told to; says how that ended.
RACER = """
import json, sys
from pathlib import Path
from gusto_pipeline.gusto import actions
from gusto_pipeline.gusto.client import GustoClient
from gusto_pipeline.gusto.errors import GustoError
from gusto_pipeline.sync import Bearer

base_url, token, folder, employee = sys.argv[1:]
with GustoClient(base_url, Bearer(token), state_folder=Path(folder)) as client:
    print("ready", flush=True)
    sys.stdin.readline()
    try:
        print(actions.create_employee(client, json.loads(employee)).status)
    except GustoError as error:
        print(type(error).__name__)
"""


def test_of_processes_that_take_on_the_same_person_at_the_same_instant_one_does(tmp_path):
    with running(employees=1, latency=0.1) as sandbox:
        token = sandbox.new_grant()["access_token"]
        one, other = EMPLOYEE | {"work_email": "one@example.com"}, EMPLOYEE | {"email": EMAIL.upper()}
        command = [sys.executable, "-c", RACER, sandbox.base_url, token, str(tmp_path)]
        racers = [
            subprocess.Popen([*command, json.dumps(body)], stdin=subprocess.PIPE, stdout=subprocess.PIPE, text=True)
            for body in (one, other)
        ]
        assert [racer.stdout.readline() for racer in racers if racer.stdout] == ["ready\n"] * 2
        for racer in racers:
            assert racer.stdin
            racer.stdin.write("go\n")
            racer.stdin.flush()
        said = [racer.communicate(timeout=30)[0].strip() for racer in racers]
        assert sorted(said) == ["AlreadyEmployedError", "done"]
        assert len(newcomers(sandbox)) == 1


@pytest.mark.parametrize("again", [False, True], ids=["created", "resumed"])
def test_of_threads_that_take_on_the_same_person_at_the_same_instant_one_does(sandbox, again):
    together = threading.Barrier(2, timeout=0.5)

    def meet(made: Created) -> None:
        """Told before the first write: whoever comes here has looked and found nobody."""
        if not made.done:
            try:
                together.wait()
            except threading.BrokenBarrierError:
                return

    def one(client: GustoClient) -> str:
        try:
            if again:
                left = Created(Status.FAILED, sandbox.world.companies[0].uuid, todo={"employee": dict(EMPLOYEE)})
                return str(actions.resume(client, left, progress=meet).status)
            return str(actions.create_employee(client, EMPLOYEE, progress=meet).status)
        except NotSentError as error:
            return type(error).__name__

    with connect(sandbox) as client, connect(sandbox) as other, ThreadPoolExecutor(2) as pool:
        said = list(pool.map(one, [client, other]))
    assert sorted(said) == (["done", "done"] if again else ["AlreadyEmployedError", "done"])
    assert len(newcomers(sandbox)) == 1


def test_an_employee_whom_gusto_refused_is_corrected_when_resumed(client, sandbox, company):
    made = actions.create_employee(client, {**EMPLOYEE, "email": "ada at example.com"})
    assert (made.status, made.warnings[0].kind) == (Status.FAILED, "InvalidRequestError")
    taken = next(row["email"] for row in company.employees.values() if row["email"])
    with pytest.raises(NotSentError, match="an employee with this e-mail address already"):
        actions.resume(client, made, corrections={"employee": {"email": taken}}, ssn=EMPLOYEE["ssn"])
    resumed = actions.resume(client, made, corrections={"employee": {"email": EMAIL}}, ssn=EMPLOYEE["ssn"])
    assert (resumed.status, newcomers(sandbox)[0]["email"]) == (Status.DONE, EMAIL)


def test_a_correction_that_comes_too_late_is_refused(client, sandbox, company, place):
    made = actions.create_employee(client, EMPLOYEE, home_address=HOME)
    with pytest.raises(NotSentError, match="home_address is not left to do"):
        actions.resume(client, made, corrections={"home_address": {"zip": "94608"}})
    sandbox.fault(f"drop:every=2:times=1:/{company.uuid}/employees", f"5xx:every=3:times=1:/{company.uuid}/employees")
    with connect(sandbox, retries=0) as impatient:
        lost = actions.create_employee(impatient, {**EMPLOYEE, "email": "other@example.com"})
    with pytest.raises(NotSentError, match="was created after all"):
        actions.resume(client, lost, corrections={"employee": {"email": "another@example.com"}})
    assert len(newcomers(sandbox)) == 2


def test_resuming_what_is_done_does_nothing(client, sandbox, place):
    made = actions.create_employee(client, EMPLOYEE, **everything(place))
    before = len(sandbox.requests)
    assert actions.resume(client, made) == made
    assert {row.method for row in sandbox.requests[before:]} == {"GET"}


def test_resuming_twice_from_the_same_file_makes_nothing_twice(client, sandbox, place):
    sandbox.fault("5xx:once:/home_addresses")
    made = actions.create_employee(client, EMPLOYEE, **everything(place))
    assert actions.resume(client, made) == actions.resume(client, made)
    assert complete(newcomers(sandbox)[0], place)


def test_a_social_security_number_is_never_kept_and_asked_for_again(client, sandbox, company):
    sandbox.fault(f"5xx:every=2:times=1:/{company.uuid}/employees")
    made = actions.create_employee(client, EMPLOYEE)
    assert EMPLOYEE["ssn"] not in made.to_json()
    again = actions.resume(client, made)
    assert again.status == Status.FAILED
    assert "social security number is not kept" in str(again.warnings[0])
    assert not newcomers(sandbox)
    assert actions.resume(client, again, ssn=EMPLOYEE["ssn"]).status == Status.DONE
    assert newcomers(sandbox)[0]["has_ssn"]


def test_where_jobs_cannot_be_written_the_rest_is_done_and_the_job_waits_for_a_person(client, sandbox, place):
    sandbox.world.jobs_offered = False
    try:
        made = actions.create_employee(client, EMPLOYEE, **everything(place))
        assert list(made.todo) == ["job", "compensation"]
        assert "Gusto lets only some applications write jobs" in str(made.warnings[0])
        assert actions.resume(client, made).status == Status.PARTIAL
    finally:
        sandbox.world.jobs_offered = True
    with httpx.Client(base_url=sandbox.base_url, verify=False) as person:  # enters the job by hand
        headers = {"Authorization": f"Bearer {sandbox.new_grant()['access_token']}"}
        person.post(f"/v1/employees/{made.employee_uuid}/jobs", json=JOB, headers=headers)
    assert actions.resume(client, made).status == Status.DONE
    assert complete(newcomers(sandbox)[0], place)


def test_somebody_with_the_same_address_is_not_created_again(client, sandbox):
    made = actions.create_employee(client, EMPLOYEE)
    with pytest.raises(NotSentError, match=made.employee_uuid or "?"):
        actions.create_employee(client, {**EMPLOYEE, "first_name": "Adah", "email": EMAIL.upper()})
    assert len(newcomers(sandbox)) == 1


def test_a_creation_is_checked_without_writing(client, sandbox, place):
    actions.check_creation(client, EMPLOYEE, home_address=HOME, work_address={"location": place["city"]}, job=JOB)
    assert not newcomers(sandbox)
    with pytest.raises(NotSentError, match="the home address"):
        actions.check_creation(client, EMPLOYEE, home_address={**HOME, "street": "1 Leaf Street"})


def test_a_namesake_is_no_obstacle(client, sandbox):
    nameless = {"first_name": "Ada", "last_name": "New"}
    first, second = actions.create_employee(client, nameless), actions.create_employee(client, nameless)
    assert second.status == Status.DONE
    assert first.employee_uuid != second.employee_uuid


@pytest.mark.parametrize(
    ("parts", "words"),
    [
        ({"employee": {}}, "the employee lacks first_name; the employee lacks last_name"),
        ({"employee": {**EMPLOYEE, "ssn": "123-45-6789"}}, "ssn in the employee must look like"),
        ({"employee": {**EMPLOYEE, "e_mail": "x"}}, "did you mean email?"),
        ({"home_address": {"street1": "1 A"}}, "the home address has no field street1 (did you mean street_1?)"),
        ({"work_address": {"location": "Atlantis"}}, "no location is called 'Atlantis'"),
        ({"job": {"title": "Taster"}, "compensation": PAY}, "the job lacks hire_date"),
        ({"job": JOB, "compensation": {**PAY, "rate": 61000}}, "rate in the compensation must be string"),
        ({"job": JOB, "compensation": {**PAY, "payment_unit": "Day"}}, "must be one of Hour"),
        ({"compensation": PAY}, "a compensation belongs to a job"),
    ],
)
def test_what_does_not_fit_is_refused_before_anything_is_written(client, sandbox, parts, words):
    before = len(sandbox.requests)
    with pytest.raises(NotSentError) as refused:
        actions.create_employee(client, **{"employee": EMPLOYEE, **parts})
    assert words in str(refused.value)
    assert "6789" not in str(refused.value)
    assert not [row for row in sandbox.requests[before:] if row.method != "GET"]


def test_a_result_is_kept_in_a_private_file_until_it_is_done(client, sandbox, tmp_path):
    file = tmp_path / "unfinished" / "one.json"
    sandbox.fault("5xx:once:/home_addresses")
    made = actions.create_employee(client, EMPLOYEE, home_address=HOME)
    assert made.keep(file)
    assert (file.stat().st_mode & 0o777, file.parent.stat().st_mode & 0o777) == (0o600, 0o700)
    kept = Created.from_json(file.read_text())
    assert kept == made
    assert not actions.resume(client, kept).keep(file)
    assert not file.exists()


@pytest.mark.parametrize("text", ["", "[]", "{}", '{"status": "done"}', '{"status": "no"}'])
def test_what_is_no_result_cannot_be_resumed(text):
    with pytest.raises(NotSentError, match="no result of creating an employee"):
        Created.from_json(text)


def test_a_result_of_another_company_is_not_resumed(client):
    with pytest.raises(NotSentError, match="this result is of company other"):
        actions.resume(client, Created(Status.FAILED, "other"))


def test_what_went_wrong_can_be_told_without_saying_anything_of_anybody(client, sandbox):
    sandbox.fault("status=422:once:/home_addresses")
    [warned] = actions.create_employee(client, EMPLOYEE, home_address=HOME).warnings
    assert warned.brief == f"home_address: InvalidRequestError (request {warned.request_id})"


# -- changing what is known ---------------------------------------------------------------------------------------


def test_every_part_can_be_changed_at_once(client, sandbox, company, place):
    uuid = actions.create_employee(client, EMPLOYEE, **everything(place)).employee_uuid or ""
    done = actions.update_employee(
        client,
        uuid,
        {"first_name": "Adah", "ssn": "219099999"},
        home_address={"street_2": "Flat 2"},
        job={"title": "Head taster", "hire_date": "2027-02-01"},
        compensation={"rate": "72000.00"},
    )
    assert (done.status, done.conflicts, done.warnings) == (Status.DONE, (), ())
    assert done.changed == {
        "employee": ["first_name", "ssn"],
        "home_address": ["street_2"],
        "job": ["hire_date"],
        "compensation": ["rate", "title"],
    }
    [row] = newcomers(sandbox)
    [pay] = row["jobs"][0]["compensations"]
    assert (row["first_name"], row["home_addresses"][0]["street_2"]) == ("Adah", "Flat 2")
    assert (row["jobs"][0]["hire_date"], pay["title"], pay["rate"]) == ("2027-02-01", "Head taster", "72000.00")


def test_a_new_date_makes_a_new_address_and_a_new_compensation(client, sandbox, company, place):
    uuid = actions.create_employee(client, EMPLOYEE, **everything(place)).employee_uuid or ""
    other = next(row for row in company.locations.values() if row is not place)
    done = actions.update_employee(
        client,
        uuid,
        home_address={"street_1": "9 Bud Road", "effective_date": "2027-06-01"},
        work_address={"location": other["uuid"], "effective_date": "2027-06-01"},
        compensation={"rate": "80000.00", "effective_date": "2027-06-01"},
    )
    assert done.status == Status.DONE
    [row] = newcomers(sandbox)
    [_, home], [_, work] = row["home_addresses"], row["work_addresses"]
    [_, pay] = row["jobs"][0]["compensations"]
    assert (home["street_1"], home["city"]) == ("9 Bud Road", HOME["city"])
    assert work["location_uuid"] == other["uuid"]
    assert (pay["rate"], pay["payment_unit"], pay["title"]) == ("80000.00", "Year", JOB["title"])


def test_what_is_so_already_is_not_written(client, sandbox, somebody):
    before = len(sandbox.requests)
    done = actions.update_employee(client, somebody["uuid"], {"first_name": somebody["first_name"]})
    assert (done.status, done.changed) == (Status.DONE, {})
    assert {row.method for row in sandbox.requests[before:]} == {"GET"}


def hire(client: GustoClient, place: Record) -> str:
    return actions.create_employee(client, EMPLOYEE, **everything(place)).employee_uuid or ""


def test_an_update_is_planned_without_writing(client, sandbox, somebody):
    changes = {"first_name": somebody["first_name"], "preferred_first_name": "Addie"}
    before = len(sandbox.requests)
    planned, person = actions.planned_update(client, somebody["uuid"], changes, compensation={"rate": "1.00"})
    assert planned == {"employee": ["preferred_first_name"], "compensation": ["rate"]}
    assert person.employee["uuid"] == somebody["uuid"]
    assert {row.method for row in sandbox.requests[before:]} == {"GET"}


def test_two_updates_of_different_fields_both_survive(client, sandbox, place):
    uuid = hire(client, place)
    with connect(sandbox) as other:
        client.meanwhile = lambda: actions.update_employee(other, uuid, {"preferred_first_name": "Addie"})
        mine = actions.update_employee(client, uuid, {"first_name": "Adah"})
    [row] = newcomers(sandbox)
    assert (mine.status, mine.changed, mine.conflicts) == (Status.DONE, {"employee": ["first_name"]}, ())
    assert (row["preferred_first_name"], row["first_name"]) == ("Addie", "Adah")


def test_two_updates_of_one_field_overwrite_nothing_and_show_both_values(client, sandbox, place):
    uuid = hire(client, place)
    with connect(sandbox) as other:
        client.meanwhile = lambda: actions.update_employee(other, uuid, {"first_name": "Addie"})
        mine = actions.update_employee(client, uuid, {"first_name": "Adah", "middle_initial": "K"})
    [row] = newcomers(sandbox)
    assert (mine.status, mine.changed) == (Status.PARTIAL, {"employee": ["middle_initial"]})
    assert mine.conflicts == (actions.Conflict("employee", "first_name", "Ada", "Addie", "Adah"),)
    assert (row["first_name"], row["middle_initial"]) == ("Addie", "K")


def at_the_same_time(sandbox: GustoSandbox, uuid: str, *changes: dict[str, str]) -> list[actions.Updated]:
    """Updates that all have read before any of them writes."""
    together = threading.Barrier(len(changes), timeout=10)

    def update(change: dict[str, str]) -> actions.Updated:
        with connect(sandbox) as client:
            client.meanwhile = together.wait
            return actions.update_employee(client, uuid, change)

    with ThreadPoolExecutor(len(changes)) as pool:
        return list(pool.map(update, changes))


def test_updates_of_different_fields_at_the_same_time_all_survive(client, sandbox, place):
    uuid = hire(client, place)
    done = at_the_same_time(sandbox, uuid, {"first_name": "Adah"}, {"preferred_first_name": "Addie"})
    [row] = newcomers(sandbox)
    assert [each.status for each in done] == [Status.DONE, Status.DONE]
    assert (row["first_name"], row["preferred_first_name"]) == ("Adah", "Addie")


def test_of_updates_of_one_field_at_the_same_time_one_wins_and_the_other_is_told(client, sandbox, place):
    uuid = hire(client, place)
    done = at_the_same_time(sandbox, uuid, {"first_name": "Adah"}, {"first_name": "Addie"})
    [lost] = [each for each in done if each.status != Status.DONE]
    [row] = newcomers(sandbox)
    [conflict] = lost.conflicts
    assert (conflict.base, conflict.theirs) == ("Ada", row["first_name"])
    assert {conflict.theirs, conflict.ours} == {"Adah", "Addie"}


def test_two_updates_to_the_same_value_agree(client, sandbox, place):
    uuid = hire(client, place)
    with connect(sandbox) as other:
        client.meanwhile = lambda: actions.update_employee(other, uuid, {"first_name": "Adah"})
        mine = actions.update_employee(client, uuid, {"first_name": "Adah"})
    assert (mine.status, mine.conflicts) == (Status.DONE, ())
    assert newcomers(sandbox)[0]["first_name"] == "Adah"


@pytest.mark.parametrize(
    ("theirs", "ours", "fields"),
    [
        ({"home_address": {"street_1": "2 B St", "zip": "94608"}}, {"home_address": {"zip": "94609"}},
         ["street_1", "zip"]),
        ({"home_address": {"city": "Reno"}}, {"home_address": {"street_2": "Flat 1"}}, ["city", "street_2"]),
        ({"compensation": {"rate": "30.00", "payment_unit": "Hour"}}, {"compensation": {"rate": "65000.00"}},
         ["payment_unit", "rate"]),
    ],
)  # fmt: skip
def test_what_belongs_together_is_never_mixed(client, sandbox, place, theirs, ours, fields):
    uuid = hire(client, place)
    with connect(sandbox) as other:
        client.meanwhile = lambda: actions.update_employee(other, uuid, **theirs)
        mine = actions.update_employee(client, uuid, **ours)
    assert mine.status == Status.FAILED
    assert [conflict.field for conflict in mine.conflicts] == fields
    [row] = newcomers(sandbox)
    [(part, wanted)] = theirs.items()
    kept = row["home_addresses"][0] if part == "home_address" else row["jobs"][0]["compensations"][0]
    assert {**kept, **wanted} == kept


def test_a_version_that_goes_stale_twice_is_told(client, sandbox, place):
    uuid = hire(client, place)
    sandbox.fault("status=409:times=2:/v1/home_addresses/")
    sandbox.faults.active[0].every = 2  # each GET there comes before a PUT
    done = actions.update_employee(client, uuid, {"first_name": "Adah"}, home_address={"city": "Reno"})
    assert done.status == Status.PARTIAL
    assert [(warned.part, warned.kind) for warned in done.warnings] == [("home_address", "ConflictError")]


@pytest.mark.parametrize("fault", ["drop", "truncate"])
def test_an_update_whose_answer_is_lost_is_looked_up(client, sandbox, place, fault):
    uuid = hire(client, place)
    sandbox.fault(f"{fault}:every=2:times=1:/v1/home_addresses/")
    done = actions.update_employee(client, uuid, home_address={"city": "Reno"})
    assert (done.status, done.changed) == (Status.DONE, {"home_address": ["city"]})
    assert newcomers(sandbox)[0]["home_addresses"][0]["city"] == "Reno"


def test_an_update_that_cannot_be_looked_up_is_told(client, sandbox, place):
    uuid = hire(client, place)
    sandbox.fault("drop:every=2:times=1:/v1/home_addresses/", "5xx:every=3:times=1:/v1/home_addresses/")
    with connect(sandbox, retries=0) as impatient:
        done = actions.update_employee(impatient, uuid, home_address={"city": "Reno"})
    assert done.status == Status.FAILED
    assert "Whether it was carried out is not known" in str(done.warnings[0])


def test_an_update_that_was_not_carried_out_is_told(client, sandbox, place):
    uuid = hire(client, place)
    sandbox.fault("5xx:every=2:times=1:/v1/home_addresses/")
    done = actions.update_employee(client, uuid, home_address={"city": "Reno"})
    assert (done.status, done.warnings[0].kind) == (Status.FAILED, "ServerError")


def test_somebody_without_a_job_has_no_pay_to_change(client, sandbox):
    uuid = actions.create_employee(client, EMPLOYEE).employee_uuid or ""
    done = actions.update_employee(client, uuid, compensation={"rate": "1.00"})
    assert done.status == Status.FAILED
    assert f"employee {uuid} has no job yet" in str(done.warnings[0])


FIELDS = ("first_name", "middle_initial", "preferred_first_name", "two_percent_shareholder")
VALUES = {name: st.sampled_from(["A", "B", "C"]) for name in FIELDS[:3]} | {FIELDS[3]: st.booleans()}
WHOLE = st.fixed_dictionaries(VALUES)


@settings(max_examples=40, deadline=None)
@given(base=WHOLE, theirs=st.fixed_dictionaries({}, optional=VALUES), ours=st.fixed_dictionaries({}, optional=VALUES))
def test_whatever_two_people_change_nothing_of_theirs_is_lost(sandbox, base, theirs, ours):
    row = list(sandbox.world.companies[0].employees.values())[1]
    with connect(sandbox) as client:
        row.update(base)
        seen = actions.get_employee(client, row["uuid"])
        row.update(theirs)
        done = actions.update_employee(client, row["uuid"], ours, base=seen)
    lost = {name for name in FIELDS if name in ours and theirs.get(name, base[name]) not in (base[name], ours[name])}
    assert {conflict.field for conflict in done.conflicts} == lost
    for name in FIELDS:
        left = theirs.get(name, base[name])
        assert row[name] == (ours[name] if name in ours and name not in lost else left)


def test_a_decision_made_on_what_was_seen_before_does_not_overwrite_what_came_since(client, sandbox, place):
    uuid = hire(client, place)
    seen = actions.get_employee(client, uuid)
    actions.update_employee(client, uuid, {"email": "x@example.com"}, home_address={"city": "Reno"})
    parts = {"home_address": {"city": "Elko"}, "compensation": {"rate": "1.00"}, "job": {"hire_date": "2027-03-01"}}
    done = actions.update_employee(client, uuid, {"email": "y@example.com"}, **parts, base=seen)
    assert [(each.part, each.field) for each in done.conflicts] == [("employee", "email"), ("home_address", "city")]
    assert done.changed == {"job": ["hire_date"], "compensation": ["rate"]}
    assert newcomers(sandbox)[0]["home_addresses"][0]["city"] == "Reno"


def test_no_result_shows_a_social_security_number(client, sandbox, place):
    made = actions.create_employee(client, EMPLOYEE, **everything(place))
    done = actions.update_employee(client, made.employee_uuid or "", {"ssn": EMPLOYEE["ssn"]})
    assert done.changed == {"employee": ["ssn"]}
    shown = [made, done, actions.get_employee(client, made.employee_uuid or ""), actions.list_employees(client)]
    assert EMPLOYEE["ssn"] not in json.dumps([str(each) for each in shown])
