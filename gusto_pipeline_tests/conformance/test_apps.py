"""Every request a connector makes, and every answer of its simulator, fits the vendor's own description."""

from __future__ import annotations

import re
from dataclasses import replace
from functools import cache

import httpx
import pytest

from gusto_pipeline.provisioning import actions
from gusto_pipeline.provisioning.account import Status
from gusto_pipeline.provisioning.apps import SLUGS, app
from gusto_pipeline_tests.conformance.description import SPECS, Description
from gusto_pipeline_tests.provisioning.connected import NEW, connected_to

# Which document describes the paths below which base; and expressions for where the document itself is known to be
# wrong or silent.
DESCRIBED: dict[str, list[tuple[str, str, tuple[str, ...]]]] = {
    # Its list of fields is not complete: its own examples ask for a user's address.
    "asana": [("asana.json", "/api/1.0", (r"opt_fields: \d: 'user.email' is not one of",))],
    "box": [("box.json", "/2.0", ())],
    "docusign": [("docusign.json", "/restapi", ())],
    "dropbox": [("dropbox.json", "/2", ())],
    "dynatrace": [("dynatrace.json", "", ())],
    "github": [("github.json", "", ())],
    "google_workspace": [("google_workspace.json", "", ()), ("google_datatransfer.json", "", ())],
    # It knows neither Graph's annotations nor the tokens of next pages, nothing of what deleted objects were, and of
    # what an action gives only the value, without what it comes in.
    "microsoft_365": [
        (
            "microsoft_365.json",
            "/v1.0",
            (
                r"Unevaluated properties are not allowed \(('@odata\.\w+'(, )?)+ (was|were) unexpected\)",
                r"parameter \$skiptoken is not",
                r"^GET /directory/deletedItems/.*(is not one of \['id', 'deletedDateTime'\]|Unevaluated properties)",
                r"^POST /users/\{user-id\}/microsoft.graph.revokeSignInSessions: answer: it: ",
            ),
        )
    ],
    "okta": [("okta.json", "", ())],
    # It knows reading only, and lists without the envelope that the vendor's guide has.
    "sauce_labs": [
        ("sauce_labs.json", "/team-management/v1", (r"method is not described", r"answer: it: \{'links': ")),
    ],
    # The token goes into a header, never into the address. Failures come with status 200, where it describes successes
    # only. SCIM itself is checked in `test_scim`.
    "slack": [
        (
            "slack.json",
            "/api",
            (r"query parameter token is missing", r"users.lookupByEmail: answer: (ok: False|it: 'user' is a required)"),
        )
    ],
    # It takes a cursor and shows none in its answer, so that an envelope is assumed.
    "trello": [("trello.json", "/1", (r"^GET /enterprises/\{id\}/members/query: answer: it: \{'members'",))],
    # It knows no success but 200; by the vendor's guide creation answers 201.
    "zoho_books": [("zoho_books.json", "/books/v3", (r"^POST /users: status 201 is not described",))],
    # Its patterns for addresses are those of made-up examples, so that no user fits; role and profile are sent as bare
    # ids, as the vendor's guide does.
    "zoho_crm": [
        (
            "zoho_crm.json",
            "",
            (
                r"email: .* does not match",
                r"not allowed \('info', 'users' were unexpected\)",
                r"body: users/0/(role|profile): '\d+' is not of type 'object'",
            ),
        )
    ],
    # It has the organization's id in the query, the vendor's guide in a header. An update needs only what changes, but
    # shares its schema with creation.
    "zoho_desk": [("zoho_desk.json", "", (r"parameter orgId is missing", r"^PATCH .* is a required property"))],
}
# The vendor publishes none, or none that could be reached.
UNDESCRIBED: dict[str, str] = {
    "15five": "its vendor's is behind a login",
    "clickup": "its vendor's states no licence",
    "lastpass": "none is published",
    "hubspot": "its vendor's is not licensed for use elsewhere",
    "planview_leankit": "none could be reached",
    "salesforce": "one is made for each org only",
}


SIGN_IN = r"^POST /.*token$"
# What a document leaves out of the API it describes: requests that nothing can be checked of.
LEFT_OUT: dict[str, tuple[str, ...]] = {
    "docusign": ("^GET /oauth/userinfo$",),
    "github": ("^GET /orgs/[^/]+$", "^GET /user/[0-9]+$", "^POST /graphql$"),
    "microsoft_365": ("/v1.0/groups", "^GET /v1.0/organization$", "^GET /v1.0/roleManagement/"),
    "okta": ("/api/v1/groups", "^GET /api/v1/iam/"),
    "sauce_labs": ("^(GET|POST) /team-management/v1/users/.+", "/membership/$"),
    "slack": ("/scim/v2/", "^GET /api/auth.test$"),
    "trello": ("^GET /1/search/members/$",),
    "zoho_books": ("^GET /books/v3/organizations/",),
    "zoho_crm": ("^GET /crm/v8/org$",),
    "zoho_desk": ("^GET /api/v1/(departments|organizations)$",),
}
# With what somebody new comes, so that more of the API is used.
WITH = {
    "docusign": {"role": "DocuSign Viewer"},
    "dropbox": {"role": "User management admin"},
    "microsoft_365": {"licence": "SPB"},
}


@cache
def descriptions(slug: str) -> list[Description]:
    return [Description(*each) for each in DESCRIBED[slug]]


class Recorder(httpx.BaseTransport):
    """Keeps each exchange that goes over the wire."""

    def __init__(self) -> None:
        self._transport = httpx.HTTPTransport()
        self.exchanges: list[tuple[httpx.Request, bytes, httpx.Response]] = []

    def handle_request(self, request: httpx.Request) -> httpx.Response:
        body = request.read()
        response = self._transport.handle_request(request)
        response.request = request
        response.read()
        self.exchanges.append((request, body, response))
        return httpx.Response(response.status_code, headers=response.headers, content=response.content, request=request)

    def close(self) -> None:
        self._transport.close()


def test_every_app_has_a_description_or_a_reason_why_not():
    assert set(DESCRIBED) | set(UNDESCRIBED) == set(SLUGS)
    assert not set(DESCRIBED) & set(UNDESCRIBED)


@pytest.mark.skipif(not SPECS.exists(), reason="needs the vendors' descriptions")
@pytest.mark.parametrize("slug", DESCRIBED)
def test_a_whole_life_of_an_account_fits_the_description(slug):
    recorder, can = Recorder(), app(slug)
    with connected_to(slug, transport=recorder) as (session, simulated):
        actions.read_accounts(session)
        group, *others = can.groups(session) if can.groups else (None,)
        new = replace(NEW, groups=(group,) if group else (), **WITH.get(slug, {}))
        account = actions.create(session, new).account
        if account.status is Status.INVITED:
            if can.cancel_invitation:
                actions.remove(session, account.id)
                account = actions.create(session, new).account
            if can.invite_again:
                actions.invite_again(session, account.id)
            simulated.accept(NEW.email)
            account = can.find(session, NEW.email)
        for other in others[:1]:
            actions.join(session, account.id, other)
            if can.leave:
                actions.leave(session, account.id, other)
        for step in (can.suspend and actions.suspend, can.reactivate and actions.reactivate):
            if step:
                step(session, account.id)
        if can.hand_over:
            other = next(a for a in actions.read_accounts(session).accounts if a.owner or a.admin)
            can.hand_over(session, account, other)
        actions.remove(session, account.id)
        if can.restore and (binned := can.account(session, account.id)):
            actions.restore(session, binned)
        can.account(session, account.id)
    wrong, left_out = [], dict.fromkeys(LEFT_OUT.get(slug, ()), False)
    for request, body, response in recorder.exchanges:
        found = [each.problems(request, body, response) for each in descriptions(slug)]
        fitting = [problems for problems in found if problems is not None]
        call = f"{request.method} {request.url.path}"
        known = [pattern for pattern in left_out if re.search(pattern, call)]
        if fitting:
            wrong += min(fitting, key=len)
        elif known:
            left_out[known[0]] = True
        elif not re.search(SIGN_IN, call):
            wrong.append(f"{call}: not described")
    assert not wrong, "\n".join(dict.fromkeys(wrong))
    assert all(left_out.values()), f"not left out, or not asked for: {left_out}"
