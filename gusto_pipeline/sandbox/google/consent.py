"""Google's OAuth endpoints as pages and JSON: /o/oauth2/v2/auth, /token, /revoke."""

from html import escape
from urllib.parse import parse_qsl, urlencode, urlsplit

from starlette.requests import Request
from starlette.responses import HTMLResponse, JSONResponse, RedirectResponse, Response
from starlette.routing import Route

from gusto_pipeline.sandbox.google.accounts import CLIENT_ID, PERSON, Accounts, SignInError

PAGE = """<!doctype html><html lang="en"><meta charset="utf-8"><title>Sandbox: sign in with Google</title>
<style>body{{font:16px system-ui;max-width:32rem;margin:4rem auto}}a{{display:inline-block;padding:.8rem;margin:.5rem
.5rem .5rem 0;border:1px solid #bbb;border-radius:.5rem;color:inherit;text-decoration:none}}</style>
<h1>Sign in with Google</h1><p>This is a local sandbox. {person} is asked for access to:</p><ul>{scopes}</ul>
<a href="?{allow}">Allow</a><a href="?{refuse}">Cancel</a></html>"""


def oauth_routes(accounts: Accounts) -> list[Route]:
    """The three endpoints over the site's accounts. `consent=yes` or `no` in the query stands for the person's click;
    `yes` with further words consents to scopes that contain one of them only, as unticked boxes do."""

    async def authorize(request: Request) -> Response:
        query = dict(request.query_params)
        scopes = query.get("scope", "").split()
        problem = _problem(query)
        if problem:
            return HTMLResponse(f"<h1>Error 400: {escape(problem)}</h1>", 400)
        choice, *ticked = query.get("consent", "").split() or [""]
        if choice == "no":
            return _back(query, {"error": "access_denied"})
        if choice == "yes":
            granted = frozenset(scope for scope in scopes if not ticked or any(word in scope for word in ticked))
            return _back(query, {"code": accounts.new_code(query, granted), "scope": " ".join(sorted(granted))})
        page = PAGE.format(
            person=PERSON,
            scopes="".join(f"<li>{escape(scope)}</li>" for scope in scopes),
            allow=escape(urlencode({**query, "consent": "yes"})),
            refuse=escape(urlencode({**query, "consent": "no"})),
        )
        return HTMLResponse(page)

    async def token(request: Request) -> Response:
        try:
            return JSONResponse(accounts.token(await _form(request), str(request.url)))
        except SignInError as refused:
            return JSONResponse(refused.body, refused.status)

    async def revoke(request: Request) -> Response:
        try:
            accounts.revoke((await _form(request)).get("token", ""))
        except SignInError as refused:
            return JSONResponse(refused.body, refused.status)
        return JSONResponse({})

    return [
        Route("/o/oauth2/v2/auth", authorize),
        Route("/token", token, methods=["POST"]),
        Route("/revoke", revoke, methods=["POST"]),
    ]


def _problem(query: dict[str, str]) -> str:
    """What Google shows a person instead of its consent page, as the error's name."""
    if query.get("client_id") != CLIENT_ID:
        return "invalid_client"
    address = urlsplit(query.get("redirect_uri", ""))
    if address.scheme != "http" or address.hostname not in ("127.0.0.1", "localhost", "::1"):
        return "redirect_uri_mismatch"
    if query.get("response_type") != "code" or query.get("code_challenge_method", "S256") != "S256":
        return "invalid_request"
    return "" if query.get("scope") else "invalid_scope"


def _back(query: dict[str, str], answer: dict[str, str]) -> Response:
    given = answer | ({"state": query["state"]} if "state" in query else {})
    return RedirectResponse(f"{query['redirect_uri']}?{urlencode(given)}", 302)


async def _form(request: Request) -> dict[str, str]:
    return dict(parse_qsl((await request.body()).decode(errors="replace")))
