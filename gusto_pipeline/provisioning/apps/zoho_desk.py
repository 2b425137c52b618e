"""Zoho Desk: the agents of one portal, by its REST API v1 (desk.zoho.com/DeskAPIDocument).

Nobody found is a 204 without a body. Whether `from` counts from 0 or 1 differs among the vendor's texts: pages start
at 0, may overlap by one, and end with one that brings nobody new. An agent who has not accepted is removed by another
call than one who has; before that one, agents are deactivated, as the vendor's own screens do.
"""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import suppress
from urllib.parse import quote

import httpx

from gusto_pipeline.provisioning import errors
from gusto_pipeline.provisioning.account import Account, NewAccount, Status, Tenant
from gusto_pipeline.provisioning.app import App, distinct, names, status_of
from gusto_pipeline.provisioning.apps import zoho
from gusto_pipeline.provisioning.errors import Refusal
from gusto_pipeline.provisioning.reading import Row, one
from gusto_pipeline.provisioning.session import Session
from gusto_pipeline.provisioning.signin import Field

PAGE = 200


def tenant(session: Session) -> Tenant:
    wanted = session.record["org_id"]
    for row in _rows(session.get("/organizations")):
        if str(row["id"]) == wanted:
            return Tenant(wanted, row.get("companyName") or row.get("portalName") or wanted)
    raise errors.SignInError(
        f"Zoho Desk: this connection reaches no organization {wanted}. Look its id up under Setup > Developer Space > "
        "API, then run: gusto-pipeline connect zoho_desk"
    )


def accounts(session: Session) -> Iterator[Account]:
    return map(_account, _pages(session, "/agents"))


def account(session: Session, account_id: str) -> Account | None:
    row = one(session, f"/agents/{account_id}")
    return _account(row) if row else None


def find(session: Session, email: str) -> Account | None:
    answer = session.get(f"/agents/email/{quote(email)}")
    return _account(answer) if answer else None


def create(session: Session, new: NewAccount) -> None:
    """Invites. role: AgentPersonal (own tickets, the default), AgentTeamPersonal, AgentPublic, Admin or Light.

    groups: departments, of which an agent needs one: without any, the portal's default department.
    """
    departments = new.groups
    if not departments:
        rows = list(_pages(session, "/departments"))
        departments = (str(next((row for row in rows if row.get("isDefault")), rows[0])["id"]),)
    agent = {
        "firstName": new.given_name,
        "lastName": new.family_name or new.given_name,
        "emailId": new.email,
        "rolePermissionType": new.role or "AgentPersonal",
        "associatedDepartmentIds": departments,
    }
    session.send("POST", "/agents", json=agent)


def invite_again(session: Session, account: Account) -> None:
    session.send("POST", "/agents/reinvite", json={"agentIds": [account.id]})


def suspend(session: Session, account: Account) -> None:
    session.send("POST", f"/agents/{account.id}/deactivate")


def reactivate(session: Session, account: Account) -> None:
    session.send("POST", "/agents/activate", json={"agentIds": [account.id]})


def remove(session: Session, account: Account) -> None:
    if account.raw.get("isConfirmed") is False:
        session.send("POST", "/agents/deleteUnconfirmed", json={"agentIds": [account.id]})
        return
    if account.status is Status.ACTIVE:
        with suppress(errors.OutcomeUnknownError):  # what matters is whether the agent can be deleted now
            suspend(session, account)
    session.send("DELETE", f"/agents/{account.id}")


cancel_invitation = remove


def hand_over(session: Session, account: Account, to: Account) -> None:
    """Open tickets and tasks, in each department; the other must be in these departments too."""
    owners = {"taskNewOwner": to.id, "ticketNewOwner": to.id}
    moves = [{"departmentId": department, **owners} for department in account.groups]
    session.send("POST", f"/agents/{account.id}/reassignment", json=moves)


def groups(session: Session) -> dict[str, str]:
    """Departments."""
    return {str(row["id"]): row["name"] for row in _pages(session, "/departments")}


def join(session: Session, account: Account, group: str) -> None:
    _move(session, account, {*account.groups, group})


def leave(session: Session, account: Account, group: str) -> None:
    _move(session, account, {*account.groups} - {group})


def said(response: httpx.Response) -> str:
    body = response.json()
    fields = ", ".join(f"{row.get('fieldName')} {row.get('errorType')}" for row in body.get("errors") or ())
    return f"{body.get('message') or 'no reason given'} {fields}".strip() + f" ({body['errorCode']})"


def _pages(session: Session, path: str) -> Iterator[Row]:
    seen: set[str] = set()
    start = 0
    while True:
        rows = _rows(session.get(path, {"from": start, "limit": PAGE}))
        new = [row for row in rows if str(row["id"]) not in seen]
        if not new:
            return
        yield from new
        seen |= {str(row["id"]) for row in new}
        start += PAGE


def _rows(answer: Row | None) -> list[Row]:
    return answer["data"] if answer else []


def _move(session: Session, account: Account, departments: set[str]) -> None:
    session.send("PATCH", f"/agents/{account.id}", json={"associatedDepartmentIds": sorted(departments)})


def _account(row: Row) -> Account:
    status, pending = row["status"], not row.get("isConfirmed", True)
    return Account(
        id=str(row["id"]),
        status=status_of(deleted=status == "DELETED", suspended=status == "DISABLED", invited=pending),
        emails=distinct((row.get("emailId"),)),
        **names(row.get("firstName"), row.get("lastName"), row.get("name")),
        role=row.get("rolePermissionType"),
        admin=row.get("rolePermissionType") == "Admin",
        bot=bool(row.get("isZiaAgent")),
        licence="Light agent" if row.get("rolePermissionType") == "Light" else "Agent",
        groups=tuple(map(str, row.get("associatedDepartmentIds") or ())),
        phone=row.get("phone") or row.get("mobile"),
        raw=row,
    )


APP = App(
    module=__name__,
    slug="zoho_desk",
    name="Zoho Desk",
    base_url="https://desk.{domain}.{data_centre}/api/v1",
    hosts=(zoho.ACCOUNTS,),
    sign_in=zoho.sign_in(
        Field("org_id", "Organization id (Setup > Developer Space > API)"),
        scopes=(
            *(f"Desk.agents.{may}" for may in ("READ", "CREATE", "UPDATE", "DELETE")),
            *(f"Desk.{area}.{may}" for area in ("basic", "settings") for may in ("READ", "CREATE", "UPDATE", "DELETE")),
        ),
        headers=lambda record: {**zoho.authorization(record), "orgId": record["org_id"]},
    ),
    removal="deletes",
    removal_note="open tickets and tasks stay with nobody unless handed over before",
    rate_limit="API credits per day, by edition and number of agents",
    creates_in_groups=True,
    invites=True,
    refuses_with=range(400, 500),
    refusals=(
        Refusal(errors.AlreadyExistsError, r"\bduplicate\b", "Nothing is left to do"),
        Refusal(errors.NoSeatError, r"\(LICENSE_ACCESS_LIMITED\)", "Buy one, or deactivate somebody"),
        *zoho.REFUSALS,
    ),
)
