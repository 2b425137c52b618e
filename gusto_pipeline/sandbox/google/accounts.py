"""Who signs in to the sandbox's Google: one person by OAuth, one service account by its key.

Follows RFC 6749 (authorization code, refresh), RFC 7636 (PKCE), RFC 7009 (revocation) and RFC 7523 (JWT bearer, RS256)
as Google's OAuth guides describe them.
"""

import base64
import functools
import hashlib
import json
import secrets
from dataclasses import dataclass, field
from datetime import datetime, timedelta
from typing import Any

from cryptography.exceptions import InvalidSignature
from cryptography.hazmat.primitives import hashes, serialization
from cryptography.hazmat.primitives.asymmetric import padding, rsa

from gusto_pipeline.clock import Clock, utcnow

PERSON = "pat@example.com"
SERVICE_ACCOUNT = "pipeline@sandbox-project.iam.gserviceaccount.com"
CLIENT_ID = "sandbox.apps.googleusercontent.com"
CLIENT_SECRET = "sandbox-google-secret"
GOOGLE_TOKEN_URI = "https://oauth2.googleapis.com/token"
JWT_BEARER = "urn:ietf:params:oauth:grant-type:jwt-bearer"

SPREADSHEETS = "https://www.googleapis.com/auth/spreadsheets"
DRIVE = "https://www.googleapis.com/auth/drive"
DRIVE_FILE = "https://www.googleapis.com/auth/drive.file"
LIFETIME = timedelta(hours=1)
CODE_LIFETIME = timedelta(minutes=10)


class SignInError(Exception):
    """An answer of the token endpoint in the form of RFC 6749 section 5.2."""

    def __init__(self, status: int, error: str, description: str) -> None:
        super().__init__(description)
        self.status = status
        self.body = {"error": error, "error_description": description}


@dataclass(frozen=True)
class Token:
    email: str
    scopes: frozenset[str]
    expires_at: datetime
    refresh: str | None = None  # of the grant it came from


@dataclass(frozen=True)
class Code:
    """What was consented to, and who may turn it into tokens: whoever knows what `challenge` is the hash of."""

    scopes: frozenset[str]
    redirect_uri: str
    challenge: str
    offline: bool
    expires_at: datetime


@functools.cache
def _private_key() -> rsa.RSAPrivateKey:
    return rsa.generate_private_key(public_exponent=65537, key_size=2048)  # slow: one serves all sandboxes


@dataclass
class Accounts:
    """Issues and checks tokens. `revoked` holds the e-mail addresses whose grant or key has ended."""

    clock: Clock
    tokens: dict[str, Token] = field(default_factory=dict)
    codes: dict[str, Code] = field(default_factory=dict)
    grants: dict[str, frozenset[str]] = field(default_factory=dict)  # refresh token → scopes
    revoked: set[str] = field(default_factory=set)

    def service_account_key(self, base_url: str) -> dict[str, Any]:
        """The JSON file that Google's console would hand out, private key included."""
        private = _private_key().private_bytes(
            serialization.Encoding.PEM, serialization.PrivateFormat.PKCS8, serialization.NoEncryption()
        )
        return {
            "type": "service_account",
            "project_id": "sandbox-project",
            "private_key_id": "sandbox-key",
            "private_key": private.decode(),
            "client_email": SERVICE_ACCOUNT,
            "client_id": "100000000000000000001",
            "token_uri": f"{base_url}/token",
        }

    def oauth_record(self, base_url: str) -> dict[str, Any]:
        """What is kept after a person's consent."""
        return {
            "refresh_token": self._grant(frozenset((SPREADSHEETS, DRIVE_FILE))),
            "client_id": CLIENT_ID,
            "client_secret": CLIENT_SECRET,
            "token_uri": f"{base_url}/token",
        }

    def new_code(self, query: dict[str, str], scopes: frozenset[str]) -> str:
        """A code for what the person consented to, in answer to the query of /o/oauth2/v2/auth."""
        code = f"4/{secrets.token_urlsafe(24)}"
        self.codes[code] = Code(
            scopes,
            query["redirect_uri"],
            query.get("code_challenge", ""),
            query.get("access_type") == "offline",
            self.clock() + CODE_LIFETIME,
        )
        return code

    def revoke(self, token: str) -> None:
        """POST /revoke: ends the grant a token belongs to. Raises SignInError."""
        refresh = self.tokens[token].refresh if token in self.tokens else token
        if refresh is None or self.grants.pop(refresh, None) is None:
            raise SignInError(400, "invalid_token", "Token expired or revoked")
        self.tokens = {access: one for access, one in self.tokens.items() if one.refresh != refresh}

    def token(self, form: dict[str, str], token_uri: str) -> dict[str, Any]:
        """POST /token. Raises SignInError."""
        match form.get("grant_type"):
            case "authorization_code":
                _check_client(form)
                return self._redeem(form)
            case "refresh_token":
                _check_client(form)
                refresh = form.get("refresh_token", "")
                if refresh not in self.grants or PERSON in self.revoked:
                    raise SignInError(400, "invalid_grant", "Token has been expired or revoked.")
                return self._issue(PERSON, self.grants[refresh], refresh)
            case "urn:ietf:params:oauth:grant-type:jwt-bearer":
                claims = self._claims(form.get("assertion", ""), {token_uri, GOOGLE_TOKEN_URI})
                return self._issue(SERVICE_ACCOUNT, frozenset(str(claims["scope"]).split()))
            case _:
                raise SignInError(400, "unsupported_grant_type", "Invalid grant_type")

    def _redeem(self, form: dict[str, str]) -> dict[str, Any]:
        code = self.codes.pop(form.get("code", ""), None)
        if code is None or code.expires_at <= self.clock():
            raise SignInError(400, "invalid_grant", "Malformed auth code.")
        if form.get("redirect_uri") != code.redirect_uri:
            raise SignInError(400, "redirect_uri_mismatch", "Bad Request")
        if code.challenge and _challenge(form.get("code_verifier", "")) != code.challenge:
            raise SignInError(400, "invalid_grant", "Invalid code verifier.")
        if not code.offline:
            return self._issue(PERSON, code.scopes)
        refresh = self._grant(code.scopes)
        return self._issue(PERSON, code.scopes, refresh) | {"refresh_token": refresh}

    def _grant(self, scopes: frozenset[str]) -> str:
        refresh = f"1//{secrets.token_urlsafe(24)}"
        self.grants[refresh] = scopes
        return refresh

    def _claims(self, assertion: str, audiences: set[str]) -> dict[str, Any]:
        try:
            signed, _, signature = assertion.rpartition(".")
            header, claims = (json.loads(_decoded(part)) for part in signed.split("."))
            _private_key().public_key().verify(
                _decoded(signature), signed.encode(), padding.PKCS1v15(), hashes.SHA256()
            )
        except (ValueError, InvalidSignature):
            raise SignInError(400, "invalid_grant", "Invalid JWT Signature.") from None
        if header.get("alg") != "RS256" or claims.get("iss") != SERVICE_ACCOUNT or SERVICE_ACCOUNT in self.revoked:
            raise SignInError(400, "invalid_grant", "Invalid grant: account not found")
        if claims.get("aud") not in audiences:
            raise SignInError(400, "invalid_grant", "Invalid JWT: wrong audience.")
        # Real time, not the sandbox's: whoever signed could not know of the latter.
        now = utcnow().timestamp()
        if not claims.get("iat", 0) - 300 <= now < claims.get("exp", 0) <= claims.get("iat", 0) + 3600:
            raise SignInError(
                400, "invalid_grant", "Invalid JWT: Token must be a short-lived token (60 minutes) and in a reasonable "
                "timeframe. Check your iat and exp values in the JWT claim.",
            )  # fmt: skip
        if not claims.get("scope"):
            raise SignInError(400, "invalid_scope", "Empty or missing scope not allowed.")
        return dict(claims)

    def _issue(self, email: str, scopes: frozenset[str], refresh: str | None = None) -> dict[str, Any]:
        access = f"ya29.{secrets.token_urlsafe(24)}"
        self.tokens[access] = Token(email, scopes, self.clock() + LIFETIME, refresh)
        return {
            "access_token": access,
            "expires_in": int(LIFETIME.total_seconds()),
            "scope": " ".join(sorted(scopes)),
            "token_type": "Bearer",
        }

    def use(self, access: str) -> Token | None:
        """The token behind a request, if alive."""
        token = self.tokens.get(access)
        return token if token and token.expires_at > self.clock() and token.email not in self.revoked else None


def _check_client(form: dict[str, str]) -> None:
    if (form.get("client_id"), form.get("client_secret")) != (CLIENT_ID, CLIENT_SECRET):
        raise SignInError(401, "invalid_client", "The OAuth client was not found.")


def _challenge(verifier: str) -> str:
    return base64.urlsafe_b64encode(hashlib.sha256(verifier.encode()).digest()).decode().rstrip("=")


def _decoded(part: str) -> bytes:
    return base64.urlsafe_b64decode(part + "=" * (-len(part) % 4))
