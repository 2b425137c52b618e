"""15Five: the people of one company, by its public REST API 1 (api.15five.com).

Nobody is ever deleted: removing is deactivating. Active and inactive people are read one after the other, since what
the list has without that filter is not documented; who is active and has never signed in counts as invited. Creating
changes whoever has the address or employee id already, so that both are looked up before. Where an identity provider
fills 15Five (SCIM), it has to make and deactivate people, not we. Whether the key stands alone in its header or behind
`Bearer` is told both ways: both are tried.
"""

from __future__ import annotations

from collections.abc import Iterator
from itertools import chain
from typing import Any

import httpx

from gusto_pipeline.provisioning.account import Account, NewAccount, Status, Tenant
from gusto_pipeline.provisioning.app import App, counted, found, instant
from gusto_pipeline.provisioning.errors import (
    AlreadyExistsError,
    AppError,
    InvalidError,
    MissingScopeError,
    NoSeatError,
    NotFoundError,
    SignInError,
)
from gusto_pipeline.provisioning.session import Session
from gusto_pipeline.provisioning.signin import Field, Record, api_key


def tenant(session: Session) -> Tenant:
    """The API names no company: the address it is at stands for it."""
    session.get("/user/", {"page_size": 1})
    subdomain = session.record["subdomain"]
    return Tenant(subdomain, f"{subdomain}.15five.com")


def accounts(session: Session) -> Iterator[Account]:
    return _people(session)


def account(session: Session, account_id: str) -> Account | None:
    try:
        return _account(session.get(f"/user/{account_id}/"))
    except NotFoundError:
        tenant(session)
        return None


def find(session: Session, email: str) -> Account | None:
    return found(_people(session, email=email), email)


def create(session: Session, new: NewAccount) -> None:
    """Mails a welcome only if the connection names whom it is from. groups: ids."""
    employee = {"employee_id": new.employee_number} if new.employee_number else {}
    taken = [_people(session, **query) for query in ({"email": new.email}, employee) if query]
    for there in chain(*taken):
        raise AlreadyExistsError(
            f"15Five has account {there.id} with this address or employee id, which creating would change. Change or "
            "reactivate that one, or correct its employee id"
        )
    person = {
        "email": new.email,
        "first_name": new.given_name,
        "last_name": new.family_name,
        "is_active": True,
        **employee,
    }
    if sender := session.record.get("welcome_from"):
        person["send_welcome_from_user_id"] = int(sender)
    session.send("POST", "/user/bulk/", json=[person])
    if new.groups and (made := find(session, new.email)):
        _put(session, made, company_groups_ids=sorted({*map(int, made.groups), *map(int, new.groups)}))


def deactivate(session: Session, account: Account) -> None:
    _put(session, account, is_active=False)


def reactivate(session: Session, account: Account) -> None:
    _put(session, account, is_active=True)


def groups(session: Session) -> dict[str, str]:
    return {str(row["id"]): row["name"] for page in _pages(session, "/group/") for row in page["results"]}


def join(session: Session, account: Account, group: str) -> None:
    _put(session, account, company_groups_ids=[*(int(each) for each in account.groups if each != group), int(group)])


def leave(session: Session, account: Account, group: str) -> None:
    _put(session, account, company_groups_ids=[int(each) for each in account.groups if each != group])


def refusal(response: httpx.Response) -> AppError | None:
    said = _said(response) if response.is_client_error else ""
    match response.status_code:
        case 401:
            return SignInError(
                f"15Five does not accept the key, which lapses after a year: {said}. Make one under Settings, "
                "Integrations, Public API, then run: gusto-pipeline connect 15five"
            )
        case 403:
            return MissingScopeError(
                f"15Five: {said}. Make a key for the whole public API, or let the identity provider do it where SCIM "
                "is on, then run: gusto-pipeline connect 15five"
            )
        case 400 if "licen" in said.lower() or "seat" in said.lower():
            return NoSeatError(f"15Five has no free licence: {said}. Buy one, or deactivate somebody")
        case 400:
            return InvalidError(f"15Five refuses {response.request.url.path}: {said}. Correct it, and try again")
    return None


def _said(response: httpx.Response) -> str:
    """`detail`, or what is wrong with each field."""
    try:
        body = response.json()
    except ValueError:
        return "no reason given"
    rows = [row for row in (body if isinstance(body, list) else [body]) if isinstance(row, dict)]
    said = [
        f"{name}: {' '.join(map(str, what)) if isinstance(what, list) else what}" if name != "detail" else str(what)
        for row in rows
        for name, what in row.items()
    ]
    return "; ".join(said) or "no reason given"


def _people(session: Session, **query: str) -> Iterator[Account]:
    return chain(_half(session, is_active="true", **query), _half(session, is_active="false", **query))


def _half(session: Session, **query: str) -> Iterator[Account]:
    total = 0

    def people() -> Iterator[Account]:
        nonlocal total
        for page in _pages(session, "/user/", **query):
            total = page.get("count") or 0
            yield from map(_account, page["results"])

    return counted("15Five", people(), lambda: total)


def _pages(session: Session, path: str, **query: str) -> Iterator[dict[str, Any]]:
    page = session.get(path, {"page_size": 100, **query})
    yield page
    while page.get("next"):
        page = session.get(page["next"])
        yield page


def _put(session: Session, account: Account, **facts: Any) -> None:
    session.send("PUT", f"/user/{account.id}/", json=facts)


def _account(row: dict[str, Any]) -> Account:
    given, family = row.get("first_name") or None, row.get("last_name") or None
    never = "last_login_ts" in row and row["last_login_ts"] is None
    return Account(
        id=str(row["id"]),
        status=Status.SUSPENDED if not row["is_active"] else Status.INVITED if never else Status.ACTIVE,
        user_name=row.get("email"),
        emails=(row["email"],) if row.get("email") else (),
        given_name=given,
        family_name=family,
        display_name=" ".join(filter(None, (given, family))) or None,
        last_activity=instant(row.get("last_login_ts")),
        created_at=instant(row.get("create_ts")),
        role="Company admin" if row.get("is_company_admin") else "Reviewer" if row.get("is_reviewer") else "Member",
        admin=bool(row.get("is_company_admin")),
        groups=tuple(map(str, row.get("company_groups_ids") or ())),
        employee_number=str(row["employee_id"]) if row.get("employee_id") else None,
        title=row.get("title") or None,
        raw=row,
    )


def _bare(record: Record) -> dict[str, str]:
    return {"Authorization": record["api_key"]}


def _behind_bearer(record: Record) -> dict[str, str]:
    return {"Authorization": f"Bearer {record['api_key']}"}


APP = App(
    slug="15five",
    name="15Five",
    base_url="https://{subdomain}.15five.com/api/public",
    hosts=("https://my.15five.com",),
    sign_in=api_key(
        Field("api_key", "API key (15Five: Settings, Integrations, Public API)", secret=True),
        Field("subdomain", "Company address, the first part of <company>.15five.com", default="my"),
        Field("welcome_from", "User id that welcome mails come from; empty for no mails", default=""),
        headers=_bare,
        or_else=_behind_bearer,
    ),
    removal="deactivates",
    removal_note=(
        "frees the licence and keeps the data; objectives and direct reports need a new owner; erasing goes through "
        "15Five's support"
    ),
    rate_limit="not published; counted by IP address",
    tenant=tenant,
    accounts=accounts,
    account=account,
    find=find,
    create=create,
    suspend=deactivate,
    reactivate=reactivate,
    remove=deactivate,
    groups=groups,
    join=join,
    leave=leave,
    refusal=refusal,
)
