"""Dropbox: the members of one team, by the team routes of its API v2 (dropbox.com/developers).

Every call is a POST, also what only reads; unions say in `.tag` which they are; 409 is a route's own error. Suspending
and removing wipe the person's linked devices unless told not to: they are told not to, but for the connection's field
`wipe_data`. Files can be handed over only once somebody has been removed, and are so by an administrator.
Whether suspended members count in the team's own total is not documented: it is checked as if they did not.
"""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import suppress
from datetime import datetime
from typing import Any

import httpx

from gusto_pipeline.provisioning.account import Account, NewAccount, Status, Tenant
from gusto_pipeline.provisioning.app import App, counted, distinct, instant
from gusto_pipeline.provisioning.errors import (
    AlreadyExistsError,
    AppError,
    IncompleteReadError,
    InvalidError,
    LastOwnerError,
    MissingScopeError,
    NoSeatError,
    NotFoundError,
    OutcomeUnknownError,
    PlanTooLowError,
)
from gusto_pipeline.provisioning.session import Session, retry_after
from gusto_pipeline.provisioning.signin import Consent, Field, oauth

STATUSES = {
    "active": Status.ACTIVE,
    "invited": Status.INVITED,
    "suspended": Status.SUSPENDED,
    "removed": Status.DELETED,
}
POLLS = 120  # of a job, a second apart at first, then five


def tenant(session: Session) -> Tenant:
    team = _read(session, "/team/get_info")
    return Tenant(team["team_id"], team["name"])


def accounts(session: Session) -> Iterator[Account]:
    """Members in every state, with those removed lately."""
    removed = 0

    def members() -> Iterator[Account]:
        nonlocal removed
        for row in _pages(session, "/team/members/list_v2", "members", include_removed=True):
            account = _account(row)
            removed += account.status is Status.DELETED
            yield account

    def total() -> int:
        return int(_read(session, "/team/get_info")["num_provisioned_users"]) + removed

    return counted("Dropbox", members(), total)


def account(session: Session, account_id: str) -> Account | None:
    return _one(session, _user(account_id))


def find(session: Session, email: str) -> Account | None:
    return _one(session, {".tag": "email", "email": email})


def create(session: Session, new: NewAccount) -> None:
    """Invites by mail. role: id or name of one of the team's roles; groups: ids."""
    member: dict[str, Any] = {
        "member_email": new.email,
        "member_given_name": new.given_name[:50],
        "member_surname": new.family_name[:50],
        "send_welcome_email": True,
    }
    if new.role:
        member["role_ids"] = [_role_id(session, new.role)]
    launch = session.json(session.send("POST", "/team/members/add_v2", json={"new_members": [member]}))
    (item,) = _finished(session, launch, "/team/members/add/job_status/get_v2")["complete"]
    if item[".tag"] != "success":
        raise _not_added(item[".tag"], new.email)
    for group in new.groups:
        join(session, _account(item), group)


def suspend(session: Session, account: Account) -> None:
    body = {"user": _user(account.id), "wipe_data": _wipes(session)}
    session.send("POST", "/team/members/suspend", json=body)


def reactivate(session: Session, account: Account) -> None:
    session.send("POST", "/team/members/unsuspend", json={"user": _user(account.id)})


def remove(session: Session, account: Account) -> None:
    body = {
        "user": _user(account.id),
        "wipe_data": _wipes(session),
        "keep_account": False,
        "retain_team_shares": False,
        "permanently_delete_files": False,
    }
    launch = session.json(session.send("POST", "/team/members/remove", json=body))
    _finished(session, launch, "/team/members/remove/job_status/get")


def restore(session: Session, account: Account) -> None:
    session.send("POST", "/team/members/recover", json={"user": _user(account.id)})


def invite_again(session: Session, account: Account) -> None:
    session.send("POST", "/team/members/send_welcome_email", json=_user(account.id))


def groups(session: Session) -> dict[str, str]:
    return {row["group_id"]: row["group_name"] for row in _pages(session, "/team/groups/list", "groups")}


def join(session: Session, account: Account, group: str) -> None:
    member = {"user": _user(account.id), "access_type": {".tag": "member"}}
    body = {"group": {".tag": "group_id", "group_id": group}, "members": [member], "return_members": False}
    with suppress(AlreadyExistsError):
        session.send("POST", "/team/groups/members/add", json=body)


def leave(session: Session, account: Account, group: str) -> None:
    users = [_user(account.id)]
    body = {"group": {".tag": "group_id", "group_id": group}, "users": users, "return_members": False}
    session.send("POST", "/team/groups/members/remove", json=body)


def refusal(response: httpx.Response) -> AppError | None:
    status = response.status_code
    if response.is_success or status >= 500 or status == 429:
        return None
    error, path = _error(response), response.request.url.path
    tag = str(error.get(".tag"))
    if status == 401 and tag == "missing_scope":
        scope = error.get("required_scope", "needed")
        return MissingScopeError(
            f"Dropbox wants the scope {scope} for {path}. Tick it in the app's settings, then run: "
            "gusto-pipeline connect dropbox"
        )
    if status == 403 and tag == "invalid_account_type":
        return PlanTooLowError(f"Dropbox's plan does not include {path}. Raise the plan, or do it by hand")
    if status == 403:
        return MissingScopeError(f"Dropbox: {tag} on {path}. Connect as a team admin: gusto-pipeline connect dropbox")
    if status == 409:
        return _route_error(tag, path)
    return InvalidError(f"Dropbox refuses {path}: {response.text[:200]}") if status == 400 else None


def wait(response: httpx.Response, now: datetime) -> float | None:
    """Of a 429 only: its header, else what its body says."""
    if response.status_code != 429:
        return None
    asked = retry_after(response, now)
    return float(_error(response).get("retry_after") or 1) if asked is None else asked


def _route_error(tag: str, path: str) -> AppError:
    if tag in ("user_not_found", "user_not_in_team", "group_not_found", "id_not_found"):
        return NotFoundError(f"Dropbox: {tag} on {path}")
    if tag in ("remove_last_admin", "suspend_last_admin"):
        return LastOwnerError(f"Dropbox: {tag}. Make somebody else a team admin first")
    if tag == "team_license_limit":
        return NoSeatError("Dropbox has no free licence: buy one, or remove somebody")
    if tag == "duplicate_user":
        return AlreadyExistsError(f"Dropbox: {tag} on {path}: the person is in the group already")
    if tag == "suspend_inactive_user":
        return InvalidError("Dropbox: who has not joined yet cannot be suspended. Remove the invitation instead")
    if tag == "user_unrecoverable":
        return InvalidError("Dropbox: seven days have passed, the member cannot be restored. Invite the person anew")
    if tag == "invalid_cursor":
        return IncompleteReadError("Dropbox lost its place in the list. Read it again from the start")
    return InvalidError(f"Dropbox refuses {path}: {tag}. Correct it, or do it in the Admin Console")


def _not_added(tag: str, email: str) -> AppError:
    if tag in ("team_license_limit", "free_team_member_limit_reached"):
        return NoSeatError(f"Dropbox has no free licence for {email}: buy one, or remove somebody")
    if tag == "user_already_on_team":
        return AlreadyExistsError(
            f"Dropbox has {email} in the team, or removed less than seven days ago: then restore the account"
        )
    if tag == "user_on_another_team":
        return InvalidError(f"Dropbox has {email} in another team: the person must leave that one first")
    return InvalidError(f"Dropbox does not add {email}: {tag}. Correct it, or do it in the Admin Console")


def _error(response: httpx.Response) -> dict[str, Any]:
    try:
        error = response.json()["error"]
    except (ValueError, LookupError, TypeError):
        return {}
    return error if isinstance(error, dict) else {}


def _read(session: Session, path: str, body: dict[str, Any] | None = None) -> Any:
    return session.json(session.send("POST", path, json=body, reads=True))


def _pages(session: Session, path: str, rows: str, **options: Any) -> Iterator[dict[str, Any]]:
    page = _read(session, path, {"limit": 1000, **options})
    yield from page[rows]
    head, version, suffix = path.partition("_v2")
    while page["has_more"]:
        page = _read(session, f"{head}/continue{version}{suffix}", {"cursor": page["cursor"]})
        yield from page[rows]


def _one(session: Session, user: dict[str, str]) -> Account | None:
    (item,) = _read(session, "/team/members/get_info_v2", {"members": [user]})["members_info"]
    return _account(item) if item[".tag"] == "member_info" else None


def _finished(session: Session, answer: dict[str, Any], status_path: str) -> dict[str, Any]:
    """The answer, or that of the job that was started instead of one."""
    job = answer.get("async_job_id")
    for n in range(POLLS):
        if answer[".tag"] not in ("async_job_id", "in_progress"):
            break
        session.sleep(1 if n < 10 else 5)
        answer = _read(session, status_path, {"async_job_id": job})
    if answer[".tag"] != "complete":
        raise OutcomeUnknownError(f"Dropbox has not finished ({answer['.tag']}). Look there before trying again")
    return answer


def _role_id(session: Session, role: str) -> str:
    if role.startswith("pid_dbtmr:"):
        return role
    known = {
        row["name"]: row["role_id"] for row in _read(session, "/team/members/get_available_team_member_roles")["roles"]
    }
    if role not in known:
        raise InvalidError(f"Dropbox has no role {role!r}; there are {', '.join(known)}")
    return known[role]


def _user(account_id: str) -> dict[str, str]:
    return {".tag": "team_member_id", "team_member_id": account_id}


def _wipes(session: Session) -> bool:
    return session.record.get("wipe_data") == "yes"


def _account(row: dict[str, Any]) -> Account:
    profile, roles = row["profile"], row.get("roles") or []
    name, role = profile.get("name") or {}, roles[0]["name"] if roles else "Member"
    others = [each["email"] for each in profile.get("secondary_emails") or [] if each.get("is_verified")]
    return Account(
        id=profile["team_member_id"],
        status=STATUSES[profile["status"][".tag"]],
        user_name=profile.get("email"),
        emails=distinct((profile.get("email"), *others)),
        given_name=name.get("given_name") or None,
        family_name=name.get("surname") or None,
        display_name=name.get("display_name") or None,
        created_at=instant(profile.get("joined_on") or profile.get("invited_on")),
        role=role,
        admin="admin" in role.lower(),
        licence=(profile.get("membership_type") or {}).get(".tag"),
        groups=tuple(profile.get("groups") or ()),
        external_id=profile.get("external_id") or None,
        raw=row,
    )


APP = App(
    slug="dropbox",
    name="Dropbox",
    base_url="https://api.dropboxapi.com/2",
    hosts=("https://www.dropbox.com",),
    sign_in=oauth(
        Consent(
            url="https://www.dropbox.com/oauth2/authorize",
            scopes=(
                "team_info.read", "members.read", "members.write", "members.delete", "groups.read", "groups.write",
            ),
            extra={"token_access_type": "offline"},
        ),
        "https://api.dropboxapi.com/oauth2/token",
        Field("wipe_data", "Wipe the linked devices of who is suspended or removed, yes or no", default="no"),
    ),
    plan="a team plan",
    removal="deletes",
    removal_note=(
        "can be restored for seven days; files stay for an administrator to hand over; devices are wiped only if the "
        "connection says so"
    ),
    rate_limit="not published",
    invites=True,
    tenant=tenant,
    accounts=accounts,
    account=account,
    find=find,
    create=create,
    suspend=suspend,
    reactivate=reactivate,
    remove=remove,
    restore=restore,
    invite_again=invite_again,
    groups=groups,
    join=join,
    leave=leave,
    refusal=refusal,
    wait=wait,
)  # fmt: skip
