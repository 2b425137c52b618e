"""What Zoho's simulated apps share: its accounts server, which refuses with status 200, and organization and tokens."""

from __future__ import annotations

import json

from starlette.requests import Request
from starlette.responses import JSONResponse, Response
from starlette.routing import Route

from gusto_pipeline.sandbox.apps.directory import Directory
from gusto_pipeline.sandbox.apps.simulator import bearer_token, oauth_routes

CLIENT = {"client_id": "1000.SANDBOX0CLIENT0OF0ZOHO", "client_secret": "zoho-sandbox-client-secret"}
ORGANIZATION = "694579962"


def accounts_server(directory: Directory) -> list[Route]:
    """Consent and tokens of an hour; refresh tokens last."""
    extra = {"api_domain": "https://www.zohoapis.com"}
    consent, token = oauth_routes(directory, "/oauth/v2/auth", "/oauth/v2/token", names_scope=True, extra=extra)

    async def exchange(request: Request) -> Response:
        answer: Response = await token.endpoint(request)
        if answer.status_code < 400:
            return answer
        error = json.loads(bytes(answer.body))["error"]
        return JSONResponse({"error": "invalid_code" if error == "invalid_grant" else error})

    return [consent, Route(token.path, exchange, methods=["POST"])]


def signed_in(directory: Directory, request: Request) -> bool:
    return directory.accepts(bearer_token(request, "Zoho-oauthtoken"), request.url.path)
