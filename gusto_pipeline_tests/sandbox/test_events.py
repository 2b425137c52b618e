"""Events by cursor, and webhooks posted to a real receiver."""

import hashlib
import hmac
import json
import queue
import threading
from collections.abc import Iterator
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from typing import Any

import httpx
import pytest

from gusto_pipeline.sandbox.server import GustoSandbox
from gusto_pipeline_tests.sandbox.conftest import client, system_client

Post = tuple[dict[str, str], bytes]


@pytest.fixture
def system(fresh: GustoSandbox) -> Iterator[httpx.Client]:
    with system_client(fresh) as http:
        yield http


class Receiver:
    """A subscriber on this machine: what it was sent, and the status it answers with."""

    def __init__(self) -> None:
        self.status = 200
        self.posts: queue.Queue[Post] = queue.Queue()
        receiver = self

        class Handler(BaseHTTPRequestHandler):
            def do_POST(self) -> None:
                body = self.rfile.read(int(self.headers["Content-Length"]))
                self.send_response(receiver.status)
                self.send_header("Content-Length", "0")
                self.end_headers()
                receiver.posts.put(({name.lower(): value for name, value in self.headers.items()}, body))

            def log_message(self, format: str, *args: Any) -> None:
                pass

        self.server = ThreadingHTTPServer(("127.0.0.1", 0), Handler)
        self.url = f"http://127.0.0.1:{self.server.server_port}/hook"

    def next(self) -> Post:
        return self.posts.get(timeout=5)


@pytest.fixture
def receiver() -> Iterator[Receiver]:
    receiver = Receiver()
    thread = threading.Thread(target=receiver.server.serve_forever, kwargs={"poll_interval": 0.01})
    thread.start()
    yield receiver
    receiver.server.shutdown()
    thread.join()
    receiver.server.server_close()


def subscribe(system: httpx.Client, url: str, *types: str) -> httpx.Response:
    return system.post("/v1/webhook_subscriptions", json={"url": url, "subscription_types": list(types)})


def verified(system: httpx.Client, receiver: Receiver, *types: str) -> tuple[str, str]:
    """The uuid and the verification token of a subscription that was verified."""
    uuid = subscribe(system, receiver.url, *types).json()["uuid"]
    token = json.loads(receiver.next()[1])["verification_token"]
    answer = system.put(f"/v1/webhook_subscriptions/{uuid}/verify", json={"verification_token": token})
    assert answer.json()["status"] == "verified"
    return uuid, token


def rename(sandbox: GustoSandbox, count: int = 1, company: int = 0) -> list[str]:
    """Changes the first employees of a company; their uuids."""
    uuids = list(sandbox.world.companies[company].employees)[:count]
    with client(sandbox, company=company) as http:
        for uuid in uuids:
            version = http.get(f"/v1/employees/{uuid}").json()["version"]
            http.put(f"/v1/employees/{uuid}", json={"version": version, "first_name": "Kim"})
    return uuids


def test_the_cursor_walks_through_all_events_once(fresh: GustoSandbox, system: httpx.Client) -> None:
    rename(fresh, 7)
    seen: list[str] = []
    more = "true"
    after: dict[str, str] = {}
    while more == "true":
        answer = system.get("/v1/events", params={"limit": "4", **after})
        seen += [row["uuid"] for row in answer.json()]
        more, after = answer.headers["X-Has-Next-Page"], {"starting_after_uuid": seen[-1]}
    assert seen == [row["uuid"] for row in fresh.world.events]
    assert len(seen) == 9


def test_events_can_be_limited_to_a_company_and_a_kind(fresh: GustoSandbox, system: httpx.Client) -> None:
    uuids = rename(fresh, 2)
    rename(fresh, 1, company=1)
    first = fresh.world.companies[0].uuid
    rows = system.get("/v1/events", params={"resource_uuid": first, "event_type": "*.updated"}).json()
    assert [row["entity_uuid"] for row in rows] == uuids
    newest = system.get("/v1/events", params={"resource_uuid": first, "sort_order": "desc"}).json()
    assert newest[0] == rows[-1]


@pytest.mark.parametrize("name", ["starting_after_uuid", "resource_uuid"])
def test_a_cursor_or_company_nobody_knows_is_refused(sandbox: GustoSandbox, name: str) -> None:
    with system_client(sandbox) as system:
        answer = system.get("/v1/events", params={name: "unknown"})
    assert answer.status_code == 422
    assert answer.json()["errors"][0]["error_key"] == name


def test_events_reach_back_thirty_days(fresh: GustoSandbox) -> None:
    oldest = fresh.world.events[0]["uuid"]
    fresh.advance(31 * 24 * 3600)
    with system_client(fresh) as http:
        assert oldest not in {row["uuid"] for row in http.get("/v1/events").json()}
        assert http.get("/v1/events", params={"starting_after_uuid": oldest}).status_code == 422


def test_a_subscription_is_verified_with_the_token_it_was_sent(system: httpx.Client, receiver: Receiver) -> None:
    made = subscribe(system, receiver.url, "Employee")
    assert (made.status_code, made.json()["status"]) == (201, "pending")
    one = f"/v1/webhook_subscriptions/{made.json()['uuid']}"
    token = json.loads(receiver.next()[1])["verification_token"]
    assert system.put(f"{one}/verify", json={"verification_token": "wrong"}).status_code == 422
    assert system.get("/v1/webhooks/health_check").json()["status"] == "unknown"
    assert system.put(f"{one}/verify", json={"verification_token": token}).json()["status"] == "verified"
    assert system.get("/v1/webhooks/health_check").json()["status"] == "healthy"
    assert token not in system.get(one).text


def test_the_verification_token_can_be_sent_again(system: httpx.Client, receiver: Receiver) -> None:
    uuid = subscribe(system, receiver.url, "Employee").json()["uuid"]
    first = receiver.next()[1]
    assert system.get(f"/v1/webhook_subscriptions/{uuid}/request_verification_token").status_code == 200
    assert receiver.next()[1] == first


def test_a_change_is_posted_with_a_signature_over_the_raw_body(
    fresh: GustoSandbox, system: httpx.Client, receiver: Receiver
) -> None:
    _, token = verified(system, receiver, "Employee")
    (uuid,) = rename(fresh)
    headers, body = receiver.next()
    assert headers["x-gusto-signature"] == hmac.new(token.encode(), body, hashlib.sha256).hexdigest()
    assert json.loads(body) == fresh.world.events[-1]
    assert json.loads(body)["entity_uuid"] == uuid


def test_only_what_was_subscribed_to_is_posted(fresh: GustoSandbox, system: httpx.Client, receiver: Receiver) -> None:
    uuid, _ = verified(system, receiver, "Contractor")
    rename(fresh)
    system.put(f"/v1/webhook_subscriptions/{uuid}", json={"subscription_types": ["Employee"]})
    second = rename(fresh, 2)[1]
    posted = [json.loads(receiver.next()[1]) for _ in range(2)]
    assert {row["event_type"] for row in posted} == {"employee.updated"}
    assert second in {row["entity_uuid"] for row in posted}
    assert len([row for row in fresh.world.events if row["event_type"] == "employee.updated"]) == 3


def test_a_subscriber_that_keeps_failing_is_unreachable(
    fresh: GustoSandbox, system: httpx.Client, receiver: Receiver
) -> None:
    uuid, _ = verified(system, receiver, "Employee")
    receiver.status = 500
    rename(fresh)
    bodies = {receiver.next()[1] for _ in range(3)}
    assert len(bodies) == 1
    for _ in range(200):
        if system.get("/v1/webhooks/health_check").json()["status"] == "unhealthy":
            break
    assert system.get(f"/v1/webhook_subscriptions/{uuid}").json()["status"] == "unreachable"


def test_a_subscription_can_be_deleted(system: httpx.Client, receiver: Receiver) -> None:
    uuid = subscribe(system, receiver.url, "Employee").json()["uuid"]
    assert [row["uuid"] for row in system.get("/v1/webhook_subscriptions").json()] == [uuid]
    assert system.delete(f"/v1/webhook_subscriptions/{uuid}").status_code == 204
    assert system.get(f"/v1/webhook_subscriptions/{uuid}").status_code == 404


@pytest.mark.parametrize(
    ("url", "types", "key"),
    [
        ("https://example.com/hook", ["Employee"], "url"),
        ("", ["Employee"], "url"),
        ("http://127.0.0.1:9/hook", ["Department"], "subscription_types"),
        ("http://127.0.0.1:9/hook", [], "subscription_types"),
    ],
)
def test_a_subscription_that_cannot_be_is_refused(sandbox: GustoSandbox, url: str, types: list[str], key: str) -> None:
    with system_client(sandbox) as system:
        answer = subscribe(system, url, *types)
    assert answer.status_code == 422
    assert answer.json()["errors"][0]["error_key"] == key
