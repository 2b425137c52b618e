"""Signing in, and tokens that rotate: one refresh whoever asks, and no crash that costs the grant."""

import json
import logging
import multiprocessing
import secrets
import threading
from concurrent.futures import ThreadPoolExecutor
from contextlib import ExitStack
from datetime import timedelta
from functools import partial
from pathlib import Path
from typing import Any
from urllib.parse import parse_qs, urlsplit

import httpx
import pytest

from gusto_pipeline.clock import utcnow
from gusto_pipeline.connections.sign_in import by_browser
from gusto_pipeline.connections.store import ConnectionStore
from gusto_pipeline.gusto.auth import (
    GustoAuth,
    OAuthApp,
    authorize_url,
    connection_record,
    exchange_code,
    login,
    login_without_browser,
    revoke,
    system_token,
)
from gusto_pipeline.gusto.client import GustoClient
from gusto_pipeline.gusto.errors import (
    ClientCredentialsError,
    GustoError,
    MalformedAnswerError,
    ReauthorizeError,
    ServerError,
    UnreachableError,
    error_for,
)
from gusto_pipeline_tests.gusto.loopback import FakeTime, Reply, Request, serving

NAME = "gusto/acme-tea-co"
SECRET = "app-secret-that-nobody-may-see"


class TokenServer:
    """Gusto's rules: a refresh makes a new pair; the first use of its access token kills the old refresh token."""

    def __init__(self) -> None:
        self.lock = threading.Lock()
        self.refreshes = 0
        self.requests: list[Request] = []
        self.pairs: dict[str, str | None] = {}  # access token → the refresh token its first use kills
        self.refresh_tokens: set[str] = set()
        self.codes: set[str] = {"one-time-code"}
        self.fail_next: Reply | None = None

    def pair(self, replaces: str | None = None) -> dict[str, Any]:
        access, refresh = "access-" + secrets.token_urlsafe(8), "refresh-" + secrets.token_urlsafe(8)
        self.pairs[access] = replaces
        self.refresh_tokens.add(refresh)
        return {
            "access_token": access,
            "token_type": "bearer",
            "expires_in": 7200,
            "refresh_token": refresh,
            "scope": "companies:read",
        }

    def __call__(self, request: Request) -> Reply:
        with self.lock:
            self.requests.append(request)
            if self.fail_next and request.path == "/oauth/token":
                reply, self.fail_next = self.fail_next, None
                return reply
            match request.path:
                case "/oauth/authorize":
                    query = httpx.QueryParams({"code": "one-time-code", "state": request.query["state"]})
                    return Reply(302, b"", {"Location": f"{request.query['redirect_uri']}?{query}"})
                case "/oauth/token":
                    return self.token(json.loads(request.body))
                case "/oauth/revoke":
                    self.refresh_tokens.discard(json.loads(request.body)["token"])
                    return Reply(200, b"{}")
            access = request.headers["Authorization"].removeprefix("Bearer ")
            if access not in self.pairs:
                return Reply(401, b'{"errors":[{"error_key":"request","category":"invalid_token","message":"No"}]}')
            self.refresh_tokens.discard(self.pairs[access] or "")
            return Reply()

    def token(self, body: dict[str, str]) -> Reply:
        if body["client_secret"] != SECRET:
            return Reply(401, b'{"error":"invalid_client","error_description":"Client authentication failed"}')
        if body["grant_type"] == "system_access":
            return Reply(body=json.dumps({"access_token": "system", "expires_in": 7200}).encode())
        if body["grant_type"] == "authorization_code" and body["code"] in self.codes:
            self.codes.discard(body["code"])
            return Reply(body=json.dumps(self.pair()).encode())
        if body["grant_type"] == "refresh_token" and body["refresh_token"] in self.refresh_tokens:
            self.refreshes += 1
            return Reply(body=json.dumps(self.pair(replaces=body["refresh_token"])).encode())
        return Reply(400, b'{"error":"invalid_grant","error_description":"The grant is invalid"}')

    def paths(self) -> list[str]:
        return [request.path for request in self.requests]


class Connected:
    """A connected company: server, application, store, and as many clients as a test needs."""

    def __init__(self, folder: Path, url: str, server: TokenServer, stack: ExitStack) -> None:
        self.folder = folder
        self.server = server
        self.app = OAuthApp(url, "app-id", SECRET)
        self.store = ConnectionStore(folder)
        self.time = FakeTime()
        self.time.now = utcnow()
        self.answer = server.pair()
        record = connection_record(
            self.app, self.answer, company_uuid="c0ffee", company_name="Acme Tea Co", now=self.time.now
        )
        self.store.write(NAME, record)
        self._stack = stack

    def client(self, **options: Any) -> GustoClient:
        auth = GustoAuth(self.app, ConnectionStore(self.folder), NAME, clock=self.time.clock)
        client = GustoClient(self.app.base_url, auth, clock=self.time.clock, sleep=self.time.sleep, **options)
        return self._stack.enter_context(client)

    def record(self) -> dict[str, Any]:
        record = self.store.read(NAME)
        assert record is not None
        return record

    def expire(self) -> None:
        self.store.write(NAME, self.record() | {"expires_at": (self.time.now - timedelta(seconds=1)).isoformat()})


@pytest.fixture
def connected(tmp_path):
    server = TokenServer()
    with serving(server) as url, ExitStack() as stack:
        yield Connected(tmp_path / "connections", url, server, stack)


# Keeping tokens fresh


def test_a_valid_token_is_sent_without_a_refresh(connected):
    connected.client().get("/v1/me")
    assert connected.server.refreshes == 0
    assert connected.server.requests[0].headers["Authorization"] == f"Bearer {connected.answer['access_token']}"


@pytest.mark.parametrize(("seconds_left", "refreshes"), [(61, 0), (60, 1), (-5, 1)])
def test_a_token_is_refreshed_a_minute_before_it_expires(connected, seconds_left, refreshes):
    connected.time.now += timedelta(seconds=7200 - seconds_left)
    connected.client().get("/v1/me")
    assert connected.server.refreshes == refreshes


def test_a_refused_token_is_refreshed_once_and_the_request_repeated(connected):
    del connected.server.pairs[connected.answer["access_token"]]
    connected.client().request("PUT", "/v1/employees/e1", json={"version": "abc"})
    assert connected.server.paths() == ["/v1/employees/e1", "/oauth/token", "/v1/employees/e1"]
    assert json.loads(connected.server.requests[2].body) == {"version": "abc"}


def test_a_token_refused_twice_is_an_error_and_not_a_loop(connected):
    refused = {"access_token": "never good", "refresh_token": "r", "expires_in": 7200}
    connected.server.pair = lambda replaces=None: refused
    connected.server.pairs.clear()
    client = connected.client()
    with pytest.raises(ReauthorizeError):
        client.get("/v1/me")
    assert connected.server.paths() == ["/v1/me", "/oauth/token", "/v1/me"]


def test_the_new_pair_is_stored_before_its_first_use(connected):
    stored: list[str] = []
    answer = connected.server

    def watching(request: Request) -> Reply:
        if request.path == "/v1/me":
            stored.append(connected.record()["access_token"] + " " + request.headers["Authorization"])
        return answer(request)

    with serving(watching) as url, ExitStack() as stack:
        watched = Connected(connected.folder, url, connected.server, stack)
        watched.expire()
        watched.client().get("/v1/me")
    [seen] = stored
    in_store, sent = seen.split(" Bearer ")
    assert in_store == sent


def test_after_the_first_use_the_previous_refresh_token_is_forgotten(connected):
    connected.expire()
    connected.client().get("/v1/me")
    record = connected.record()
    assert record["previous_refresh_token"] is None
    assert {record["refresh_token"]} == connected.server.refresh_tokens
    assert (record["company_uuid"], record["company_name"]) == ("c0ffee", "Acme Tea Co")


def test_a_slow_answer_to_an_older_pair_leaves_the_newer_pair_its_way_back(connected):
    def refreshed_meanwhile(request: Request) -> Reply:
        if request.path == "/v1/me":
            newer = connected.record() | {"access_token": "newer", "previous_refresh_token": "its way back"}
            connected.store.write(NAME, newer)
        return connected.server(request)

    with serving(refreshed_meanwhile) as url, ExitStack() as stack:
        slow = Connected(connected.folder, url, connected.server, stack)
        slow.expire()
        slow.client().get("/v1/me")
    assert connected.record()["previous_refresh_token"] == "its way back"


def test_thirty_two_threads_with_an_expired_token_make_one_refresh(connected):
    connected.expire()
    client = connected.client()
    start = threading.Barrier(32)

    def get(_: int) -> int:
        start.wait()
        return client.get("/v1/me").rows

    with ThreadPoolExecutor(32) as threads:
        assert list(threads.map(get, range(32))) == [0] * 32
    assert connected.server.refreshes == 1


def test_thirty_two_threads_refused_together_make_one_refresh(connected):
    client = connected.client()
    client.get("/v1/me")
    del connected.server.pairs[connected.answer["access_token"]]
    with ThreadPoolExecutor(32) as threads:
        list(threads.map(lambda _: client.get("/v1/me"), range(32)))
    assert connected.server.refreshes == 1


def test_clients_that_do_not_know_each_other_make_one_refresh(connected):
    connected.expire()
    clients = [connected.client() for _ in range(4)]
    with ThreadPoolExecutor(4) as threads:
        list(threads.map(lambda client: client.get("/v1/me"), clients))
    assert connected.server.refreshes == 1


def get_in_another_process(folder: Path, app: OAuthApp, start: Any) -> None:
    with GustoClient(app.base_url, GustoAuth(app, ConnectionStore(folder), NAME)) as client:
        start.wait()
        for _ in range(3):
            client.get("/v1/me")


def test_four_processes_with_an_expired_token_make_one_refresh(connected):
    connected.expire()
    spawn = multiprocessing.get_context("spawn")
    start = spawn.Barrier(4)
    processes = [
        spawn.Process(target=get_in_another_process, args=(connected.folder, connected.app, start)) for _ in range(4)
    ]
    for process in processes:
        process.start()
    for process in processes:
        process.join(20)
    assert [process.exitcode for process in processes] == [0, 0, 0, 0]
    assert (connected.server.refreshes, connected.server.paths().count("/v1/me")) == (1, 12)


# Crashes and lost answers


class Crash(BaseException):
    """The process ends here."""


def test_a_crash_after_the_server_rotated_and_before_the_pair_was_stored_is_recovered_from(connected, monkeypatch):
    connected.expire()

    def crash(*_: Any) -> None:
        raise Crash

    with monkeypatch.context() as patched:
        patched.setattr(ConnectionStore, "write", crash)
        client = connected.client()
        with pytest.raises(Crash):
            client.get("/v1/me")
    assert connected.record()["refresh_token"] == connected.answer["refresh_token"]
    connected.client().get("/v1/me")
    connected.client().get("/v1/me")
    assert connected.server.refreshes == 2


def test_a_crash_after_the_pair_was_stored_and_before_its_use_is_recovered_from(connected, monkeypatch):
    connected.expire()
    write = ConnectionStore.write

    def write_and_crash(*arguments: Any) -> None:
        write(*arguments)
        raise Crash

    with monkeypatch.context() as patched:
        patched.setattr(ConnectionStore, "write", write_and_crash)
        client = connected.client()
        with pytest.raises(Crash):
            client.get("/v1/me")
    assert connected.record()["previous_refresh_token"] == connected.answer["refresh_token"]
    connected.client().get("/v1/me")
    assert connected.server.refreshes == 1


def test_a_stored_pair_that_the_server_lost_falls_back_on_the_previous_refresh_token(connected):
    lost = connected.record() | {
        "access_token": "lost",
        "refresh_token": "lost too",
        "previous_refresh_token": connected.answer["refresh_token"],
    }
    connected.store.write(NAME, lost)
    connected.client().get("/v1/me")
    assert connected.server.refreshes == 1
    assert connected.record()["refresh_token"] in connected.server.refresh_tokens


def test_a_lock_is_free_again_after_a_failed_refresh(connected):
    connected.expire()
    connected.server.fail_next = Reply(400, b'{"error":"unsupported"}')
    client = connected.client()
    with pytest.raises(GustoError):
        client.get("/v1/me")
    connected.client().get("/v1/me")
    assert connected.server.refreshes == 1


@pytest.mark.parametrize(
    "fault", [Reply(503, b""), Reply(429, b"", {"Retry-After": "3"}), Reply(200, b"<html>")], ids=str
)
def test_a_passing_fault_of_the_refresh_is_tried_again(connected, fault):
    connected.expire()
    connected.server.fail_next = fault
    connected.client().get("/v1/me")
    assert connected.server.refreshes == 1


def test_a_refresh_that_is_not_answered_is_given_up_on(connected):
    release = threading.Event()

    def silent(request: Request) -> Reply:
        if request.path == "/oauth/token":
            release.wait(5)
        return connected.server(request)

    with serving(silent) as url, ExitStack() as stack:
        waiting = Connected(connected.folder, url, connected.server, stack)
        waiting.expire()
        client = waiting.client(timeout=0.05, retries=0)
        with pytest.raises(UnreachableError, match="did not answer in time"):
            client.get("/v1/me")
        release.set()


# Grants that are over


def test_a_dead_grant_says_how_to_reconnect(connected):
    connected.expire()
    connected.server.refresh_tokens.clear()
    client = connected.client()
    with pytest.raises(ReauthorizeError, match="run: gusto-pipeline reconnect gusto acme-tea-co") as caught:
        client.get("/v1/me")
    assert connected.server.paths() == ["/oauth/token"]
    assert connected.answer["refresh_token"] not in str(caught.value) + repr(vars(caught.value))


def test_a_connection_made_elsewhere_says_so(connected):
    connected.store.write(NAME, connected.record() | {"base_url": "https://api.gusto-demo.com"})
    connected.server.refresh_tokens.clear()
    connected.expire()
    client = connected.client()
    with pytest.raises(ReauthorizeError, match=r"made with https://api\.gusto-demo\.com"):
        client.get("/v1/me")


def test_a_connection_that_is_not_there_says_how_to_connect(connected):
    connected.store.delete(NAME)
    client = connected.client()
    with pytest.raises(ReauthorizeError, match="there is no connection gusto/acme-tea-co"):
        client.get("/v1/me")


def test_a_reconnected_grant_is_picked_up_by_a_client_that_is_already_running(connected):
    client = connected.client()
    client.get("/v1/me")
    connected.server.pairs.clear()
    connected.server.refresh_tokens.clear()
    answer = connected.server.pair()
    record = connection_record(
        connected.app, answer, company_uuid="c0ffee", company_name="Acme", now=connected.time.now
    )
    connected.store.write(NAME, record)
    client.get("/v1/me")
    assert connected.server.refreshes == 0


@pytest.mark.parametrize(
    ("host", "hint"),
    [
        ("https://api.gusto.com", "This is production: credentials of a demo application"),
        ("https://api.gusto-demo.com", "This is the demo environment: production credentials"),
        ("http://127.0.0.1:9", "application registered there"),
    ],
)
def test_unknown_credentials_say_which_environment_refused_them(host, hint):
    request = httpx.Request("POST", f"{host}/oauth/token")
    response = httpx.Response(401, json={"error": "invalid_client"}, request=request)
    error = error_for(response, received_at=utcnow())
    assert isinstance(error, ClientCredentialsError)
    assert hint in str(error)


# Signing in


def test_the_authorize_address_asks_for_a_code_and_no_scope():
    url = authorize_url(OAuthApp("https://api.gusto.com/", "app id", SECRET), "st&te")
    assert url.startswith("https://api.gusto.com/oauth/authorize?")
    assert parse_qs(urlsplit(url).query) == {
        "client_id": ["app id"],
        "redirect_uri": ["http://127.0.0.1:8765/callback"],
        "response_type": ["code"],
        "state": ["st&te"],
    }


def test_a_code_is_exchanged_once(connected):
    assert exchange_code(connected.app, "one-time-code")["scope"] == "companies:read"
    with pytest.raises(ReauthorizeError, match="Connect again"):
        exchange_code(connected.app, "one-time-code")


def test_credentials_go_in_the_body_never_in_the_address(connected):
    exchange_code(connected.app, "one-time-code")
    [request] = connected.server.requests
    assert request.query == {}
    assert json.loads(request.body)["client_secret"] == SECRET


def test_wrong_credentials_are_told_apart(connected):
    with pytest.raises(ClientCredentialsError, match="GUSTO_CLIENT_ID"):
        exchange_code(OAuthApp(connected.app.base_url, "app-id", "wrong"), "one-time-code")


def test_an_answer_without_tokens_is_an_error(connected):
    connected.server.fail_next = Reply(200, b'{"access_token": "only"}')
    with pytest.raises(MalformedAnswerError, match="without the tokens"):
        exchange_code(connected.app, "one-time-code")


def test_a_server_that_fails_or_is_not_there_is_told(connected):
    connected.server.fail_next = Reply(500, b"")
    with pytest.raises(ServerError):
        exchange_code(connected.app, "one-time-code")
    with pytest.raises(UnreachableError):
        exchange_code(OAuthApp("http://127.0.0.1:1", "app-id", SECRET), "one-time-code")


def test_a_system_token_needs_no_person(connected):
    assert system_token(connected.app)["access_token"] == "system"


def test_a_revoked_grant_cannot_be_refreshed(connected):
    revoke(connected.app, connected.answer["refresh_token"])
    connected.expire()
    client = connected.client()
    with pytest.raises(ReauthorizeError):
        client.get("/v1/me")


def test_a_server_that_consents_by_itself_needs_no_browser(connected):
    answer = login_without_browser(connected.app, "Acme Tea Co")
    assert answer["access_token"] in connected.server.pairs
    assert connected.server.requests[0].query["company"] == "Acme Tea Co"


def test_a_server_that_asks_a_person_is_not_answered_for_them():
    with (
        serving(lambda request: Reply(200, b"<html>Sign in</html>")) as url,
        pytest.raises(GustoError, match="browser"),
    ):
        login_without_browser(OAuthApp(url, "app-id", SECRET), "Acme Tea Co")


def test_a_redirect_with_a_foreign_state_is_refused():
    foreign = Reply(302, b"", {"Location": "http://127.0.0.1:8765/callback?code=x&state=other"})
    with serving(lambda request: foreign) as url, pytest.raises(ReauthorizeError, match="fits no sign-in"):
        login_without_browser(OAuthApp(url, "app-id", SECRET), "Acme Tea Co")


class Person(threading.Thread):
    """Visits what the sign-in announces: first what a test puts before, then where the server redirects."""

    def __init__(self, *before: str) -> None:
        super().__init__()
        self.before = before
        self.statuses: list[int] = []
        self.query: dict[str, str] = {}

    def visit(self, url: str) -> None:
        self.url = httpx.URL(url)
        self.start()

    def run(self) -> None:
        callback = httpx.URL(self.url.params["redirect_uri"])
        with httpx.Client() as browser:
            for address in self.before:
                self.statuses.append(browser.get(callback.join(address)).status_code)
            if self.query:
                answer = browser.get(callback, params={"state": self.url.params["state"]} | self.query)
            else:
                answer = browser.get(self.url, follow_redirects=True)
            self.statuses.append(answer.status_code)


def browser_login(app: OAuthApp, **options: Any) -> dict[str, Any]:
    return login(app, partial(by_browser, **options))


def on_a_free_port(connected: Connected) -> OAuthApp:
    return OAuthApp(connected.app.base_url, "app-id", SECRET, "http://127.0.0.1:0/callback")


def test_a_person_signs_in_with_a_browser_and_comes_back_to_loopback(connected):
    person = Person()
    answer = browser_login(on_a_free_port(connected), open_browser=False, timeout=10, announce=person.visit)
    person.join()
    assert answer["access_token"] in connected.server.pairs
    assert person.statuses == [200]
    exchanged = json.loads(connected.server.requests[-1].body)
    assert exchanged["redirect_uri"] == connected.server.requests[0].query["redirect_uri"]
    assert not exchanged["redirect_uri"].endswith(":0/callback")


def test_foreign_answers_are_refused_and_do_not_end_the_wait(connected):
    person = Person("/callback?code=evil&state=guess", "/callback?code=evil", "/favicon.ico")
    browser_login(on_a_free_port(connected), open_browser=False, timeout=10, announce=person.visit)
    person.join()
    assert person.statuses == [400, 400, 404, 200]


def test_a_person_who_declines_is_believed(connected):
    person = Person()
    person.query = {"error": "access_denied"}
    with pytest.raises(ReauthorizeError, match="access_denied"):
        browser_login(on_a_free_port(connected), open_browser=False, timeout=10, announce=person.visit)
    person.join()


def test_the_browser_is_opened_when_asked(connected, monkeypatch):
    person = Person()
    monkeypatch.setattr("webbrowser.open", person.visit)
    browser_login(on_a_free_port(connected), open_browser=True, timeout=10)
    person.join()
    assert person.statuses == [200]


def test_nobody_coming_ends_the_wait(connected):
    with pytest.raises(ReauthorizeError, match=r"nobody signed in within 0\.01 seconds"):
        browser_login(on_a_free_port(connected), open_browser=False, timeout=0.01)


def test_a_redirect_address_that_is_not_this_machine_is_refused():
    app = OAuthApp("https://api.gusto.com", "app-id", SECRET, "https://example.com/callback")
    with pytest.raises(GustoError, match=r"http://127\.0\.0\.1:8765/callback"):
        browser_login(app, open_browser=False, timeout=1)


def test_a_taken_port_is_named(connected):
    port = httpx.URL(connected.app.base_url).port
    app = OAuthApp(connected.app.base_url, "app-id", SECRET, f"http://127.0.0.1:{port}/callback")
    with pytest.raises(GustoError, match=f"port {port} on 127.0.0.1 is taken"):
        browser_login(app, open_browser=False, timeout=1)


# Secrecy


def test_no_secret_is_in_logs_or_reprs(connected, caplog):
    caplog.set_level(logging.DEBUG)
    connected.expire()
    client = connected.client()
    client.get("/v1/me")
    record = connected.record()
    shown = caplog.text + repr(connected.app) + repr(client) + repr(GustoAuth(connected.app, connected.store, NAME))
    hidden = [SECRET, record["access_token"], record["refresh_token"], connected.answer["refresh_token"]]
    assert "/oauth/token" in caplog.text
    assert not any(secret in shown for secret in hidden)
