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

from gusto_pipeline.provisioning import errors
from gusto_pipeline.provisioning.account import Account, NewAccount, Tenant
from gusto_pipeline.provisioning.app import App, distinct, instants, names, status_of, taken
from gusto_pipeline.provisioning.errors import Refusal
from gusto_pipeline.provisioning.reading import Row, by_link, found, one
from gusto_pipeline.provisioning.session import Session
from gusto_pipeline.provisioning.signin import Field, api_key

KEYS = "Settings, Integrations, Public API"
WHOLE = "Make a key for the whole public API, or let the identity provider do it where SCIM is on"


def tenant(session: Session) -> Tenant:
    """The API names no company: the address it is at stands for it."""
    session.get("/user/", {"page_size": 1})
    subdomain = session.record["subdomain"]
    return Tenant(subdomain, f"{subdomain}.15five.com")


def accounts(session: Session) -> Iterator[Account]:
    return _people(session)


def account(session: Session, account_id: str) -> Account | None:
    row = one(session, f"/user/{account_id}/")
    return _account(row) if row else None


def find(session: Session, email: str) -> Account | None:
    return found(_people(session, email=email), email)


def create(session: Session, new: NewAccount) -> None:
    """Mails a welcome only if the connection names whom it is from."""
    employee = {"employee_id": new.employee_number} if new.employee_number else {}
    taken = [_people(session, **query) for query in ({"email": new.email}, employee) if query]
    for there in chain(*taken):
        raise errors.AlreadyExistsError(
            f"15Five has account {there.id} with this address or employee id, which creating would change. Change or "
            "reactivate that one, or correct its employee id"
        )
    name = {"first_name": new.given_name, "last_name": new.family_name}
    person: Row = {"email": new.email, **name, "is_active": True, **employee}
    if sender := session.record.get("welcome_from"):
        person["send_welcome_from_user_id"] = int(sender)
    session.send("POST", "/user/bulk/", json=[person])


def suspend(session: Session, account: Account) -> None:
    _put(session, account, is_active=False)


remove = suspend


def reactivate(session: Session, account: Account) -> None:
    _put(session, account, is_active=True)


def groups(session: Session) -> dict[str, str]:
    return {str(row["id"]): row["name"] for row in _rows(session, "/group/")}


def join(session: Session, account: Account, group: str) -> None:
    _put(session, account, company_groups_ids=[*(int(each) for each in account.groups if each != group), int(group)])


def leave(session: Session, account: Account, group: str) -> None:
    _put(session, account, company_groups_ids=[int(each) for each in account.groups if each != group])


def said(response: httpx.Response) -> str:
    """`detail`, or what is wrong with each field."""
    body = response.json()
    parts = [
        f"{'' if name == 'detail' else f'{name}: '}{' '.join(map(str, what)) if isinstance(what, list) else what}"
        for row in (body if isinstance(body, list) else [body])
        for name, what in row.items()
    ]
    return "; ".join(parts)


def _people(session: Session, **query: str) -> Iterator[Account]:
    halves = (_rows(session, "/user/", is_active=active, **query) for active in ("true", "false"))
    return map(_account, chain.from_iterable(halves))


def _rows(session: Session, path: str, **query: str) -> Iterator[Row]:
    return by_link(session, path, {"page_size": 100, **query}, "results", "next", total="count")


def _put(session: Session, account: Account, **facts: Any) -> None:
    session.send("PUT", f"/user/{account.id}/", json=facts)


def _account(row: Row) -> Account:
    never = "last_login_ts" in row and row["last_login_ts"] is None
    return Account(
        id=str(row["id"]),
        status=status_of(suspended=not row["is_active"], invited=never),
        **taken(row, user_name="email", title="title"),
        emails=distinct((row.get("email"),)),
        **names(row.get("first_name"), row.get("last_name")),
        **instants(row, last_activity="last_login_ts", created_at="create_ts"),
        role="Company admin" if row.get("is_company_admin") else "Reviewer" if row.get("is_reviewer") else "Member",
        admin=bool(row.get("is_company_admin")),
        groups=tuple(map(str, row.get("company_groups_ids") or ())),
        employee_number=str(row["employee_id"]) if row.get("employee_id") else None,
        raw=row,
    )


APP = App(
    module=__name__,
    slug="15five",
    name="15Five",
    base_url="https://{subdomain}.15five.com/api/public",
    hosts=("https://my.15five.com",),
    sign_in=api_key(
        Field("api_key", f"API key (15Five: {KEYS})", secret=True),
        Field("subdomain", "Company address, the first part of <company>.15five.com", default="my"),
        Field("welcome_from", "User id that welcome mails come from; empty for no mails", default=""),
        headers=lambda record: {"Authorization": record["api_key"]},
        or_else=lambda record: {"Authorization": f"Bearer {record['api_key']}"},
    ),
    removal="deactivates",
    removal_note=(
        "frees the licence and keeps the data; objectives and direct reports need a new owner; erasing goes through "
        "15Five's support"
    ),
    rate_limit="not published; counted by IP address",
    refusals=(
        Refusal(errors.SignInError, "", f"The key lapses after a year. Make one under {KEYS}", status=[401]),
        Refusal(errors.MissingScopeError, "", WHOLE, status=[403]),
    ),
)
