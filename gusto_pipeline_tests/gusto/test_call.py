"""Any endpoint can be called, nothing that does not fit the description leaves, and no secret comes back."""

from __future__ import annotations

import json
import re
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from gusto_pipeline.gusto import call
from gusto_pipeline.gusto.call import INDEX, Endpoint, build, endpoints, plan, problems_of, redacted, send
from gusto_pipeline.gusto.client import GustoClient
from gusto_pipeline.gusto.errors import NotSentError
from gusto_pipeline.sandbox.server import GustoSandbox, running
from gusto_pipeline.sync import Bearer

DOCUMENT = Path(__file__).resolve().parents[2] / ".." / "shared" / "reference" / "gusto-openapi.json"
UUID = "5f9f2a04-1e5a-4a37-9cb6-2f9c43c17c4e"


@pytest.fixture(scope="module")
def sandbox() -> Iterator[GustoSandbox]:
    with running(employees=5) as sandbox:
        yield sandbox


@pytest.fixture
def client(sandbox: GustoSandbox) -> Iterator[GustoClient]:
    token = sandbox.new_grant()["access_token"]
    with GustoClient(sandbox.base_url, Bearer(token)) as client:
        yield client


def example(schema: dict[str, Any]) -> Any:
    """The plainest value that fits a schema of the index."""
    if "anyOf" in schema:
        return example(schema["anyOf"][0])
    if "enum" in schema:
        return schema["enum"][0]
    kind = schema["type"] if isinstance(schema["type"], str) else schema["type"][0]
    texts = {"[0-9]{9}": "123456789", "[0-9]{10}": "4155550100", r"^\d{5}$": "94107"}
    match kind:
        case "string" if schema.get("format") == "date":
            return "2026-12-31"
        case "string":
            return texts.get(schema.get("pattern", ""), "first_name" if "first_name" in str(schema) else "name")
        case "integer" | "number":
            return schema.get("minimum", 1)
        case "boolean":
            return True
        case "array":
            return [example(schema["items"])]
    return {name: example(each) for name, each in schema.get("properties", {}).items()}


@pytest.mark.parametrize("endpoint", endpoints(), ids=lambda endpoint: f"{endpoint.method} {endpoint.path}")
def test_every_endpoint_can_be_planned(endpoint: Endpoint):
    params = {name: example(schema) for name, schema in endpoint.parameters.items()}
    body = example(endpoint.body) if endpoint.body else None
    planned = plan(endpoint.method, endpoint.path, params, body)
    assert planned.endpoint is endpoint
    assert "{" not in planned.path
    again = plan(endpoint.method, planned.path, planned.query, body)
    assert (again.endpoint, again.path) == (endpoint, planned.path)
    assert json.loads(json.dumps(again.shown()))["method"] == endpoint.method


def test_a_planned_read_is_answered(client, sandbox):
    company = sandbox.world.companies[0]
    planned = plan("get", "/v1/companies/{company_id}/employees", {"company_id": company.uuid, "page": "1", "per": "2"})
    assert [row["uuid"] for row in send(client, planned)] == list(company.employees)[:2]


def test_the_names_in_a_path_may_be_anyones():
    planned = plan("GET", "/v1/companies/{company}/departments", {"company": UUID})
    assert planned.path == f"/v1/companies/{UUID}/departments"


def test_a_literal_path_comes_before_one_with_a_parameter_there():
    assert plan("GET", "/v1/garnishments/child_support").endpoint.path == "/v1/garnishments/child_support"


def test_a_planned_write_is_carried_out(client, sandbox):
    company = sandbox.world.companies[0]
    planned = plan("POST", f"/v1/companies/{company.uuid}/departments", body={"title": "Tasting"})
    assert planned.writes
    assert send(client, planned)["uuid"] in company.departments


def test_an_empty_answer_is_none(client, sandbox):
    somebody = next(iter(sandbox.world.companies[0].employees))
    assert send(client, plan("GET", f"/v1/employees/{somebody}/rehire")) is None


@pytest.mark.parametrize(
    ("method", "path", "params", "body", "words"),
    [
        ("GET", f"/v1/employes/{UUID}", {}, None, "no such path. Nearest: /v1/employees/{employee_id}"),
        ("GET", f"/v1/employees/{UUID}/home_adress", {}, None, "Nearest: /v1/employees/{employee_id}/home_addresses"),
        ("PATCH", f"/v1/employees/{UUID}", {}, None, "Gusto knows DELETE, GET, PUT there"),
        ("GET", "/v1/employees/{employee_id}", {}, None, "the path needs employee_id"),
        ("GET", "/v1/employees/{employee_id}", {"employee_id": "a/b"}, None, "employee_id is no id"),
        ("GET", "/v1/employees/{employee_id}", {"employee_id": ".."}, None, "employee_id is no id"),
        ("GET", f"/v1/employees/{UUID}", {"includes": "x"}, None, "no parameter includes (did you mean include?)"),
        ("GET", f"/v1/employees/{UUID}", {"include": "pay"}, None, "include must be one of all_compensations"),
        ("GET", f"/v1/companies/{UUID}/employees", {"page": "two"}, None, "page must be integer"),
        ("GET", f"/v1/companies/{UUID}/employees", {"onboarded": "maybe"}, None, "onboarded must be boolean"),
        ("GET", f"/v1/companies/{UUID}/contractor_payments", {}, None, "the parameter start_date is required"),
        ("GET", f"/v1/employees/{UUID}", {}, {}, "it takes no body"),
        ("PUT", f"/v1/employees/{UUID}", {}, None, "it needs a body"),
        ("PUT", f"/v1/employees/{UUID}", {}, {"first_name": "A"}, "the body lacks version"),
        ("PUT", f"/v1/employees/{UUID}", {}, {"version": "1", "frist_name": "A"}, "(did you mean first_name?)"),
        ("PUT", f"/v1/employees/{UUID}", {}, {"version": 1}, "version in the body must be string"),
        ("PUT", f"/v1/employees/{UUID}", {}, [], "the body must be object"),
        ("POST", f"/v1/jobs/{UUID}/compensations", {}, {"rate": "1", "payment_unit": "Day", "flsa_status": "Exempt"},
         "payment_unit in the body must be one of Hour"),
        ("POST", f"/v1/employees/{UUID}/home_addresses", {}, {"effective_date": "1 May"}, "must be a date like"),
        ("POST", f"/v1/companies/{UUID}/departments", {}, {"title": None}, "title in the body must be string"),
        ("POST", "/oauth/token", {}, {}, "no such path"),
    ],
)  # fmt: skip
def test_what_does_not_fit_is_refused_before_any_request(sandbox, method, path, params, body, words):
    before = len(sandbox.requests)
    with pytest.raises(NotSentError, match=re.escape(words)):
        plan(method, path, params, body)
    assert len(sandbox.requests) == before


def test_everything_that_is_wrong_is_named_at_once():
    with pytest.raises(NotSentError) as refused:
        plan("PUT", "/v1/employees/{employee_id}", {"pages": 1}, {"email": 7})
    words = ("the path needs employee_id", "no parameter pages", "lacks version", "email in the body must be string")
    assert all(each in str(refused.value) for each in words)


def test_a_refusal_never_quotes_a_value():
    with pytest.raises(NotSentError) as refused:
        plan("PUT", f"/v1/employees/{UUID}", body={"version": "1", "ssn": "123-45-678", "email": ["canary"]})
    assert "123-45" not in str(refused.value)
    assert "canary" not in str(refused.value)


def test_what_would_be_sent_is_shown_without_secrets():
    body = {"first_name": "Ada", "last_name": "Low", "ssn": "123456789"}
    shown = plan("POST", f"/v1/companies/{UUID}/employees", body=body).shown()
    assert shown["body"] == {"first_name": "Ada", "last_name": "Low", "ssn": "[redacted]"}
    assert shown["scope"] == "employees:manage"


SECRETS = st.sampled_from(
    ["ssn", "hidden_ssn", "ein", "account_number", "encrypted_account_number", "routing_number", "access_token",
     "refresh_token", "verification_token", "client_secret", "applicable_tax_ids"]
)  # fmt: skip
CANARY = st.just("canary 4711") | st.just(47114711) | st.just(["canary 4711"]) | st.just({"value": "canary 4711"})


SECRET = st.dictionaries(SECRETS, CANARY, max_size=2)


@settings(max_examples=50)
@given(st.recursive(SECRET, lambda inner: st.lists(inner, max_size=3) | st.builds(lambda x: {"rows": x}, inner)))
def test_no_secret_comes_through_however_deep(value):
    assert "4711" not in json.dumps(redacted(value))


@given(st.none() | st.booleans() | st.text("abc ") | st.lists(st.integers()))
def test_what_is_no_secret_stays(value):
    kept = {"has_ssn": True, "ssn": "", "protein": value, "token_expired": False, "account_numbers": None}
    assert redacted(kept) == kept


def test_a_social_security_number_in_a_text_is_covered():
    assert redacted({"note": "SSN 123-45-6789, call 415-555-0100"})["note"] == "SSN [redacted], call 415-555-0100"


def test_a_null_fits_where_it_may_be():
    schema = {"type": ["string", "null"], "enum": ["a", "b"]}
    assert problems_of(schema, None, "it") == []
    assert problems_of(schema, "c", "it") == ["it must be one of a, b"]


def test_the_index_is_small():
    assert INDEX.stat().st_size < 300_000


def test_the_index_is_built_of_a_document_by_names_and_types_alone(tmp_path, monkeypatch):
    version = {"type": "object", "required": ["version"], "properties": {"version": {"type": "string"}}}
    tea = {
        "type": "object",
        "description": "A tea.",
        "properties": {
            "uuid": {"type": "string", "readOnly": True},
            "kind": {"type": "string", "enum": ["black", "green"], "nullable": True, "description": "Its kind."},
        },
    }
    operation = {
        "description": "Changes a tea. scope: `teas:write`",
        "security": [{"CompanyAccessAuth": []}],
        "parameters": [
            {"name": "X-Gusto-API-Version", "in": "header", "schema": {"type": "string"}},
            {"$ref": "#/components/parameters/dry"},
        ],
        "requestBody": {
            "required": True,
            "content": {"application/json": {"schema": {"allOf": [{"$ref": "#/components/schemas/Version"}, tea]}}},
        },
    }
    tea_id = {"name": "tea_id", "in": "path", "required": True, "schema": {"type": "string"}}
    dry = {"name": "dry", "in": "query", "required": True, "schema": {"type": "boolean"}}
    document = {
        "paths": {"/v1/teas/{tea_id}": {"parameters": [tea_id], "put": operation}, "/oauth/token": {"post": {}}},
        "components": {"schemas": {"Version": version}, "parameters": {"dry": dry}},
    }
    (tmp_path / "document.json").write_text(json.dumps(document))
    monkeypatch.setattr(call, "INDEX", tmp_path / "endpoints.json")
    monkeypatch.setattr("sys.argv", ["call", "--build", str(tmp_path / "document.json")])
    call.main()
    assert json.loads((tmp_path / "endpoints.json").read_text()) == [
        {
            "method": "PUT",
            "path": "/v1/teas/{tea_id}",
            "scope": "teas:write",
            "parameters": {"tea_id": {"type": "string"}, "dry": {"type": "boolean"}},
            "required": ["dry"],
            "body": {
                "type": "object",
                "required": ["version"],
                "properties": {
                    "version": {"type": "string"},
                    "kind": {"type": ["string", "null"], "enum": ["black", "green"]},
                },
            },
            "body_required": True,
        }
    ]


@pytest.mark.skipif(not DOCUMENT.exists(), reason="needs the published API description")
def test_the_index_is_the_descriptions():
    document = json.loads(DOCUMENT.read_text(encoding="utf-8"))
    assert json.loads(INDEX.read_text(encoding="utf-8")) == build(document)
    operations = {
        (method.upper(), path)
        for path, methods in document["paths"].items()
        for method in methods
        if method != "parameters" and not path.startswith("/oauth/")
    }
    assert {(endpoint.method, endpoint.path) for endpoint in endpoints()} == operations


def keywords(schema: dict[str, Any]) -> set[str]:
    """The words of JSON Schema that a schema uses, its fields' included."""
    inner = [*schema.get("properties", {}).values(), *schema.get("anyOf", ())]
    inner += [each for each in (schema.get("items"), schema.get("additionalProperties")) if isinstance(each, dict)]
    return set(schema).union(*map(keywords, inner))


def test_the_index_says_nothing_but_names_and_types():
    schemas = [schema for endpoint in endpoints() for schema in (*endpoint.parameters.values(), endpoint.body or {})]
    assert set().union(*map(keywords, schemas)) <= {
        "type", "enum", "pattern", "format", "minimum", "maximum", "maxLength", "minItems",
        "properties", "required", "items", "anyOf", "additionalProperties",
    }  # fmt: skip
