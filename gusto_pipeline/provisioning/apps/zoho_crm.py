"""Zoho CRM: the users of one organization, by its REST API v8.

Answers and refusals come wrapped in `users`, refusals of the whole request bare. A deactivated user is `inactive` or
`disabled`, whichever the data centre says. There is no last activity: `Isonline` is of this moment.
"""

from __future__ import annotations

from collections import Counter
from collections.abc import Iterator
from contextlib import suppress

import httpx

from gusto_pipeline.provisioning import errors
from gusto_pipeline.provisioning.account import Account, NewAccount, Status, Tenant
from gusto_pipeline.provisioning.app import App, distinct, instant, names, status_of
from gusto_pipeline.provisioning.apps import zoho
from gusto_pipeline.provisioning.errors import Refusal
from gusto_pipeline.provisioning.reading import Row, by_number, chosen, found
from gusto_pipeline.provisioning.session import Session

ROLE = "Manager / Standard"  # the lesser role and profile of those that every new organization has


def tenant(session: Session) -> Tenant:
    organization = _organization(session)
    return Tenant(organization["id"], organization["company_name"])


def accounts(session: Session) -> Iterator[Account]:
    """Whole by the vendor's count. Whether that has deleted and unconfirmed users in it, and the list has, is not
    documented: what the list lacks must be exactly all the deleted ones, or all the unconfirmed ones, or both.
    """
    seen: Counter[Status] = Counter()
    for account in _listed(session):
        seen[account.status] += 1
        yield account
    if (lacks := _count(session) - seen.total()) > 0:
        deleted = _count(session, "DeletedUsers") - seen[Status.DELETED]
        unconfirmed = _count(session, "NotConfirmedUsers") - seen[Status.INVITED]
        if lacks not in (deleted, unconfirmed, deleted + unconfirmed):
            raise errors.IncompleteReadError(
                f"Zoho CRM counts {lacks + seen.total()} accounts and listed {seen.total()}"
            )


def account(session: Session, account_id: str) -> Account | None:
    with suppress(errors.NotFoundError):
        if answer := session.get(f"/users/{account_id}"):  # 204 without a body for nobody
            return _account(answer["users"][0], _organization(session))
    return None


def find(session: Session, email: str) -> Account | None:
    return found(_listed(session), email)


def create(session: Session, new: NewAccount) -> None:
    """Invites with role and profile, written as in `Account.role`: "Manager / Standard"; by id too."""
    name = {"first_name": new.given_name, "last_name": new.family_name or new.given_name}
    _write(session, "POST", "/users", name | {"email": new.email} | _rights(session, new.role or ROLE))


def suspend(session: Session, account: Account) -> None:
    _write(session, "PUT", f"/users/{account.id}", {"status": "inactive"})


def reactivate(session: Session, account: Account) -> None:
    _write(session, "PUT", f"/users/{account.id}", {"status": "active"})


def remove(session: Session, account: Account) -> None:
    session.send("DELETE", f"/users/{account.id}")


def said(response: httpx.Response) -> str:
    body = response.json()
    wrong = next((row for row in [body, *body.get("users", [])] if row.get("status") == "error"), None)
    if wrong is None:
        return ""
    field = (wrong.get("details") or {}).get("api_name")
    return f"{wrong.get('message') or 'no reason given'}{f' {field}' if field else ''} ({wrong.get('code')})"


def _organization(session: Session) -> Row:
    organization: Row = session.get("/org")["org"][0]
    return organization


def _listed(session: Session) -> Iterator[Account]:
    organization = _organization(session)
    for row in by_number(session, "/users", {"per_page": 200}, "users", "info/more_records"):
        yield _account(row, organization)


def _count(session: Session, kind: str | None = None) -> int:
    return int(session.get("/users/actions/count", {"type": kind})["count"])


def _write(session: Session, method: str, path: str, user: Row) -> None:
    """One user per call."""
    session.send(method, path, json={"users": [user]})


def _rights(session: Session, wanted: str) -> dict[str, str]:
    """The ids of role and profile, of which Zoho CRM wants both."""
    role, _, profile = wanted.partition(" / ")
    ids = {}
    for kind, name in (("role", role), ("profile", profile or ROLE.partition(" / ")[2])):
        rows = session.get(f"/settings/{kind}s")[f"{kind}s"]
        labels = {row["id"]: row.get("display_label") or row["name"] for row in rows}
        there = {row["id"]: row["name"] for row in rows}
        ids[kind] = chosen(session, kind, name, labels if name in labels.values() else there)
    return ids


def _account(row: Row, organization: Row) -> Account:
    role, profile = ((row.get(kind) or {}).get("name") for kind in ("role", "profile"))
    primary, pending = organization.get("primary_zuid"), row.get("confirm") is False
    return Account(
        id=row["id"],
        status=status_of(
            deleted=row["status"] == "deleted", suspended=row["status"] != "active" and not pending, invited=pending
        ),
        emails=distinct((row.get("email"),)),
        **names(row.get("first_name"), row.get("last_name"), row.get("full_name")),
        created_at=instant(row.get("created_time")),
        role=" / ".join(filter(None, (role, profile))) or None,
        admin=profile == "Administrator",
        owner=bool(primary) and row.get("zuid") == primary,
        phone=row.get("phone") or row.get("mobile"),
        raw=row,
    )


APP = App(
    module=__name__,
    slug="zoho_crm",
    name="Zoho CRM",
    base_url=f"{zoho.APIS}/crm/v8",
    hosts=(zoho.ACCOUNTS,),
    sign_in=zoho.sign_in(
        scopes=("ZohoCRM.users.ALL", *(f"ZohoCRM.{of}.READ" for of in ("org", "settings.profiles", "settings.roles")))
    ),
    removal="deletes",
    removal_note="records keep the deleted owner's name: transfer them in Zoho CRM before",
    rate_limit="API credits per day, and requests at a time, by edition",
    invites=True,
    refuses_with=zoho.ANY,
    refusals=(
        Refusal(errors.LastOwnerError, "primary contact", "Name another primary contact in Zoho CRM first"),
        Refusal(errors.AlreadyExistsError, r"\((DUPLICATE_DATA|ID_ALREADY_\w+)\)", "Nothing is left to do"),
        Refusal(errors.UnsupportedError, "crm ?plus", "Manage this person in CRM Plus"),
        Refusal(errors.NoSeatError, r"\(LICENSE_LIMIT_EXCEEDED\)"),
        Refusal(errors.PlanTooLowError, r"\(FEATURE_PERMISSION\)", "Raise it, or do it by hand"),
        Refusal(errors.NotFoundError, r"^the.id.given.*\(INVALID_DATA\)"),
        *zoho.REFUSALS,
    ),
)
