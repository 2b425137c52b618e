"""ClickUp: the members and guests of one Workspace, by its API 2 (developer.clickup.com), where Workspaces are teams.

Inviting and removing take the Enterprise plan, listing does not. Everybody comes in one answer. How ClickUp words that
the plan is too low or no seat is free is not documented: after a refusal the plan and the seats are looked at.
"""

from __future__ import annotations

from collections.abc import Iterator

import httpx

from gusto_pipeline.provisioning import errors
from gusto_pipeline.provisioning.account import Account, NewAccount, Status, Tenant
from gusto_pipeline.provisioning.app import App, distinct, instant, one_name
from gusto_pipeline.provisioning.errors import AppError, Refusal
from gusto_pipeline.provisioning.reading import Row
from gusto_pipeline.provisioning.session import Session
from gusto_pipeline.provisioning.signin import Field, api_key

ROLES = {1: "Owner", 2: "Admin", 3: "Member", 4: "Guest"}
OWNER, ADMIN, GUEST = 1, 2, 4
# Of the codes for "not signed in", those that mean: signed in, but not allowed into this Workspace.
BARRED = r"\(OAUTH_0(23|26|27|29|3\d|4[0-5])\)$"
ADMINISTRATOR = "Make the token as an owner or admin of the Workspace"


def tenant(session: Session) -> Tenant:
    team = _team(session)
    return Tenant(str(team["id"]), team["name"])


def accounts(session: Session) -> Iterator[Account]:
    return map(_account, _team(session)["members"])


def create(session: Session, new: NewAccount) -> None:
    """Invites by mail; a name cannot be given. role: `admin`, or the number of a custom role."""
    body: Row = {"email": new.email, "admin": new.role == "admin"}
    if new.role and new.role.isdecimal():
        body["custom_role_id"] = int(new.role)
    try:
        session.send("POST", f"/team/{session.record['team']}/user", json=body)
    except (errors.InvalidError, errors.MissingScopeError, errors.NotFoundError) as error:
        raise _explained(session, error, seats=True) from error


def remove(session: Session, account: Account) -> None:
    if account.owner:
        raise errors.LastOwnerError("ClickUp keeps the Workspace's owner. Transfer the ownership in its settings first")
    kind = "guest" if account.raw["user"].get("role") == GUEST else "user"
    try:
        session.send("DELETE", f"/team/{session.record['team']}/{kind}/{account.id}")
    except (errors.InvalidError, errors.MissingScopeError) as error:
        raise _explained(session, error, seats=False) from error


def groups(session: Session) -> dict[str, str]:
    """Teams, which the API calls groups."""
    return {row["id"]: row["name"] for row in session.get("/group", {"team_id": session.record["team"]})["groups"]}


def join(session: Session, account: Account, group: str) -> None:
    session.send("PUT", f"/group/{group}", json={"members": {"add": [int(account.id)], "rem": []}})


def leave(session: Session, account: Account, group: str) -> None:
    session.send("PUT", f"/group/{group}", json={"members": {"add": [], "rem": [int(account.id)]}})


def said(response: httpx.Response) -> str:
    body = response.json()
    return f"{body.get('err') or 'no reason given'} ({body.get('ECODE')})"


def _team(session: Session) -> Row:
    teams: list[Row] = session.get("/team")["teams"]
    for team in teams:
        if str(team["id"]) == session.record["team"]:
            return team
    seen = ", ".join(f"{team['name']} ({team['id']})" for team in teams) or "none"
    raise errors.MissingScopeError(
        f"ClickUp does not let this token into Workspace {session.record['team']}; it sees {seen}. "
        "Run: gusto-pipeline connect clickup"
    )


def _explained(session: Session, error: AppError, *, seats: bool) -> AppError:
    """What the plan or the seats say about a refusal."""
    path = f"/team/{session.record['team']}"
    plan = str(session.get(f"{path}/plan").get("plan_name"))
    if "enterprise" not in plan.lower():
        return errors.PlanTooLowError(
            f"ClickUp lets only the Enterprise plan invite and remove by its API, and this is {plan}: do it by hand "
            "under People"
        )
    if seats and session.get(f"{path}/seats")["members"].get("empty_member_seats") == 0:
        return errors.NoSeatError("ClickUp has no free seat: buy one, or remove somebody")
    return error


def _account(row: Row) -> Account:
    user = row["user"]
    role, custom = user.get("role"), (user.get("custom_role") or {}).get("name")
    invited = "date_joined" in user and not user["date_joined"] and bool(user.get("date_invited"))
    return Account(
        id=str(user["id"]),
        status=Status.INVITED if invited else Status.ACTIVE,
        user_name=user.get("username"),
        emails=distinct((user.get("email"),)),
        **one_name(user.get("username")),
        last_activity=instant(user.get("last_active")),
        created_at=instant(user.get("date_joined") or user.get("date_invited")),
        role=custom or ROLES.get(role, None if role is None else str(role)),
        admin=role in (OWNER, ADMIN),
        owner=role == OWNER,
        raw=row,
    )


APP = App(
    module=__name__,
    slug="clickup",
    name="ClickUp",
    base_url="https://api.clickup.com/api/v2",
    sign_in=api_key(
        Field("api_token", "Personal token, starting with pk_ (ClickUp: Settings, Apps)", secret=True),
        Field("team", "Workspace id (the number after app.clickup.com/ in its address)"),
        headers=lambda record: {"Authorization": record["api_token"]},
    ),
    plan="Enterprise",
    removal="takes out",
    removal_note="frees the seat; tasks, comments and assignments stay",
    rate_limit="100 requests a minute per token, 1,000 on Business Plus, 10,000 on Enterprise",
    invites=True,
    refusals=(
        Refusal(errors.MissingScopeError, "", ADMINISTRATOR, status=[403]),
        Refusal(errors.MissingScopeError, BARRED, ADMINISTRATOR, status=range(400, 429)),
        Refusal(errors.AlreadyExistsError, "already", "Look under People in the Workspace's settings"),
        Refusal(errors.RateLimitedError, status=[429], seconds=60),
    ),
)
