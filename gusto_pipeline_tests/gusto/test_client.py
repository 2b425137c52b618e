"""What the client promises: every page once, patience with passing faults, plain words for the others."""

import contextlib
import json
import logging
import multiprocessing
import pickle
import threading
import tracemalloc
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any

import httpx
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from gusto_pipeline.clock import utcnow
from gusto_pipeline.gusto.client import GustoClient, TokenInfo
from gusto_pipeline.gusto.errors import (
    ApiVersionError,
    ConflictError,
    GustoError,
    InvalidRequestError,
    MalformedAnswerError,
    MissingScopeError,
    NotFoundError,
    RateLimitedError,
    ReauthorizeError,
    ServerError,
    UnreachableError,
)
from gusto_pipeline.gusto.rate_window import RateWindow
from gusto_pipeline_tests.gusto.loopback import DROP, FakeTime, Reply, Request, serving

PATH = "/v1/companies/c0ffee/employees"
TOKEN = "token-that-nobody-may-see"


class Bearer(httpx.Auth):
    def auth_flow(self, request):
        request.headers["Authorization"] = f"Bearer {TOKEN}"
        yield request


@contextmanager
def talking(answer: Callable[[Request], Reply], **options: Any) -> Iterator[tuple[GustoClient, FakeTime]]:
    """A client of a server that answers so, and their time."""
    time = FakeTime()
    with (
        serving(answer) as url,
        GustoClient(url, Bearer(), clock=time.clock, sleep=time.sleep, **options) as client,
    ):
        yield client, time


def in_turn(*replies: Reply) -> Callable[[Request], Reply]:
    """Each reply once, the last one for ever."""
    left = list(replies)
    return lambda request: left.pop(0) if len(left) > 1 else left[0]


def people(count: int, clamp: int = 100) -> Callable[[Request], Reply]:
    """A list that pages as Gusto documents it, and clamps `per`."""

    def answer(request: Request) -> Reply:
        per, page = min(int(request.query["per"]), clamp), int(request.query["page"])
        rows = [{"uuid": str(number)} for number in range(count)][(page - 1) * per : page * per]
        return Reply(body=json.dumps(rows).encode(), headers=paging(page, count, -(-count // per), per))

    return answer


def paging(page: int, total: int, pages: int, per: int = 100) -> dict[str, str]:
    return {
        "X-Page": str(page),
        "X-Total-Count": str(total),
        "X-Total-Pages": str(pages),
        "X-Per-Page": str(per),
        "X-Request-Id": f"req-{page}",
    }


def error(status: int, category: str, message: str, key: str = "request", **more: Any) -> Reply:
    row = {"error_key": key, "category": category, "message": message} | more
    return Reply(status, json.dumps({"errors": [row]}).encode(), {"X-Request-Id": "req-9"})


OK = Reply(body=b'[{"uuid":"1"}]')


# What is sent


def test_every_request_names_the_api_version_the_program_and_the_bearer():
    seen: list[Request] = []
    with talking(lambda request: seen.append(request) or OK) as (client, _):
        client.get(PATH)
    headers = seen[0].headers
    assert headers["X-Gusto-API-Version"] == "2026-06-15"
    assert headers["User-Agent"].startswith("gusto-pipeline/")
    assert headers["Authorization"] == f"Bearer {TOKEN}"


def test_lists_go_out_comma_joined_and_none_is_left_out():
    seen: list[Request] = []
    with talking(lambda request: seen.append(request) or OK) as (client, _):
        client.get(PATH, {"include": ["custom_fields", "all_compensations"], "terminated": False, "uuids": None})
    assert seen[0].query == {"include": "custom_fields,all_compensations", "terminated": "false"}


@pytest.mark.parametrize("path", ["v1/me", "/v1/a/../b", "/v1/a//b", "/v1/a?b=c", "/v1/a#b", "/v1/%2e%2e/b", "/v1/a b"])
def test_an_id_that_would_lead_elsewhere_is_refused_before_sending(path):
    with talking(lambda request: OK) as (client, _):
        with pytest.raises(ValueError, match="no API path"):
            client.get(path)
        assert client.requests_sent == 0


def test_a_write_sends_json_and_an_empty_answer_has_no_rows():
    seen: list[Request] = []
    with talking(lambda request: seen.append(request) or Reply(204)) as (client, _):
        answer = client.request("PUT", "/v1/employees/e1", json={"version": "abc"})
    assert (seen[0].method, json.loads(seen[0].body)) == ("PUT", {"version": "abc"})
    assert (answer.rows, answer.body) == (0, b"")


# What comes back


def test_an_answer_is_the_body_as_received_with_where_and_when_it_came_from():
    body = b'[ {"uuid": "1", "rate": "70000.00"} ]'
    headers = {"X-Request-Id": "req-7", "X-Gusto-API-Version": "2026-06-15"}
    with talking(lambda request: Reply(body=body, headers=headers)) as (client, time):
        answer = client.get(PATH)
    assert (answer.body, answer.rows, answer.total, answer.pages) == (body, 1, None, None)
    assert (answer.path, answer.page, answer.request_id) == (PATH, 1, "req-7")
    assert (answer.received_at, answer.api_version) == (time.now, "2026-06-15")


def test_an_object_is_one_row():
    with talking(lambda request: Reply(body=b'{"uuid":"c0ffee","locations":[1,2]}')) as (client, _):
        assert client.get("/v1/companies/c0ffee").rows == 1


def test_token_info_tells_the_company_and_the_scopes():
    info = {
        "scope": "companies:read public",
        "resource": {"type": "Company", "uuid": "c0ffee"},
        "resource_owner": {"type": "CompanyAdmin", "uuid": "a1"},
    }
    with talking(lambda request: Reply(body=json.dumps(info).encode())) as (client, _):
        found = client.token_info()
    assert found == TokenInfo(frozenset({"companies:read", "public"}), "c0ffee", "CompanyAdmin")


def test_a_system_token_belongs_to_no_company():
    info = {"scope": "events:read", "resource": {"type": "Oauth::Application", "uuid": "a"}, "resource_owner": None}
    with talking(lambda request: Reply(body=json.dumps(info).encode())) as (client, _):
        assert client.token_info() == TokenInfo(frozenset({"events:read"}), None, None)


# Pages


@pytest.mark.parametrize(("count", "requests"), [(0, 1), (1, 1), (99, 1), (100, 1), (101, 2), (200, 2), (1234, 13)])
def test_every_row_comes_once_and_in_order_at_the_least_requests(count, requests):
    with talking(people(count), per_minute=1000) as (client, _):
        answers = list(client.pages(PATH))
        assert client.requests_sent == requests
    uuids = [row["uuid"] for answer in answers for row in json.loads(answer.body)]
    assert uuids == [str(number) for number in range(count)]
    assert [answer.page for answer in answers] == list(range(1, requests + 1))
    assert sum(answer.rows for answer in answers) == count


def test_a_server_that_clamps_the_page_size_loses_no_row():
    with talking(people(130, clamp=50)) as (client, _):
        assert [answer.rows for answer in client.pages(PATH, per=100)] == [50, 50, 30]


@settings(max_examples=25, deadline=None)
@given(count=st.integers(0, 60), per=st.integers(1, 20), clamp=st.integers(1, 20))
def test_no_row_is_lost_or_doubled_at_any_size(count, per, clamp):
    answer = people(count, clamp)

    def handler(request: httpx.Request) -> httpx.Response:
        reply = answer(Request("GET", request.url.path, dict(request.url.params), request.headers, b""))
        return httpx.Response(200, content=reply.body, headers=reply.headers)

    with GustoClient("http://gusto", None, per_minute=10_000, transport=httpx.MockTransport(handler)) as client:
        rows = [row["uuid"] for page in client.pages(PATH, per=per) for row in json.loads(page.body)]
    assert rows == [str(number) for number in range(count)]


def test_an_endpoint_that_does_not_page_is_read_once():
    with talking(lambda request: Reply(body=b"[1,2,3]")) as (client, _):
        [answer] = client.pages("/v1/companies/c0ffee/departments")
        assert (answer.rows, answer.total, client.requests_sent) == (3, None, 1)


def test_pages_of_an_object_are_all_read_though_its_rows_are_inside():
    def payroll(request: Request) -> Reply:
        page = int(request.query["page"])
        rows = [{"employee_uuid": str(number)} for number in range(25 if page == 1 else 5)]
        return Reply(body=json.dumps({"employee_compensations": rows}).encode(), headers=paging(page, 30, 2, 25))

    with talking(payroll) as (client, _):
        assert [answer.rows for answer in client.pages("/v1/companies/c0ffee/payrolls/p1")] == [1, 1]


def test_pages_are_asked_for_together_up_to_the_concurrency():
    waiting = threading.Barrier(3)  # breaks unless three are in flight at once
    answer = people(400)

    def together(request: Request) -> Reply:
        if request.query["page"] != "1":
            waiting.wait(5)
        return answer(request)

    with talking(together, concurrency=3) as (client, _):
        assert sum(page.rows for page in client.pages(PATH)) == 400


def test_someone_hired_while_pages_were_read_makes_it_all_be_read_again():
    counts = iter([101, 102, 102, 102])  # by request

    with talking(lambda request: people(next(counts))(request)) as (client, _):
        answers = list(client.pages(PATH))
        assert client.requests_sent == 4
    assert [(answer.page, answer.rows, answer.total) for answer in answers] == [(1, 100, 102), (2, 2, 102)]


def test_totals_that_never_agree_are_an_error_that_names_them_and_nothing_is_handed_out():
    counts = iter(range(150, 200))
    with talking(lambda request: people(next(counts))(request)) as (client, _):
        handed_out = client.pages(PATH)
        with pytest.raises(MalformedAnswerError, match=r"page 1 counts 152 rows in all, page 2 counts 153") as caught:
            next(handed_out)
        assert (caught.value.path, client.requests_sent) == (PATH, 4)


@pytest.mark.parametrize(
    ("reply", "problem"),
    [
        (Reply(body=b"[1,2]", headers=paging(1, 3, 1)), "3 rows were announced on 1 pages, 2 came"),
        (Reply(body=b"[1,2]", headers=paging(1, 2, 9)), "2 rows cannot fill 9 pages"),
        (Reply(body=b"[1]", headers=paging(1, 2, 2, 1)), "page 1 came when page 2 was asked for"),
    ],
    ids=["a row short", "more pages than rows", "always the first page"],
)
def test_pages_that_do_not_add_up_are_an_error(reply, problem):
    with talking(lambda request: reply) as (client, _), pytest.raises(MalformedAnswerError, match=problem):
        list(client.pages(PATH))


def test_a_failing_page_fails_the_whole_list():
    def answer(request: Request) -> Reply:
        return error(404, "not_found", "gone") if request.query["page"] == "7" else people(1000)(request)

    with talking(answer) as (client, _), pytest.raises(NotFoundError):
        next(client.pages(PATH))


def test_memory_holds_only_the_pages_in_flight():
    body = json.dumps([{"uuid": "1", "jobs": [{"rate": "1" * 80}] * 40}] * 100).encode()

    def answer(request: Request) -> Reply:
        return Reply(body=body, headers=paging(int(request.query["page"]), 6000, 60))

    with talking(answer, concurrency=2) as (client, _):
        tracemalloc.start()
        try:
            read = sum(len(page.body) for page in client.pages(PATH))
            peak = tracemalloc.get_traced_memory()[1]
        finally:
            tracemalloc.stop()
    assert read == 60 * len(body)
    assert peak < 20 * len(body)  # a page that is being checked takes five times its size


# Passing faults


@pytest.mark.parametrize(
    "fault",
    [
        Reply(500, b""),
        Reply(502, b"<html>Bad Gateway</html>", {"Content-Type": "text/html"}),
        Reply(503, b""),
        Reply(504, b""),
        Reply(429, b"", {"Retry-After": "1"}),
        Reply(body=DROP),
        Reply(body=b'[{"uuid":"1"'),
        Reply(body=b"<html>maintenance</html>"),
        Reply(body=b""),
        Reply(body=b"[NaN]"),
        Reply(body=b'"text"'),
        Reply(body=b"\xff\xfe["),
    ],
    ids=str,
)
def test_a_passing_fault_costs_a_retry_and_no_row(fault):
    with talking(in_turn(fault, OK)) as (client, time):
        assert client.get(PATH).rows == 1
        assert client.requests_sent == 2
    assert len(time.sleeps) == 1


@pytest.mark.parametrize(
    ("fault", "kind"),
    [
        (Reply(500, b""), ServerError),
        (Reply(503, b"<html>"), ServerError),
        (Reply(body=DROP), UnreachableError),
        (Reply(body=b'[{"uuid":"1"'), MalformedAnswerError),
        (Reply(429, b""), RateLimitedError),
    ],
    ids=str,
)
def test_a_fault_that_stays_is_told_after_the_retries(fault, kind):
    with talking(lambda request: fault, retries=3) as (client, _):
        with pytest.raises(kind) as caught:
            client.get(PATH)
        assert client.requests_sent == 4
    assert caught.value.path == PATH


def test_a_truncated_page_names_path_and_page():
    with (
        talking(lambda request: Reply(body=b"[1,"), retries=0) as (client, _),
        pytest.raises(MalformedAnswerError, match=rf"{PATH}, page 1, is not JSON, or was cut short"),
    ):
        next(client.pages(PATH))


def test_retry_after_is_waited_for_exactly():
    with talking(in_turn(Reply(429, b"", {"Retry-After": "30"}), OK)) as (client, time):
        client.get(PATH)
    assert time.sleeps == [30]


def test_a_retry_after_date_is_waited_for():
    busy = Reply(503, b"", {"Retry-After": "Fri, 20 Nov 2026 12:00:45 GMT"})
    with talking(in_turn(busy, OK)) as (client, time):
        client.get(PATH)
    assert time.sleeps == [45]


def test_without_retry_after_a_429_waits_for_the_reset():
    full = Reply(429, b"", {"X-RateLimit-Reset": "2026-11-20 04:00:20 -0800"})
    with talking(in_turn(full, OK)) as (client, time):
        client.get(PATH)
    assert time.sleeps == [20]


def test_waiting_for_a_place_does_not_use_up_the_retries():
    faults = in_turn(Reply(500, b""), Reply(500, b""), OK)
    with talking(faults, per_minute=1, retry_seconds=5) as (client, time):
        client.get(PATH)
    assert sum(time.sleeps) == pytest.approx(2 * 61)


def test_waiting_grows_between_faults_without_a_hint():
    with talking(lambda request: Reply(500, b"")) as (client, time), pytest.raises(ServerError):
        client.get(PATH)
    assert len(time.sleeps) == 4
    assert 0.5 <= time.sleeps[0] <= 1 <= time.sleeps[1] <= 1.5 <= 2 <= time.sleeps[2] <= 2.5 <= 4 <= time.sleeps[3]


def test_a_wait_longer_than_allowed_is_not_begun():
    busy = Reply(429, b"", {"Retry-After": "100"})
    with talking(lambda request: busy, retry_seconds=90) as (client, time):
        with pytest.raises(RateLimitedError) as caught:
            client.get(PATH)
        assert (client.requests_sent, time.sleeps, caught.value.retry_after) == (1, [], 100)


def test_nobody_there_is_said_with_what_to_check():
    time = FakeTime()
    with (
        GustoClient("http://127.0.0.1:1", None, retries=1, clock=time.clock, sleep=time.sleep) as client,
        pytest.raises(UnreachableError, match=r"cannot reach Gusto at 127\.0\.0\.1: check the network") as caught,
    ):
        client.get(PATH)
    assert caught.value.sent is False
    assert len(time.sleeps) == 1


def test_a_silent_server_is_given_up_on():
    release = threading.Event()

    def silent(request: Request) -> Reply:
        release.wait(5)
        return OK

    with talking(silent, timeout=0.05, retries=0) as (client, _):
        with pytest.raises(UnreachableError, match="did not answer in time"):
            client.get(PATH)
        release.set()


# Writes


@pytest.mark.parametrize("fault", [Reply(500, b""), Reply(503, b""), Reply(body=DROP), Reply(body=b"[")], ids=str)
def test_a_write_that_may_have_been_carried_out_is_not_sent_again(fault):
    with talking(lambda request: fault) as (client, _):
        with pytest.raises(GustoError):
            client.request("POST", PATH, json={})
        assert client.requests_sent == 1


def test_a_lost_answer_to_a_write_says_that_the_outcome_is_unknown():
    with (
        talking(lambda request: Reply(body=DROP)) as (client, _),
        pytest.raises(UnreachableError, match="Whether it was carried out is not known") as caught,
    ):
        client.request("PUT", "/v1/employees/e1", json={})
    assert caught.value.sent


def test_a_write_refused_by_the_rate_limit_is_sent_again():
    with talking(in_turn(Reply(429, b"", {"Retry-After": "5"}), Reply(201, b"{}"))) as (client, time):
        client.request("POST", PATH, json={})
        assert client.requests_sent == 2
    assert time.sleeps == [5]


def test_a_write_that_never_left_is_sent_again():
    attempts: list[str] = []

    def handler(request: httpx.Request) -> httpx.Response:
        attempts.append(request.method)
        if len(attempts) == 1:
            raise httpx.ConnectError("refused", request=request)
        return httpx.Response(201, json={})

    time = FakeTime()
    with GustoClient("http://gusto", None, transport=httpx.MockTransport(handler), sleep=time.sleep) as client:
        client.request("POST", PATH, json={})
    assert attempts == ["POST", "POST"]


# Refusals

SCOPE = "You do not have the 'company_benefits:read' OAuth scope required for this request."
STALE = "You are attempting to update a resource using an out-of-date version."


@pytest.mark.parametrize(
    ("reply", "kind", "words"),
    [
        (error(401, "invalid_token", "expired"), ReauthorizeError, "run: gusto-pipeline reconnect gusto"),
        (error(403, "missing_oauth_scopes", "No"), MissingScopeError, "It may lack a scope"),
        (error(404, "not_found", "Not found."), NotFoundError, "may also mean that the connection has no permission"),
        (error(406, "invalid_api_version", "Invalid API Version"), ApiVersionError, "API version 2026-06-15"),
        (error(409, "invalid_resource_version", STALE, "base"), ConflictError, "changed by someone else.*out-of-date"),
        (error(422, "invalid_resource_version", STALE, "base"), ConflictError, "Read it again"),
        (error(422, "invalid_parameter", "Date range too long"), InvalidRequestError, "Date range too long"),
        (Reply(422, b"<html>no</html>", {"X-Request-Id": "req-9"}), InvalidRequestError, "without a reason"),
        (Reply(400, b"", {"X-Request-Id": "req-9"}), GustoError, "refuses GET .* with 400"),
        (Reply(301, b"", {"Location": "/x", "X-Request-Id": "req-9"}), GustoError, "redirect .* GUSTO_BASE_URL"),
        (Reply(501, b"", {"X-Request-Id": "req-9"}), ServerError, "failed on GET"),
    ],
    ids=lambda value: str(value.status) if isinstance(value, Reply) else None,
)
def test_a_refusal_says_what_happened_and_what_to_do_at_once(reply, kind, words):
    with talking(lambda request: reply) as (client, _):
        with pytest.raises(kind, match=words) as caught:
            client.get(PATH, {"search": "private"})
        assert client.requests_sent == 1
    assert type(caught.value) is kind
    assert (caught.value.status, caught.value.path, caught.value.request_id) == (reply.status, PATH, "req-9")
    assert "(request req-9)" in str(caught.value)
    assert "private" not in str(caught.value)


@pytest.mark.parametrize("more", [{"metadata": {"missing_scope_name": "company_benefits:read"}}, {}])
def test_a_missing_scope_is_named_from_either_form_of_the_answer(more):
    with (
        talking(lambda request: error(403, "missing_oauth_scopes", SCOPE, **more)) as (client, _),
        pytest.raises(MissingScopeError, match="lacks the scope company_benefits:read") as caught,
    ):
        client.get(PATH)
    assert caught.value.scope == "company_benefits:read"


def test_refused_values_are_told_by_field_nested_ones_too():
    body = {
        "errors": [
            {"error_key": "first_name", "category": "invalid_attribute_value", "message": "is required"},
            {
                "error_key": "jobs",
                "category": "nested_errors",
                "metadata": {"entity_uuid": "j1"},
                "errors": [
                    {"error_key": "rate", "category": "invalid_attribute_value", "message": "is too low"},
                    {"error_key": "rate", "category": "invalid_attribute_value", "message": "is no number"},
                ],
            },
        ]
    }
    with (
        talking(lambda request: Reply(422, json.dumps(body).encode())) as (client, _),
        pytest.raises(InvalidRequestError) as caught,
    ):
        client.request("PUT", "/v1/employees/e1", json={})
    assert caught.value.fields == {"first_name": "is required", "rate": "is too low; is no number"}


def test_a_quoted_social_security_number_does_not_reach_the_message():
    with (
        talking(lambda request: error(422, "invalid_attribute_value", "SSN 123-45-6789 is taken", "ssn")) as (
            client,
            _,
        ),
        pytest.raises(InvalidRequestError, match=r"SSN \[hidden\] is taken"),
    ):
        client.request("PUT", "/v1/employees/e1", json={})


def test_errors_survive_being_sent_between_processes():
    with (
        talking(lambda request: error(404, "not_found", "gone")) as (client, _),
        pytest.raises(NotFoundError) as caught,
    ):
        client.get(PATH)
    copy = pickle.loads(pickle.dumps(caught.value))
    assert (str(copy), copy.path, copy.status) == (str(caught.value), PATH, 404)


# Secrecy


def test_no_token_is_in_logs_errors_or_reprs(caplog):
    caplog.set_level(logging.DEBUG)
    with talking(in_turn(OK, Reply(500, b""), error(401, "invalid_token", "expired"))) as (client, _):
        client.get(PATH)
        with pytest.raises(ReauthorizeError) as caught:
            client.get(PATH)
        shown = [caplog.text, str(caught.value), repr(caught.value), repr(vars(caught.value)), repr(client)]
    assert "HTTP Request: GET" in caplog.text
    assert not any(TOKEN in text for text in shown)


# The rate limit


def ok(request: httpx.Request) -> httpx.Response:
    return httpx.Response(200, json=[])


def paced(time: FakeTime, folder: Path | None = None, **options: Any) -> GustoClient:
    return GustoClient(
        "http://gusto",
        None,
        state_folder=folder,
        clock=time.clock,
        sleep=time.sleep,
        transport=httpx.MockTransport(ok),
        **options,
    )


@given(st.lists(st.floats(0, 70), max_size=40), st.integers(1, 6))
def test_no_window_of_sixty_seconds_sees_more_than_the_limit(pauses, limit):
    time = FakeTime()
    sent: list[float] = []
    window = RateWindow("g", per_minute=limit, reserve=0, folder=None, clock=time.clock, sleep=time.sleep)
    for pause in pauses:
        window.take()
        sent.append(time.now.timestamp())
        time.sleep(pause)
    window.close()
    assert all(later - earlier > 60 for earlier, later in zip(sent, sent[limit:], strict=False))


class FullError(Exception):
    """The window has no place left."""


def take_until_full(folder: Path, start: Any, taken: Any) -> None:
    def full(seconds: float) -> None:
        raise FullError

    window = RateWindow("g", per_minute=30, reserve=0, folder=folder, clock=utcnow, sleep=full)
    start.wait()
    count = 0
    with contextlib.suppress(FullError):
        while True:
            window.take()
            count += 1
    window.close()
    taken.put(count)


def test_processes_with_one_state_folder_share_one_window(tmp_path):
    spawn = multiprocessing.get_context("spawn")
    start, taken = spawn.Barrier(3), spawn.SimpleQueue()
    processes = [spawn.Process(target=take_until_full, args=(tmp_path, start, taken)) for _ in range(3)]
    for process in processes:
        process.start()
    for process in processes:
        process.join(20)
    assert [process.exitcode for process in processes] == [0, 0, 0]
    assert sum(taken.get() for _ in processes) == 30
    taken.close()


def test_two_clients_with_one_state_folder_share_one_window(tmp_path):
    time = FakeTime()
    with paced(time, tmp_path, per_minute=4) as one, paced(time, tmp_path, per_minute=4) as two:
        for client in (one, two, one, two):
            client.get(PATH)
        assert time.sleeps == []
        one.get(PATH)
        assert time.sleeps == [pytest.approx(61)]


def test_two_grants_do_not_share(tmp_path):
    time = FakeTime()
    with paced(time, tmp_path, per_minute=1, grant="a/1") as one, paced(time, tmp_path, per_minute=1, grant="b") as two:
        one.get(PATH)
        two.get(PATH)
    assert time.sleeps == []


def test_the_reserve_is_left_to_others(tmp_path):
    time = FakeTime()
    with paced(time, tmp_path, per_minute=5, reserve=2) as sync, paced(time, tmp_path, per_minute=5) as urgent:
        for _ in range(3):
            sync.get(PATH)
        urgent.get(PATH)
        urgent.get(PATH)
        assert time.sleeps == []
        sync.get(PATH)
        assert sum(time.sleeps) == pytest.approx(61)


def test_what_the_server_says_is_left_wins_and_reaches_the_other_client(tmp_path):
    time = FakeTime()
    headers = {"X-RateLimit-Remaining": "0", "X-RateLimit-Reset": "2026-11-20 12:00:40 +0000"}
    with serving(lambda request: Reply(headers=headers)) as url, paced(time, tmp_path) as other:
        with GustoClient(url, None, state_folder=tmp_path, clock=time.clock, sleep=time.sleep) as client:
            client.get(PATH)
        other.get(PATH)
    assert time.sleeps == [pytest.approx(40)]


def test_the_server_word_also_keeps_the_reserve():
    headers = {"X-RateLimit-Remaining": "20", "X-RateLimit-Reset": "2026-11-20 12:00:40 +0000"}
    with talking(lambda request: Reply(headers=headers), reserve=20) as (client, time):
        client.get(PATH)
        assert time.sleeps == []
        client.get(PATH)
    assert time.sleeps == [pytest.approx(40)]


def test_a_reset_far_off_by_a_wrong_clock_stalls_for_a_minute_at_most():
    headers = {"X-RateLimit-Remaining": "0", "X-RateLimit-Reset": "2031-01-01 00:00:00 +0000"}
    with talking(lambda request: Reply(headers=headers)) as (client, time):
        client.get(PATH)
        client.get(PATH)
    assert time.sleeps == [pytest.approx(60)]


def test_a_429_holds_back_the_whole_grant(tmp_path):
    time = FakeTime()
    with serving(lambda request: Reply(429, b"", {"Retry-After": "25"})) as url, paced(time, tmp_path) as other:
        with (
            GustoClient(url, None, state_folder=tmp_path, retries=0, clock=time.clock, sleep=time.sleep) as client,
            pytest.raises(RateLimitedError),
        ):
            client.get(PATH)
        other.get(PATH)
    assert time.sleeps == [pytest.approx(25)]


def test_threads_never_exceed_the_window_together(tmp_path):
    lock = threading.Lock()
    time = FakeTime()
    sent: list[float] = []

    def note(request: httpx.Request) -> httpx.Response:
        with lock:
            sent.append(time.clock().timestamp())
        return httpx.Response(200, json=[])

    with GustoClient(
        "http://gusto",
        None,
        per_minute=10,
        state_folder=tmp_path,
        clock=time.clock,
        sleep=time.sleep,
        transport=httpx.MockTransport(note),
    ) as client:
        threads = [threading.Thread(target=lambda: [client.get(PATH) for _ in range(2)]) for _ in range(5)]
        for thread in threads:
            thread.start()
        for thread in threads:
            thread.join()
        assert client.requests_sent == 10
        assert time.sleeps == []
        client.get(PATH)
    assert time.sleeps == [pytest.approx(61)]


def test_a_reserve_that_leaves_nothing_is_refused():
    with pytest.raises(ValueError, match="reserve must be between"):
        paced(FakeTime(), per_minute=20, reserve=20)
