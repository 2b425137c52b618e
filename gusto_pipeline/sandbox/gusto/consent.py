"""The OAuth endpoints as pages and JSON: /oauth/authorize, /oauth/token, /oauth/revoke."""

from contextlib import suppress
from html import escape
from typing import Any
from urllib.parse import parse_qsl, urlencode, urlsplit

from starlette.requests import Request
from starlette.responses import HTMLResponse, JSONResponse, RedirectResponse, Response
from starlette.routing import Route

from gusto_pipeline.sandbox.gusto.oauth import CLIENT_ID, Authority, OAuthError
from gusto_pipeline.sandbox.gusto.world import Company, World

PAGE = """<!doctype html><html lang="en"><meta charset="utf-8"><title>Sandbox: connect a company</title>
<style>body{font:16px system-ui;max-width:32rem;margin:4rem auto}a{display:block;padding:.8rem;margin:.5rem 0;
border:1px solid #bbb;border-radius:.5rem;color:inherit;text-decoration:none}</style>
<h1>Connect a company</h1><p>This is a local sandbox. Its companies and people are made up.</p>%s</html>"""


def oauth_routes(world: World, authority: Authority) -> list[Route]:
    """The three endpoints over one world and one authority."""

    async def authorize(request: Request) -> Response:
        query = request.query_params
        redirect_uri = query.get("redirect_uri", "")
        if query.get("client_id") != CLIENT_ID:
            return HTMLResponse("<h1>Unknown client</h1>", 401)
        if urlsplit(redirect_uri).scheme not in ("http", "https"):
            return HTMLResponse("<h1>redirect_uri is missing or invalid</h1>", 400)
        if query.get("response_type") != "code":
            return _back(redirect_uri, {"error": "unsupported_response_type", "state": query.get("state")})
        company = _chosen(query.get("company"))
        if company:
            grant = authority.new_grant(company.uuid, company.admins[0]["uuid"], None)
            code = authority.new_code(grant, redirect_uri)
            return _back(redirect_uri, {"code": code, "state": query.get("state")})
        buttons = "".join(
            f'<a href="?{escape(urlencode({**query, "company": each.uuid}))}">{escape(each.name)}</a>'
            for each in world.companies
        )
        return HTMLResponse(PAGE % buttons)

    def _chosen(wanted: str | None) -> Company | None:
        if wanted is None and len(world.companies) == 1:
            return world.companies[0]
        return world.company(wanted) if wanted else None

    async def token(request: Request) -> Response:
        try:
            return JSONResponse(authority.token(await _form(request)), headers={"Cache-Control": "no-store"})
        except OAuthError as refused:
            return JSONResponse(refused.body, refused.status)

    async def revoke(request: Request) -> Response:
        try:
            authority.revoke(await _form(request))
        except OAuthError as refused:
            return JSONResponse(refused.body, refused.status)
        return JSONResponse({})

    return [
        Route("/oauth/authorize", authorize),
        Route("/oauth/token", token, methods=["POST"]),
        Route("/oauth/revoke", revoke, methods=["POST"]),
    ]


def _back(redirect_uri: str, answer: dict[str, str | None]) -> Response:
    glue = "&" if urlsplit(redirect_uri).query else "?"
    given = {name: value for name, value in answer.items() if value is not None}
    return RedirectResponse(f"{redirect_uri}{glue}{urlencode(given)}", 302)


async def _form(request: Request) -> dict[str, Any]:
    """The arguments, from JSON or a form. Secrets belong in neither the URL nor its logs."""
    if "client_secret" in request.query_params:
        raise OAuthError(400, "invalid_request", "client_secret must be sent in the request body, not in the URL.")
    body: Any = None
    if request.headers.get("content-type", "").startswith("application/json"):
        with suppress(ValueError):
            body = await request.json()
    else:
        body = dict(parse_qsl((await request.body()).decode(errors="replace")))
    if not isinstance(body, dict):
        raise OAuthError(400, "invalid_request", "The body is neither a JSON object nor a form.")
    return body
