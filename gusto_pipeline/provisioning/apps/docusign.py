"""DocuSign: the users of one account, by its eSignature REST API 2.1 (developers.docusign.com).

Nobody is ever deleted, memberships are closed; who is invited again gets the closed one back, or a new one. What goes
wrong with one user comes inside a success. Numbers and truths come as text. Nothing sends an invitation again for most
accounts, and a status `Disabled` can be read but not set. The codes for a full account and for its last administrator
are not documented: they are told by their words.
"""

from __future__ import annotations

from collections.abc import Iterator

import httpx

from gusto_pipeline.provisioning import errors
from gusto_pipeline.provisioning.account import Account, NewAccount, Status, Tenant
from gusto_pipeline.provisioning.app import App, distinct, filled, instant, one_name, taken
from gusto_pipeline.provisioning.errors import REFUSED, Refusal
from gusto_pipeline.provisioning.reading import Row, by_offset, chosen, found, one
from gusto_pipeline.provisioning.session import Session
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
WHOLE = {"additional_info": "true"}
AGAIN = "run: gusto-pipeline connect docusign"


def tenant(session: Session) -> Tenant:
    """By the sign-in server's user info, which also tells where the account lives."""
    record = session.record
    info = session.get(f"https://{record['sign_in_host']}/oauth/userinfo")
    mine = {each["account_id"].casefold(): each for each in info["accounts"]}
    account = mine.get(record["account_id"].casefold())
    if account is None:
        names = ", ".join(f"{each.get('account_name')} ({each['account_id']})" for each in mine.values())
        raise errors.SignInError(
            f"DocuSign: whoever connected us is not in account {record['account_id']} but {names}; {AGAIN}"
        )
    if account["base_uri"].rstrip("/") != record["base_uri"].rstrip("/"):
        raise errors.SignInError(
            f"DocuSign keeps the account at {account['base_uri']}, not {record['base_uri']}; {AGAIN}"
        )
    return Tenant(account["account_id"], account.get("account_name") or account["account_id"])


def accounts(session: Session) -> Iterator[Account]:
    """Everyone, closed memberships too."""
    return map(_account, _rows(session, "users", **WHOLE, status=",".join(STATUSES)))


def account(session: Session, account_id: str) -> Account | None:
    row = one(session, f"/users/{account_id}", WHOLE)
    return _account(row) if row else None


def find(session: Session, email: str) -> Account | None:
    return found(map(_account, _rows(session, "users", **WHOLE, email=email, status=",".join(STATUSES))), email)


def create(session: Session, new: NewAccount) -> None:
    """Invites by mail. role: id or name of a permission profile."""
    user = {
        "userName": new.display_name,
        "email": new.email,
        "firstName": new.given_name,
        "lastName": new.family_name,
        "jobTitle": new.title,
        "groupList": [{"groupId": group} for group in new.groups],
    }
    if new.role:
        rows = session.get("/permission_profiles")["permissionProfiles"]
        profiles = {row["permissionProfileId"]: row["permissionProfileName"] for row in rows}
        user["permissionProfileId"] = chosen(session, "permission profile", new.role, profiles)
    session.send("POST", "/users", json={"newUsers": [filled(user)]})


def remove(session: Session, account: Account) -> None:
    session.send("DELETE", "/users", json={"users": [{"userId": account.id}]})


def groups(session: Session) -> dict[str, str]:
    return {group["groupId"]: group["groupName"] for group in _rows(session, "groups")}


def join(session: Session, account: Account, group: str) -> None:
    session.send("PUT", f"/groups/{group}/users", json={"users": [{"userId": account.id}]})


def leave(session: Session, account: Account, group: str) -> None:
    session.send("DELETE", f"/groups/{group}/users", json={"users": [{"userId": account.id}]})


def said(response: httpx.Response) -> str:
    """Of the whole request, or of the one user in it."""
    body = response.json()
    items = [*(body.get("newUsers") or ()), *(body.get("users") or ())]
    details = [item["errorDetails"] for item in items if item.get("errorDetails")] if response.is_success else [body]
    wrong = [each for each in details if each.get("errorCode") not in (None, "", "SUCCESS")]
    return f"{wrong[0].get('message') or 'no reason given'} ({wrong[0]['errorCode']})" if wrong else ""


def _rows(session: Session, what: str, **query: str) -> Iterator[Row]:
    return by_offset(session, f"/{what}", {"count": 100, **query}, what, "start_position", "totalSetSize")


def _account(row: Row) -> Account:
    admin = str(row.get("isAdmin")).casefold() == "true"
    split = {"given_name": row.get("firstName"), "family_name": row.get("lastName")}
    return Account(
        id=row["userId"],
        status=STATUSES[row["userStatus"]],
        **taken(row, user_name="email", title="jobTitle"),
        emails=distinct((row.get("email"),)),
        **one_name(row.get("userName")) | filled(split),
        last_activity=instant(row.get("lastLogin")),
        created_at=instant(row.get("userAddedToAccountDateTime")) or instant(row.get("createdDateTime")),
        role=row.get("permissionProfileName") or ("Admin" if admin else None),
        admin=admin,
        groups=tuple(group.get("groupName") or group["groupId"] for group in row.get("groupList") or ()),
        raw=row,
    )


APP = App(
    module=__name__,
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
        ),
    ),
    removal="takes out",
    removal_note=(
        "closes the membership and frees the seat; what was sent stays and can still be signed, an administrator can "
        "give it to somebody else; inviting again opens it again"
    ),
    rate_limit="3,000 requests an hour for all apps of the account, 500 in 30 seconds",
    creates_in_groups=True,
    invites=True,
    refusals=(
        # The hourly limit may come with 400; bursts are counted over 30 seconds.
        Refusal(errors.RateLimitedError, "HOURLY_\\w*LIMIT_EXCEEDED", status=[400, 429], seconds=3600),
        Refusal(errors.RateLimitedError, "INVOCATION_LIMIT_EXCEEDED", status=[400, 429], seconds=30),
        Refusal(errors.RateLimitedError, status=[429], seconds=30),
        Refusal(errors.AlreadyExistsError, "ALREADY[ _]EXISTS", "Look under Users there, also among the closed ones"),
        Refusal(errors.NotFoundError, "DOES[ _]NOT[ _](EXIST|BELONG)|NOT[ _]FOUND|INVALID[ _]USERID"),
        Refusal(errors.MissingScopeError, "USER_LACKS_PERMISSIONS", "Connect as an administrator of the account"),
        Refusal(errors.PlanTooLowError, "ACCOUNT_LACKS_PERMISSIONS"),
        Refusal(errors.NoSeatError, r"(MAXIMUM|LIMIT|NUMBER)\b.*\bUSER|BILLING[ _]PLAN", "Buy a seat, or free one"),
    ),
    refuses_with={200, 201, 404, *REFUSED},
)
