"""Dropbox: the members of one team, by the team routes of its API v2 (dropbox.com/developers).

Every call is a POST, also what only reads; unions say in `.tag` which they are; 409 is a route's own error. Suspending
and removing wipe the person's linked devices unless told not to: they are told not to, but for the connection's field
`wipe_data`. Files can be handed over only once somebody has been removed, and are so by an administrator.
Whether suspended members count in the team's own total is not documented: it is checked as if they did not.
"""

from __future__ import annotations

from collections.abc import Iterator

import httpx

from gusto_pipeline.provisioning import errors
from gusto_pipeline.provisioning.account import Account, NewAccount, Status, Tenant
from gusto_pipeline.provisioning.app import App, distinct, instant, names, taken
from gusto_pipeline.provisioning.errors import Refusal
from gusto_pipeline.provisioning.reading import Row, awaited, chosen
from gusto_pipeline.provisioning.session import Session
from gusto_pipeline.provisioning.signin import Consent, Field, oauth

LOOKS = (*[1] * 10, *[5] * 110)  # seconds between looks at a job


def tenant(session: Session) -> Tenant:
    team = _read(session, "/team/get_info")
    return Tenant(team["team_id"], team["name"])


def accounts(session: Session) -> Iterator[Account]:
    """Members in every state, with those removed lately."""
    living = 0
    for row in _pages(session, "/team/members/list_v2", "members", include_removed=True):
        account = _account(row)
        living += account.status is not Status.DELETED
        yield account
    if living < (total := int(_read(session, "/team/get_info")["num_provisioned_users"])):
        raise errors.IncompleteReadError(f"Dropbox counts {total} accounts and listed {living}")


def account(session: Session, account_id: str) -> Account | None:
    return _one(session, _user(account_id))


def find(session: Session, email: str) -> Account | None:
    return _one(session, {".tag": "email", "email": email})


def create(session: Session, new: NewAccount) -> None:
    """Invites by mail. role: id or name of one of the team's roles."""
    member: Row = {
        "member_email": new.email,
        "member_given_name": new.given_name[:50],
        "member_surname": new.family_name[:50],
    }
    if new.role:
        rows = _read(session, "/team/members/get_available_team_member_roles")["roles"]
        member["role_ids"] = [chosen(session, "role", new.role, {row["role_id"]: row["name"] for row in rows})]
    launch = session.json(session.send("POST", "/team/members/add_v2", json={"new_members": [member]}))
    _finished(session, launch, "/team/members/add/job_status/get_v2")


def suspend(session: Session, account: Account) -> None:
    session.send("POST", "/team/members/suspend", json=_leaver(session, account))


def reactivate(session: Session, account: Account) -> None:
    session.send("POST", "/team/members/unsuspend", json={"user": _user(account.id)})


def remove(session: Session, account: Account) -> None:
    """By Dropbox's defaults: no Basic account is left, and no file is deleted for good."""
    launch = session.json(session.send("POST", "/team/members/remove", json=_leaver(session, account)))
    _finished(session, launch, "/team/members/remove/job_status/get")


def restore(session: Session, account: Account) -> None:
    session.send("POST", "/team/members/recover", json={"user": _user(account.id)})


def invite_again(session: Session, account: Account) -> None:
    session.send("POST", "/team/members/send_welcome_email", json=_user(account.id))


def groups(session: Session) -> dict[str, str]:
    return {row["group_id"]: row["group_name"] for row in _pages(session, "/team/groups/list", "groups")}


def join(session: Session, account: Account, group: str) -> None:
    _change_group(session, "add", group, members=[{"user": _user(account.id), "access_type": {".tag": "member"}}])


def leave(session: Session, account: Account, group: str) -> None:
    _change_group(session, "remove", group, users=[_user(account.id)])


def said(response: httpx.Response) -> str:
    """Of a route; or, inside a success, of the one person who was to be added."""
    if response.status_code == 400:
        return response.text[:200]
    body = response.json()
    if response.is_success:
        wrong = next((item for item in body.get("complete") or () if item[".tag"] != "success"), {".tag": ""})
        return f"{wrong['.tag']} {wrong.get(wrong['.tag']) or ''}"
    scope = body["error"].get("required_scope")
    return f"{body['error']['.tag']}{f', it wants the scope {scope}' if scope else ''}"


def _read(session: Session, path: str, body: Row | None = None) -> Row:
    return session.json(session.send("POST", path, json=body, reads=True))


def _pages(session: Session, path: str, rows: str, **options: object) -> Iterator[Row]:
    page = _read(session, path, {"limit": 1000, **options})
    yield from page[rows]
    while page["has_more"]:
        page = _read(session, path.replace("/list", "/list/continue"), {"cursor": page["cursor"]})
        yield from page[rows]


def _one(session: Session, user: dict[str, str]) -> Account | None:
    (item,) = _read(session, "/team/members/get_info_v2", {"members": [user]})["members_info"]
    return _account(item) if item[".tag"] == "member_info" else None


def _finished(session: Session, answer: Row, path: str) -> None:
    """Waits for the job that was started instead of an answer, if one was."""
    if job := answer.get("async_job_id"):
        asked = {"async_job_id": job}
        answer = awaited(session, LOOKS, lambda: _read(session, path, asked), lambda row: row[".tag"] != "in_progress")
    if answer[".tag"] != "complete":
        raise errors.OutcomeUnknownError(f"Dropbox has not finished ({answer['.tag']}). Look there before trying again")


def _change_group(session: Session, how: str, group: str, **who: object) -> None:
    body = {"group": {".tag": "group_id", "group_id": group}, **who, "return_members": False}
    session.send("POST", f"/team/groups/members/{how}", json=body)


def _user(account_id: str) -> dict[str, str]:
    return {".tag": "team_member_id", "team_member_id": account_id}


def _leaver(session: Session, account: Account) -> Row:
    return {"user": _user(account.id), "wipe_data": session.record.get("wipe_data") == "yes"}


def _account(row: Row) -> Account:
    profile, roles = row["profile"], row.get("roles") or []
    name, role = profile.get("name") or {}, roles[0]["name"] if roles else "Member"
    others = [each["email"] for each in profile.get("secondary_emails") or [] if each.get("is_verified")]
    return Account(
        id=profile["team_member_id"],
        status=Status.DELETED if (status := profile["status"][".tag"]) == "removed" else Status(status),
        **taken(profile, user_name="email", external_id="external_id"),
        emails=distinct((profile.get("email"), *others)),
        **names(name.get("given_name"), name.get("surname"), name.get("display_name")),
        created_at=instant(profile.get("joined_on") or profile.get("invited_on")),
        role=role,
        admin="admin" in role.lower(),
        licence=(profile.get("membership_type") or {}).get(".tag"),
        groups=tuple(profile.get("groups") or ()),
        raw=row,
    )


APP = App(
    module=__name__,
    slug="dropbox",
    name="Dropbox",
    base_url="https://api.dropboxapi.com/2",
    hosts=("https://www.dropbox.com",),
    sign_in=oauth(
        Consent(
            url="https://www.dropbox.com/oauth2/authorize",
            scopes=("team_info.read", "members.read", "members.write", "members.delete", "groups.read", "groups.write"),
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
    refuses_with=[200, 409],
    refusals=(
        Refusal(errors.MissingScopeError, "^missing_scope", "Tick it in the app's settings", status=[401]),
        Refusal(errors.PlanTooLowError, "^invalid_account_type", status=[403]),
        Refusal(errors.MissingScopeError, "", "Connect as a team admin", status=[403]),
        Refusal(errors.NotFoundError, "^(user_not_found|user_not_in_team|group_not_found|id_not_found)"),
        Refusal(errors.LastOwnerError, "^(remove|suspend)_last_admin", "Make somebody else a team admin first"),
        Refusal(errors.NoSeatError, "^(team_license_limit|free_team_member_limit_reached)"),
        Refusal(errors.AlreadyExistsError, "^duplicate_user", "The person is in the group already"),
        Refusal(errors.AlreadyExistsError, "^user_already_on_team", "If removed lately, restore the account instead"),
        Refusal(errors.InvalidError, "^user_on_another_team", "The person must leave that one first"),
        Refusal(errors.InvalidError, "^suspend_inactive_user", "Not joined yet: remove the invitation instead"),
        Refusal(errors.InvalidError, "^user_unrecoverable", "Seven days have passed. Invite the person anew"),
        Refusal(errors.IncompleteReadError, "^invalid_cursor", "It lost its place: read the list again from the start"),
        Refusal(errors.InvalidError, "", "Correct it, or do it in the Admin Console", status=[200, 400, 409]),
    ),
)
