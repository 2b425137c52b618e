"""Grants and tokens: who may ask for what, and for how long.

Follows Gusto's OAuth 2 guide: a grant covers one company, access tokens live two hours, and a refresh leaves
the old refresh token alive until the new access token is first used.
"""

import secrets
from dataclasses import dataclass, field, replace
from datetime import datetime, timedelta
from uuid import uuid4

from gusto_pipeline.clock import Clock
from gusto_pipeline.sandbox.gusto.world import Record

CLIENT_ID = "sandbox-client"
CLIENT_SECRET = "sandbox-secret"

ACCESS_LIFETIME = timedelta(hours=2)
CODE_LIFETIME = timedelta(minutes=10)

SCOPES = (
    "public",
    "access_token:read",
    "accounts:write",
    "companies:read",
    "companies:write",
    "company_admin:read",
    "signatories:read",
    "employees:read",
    "employees:write",
    "employees:manage",
    "employments:read",
    "employments:write",
    "jobs:read",
    "jobs:write",
    "compensations:read",
    "compensations:write",
    "departments:read",
    "departments:write",
    "contractors:read",
    "contractors:write",
    "contractors:manage",
    "pay_schedules:read",
    "payrolls:read",
    "payrolls:write",
    "time_off_requests:read",
    "time_off_policies:read",
    "time_off_policies:write",
    "employee_time_off_activities:read",
    "garnishments:read",
    "garnishments:write",
    "company_benefits:read",
    "employee_benefits:read",
    "events:read",
    "webhook_subscriptions:read",
    "webhook_subscriptions:write",
)


class OAuthError(Exception):
    """An answer of the OAuth endpoints in the form of RFC 6749 section 5.2."""

    def __init__(self, status: int, error: str, description: str) -> None:
        super().__init__(description)
        self.status = status
        self.body = {"error": error, "error_description": description}


@dataclass(frozen=True)
class Grant:
    """What was consented to once; its tokens come and go. `company_uuid` is None for the application itself."""

    uuid: str
    client_id: str
    company_uuid: str | None
    admin_uuid: str | None
    scopes: frozenset[str]


@dataclass
class Token:
    """A pair of tokens. `replaces` is the refresh token that dies when this access token is first used."""

    grant: Grant
    access: str
    refresh: str | None
    created_at: datetime
    expires_at: datetime
    replaces: str | None = None


@dataclass
class Code:
    grant: Grant
    redirect_uri: str
    expires_at: datetime


@dataclass
class Authority:
    """Issues and checks codes and tokens. `scopes` is what the registered application may ask for."""

    clock: Clock
    scopes: frozenset[str] = frozenset(SCOPES)
    codes: dict[str, Code] = field(default_factory=dict)
    access: dict[str, Token] = field(default_factory=dict)
    refresh: dict[str, Token] = field(default_factory=dict)

    def new_grant(self, company_uuid: str | None, admin_uuid: str | None, scopes: frozenset[str] | None) -> Grant:
        return Grant(
            str(uuid4()), CLIENT_ID, company_uuid, admin_uuid, (self.scopes if scopes is None else scopes) | {"public"}
        )

    def new_code(self, grant: Grant, redirect_uri: str) -> str:
        code = secrets.token_urlsafe(24)
        self.codes[code] = Code(grant, redirect_uri, self.clock() + CODE_LIFETIME)
        return code

    def issue(self, grant: Grant, replaces: str | None = None) -> Record:
        """A new pair, as POST /oauth/token answers it."""
        now = self.clock()
        has_refresh = grant.company_uuid is not None
        token = Token(
            grant=grant,
            access=secrets.token_urlsafe(32),
            refresh=secrets.token_urlsafe(32) if has_refresh else None,
            created_at=now,
            expires_at=now + ACCESS_LIFETIME,
            replaces=replaces,
        )
        self.access[token.access] = token
        if token.refresh:
            self.refresh[token.refresh] = token
        answer: Record = {
            "access_token": token.access,
            "token_type": "Bearer",
            "expires_in": int(ACCESS_LIFETIME.total_seconds()),
            "created_at": int(now.timestamp()),
            "scope": " ".join(sorted(grant.scopes)),
        }
        if token.refresh:
            answer["refresh_token"] = token.refresh
        return answer

    def token(self, request: Record) -> Record:
        """POST /oauth/token. Raises OAuthError."""
        self.check_client(request)
        match request.get("grant_type"):
            case "authorization_code":
                code = self.codes.pop(str(request.get("code")), None)
                if code is None or code.expires_at <= self.clock() or code.redirect_uri != request.get("redirect_uri"):
                    raise invalid_grant()
                return self.issue(code.grant)
            case "refresh_token":
                token = self.refresh.get(str(request.get("refresh_token")))
                if token is None:
                    raise invalid_grant()
                return self.issue(token.grant, replaces=token.refresh)
            case "system_access":
                return self.issue(self.new_grant(None, None, None))
            case _:
                raise OAuthError(
                    400,
                    "unsupported_grant_type",
                    "The authorization grant type is not supported by the authorization server.",
                )

    def check_client(self, request: Record) -> None:
        if (request.get("client_id"), request.get("client_secret")) != (CLIENT_ID, CLIENT_SECRET):
            raise OAuthError(
                401,
                "invalid_client",
                "Client authentication failed due to unknown client, no client authentication included, "
                "or unsupported authentication method.",
            )

    def revoke(self, request: Record) -> None:
        """POST /oauth/revoke: ends the pair the token belongs to; an unknown token is fine (RFC 7009)."""
        self.check_client(request)
        text = str(request.get("token"))
        token = self.access.get(text) or self.refresh.get(text)
        if token:
            self.access.pop(token.access, None)
            self.refresh.pop(token.refresh or "", None)

    def use(self, access_token: str) -> Token | None:
        """The token behind a request, if alive. Its first use ends the refresh token it replaced."""
        token = self.access.get(access_token)
        if token is None or token.expires_at <= self.clock():
            return None
        if token.replaces:
            self.refresh.pop(token.replaces, None)
            token.replaces = None
        return token

    def expire(self, access_token: str) -> None:
        """Ends one access token's life now."""
        if token := self.access.get(access_token):
            self.access[access_token] = replace(token, expires_at=self.clock())


def invalid_grant() -> OAuthError:
    return OAuthError(
        400,
        "invalid_grant",
        "The provided authorization grant is invalid, expired, revoked, does not match the redirection URI used in "
        "the authorization request, or was issued to another client.",
    )
