"""Zoho CRM: the users of one organization, by its REST API v8.

Answers and refusals come wrapped in `users`, refusals of the whole request bare. A deactivated user is `inactive` or
`disabled`, whichever the data centre says; whether the vendor's count has deleted users in it is not documented, so it
is taken to count what its list shows. There is no last activity: `Isonline` is of this moment.
"""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import suppress
from typing import Any

import httpx

from gusto_pipeline.provisioning.account import Account, NewAccount, Status, Tenant
from gusto_pipeline.provisioning.app import App, counted, found, instant
from gusto_pipeline.provisioning.apps import zoho
from gusto_pipeline.provisioning.errors import (
    AlreadyExistsError,
    AppError,
    InvalidError,
    LastOwnerError,
    NoSeatError,
    NotFoundError,
    PlanTooLowError,
    UnsupportedError,
)
from gusto_pipeline.provisioning.session import Session

ROLE = "Manager / Standard"  # the lesser role and profile of those that every new organization has
DONE = ("ID_ALREADY_DELETED", "ID_ALREADY_DEACTIVATED", "ID_ALREADY_ACTIVE")


def tenant(session: Session) -> Tenant:
    organization = _organization(session)
    return Tenant(organization["id"], organization["company_name"])


def accounts(session: Session) -> Iterator[Account]:
    def total() -> int:
        return int(session.get("/users/actions/count")["count"])

    return counted("Zoho CRM", _listed(session), total)


def account(session: Session, account_id: str) -> Account | None:
    with suppress(NotFoundError):
        if answer := session.get(f"/users/{account_id}"):  # 204 without a body for nobody
            return _account(answer["users"][0], _organization(session))
    return None


def find(session: Session, email: str) -> Account | None:
    return found(accounts(session), email)


def create(session: Session, new: NewAccount) -> None:
    """Invites with role and profile, written as in `Account.role`: "Manager / Standard"; by id too."""
    names = {"first_name": new.given_name, "last_name": new.family_name or new.given_name}
    _write(session, "POST", "/users", names | {"email": new.email} | _rights(session, new.role or ROLE))


def suspend(session: Session, account: Account) -> None:
    _write(session, "PUT", f"/users/{account.id}", {"status": "inactive"})


def reactivate(session: Session, account: Account) -> None:
    _write(session, "PUT", f"/users/{account.id}", {"status": "active"})


def remove(session: Session, account: Account) -> None:
    _write(session, "DELETE", f"/users/{account.id}")


def refusal(response: httpx.Response) -> AppError | None:
    if response.is_success and response.request.method == "GET":
        return None
    said = zoho.body(response)
    error = next((row for row in [said, *said.get("users", [])] if row.get("status") == "error"), None)
    if error is None:
        return None
    code, message = error.get("code"), error.get("message", "no reason given")
    if "primary contact" in message.lower():
        return LastOwnerError(f"Zoho CRM: {message}. Name another primary contact in Zoho CRM first")
    if code in ("DUPLICATE_DATA", *DONE):
        return AlreadyExistsError(f"Zoho CRM: {message}. Nothing is left to do")
    if "crmplus" in message.lower().replace(" ", ""):
        return UnsupportedError(f"Zoho CRM: {message}. Manage this person in CRM Plus")
    if code == "LICENSE_LIMIT_EXCEEDED":
        return NoSeatError(f"Zoho CRM has no free licence: {message}. Buy one, or remove somebody")
    if code == "FEATURE_PERMISSION":
        return PlanTooLowError(f"Zoho CRM's edition does not include this: {message}. Raise it, or do it by hand")
    if code == "INVALID_DATA" and message.replace("_", " ").startswith("the id given"):
        return NotFoundError(f"Zoho CRM has no such user: {message}. Read its accounts again")
    if code in ("INVALID_DATA", "MANDATORY_NOT_FOUND", "EMAIL_UPDATE_NOT_ALLOWED", "CANNOT_UPDATE_DELETED_USER"):
        field = (error.get("details") or {}).get("api_name", "")
        return InvalidError(f"Zoho CRM: {message} {field}".strip() + ". Correct it, or do it by hand in Zoho CRM")
    return zoho.refused("Zoho CRM", "zoho_crm", code, message)


def _organization(session: Session) -> dict[str, Any]:
    organization: dict[str, Any] = session.get("/org")["org"][0]
    return organization


def _listed(session: Session) -> Iterator[Account]:
    organization, page, more = _organization(session), 1, True
    while more:
        answer = session.get("/users", {"page": page, "per_page": 200}) or {"users": [], "info": {}}
        yield from (_account(row, organization) for row in answer["users"])
        page, more = page + 1, bool(answer["info"].get("more_records"))


def _write(session: Session, method: str, path: str, user: dict[str, Any] | None = None) -> None:
    """One user per call. That it is so already is what was wanted, except that somebody new exists."""
    try:
        session.send(method, path, json={"users": [user]} if user else None)
    except AlreadyExistsError:
        if method == "POST":
            raise


def _rights(session: Session, wanted: str) -> dict[str, str]:
    """The ids of role and profile, of which Zoho CRM wants both."""
    role, _, profile = wanted.partition(" / ")
    ids = {}
    for kind, name in (("role", role), ("profile", profile or ROLE.partition(" / ")[2])):
        rows = session.get(f"/settings/{kind}s")[f"{kind}s"]
        fitting = [row["id"] for row in rows if name in (row["id"], row["name"], row.get("display_label"))]
        if not fitting:
            there = ", ".join(row["name"] for row in rows)
            raise InvalidError(f"Zoho CRM has no {kind} {name!r}; it has {there}. Correct `role`, as in: {ROLE}")
        ids[kind] = fitting[0]
    return ids


def _account(row: dict[str, Any], organization: dict[str, Any]) -> Account:
    role, profile = ((row.get(kind) or {}).get("name") for kind in ("role", "profile"))
    primary = organization.get("primary_zuid")
    return Account(
        id=row["id"],
        status=_status(row),
        emails=(row["email"],) if row.get("email") else (),
        given_name=row.get("first_name"),
        family_name=row.get("last_name"),
        display_name=row.get("full_name"),
        created_at=instant(row.get("created_time")),
        role=" / ".join(filter(None, (role, profile))) or None,
        admin=profile == "Administrator",
        owner=bool(primary) and row.get("zuid") == primary,
        phone=row.get("phone") or row.get("mobile"),
        raw=row,
    )


def _status(row: dict[str, Any]) -> Status:
    if row["status"] == "deleted":
        return Status.DELETED
    if row.get("confirm") is False:
        return Status.INVITED
    return Status.ACTIVE if row["status"] == "active" else Status.SUSPENDED


APP = App(
    slug="zoho_crm",
    name="Zoho CRM",
    base_url=f"{zoho.APIS}/crm/v8",
    hosts=(zoho.ACCOUNTS,),
    sign_in=zoho.sign_in(
        scopes=(
            "ZohoCRM.users.ALL",
            "ZohoCRM.org.READ",
            "ZohoCRM.settings.profiles.READ",
            "ZohoCRM.settings.roles.READ",
        )
    ),
    removal="deletes",
    removal_note="records keep the deleted owner's name: transfer them in Zoho CRM before",
    rate_limit="API credits per day, and requests at a time, by edition",
    invites=True,
    tenant=tenant,
    accounts=accounts,
    account=account,
    find=find,
    create=create,
    suspend=suspend,
    reactivate=reactivate,
    remove=remove,
    refusal=refusal,
)
