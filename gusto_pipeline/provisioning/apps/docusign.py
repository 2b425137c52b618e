"""DocuSign: the users of one account, by its eSignature REST API 2.1 (developers.docusign.com).

Nobody is ever deleted, memberships are closed; who is invited again gets the closed one back, or a new one. What goes
wrong with one user comes inside a success. Numbers and truths come as text. Nothing sends an invitation again for most
accounts, and a status `Disabled` can be read but not set. The codes for a full account and for its last administrator
are not documented: they are told by their words.
"""

from __future__ import annotations

import re
from collections.abc import Iterator
from datetime import datetime
from typing import Any

import httpx

from gusto_pipeline.provisioning.account import Account, NewAccount, Status, Tenant
from gusto_pipeline.provisioning.app import App, counted, found, instant, split_name
from gusto_pipeline.provisioning.errors import (
    AlreadyExistsError,
    AppError,
    InvalidError,
    LastOwnerError,
    MissingScopeError,
    NoSeatError,
    NotFoundError,
    PlanTooLowError,
    SignInError,
)
from gusto_pipeline.provisioning.session import Session, retry_after
from gusto_pipeline.provisioning.signin import Consent, Field, oauth, signed_assertion

STATUSES = {
    "ActivationRequired": Status.INVITED,
    "ActivationSent": Status.INVITED,
    "Active": Status.ACTIVE,
    "Disabled": Status.SUSPENDED,
    "Closed": Status.DELETED,
}
ACCOUNT = (
    Field("account_id", "API Account ID (DocuSign: Settings, Apps and Keys)"),
    Field("base_uri", "Account Base URI (on the same page), like https://na3.docusign.net"),
    Field("sign_in_host", "Sign-in server; account-d.docusign.com for a demo account", default="account.docusign.com"),
)
AGAIN = "run: gusto-pipeline connect docusign"


def tenant(session: Session) -> Tenant:
    """By the sign-in server's user info, which also tells where the account lives."""
    record = session.record
    info = session.get(f"https://{record['sign_in_host']}/oauth/userinfo")
    mine = {each["account_id"].casefold(): each for each in info["accounts"]}
    account = mine.get(record["account_id"].casefold())
    if account is None:
        names = ", ".join(f"{each.get('account_name')} ({each['account_id']})" for each in mine.values())
        raise SignInError(
            f"DocuSign: whoever connected us is not in account {record['account_id']} but {names}; {AGAIN}"
        )
    if account["base_uri"].rstrip("/") != record["base_uri"].rstrip("/"):
        raise SignInError(f"DocuSign keeps the account at {account['base_uri']}, not {record['base_uri']}; {AGAIN}")
    return Tenant(account["account_id"], account.get("account_name") or account["account_id"])


def accounts(session: Session) -> Iterator[Account]:
    """Everyone, closed memberships too."""
    total = 0

    def users() -> Iterator[Account]:
        nonlocal total
        for page in _pages(session, "/users", "users", additional_info="true", status=",".join(STATUSES)):
            total = int(page.get("totalSetSize") or 0)
            yield from map(_account, page.get("users") or [])

    return counted("DocuSign", users(), lambda: total)


def account(session: Session, account_id: str) -> Account | None:
    try:
        return _account(session.get(f"/users/{account_id}", {"additional_info": "true"}))
    except NotFoundError:
        tenant(session)
        return None


def find(session: Session, email: str) -> Account | None:
    query = {"email": email, "additional_info": "true", "status": ",".join(STATUSES)}
    pages = _pages(session, "/users", "users", **query)
    return found((_account(row) for page in pages for row in page.get("users") or []), email)


def create(session: Session, new: NewAccount) -> None:
    """Invites by mail. role: id or name of a permission profile; groups: ids."""
    user: dict[str, Any] = {
        "userName": new.display_name,
        "email": new.email,
        "firstName": new.given_name,
        "lastName": new.family_name,
    }
    if new.title:
        user["jobTitle"] = new.title
    if new.role:
        user["permissionProfileId"] = _profile_id(session, new.role)
    if new.groups:
        user["groupList"] = [{"groupId": group} for group in new.groups]
    session.send("POST", "/users", json={"newUsers": [user]})


def remove(session: Session, account: Account) -> None:
    session.send("DELETE", "/users", json={"users": [{"userId": account.id}]})


def groups(session: Session) -> dict[str, str]:
    return {
        group["groupId"]: group["groupName"]
        for page in _pages(session, "/groups", "groups")
        for group in page.get("groups") or []
    }


def join(session: Session, account: Account, group: str) -> None:
    session.send("PUT", f"/groups/{group}/users", json={"users": [{"userId": account.id}]})


def leave(session: Session, account: Account, group: str) -> None:
    session.send("DELETE", f"/groups/{group}/users", json={"users": [{"userId": account.id}]})


def refusal(response: httpx.Response) -> AppError | None:
    """Of the whole request, or of the one user in it."""
    if (response.is_success and response.request.method == "GET") or response.status_code >= 500:
        return None
    body = _body(response)
    if not response.is_success:
        code, said = str(body.get("errorCode", "")), str(body.get("message", "no reason given"))
        return _error(code, said) if code and response.status_code != 401 else None
    items = [*(body.get("newUsers") or []), *(body.get("users") or [])]
    details = [item["errorDetails"] for item in items if item.get("errorDetails")]
    failed = [each for each in details if each.get("errorCode") not in (None, "", "SUCCESS")]
    return _error(failed[0]["errorCode"], str(failed[0].get("message", "no reason given"))) if failed else None


def wait(response: httpx.Response, now: datetime) -> float | None:
    """The hourly limit ends at a stated instant, or with the hour; bursts are counted over 30 seconds.

    Either may come with 400 instead of 429.
    """
    code = str(_body(response).get("errorCode", "")) if response.status_code in (400, 429) else ""
    if response.status_code != 429 and "INVOCATION_LIMIT_EXCEEDED" not in code:
        return None
    if (seconds := retry_after(response, now)) is not None:
        return seconds
    if "HOURLY" not in code:
        return 30.0
    reset = instant(response.headers.get("x-ratelimit-reset"))
    return max(0.0, (reset - now).total_seconds()) if reset else 3600 - now.timestamp() % 3600


def _error(code: str, said: str) -> AppError:
    words, text = f"{code} {said}".upper().replace("_", " "), f"DocuSign: {said} ({code})"
    if "ALREADY EXISTS" in words:
        return AlreadyExistsError(f"{text}. Look under Users in DocuSign Admin, also among the closed ones")
    if re.search(r"DOES NOT (EXIST|BELONG)|NOT FOUND|INVALID USERID", words):
        return NotFoundError(text)
    if code == "USER_LACKS_PERMISSIONS":
        return MissingScopeError(f"{text}. Connect as an administrator of the account, {AGAIN}")
    if code == "ACCOUNT_LACKS_PERMISSIONS":
        return PlanTooLowError(f"{text}. Raise the plan, or do it by hand")
    if re.search(r"\bLAST\b.*\bADMIN", words):
        return LastOwnerError(f"{text}. Make somebody else an administrator first")
    if re.search(r"\bSEATS?\b|\b(MAXIMUM|LIMIT|NUMBER)\b.*\bUSERS?\b|BILLING PLAN", words):
        return NoSeatError(f"{text}. Buy a seat, or close somebody's membership")
    return InvalidError(f"{text}. Correct it, or do it in DocuSign Admin")


def _body(response: httpx.Response) -> dict[str, Any]:
    try:
        body = response.json()
    except ValueError:
        return {}
    return body if isinstance(body, dict) else {}


def _pages(session: Session, path: str, rows: str, **query: str) -> Iterator[dict[str, Any]]:
    start = 0
    while True:
        page = session.get(path, {"count": 100, "start_position": start, **query})
        yield page
        size = len(page.get(rows) or ())
        if not page.get("nextUri") or not size:
            return
        start += size


def _profile_id(session: Session, role: str) -> str:
    known = session.get("/permission_profiles")["permissionProfiles"]
    for profile in known:
        if role in (profile["permissionProfileId"], profile["permissionProfileName"]):
            return str(profile["permissionProfileId"])
    names = ", ".join(profile["permissionProfileName"] for profile in known)
    raise InvalidError(f"DocuSign has no permission profile {role!r}; there are {names}")


def _account(row: dict[str, Any]) -> Account:
    given, family = split_name(row.get("userName"))
    admin = str(row.get("isAdmin")).casefold() == "true"
    return Account(
        id=row["userId"],
        status=STATUSES[row["userStatus"]],
        user_name=row.get("email"),
        emails=(row["email"],) if row.get("email") else (),
        given_name=row.get("firstName") or given,
        family_name=row.get("lastName") or family,
        display_name=row.get("userName") or None,
        last_activity=instant(row.get("lastLogin")),
        created_at=instant(row.get("userAddedToAccountDateTime")) or instant(row.get("createdDateTime")),
        role=row.get("permissionProfileName") or ("Admin" if admin else None),
        admin=admin,
        groups=tuple(group.get("groupName") or group["groupId"] for group in row.get("groupList") or ()),
        title=row.get("jobTitle") or None,
        raw=row,
    )


APP = App(
    slug="docusign",
    name="DocuSign",
    base_url="{base_uri}/restapi/v2.1/accounts/{account_id}",
    hosts=("https://{sign_in_host}",),
    sign_in=oauth(
        Consent(url="https://{sign_in_host}/oauth/auth", scopes=("signature", "extended")),
        "https://{sign_in_host}/oauth/token",
        *ACCOUNT,
        basic=True,
    ),
    by_key=signed_assertion(
        "https://{sign_in_host}/oauth/token",
        Field("client_id", "Integration key"),
        Field("user_id", "User ID of an administrator, as whom it acts (DocuSign: Settings, Apps and Keys)"),
        Field("private_key", "File of the integration's private RSA key", secret=True, file=True),
        *ACCOUNT,
        key=lambda record: record["private_key"],
        claims=lambda record: {
            "iss": record["client_id"],
            "sub": record["user_id"],
            "aud": record["sign_in_host"],
            "scope": "signature impersonation",
        },
        advice=(
            (
                "consent_required",
                "That user has to allow it once, at https://{sign_in_host}/oauth/auth?response_type=code&"
                "scope=signature%20impersonation&client_id={client_id}&redirect_uri=<one of the integration's own>",
            ),
            ("no_valid_keys", "The private key has to be of the integration's key pair, under Apps and Keys"),
            ("issuer_not_found", "Look up the integration key; a demo account has another sign-in server"),
            ("user_not_found", "Look up the User ID of {user_id} again; it has to be active in this account"),
            ("expired|not_yet", "Set the clock of this computer"),
        ),
    ),
    removal="takes out",
    removal_note=(
        "closes the membership and frees the seat; what was sent stays and can still be signed, an administrator can "
        "give it to somebody else; inviting again opens it again"
    ),
    rate_limit="3,000 requests an hour for all apps of the account, 500 in 30 seconds",
    invites=True,
    tenant=tenant,
    accounts=accounts,
    account=account,
    find=find,
    create=create,
    remove=remove,
    groups=groups,
    join=join,
    leave=leave,
    refusal=refusal,
    wait=wait,
)
