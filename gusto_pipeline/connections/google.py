"""A person's consent at Google: the address to visit, the refresh token it ends in, and taking it back.

Follows Google's guide "OAuth 2.0 for Mobile & Desktop Apps": loopback redirect, state, and PKCE (RFC 7636).
"""

import hashlib
import secrets
from base64 import urlsafe_b64encode
from collections.abc import Iterable
from dataclasses import dataclass, field
from typing import Any

import httpx

from gusto_pipeline.connections.sign_in import Obtain, SignInError
from gusto_pipeline.tls import trusted


@dataclass(frozen=True)
class GoogleApp:
    """An OAuth client of the Google Cloud console; `base_url` is a stand-in for all of Google's addresses."""

    client_id: str
    client_secret: str = field(repr=False)
    redirect_uri: str
    base_url: str = ""

    @property
    def authorize_uri(self) -> str:
        return f"{self.base_url or 'https://accounts.google.com'}/o/oauth2/v2/auth"

    @property
    def token_uri(self) -> str:
        return f"{self.base_url or 'https://oauth2.googleapis.com'}/token"


def consent(app: GoogleApp, scopes: Iterable[str], obtain: Obtain) -> dict[str, Any]:
    """What is to be kept of a person's consent: refresh_token, client_id, client_secret, token_uri.

    `obtain` is one of the ways in `connections.sign_in`. Raises SignInError, also when a scope was not consented to.
    """
    wanted, verifier = set(scopes), secrets.token_urlsafe(64)

    def visit(redirect_uri: str, state: str) -> str:
        query = {
            "client_id": app.client_id,
            "redirect_uri": redirect_uri,
            "response_type": "code",
            "scope": " ".join(sorted(wanted)),
            "state": state,
            "code_challenge": urlsafe_b64encode(hashlib.sha256(verifier.encode()).digest()).decode().rstrip("="),
            "code_challenge_method": "S256",
            # Without these two Google gives a refresh token the first time only.
            "access_type": "offline",
            "prompt": "consent",
        }
        return str(httpx.URL(app.authorize_uri, params=query))

    code, redirect_uri = obtain(app.redirect_uri, visit)
    answer = _post(
        app.token_uri,
        {
            "grant_type": "authorization_code",
            "code": code,
            "redirect_uri": redirect_uri,
            "code_verifier": verifier,
            "client_id": app.client_id,
            "client_secret": app.client_secret,
        },
    )
    if missing := wanted - set(str(answer.get("scope", "")).split()):
        raise SignInError(
            f"Google was not allowed to give access to {', '.join(sorted(missing))}: connect again and tick every box"
        )
    if not answer.get("refresh_token"):
        raise SignInError("Google gave no refresh token: check that GOOGLE_CLIENT_ID is a client of type Desktop app")
    return {
        "refresh_token": answer["refresh_token"],
        "client_id": app.client_id,
        "client_secret": app.client_secret,
        "token_uri": app.token_uri,
    }


def revoke(token_uri: str, refresh_token: str) -> None:
    """Ends a grant at Google (RFC 7009); one that has ended already is fine. Raises SignInError."""
    _post(f"{token_uri.removesuffix('/token')}/revoke", {"token": refresh_token}, fine="invalid_token")


def _post(url: str, form: dict[str, str], fine: str = "") -> dict[str, Any]:
    """The JSON answer; the OAuth error `fine` counts as an answer too. Raises SignInError."""
    host = httpx.URL(url).host
    try:
        response = httpx.post(url, data=form, verify=trusted(url))
        answer = response.json() if response.content else {}
    except httpx.RequestError as error:
        raise SignInError(f"cannot reach {host} ({type(error).__name__}): check the network and try again") from error
    except ValueError:
        answer = None
    if not isinstance(answer, dict):
        raise SignInError(f"{host} answered with something else than JSON (status {response.status_code}): try again")
    problem = answer.get("error")
    if response.is_success or (fine and problem == fine):
        return answer
    if problem == "invalid_client":
        raise SignInError("Google does not know this client: check GOOGLE_CLIENT_ID and GOOGLE_CLIENT_SECRET")
    if problem == "invalid_grant":
        raise SignInError("Google does not accept this code (used, expired, or of another sign-in): start again")
    raise SignInError(f"Google refused ({problem or response.status_code}): {answer.get('error_description', '')}")
