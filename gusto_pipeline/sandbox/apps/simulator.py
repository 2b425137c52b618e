"""What a simulated app declares, and the OAuth endpoints that several of them share."""

from __future__ import annotations

import base64
import functools
import hashlib
import json
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, field
from typing import Any
from urllib.parse import parse_qsl

import httpx
import jwt
from cryptography.hazmat.primitives import serialization
from cryptography.hazmat.primitives.asymmetric import rsa
from starlette.requests import Request
from starlette.responses import JSONResponse, RedirectResponse, Response
from starlette.routing import Route

from gusto_pipeline.sandbox.apps.directory import Directory, Member
from gusto_pipeline.sandbox.gusto.world import Company


def plain_failure(status: int) -> Response:
    """What stands in front of an app answers a 5xx with."""
    return Response(f"<html><body><h1>{status}</h1></body></html>", status, media_type="text/html")


@dataclass(frozen=True, kw_only=True)
class Simulator:
    """One simulated app.

    record: what a person would enter to connect to it, consent and tokens aside. key_record: the same to connect with a
    service account's key. routes: its paths, over a directory.
    new_id: its form of the n-th account id. rate_limited: its own 429, or what it uses instead; takes the seconds to
    wait. failed: its own 5xx. prepare: what its directory needs besides people (groups, licences). spared: paths
    that faults without a path leave alone.
    """

    slug: str
    record: Mapping[str, str]
    routes: Callable[[Directory], Sequence[Route]]
    new_id: Callable[[int], str]
    rate_limited: Callable[[float], Response]
    failed: Callable[[int], Response] = plain_failure
    prepare: Callable[[Directory, Company], None] | None = None
    key_record: Callable[[Directory], Mapping[str, str]] | None = None
    spared: tuple[str, ...] = field(default=("/oauth", "/token", "/_sandbox"))


def bearer_token(request: Request, scheme: str = "Bearer") -> str:
    """The token in the Authorization header; empty when there is none of this scheme."""
    sent, _, token = request.headers.get("authorization", "").partition(" ")
    return token if sent.lower() == scheme.lower() else ""


def oauth_routes(
    directory: Directory,
    authorize: str,
    token: str,
    *,
    lifetime: float | None = 3600,
    rotates: bool = False,
    names_scope: bool = False,
    extra: Mapping[str, str] | None = None,
    assertion: Callable[[dict[str, Any]], Member | Response] | None = None,
) -> list[Route]:
    """Consent that is given at once, and a token endpoint (RFC 6749, RFC 7636) for codes, refreshing, clients and JWTs.

    lifetime: of access tokens, in seconds; None when the app names none. rotates: a refresh token works once.
    names_scope: the app says with the tokens of a consent what was granted. extra: what else it answers. assertion:
    whom the claims of a JWT (RFC 7523) give a token for, or the app's refusal; no claims at all stand for a JWT that
    `service_key` has not signed.
    """

    async def consent(request: Request) -> Response:
        query = dict(request.query_params)
        if query.get("client_id") != directory.secret["client_id"]:
            return JSONResponse({"error": "invalid_client"}, 400)
        answer = {"code": directory.code(query), "state": query.get("state", "")}
        return RedirectResponse(str(httpx.URL(query["redirect_uri"], params=answer)), 302)

    async def exchange(request: Request) -> Response:
        form = dict(parse_qsl((await request.body()).decode()))
        client, secret = form.get("client_id", ""), form.get("client_secret", "")
        if basic := bearer_token(request, "Basic"):
            client, _, secret = base64.b64decode(basic).decode().partition(":")
        grant = form.get("grant_type")
        signed, holder = grant == "urn:ietf:params:oauth:grant-type:jwt-bearer", None
        if signed and assertion:
            said = assertion(claims(form.get("assertion", "")))
            if isinstance(said, Response):
                return said
            holder = said
        elif (client, secret) != (directory.secret["client_id"], directory.secret["client_secret"]):
            return JSONResponse({"error": "invalid_client", "error_description": "Unknown client"}, 401)
        refresh = scope = None
        if grant == "authorization_code":
            asked = directory.consent(form.get("code", ""))
            if asked is None or asked["redirect_uri"] != form.get("redirect_uri") or not _proven(asked, form):
                return JSONResponse({"error": "invalid_grant", "error_description": "The code is not valid"}, 400)
            refresh = directory.new_refresh_token()
            scope = asked.get("scope", "").replace(",", " ")
        elif grant == "refresh_token":
            if not directory.refreshes(form.get("refresh_token", ""), once=rotates):
                return JSONResponse({"error": "invalid_grant", "error_description": "The token is not valid"}, 400)
            refresh = directory.new_refresh_token() if rotates else None
        elif grant != "client_credentials" and not holder:
            return JSONResponse({"error": "unsupported_grant_type"}, 400)
        answer = {"access_token": directory.new_token(lifetime, holder), "token_type": "bearer"}
        life = {"expires_in": int(lifetime)} if lifetime else {}
        answer |= {"refresh_token": refresh} if refresh else {}
        answer |= {"scope": scope} if scope and names_scope else {}
        return JSONResponse(answer | life | dict(extra or {}))

    return [Route(authorize, consent), Route(token, exchange, methods=["POST"])]


@functools.cache
def service_key() -> rsa.RSAPrivateKey:
    """The key of every app's service account; it is slow to make, and one serves all."""
    return rsa.generate_private_key(public_exponent=65537, key_size=2048)


def pem(key: rsa.RSAPrivateKey) -> str:
    """A private key as the file that people download."""
    form = serialization.Encoding.PEM, serialization.PrivateFormat.PKCS8, serialization.NoEncryption()
    return key.private_bytes(*form).decode()


def claims(assertion: str) -> dict[str, Any]:
    """What a JWT says that `service_key` signed with RS256 (RFC 7519); empty for anything else."""
    try:
        said = jwt.PyJWS().decode(assertion, service_key().public_key(), algorithms=["RS256"])
        found: dict[str, Any] = json.loads(said)
    except (ValueError, jwt.PyJWTError):
        return {}
    return found


def timely(said: Mapping[str, Any], directory: Directory) -> bool:
    """Whether a JWT was issued just now, by the app's clock, and lives for an hour at most."""
    now, issued, ends = directory.clock.now().timestamp(), said.get("iat", 0), said.get("exp", 0)
    return bool(issued - 300 <= now < ends <= issued + 3600)


def _proven(asked: dict[str, str], form: dict[str, str]) -> bool:
    challenge = asked.get("code_challenge")
    digest = hashlib.sha256(form.get("code_verifier", "").encode()).digest()
    return not challenge or challenge == base64.urlsafe_b64encode(digest).decode().rstrip("=")
