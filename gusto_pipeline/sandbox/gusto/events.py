"""What happened, for those who ask (GET /v1/events) and those who are told (webhooks)."""

import asyncio
import hashlib
import hmac
import json
from datetime import timedelta
from fnmatch import fnmatchcase
from typing import Any
from urllib.parse import urlsplit
from uuid import uuid4

import httpx

from gusto_pipeline.sandbox.gusto.api import Answer, Call, Routes, invalid, not_found
from gusto_pipeline.sandbox.gusto.world import Record, World

routes = Routes()

REACH = timedelta(days=30)
ATTEMPTS = 3
LOOPBACK = ("127.0.0.1", "localhost", "::1")
# Subscription type of an entity, where it is not the entity's own name.
SUBSCRIBED_AS = {"HomeAddress": "Employee", "WorkAddress": "Employee", "Compensation": "EmployeeJobCompensation"}
SUBSCRIPTION_TYPES = frozenset(
    [
        "BankAccount",
        "Company",
        "CompanyBenefit",
        "Contractor",
        "ContractorPayment",
        "Employee",
        "EmployeeBenefit",
        "EmployeeHomeAddress",
        "EmployeeJobCompensation",
        "EmployeeWorkAddress",
        "ExternalPayroll",
        "FastAchConfig",
        "Form",
        "Location",
        "Notification",
        "Payroll",
        "PayrollSync",
        "PaySchedule",
        "Signatory",
        "TimeSheetsBatch",
    ]
)


@routes.add("GET", "/v1/events", "events:read", system=True)
def events(call: Call) -> Any:
    oldest = (call.world.clock.now() - REACH).timestamp()
    rows = [row for row in call.world.events if row["timestamp"] >= oldest]
    resource = call.query.get("resource_uuid")
    if resource and resource not in {row["resource_uuid"] for row in call.world.events}:
        raise invalid(
            "resource_uuid",
            "Parameter 'resource_uuid' does not correspond to a valid resource.",
            "invalid_parameter",
        )
    if call.query.get("sort_order") == "desc":
        rows.reverse()
    if after := call.query.get("starting_after_uuid"):
        positions = [n for n, row in enumerate(rows) if row["uuid"] == after]
        if not positions:
            message = "Parameter 'starting_after_uuid' does not correspond to a valid event."
            raise invalid("starting_after_uuid", message, "invalid_parameter")
        rows = rows[positions[0] + 1 :]
    wanted = call.query.get("event_type", "*")
    rows = [
        row
        for row in rows
        if fnmatchcase(row["event_type"], wanted) and (not resource or row["resource_uuid"] == resource)
    ]
    asked = call.query.get("limit", "25")
    limit = min(max(int(asked), 1), 100) if asked.isdigit() else 25
    call.headers["X-Has-Next-Page"] = "true" if len(rows) > limit else "false"
    return rows[:limit]


class Webhooks:
    """Subscriptions of the application, and the telling. Subscribers must be on this machine."""

    def __init__(self, world: World) -> None:
        self.world = world
        self.subscriptions: dict[str, Record] = {}
        self.told = len(world.events)
        self.posts: set[asyncio.Task[None]] = set()

    def routes(self) -> Routes:
        routes = Routes()
        read, write = "webhook_subscriptions:read", "webhook_subscriptions:write"
        one = "/v1/webhook_subscriptions/{subscription}"
        for method, path, scope, endpoint in (
            ("GET", "/v1/webhook_subscriptions", read, self.index),
            ("POST", "/v1/webhook_subscriptions", write, self.create),
            ("GET", one, read, self.show),
            ("PUT", one, write, self.update),
            ("DELETE", one, write, self.delete),
            ("PUT", f"{one}/verify", write, self.verify),
            ("GET", f"{one}/request_verification_token", read, self.resend),
            ("GET", "/v1/webhooks/health_check", read, self.health),
        ):
            routes.add(method, path, scope, system=True)(endpoint)
        return routes

    def index(self, call: Call) -> Any:
        return [_shown(row) for row in self.subscriptions.values()]

    def create(self, call: Call) -> Any:
        url = str(call.body.get("url", ""))
        if urlsplit(url).scheme not in ("http", "https") or urlsplit(url).hostname not in LOOPBACK:
            raise invalid("url", "Url must be on this machine: the sandbox calls nobody else.")
        row: Record = {
            "uuid": str(uuid4()),
            "url": url,
            "status": "pending",
            "subscription_types": _types(call),
            "verification_token": str(uuid4()),
        }
        self.subscriptions[row["uuid"]] = row
        self._send_token(row)
        return Answer(201, _shown(row))

    def show(self, call: Call) -> Any:
        return _shown(self._named(call))

    def update(self, call: Call) -> Any:
        row = self._named(call)
        row["subscription_types"] = _types(call)
        return _shown(row)

    def delete(self, call: Call) -> Any:
        del self.subscriptions[self._named(call)["uuid"]]
        return Answer(204)

    def verify(self, call: Call) -> Any:
        row = self._named(call)
        if call.body.get("verification_token") != row["verification_token"]:
            raise invalid("verification_token", "Invalid verification token")
        row["status"] = "verified"
        return _shown(row)

    def resend(self, call: Call) -> Any:
        self._send_token(self._named(call))
        return {"message": "Success! The subscriber will be notified with the verification token"}

    def health(self, call: Call) -> Any:
        states = {row["status"] for row in self.subscriptions.values()}
        status = "unhealthy" if "unreachable" in states else "healthy" if "verified" in states else "unknown"
        return {"status": status, "last_checked_at": self.world.clock.now().isoformat(timespec="milliseconds")}

    def tell(self) -> None:
        """Posts events that are new since the last call to the subscriptions that want them."""
        fresh, self.told = self.world.events[self.told :], len(self.world.events)
        for event in fresh:
            entity = event["entity_type"]
            for row in self.subscriptions.values():
                wanted = {entity, SUBSCRIBED_AS.get(entity, entity), f"Employee{entity}"}
                if row["status"] == "verified" and wanted & set(row["subscription_types"]):
                    self._post(row, event)

    def _named(self, call: Call) -> Record:
        if call.params["subscription"] not in self.subscriptions:
            raise not_found()
        return self.subscriptions[call.params["subscription"]]

    def _send_token(self, row: Record) -> None:
        self._post(row, {"verification_token": row["verification_token"], "webhook_subscription_uuid": row["uuid"]})

    def _post(self, row: Record, body: Record) -> None:
        post = asyncio.get_running_loop().create_task(self._deliver(row, json.dumps(body).encode()))
        self.posts.add(post)
        post.add_done_callback(self.posts.discard)

    async def _deliver(self, row: Record, body: bytes) -> None:
        """Signed with the subscription's verification token (HMAC-SHA256, hex); any 2xx within 10 s is fine."""
        digest = hmac.new(row["verification_token"].encode(), body, hashlib.sha256).hexdigest()
        headers = {"Content-Type": "application/json", "X-Gusto-Signature": digest}
        async with httpx.AsyncClient(timeout=10, trust_env=False) as http:
            for _ in range(ATTEMPTS):
                try:
                    if (await http.post(row["url"], content=body, headers=headers)).is_success:
                        return
                except httpx.HTTPError:
                    continue
        row["status"] = "unreachable"


def _types(call: Call) -> list[str]:
    types = call.body.get("subscription_types")
    if not isinstance(types, list) or not types or not set(types) <= SUBSCRIPTION_TYPES:
        raise invalid("subscription_types", "Subscription types are invalid")
    return types


def _shown(row: Record) -> Record:
    return {name: value for name, value in row.items() if name != "verification_token"}
