"""Box: the managed users of one enterprise, by its Content API 2.0 (developer.box.com).

Box names only the fields it is asked for, so all are asked for. Nothing tells whether somebody has set a password yet,
and an address whose Box account is somewhere else can only be invited by hand: such invitations are not listed.
What exactly Box answers when somebody to be deleted owns content is not documented; any refusal of the values counts.
"""

from __future__ import annotations

from collections.abc import Iterator
from datetime import timedelta

import httpx

from gusto_pipeline.provisioning import errors
from gusto_pipeline.provisioning.account import Account, NewAccount, Status, Tenant
from gusto_pipeline.provisioning.app import App, distinct, filled, instant, one_name, taken
from gusto_pipeline.provisioning.errors import Refusal
from gusto_pipeline.provisioning.reading import Row, by_cursor, by_offset, found, one
from gusto_pipeline.provisioning.session import Session
from gusto_pipeline.provisioning.signin import Consent, oauth

FIELDS = (
    "id,type,name,login,status,role,created_at,modified_at,job_title,phone,notification_email,space_used,"
    "is_platform_access_only,external_app_user_id,enterprise"
)
ROLES = {"admin": "Admin", "coadmin": "Co-admin", "user": "User"}
SLOW = timedelta(minutes=10)  # after which Box answers a move of content that is still going on
OUTSIDE = "If that account is outside the enterprise, invite it in the Admin Console"
MANAGER = "Connect as an admin or co-admin who may manage users"


def tenant(session: Session) -> Tenant:
    enterprise = session.get("/users/me", {"fields": "id,type,name,login,role,enterprise"}).get("enterprise")
    if not enterprise:
        raise errors.MissingScopeError(
            f"Box: the person who connected us belongs to no enterprise. {MANAGER}, run: gusto-pipeline connect box"
        )
    return Tenant(enterprise["id"], enterprise.get("name") or enterprise["id"])


def accounts(session: Session) -> Iterator[Account]:
    return _users(session)


def account(session: Session, account_id: str) -> Account | None:
    row = one(session, f"/users/{account_id}", {"fields": FIELDS})
    return _account(row) if row else None


def find(session: Session, email: str) -> Account | None:
    return found(_users(session, filter_term=email), email)


def create(session: Session, new: NewAccount) -> None:
    """Box mails a link to set a password. role: `user` or `coadmin`."""
    facts = {"login": new.email, "name": new.display_name[:50], "role": new.role, "job_title": new.title}
    session.send("POST", "/users", json=filled(facts))


def suspend(session: Session, account: Account) -> None:
    """Signs out as well, also when suspending went unanswered."""
    try:
        session.send("PUT", f"/users/{account.id}", json={"status": "inactive"})
    finally:
        who = {"user_ids": [account.id], "user_logins": [account.user_name]}
        session.send("POST", "/users/terminate_sessions", json=who)


def reactivate(session: Session, account: Account) -> None:
    session.send("PUT", f"/users/{account.id}", json={"status": "active"})


def remove(session: Session, account: Account) -> None:
    """Never by force, which would delete the person's files."""
    if account.owner:
        raise errors.LastOwnerError(
            "Box keeps its primary admin. Make somebody else primary admin in the Admin Console first"
        )
    session.send("DELETE", f"/users/{account.id}", params={"notify": "false", "force": "false"})


def hand_over(session: Session, account: Account, to: Account) -> None:
    """Moves all files into a folder of the other person's. Raises OutcomeUnknownError while Box is still moving."""
    started, path, owner = session.clock(), f"/users/{account.id}/folders/0", {"owned_by": {"id": to.id}}
    session.send("PUT", path, params={"notify": "false"}, json=owner, timeout=SLOW.total_seconds() + 120)
    if session.clock() - started >= SLOW:
        raise errors.OutcomeUnknownError(
            f"Box is still moving the content of {account.id}: delete the account only after the mail that it is done"
        )


def groups(session: Session) -> dict[str, str]:
    return {group["id"]: group["name"] for group in _entries(session, "/groups", fields="id,name")}


def join(session: Session, account: Account, group: str) -> None:
    body = {"user": {"id": account.id}, "group": {"id": group}, "role": "member"}
    session.send("POST", "/group_memberships", json=body)


def leave(session: Session, account: Account, group: str) -> None:
    for membership in _entries(session, f"/users/{account.id}/memberships"):
        if membership["group"]["id"] == group:
            session.send("DELETE", f"/group_memberships/{membership['id']}")


def said(response: httpx.Response) -> str:
    body = response.json()
    return f"{body.get('message') or 'no reason given'} ({body.get('code')})"


def _users(session: Session, **query: str) -> Iterator[Account]:
    """By marker; offsets end at 10,000."""
    params = {"user_type": "managed", "usemarker": "true", "limit": 1000, "fields": FIELDS, **query}
    return map(_account, by_cursor(session, "/users", params, "entries", "marker", "next_marker"))


def _entries(session: Session, path: str, **query: str) -> Iterator[Row]:
    return by_offset(session, path, {"limit": 1000, **query}, "entries", "offset", "total_count")


def _account(row: Row) -> Account:
    login, role, other = row.get("login"), row.get("role"), row.get("notification_email") or {}
    confirmed = other.get("email") if other.get("is_confirmed") else None
    return Account(
        id=row["id"],
        status=Status.SUSPENDED if row["status"] == "inactive" else Status.ACTIVE,
        user_name=login,
        emails=distinct((login, confirmed)),
        **one_name(row.get("name")),
        created_at=instant(row.get("created_at")),
        role=ROLES.get(role or "", role),
        admin=role in ("admin", "coadmin"),
        owner=role == "admin",
        bot=bool(row.get("is_platform_access_only")),
        **taken(row, external_id="external_app_user_id", phone="phone", title="job_title"),
        raw=row,
    )


APP = App(
    module=__name__,
    slug="box",
    name="Box",
    base_url="https://api.box.com/2.0",
    hosts=("https://account.box.com",),
    sign_in=oauth(
        Consent(
            url="https://account.box.com/api/oauth2/authorize",
            scopes=("manage_managed_users", "manage_groups", "root_readwrite"),
        ),
        "https://api.box.com/oauth2/token",
    ),
    removal="deletes",
    removal_note="refused while the person owns content, which must be handed over first; cannot be undone",
    rate_limit="1,000 requests a minute per user",
    refusals=(
        Refusal(errors.MissingScopeError, "", MANAGER, status=[403]),
        Refusal(errors.AlreadyExistsError, "user_login_already_used", OUTSIDE),
        Refusal(errors.OwnsContentError, "", "Hand the content over first, then remove it", call="^DELETE .*/users/"),
    ),
)
