"""What a simulated app declares, and the OAuth endpoints that several of them share."""

from __future__ import annotations

import base64
import hashlib
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, field
from urllib.parse import parse_qsl

import httpx
from starlette.requests import Request
from starlette.responses import JSONResponse, RedirectResponse, Response
from starlette.routing import Route

from gusto_pipeline.sandbox.apps.directory import Directory
from gusto_pipeline.sandbox.gusto.world import Company


def plain_failure(status: int) -> Response:
    """What stands in front of an app answers a 5xx with."""
    return Response(f"<html><body><h1>{status}</h1></body></html>", status, media_type="text/html")


@dataclass(frozen=True, kw_only=True)
class Simulator:
    """One simulated app.

    record: what a person would enter to connect to it, consent and tokens aside. routes: its paths, over a directory.
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
    extra: Mapping[str, str] | None = None,
) -> list[Route]:
    """Consent that is given at once, and a token endpoint (RFC 6749, RFC 7636) for codes, refreshing, clients and JWTs.

    lifetime: of access tokens, in seconds; None when the app names none. rotates: a refresh token works once. extra:
    what else the app answers.
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
        signed = grant == "urn:ietf:params:oauth:grant-type:jwt-bearer"
        if not signed and (client, secret) != (directory.secret["client_id"], directory.secret["client_secret"]):
            return JSONResponse({"error": "invalid_client", "error_description": "Unknown client"}, 401)
        refresh = None
        if grant == "authorization_code":
            asked = directory.consent(form.get("code", ""))
            if asked is None or asked["redirect_uri"] != form.get("redirect_uri") or not _proven(asked, form):
                return JSONResponse({"error": "invalid_grant", "error_description": "The code is not valid"}, 400)
            refresh = directory.new_refresh_token()
        elif grant == "refresh_token":
            if not directory.refreshes(form.get("refresh_token", ""), once=rotates):
                return JSONResponse({"error": "invalid_grant", "error_description": "The token is not valid"}, 400)
            refresh = directory.new_refresh_token() if rotates else None
        elif grant != "client_credentials" and not signed:
            return JSONResponse({"error": "unsupported_grant_type"}, 400)
        answer = {"access_token": directory.new_token(lifetime), "token_type": "bearer"}
        life = {"expires_in": int(lifetime)} if lifetime else {}
        return JSONResponse(answer | life | ({"refresh_token": refresh} if refresh else {}) | dict(extra or {}))

    return [Route(authorize, consent), Route(token, exchange, methods=["POST"])]


def _proven(asked: dict[str, str], form: dict[str, str]) -> bool:
    challenge = asked.get("code_challenge")
    digest = hashlib.sha256(form.get("code_verifier", "").encode()).digest()
    return not challenge or challenge == base64.urlsafe_b64encode(digest).decode().rstrip("=")
