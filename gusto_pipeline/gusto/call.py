"""Any endpoint of Gusto's API, checked against its description before anything is sent, and shown without secrets.

The description is an index beside this file, `endpoints.json`: methods, paths, parameters and body fields with their
types. It is made of the document Gusto publishes: `python -m gusto_pipeline.gusto.call --build FILE`.
"""

from __future__ import annotations

import argparse
import json
import re
from collections.abc import Iterator, Mapping
from dataclasses import dataclass, field
from datetime import date
from difflib import get_close_matches
from functools import cache
from pathlib import Path
from typing import Any
from urllib.parse import quote

from gusto_pipeline.gusto.client import GustoClient
from gusto_pipeline.gusto.errors import NotSentError

INDEX = Path(__file__).with_name("endpoints.json")
REDACTED = "[redacted]"

_SECRET = re.compile(
    r"(^|_)(ssn|ein|itin|iban|token)$|social_security|tax_id|(account|routing)_num|secret|password", re.IGNORECASE
)
_SSN = re.compile(r"(?<![\w-])\d{3}-\d{2}-\d{4}(?![\w-])")
_KEPT = ("type", "enum", "pattern", "minimum", "maximum", "maxLength", "minItems", "required", "additionalProperties")
_TYPES: dict[str, type | tuple[type, ...]] = {
    "string": str,
    "integer": int,
    "number": (int, float),
    "boolean": bool,
    "array": list,
    "object": dict,
    "null": type(None),
}

Schema = dict[str, Any]


@dataclass(frozen=True)
class Endpoint:
    """One operation. `path` holds `{names}`; `parameters` are those in it and in the query, as JSON Schemas by name.

    `scope`: what the request needs, space-separated, "" if nothing. `system`: it takes the application's own token.
    `body`: JSON Schema of what is sent, None if nothing is.
    """

    method: str
    path: str
    scope: str = ""
    system: bool = False
    parameters: dict[str, Schema] = field(default_factory=dict)
    required: tuple[str, ...] = ()
    body: Schema | None = None
    body_required: bool = False

    @property
    def names(self) -> list[str]:
        """The parameters in the path, in order."""
        return re.findall(r"{(\w+)}", self.path)

    def values(self, path: str) -> dict[str, str] | None:
        """The path's parameters in a path of this form; None when it is of another form."""
        pattern = re.sub(r"{(\w+)}", r"(?P<\1>[^/]+)", self.path)
        found = re.fullmatch(pattern, path)
        return found.groupdict() if found else None


@dataclass(frozen=True)
class PlannedCall:
    """A call that fits the description: nothing was sent yet."""

    endpoint: Endpoint
    path: str
    query: dict[str, Any]
    body: Any

    @property
    def writes(self) -> bool:
        return self.endpoint.method != "GET"

    def shown(self) -> dict[str, Any]:
        """What would be sent, for people, without secrets."""
        return {
            "method": self.endpoint.method,
            "path": self.path,
            "query": redacted(self.query),
            "body": redacted(self.body),
            "scope": self.endpoint.scope,
            "token": "application" if self.endpoint.system else "company",
        }


@cache
def endpoints() -> tuple[Endpoint, ...]:
    """Every endpoint of the index, literal paths before those with parameters in the same place."""
    rows = json.loads(INDEX.read_text(encoding="utf-8"))
    found = [Endpoint(**row | {"required": tuple(row.get("required", ()))}) for row in rows]
    return tuple(sorted(found, key=lambda endpoint: len(endpoint.names)))


def plan(method: str, path: str, params: Mapping[str, Any] | None = None, body: Any = None) -> PlannedCall:
    """The call, checked. `path` is one of the description's, its names (any will do) in `params`, or has the ids in it.

    The other `params` are the query's. Raises NotSentError naming everything that is wrong, and the nearest path
    if there is no such one.
    """
    given = dict(params or {})
    filled = re.sub(r"{(\w+)}", lambda name: quote(str(given.pop(name[1], name[0])), safe="{}"), path)
    endpoint, values = _endpoint(method.upper(), filled)
    problems = []
    for name, value in values.items():
        if value.startswith("{"):
            problems.append(f"the path needs {name}")
        elif not re.fullmatch(r"[\w.~-]*\w[\w.~-]*", value, re.ASCII):
            problems.append(f"{name} is no id")
        else:
            problems += _parameter_problems(endpoint.parameters[name], value, name)
    queryable = [name for name in endpoint.parameters if name not in endpoint.names]
    for name, value in given.items():
        if name in queryable:
            problems += _parameter_problems(endpoint.parameters[name], value, name)
        else:
            problems.append(f"there is no parameter {name}{_near(name, queryable)}")
    problems += [f"the parameter {name} is required" for name in endpoint.required if name not in given]
    problems += _body_problems(endpoint, body)
    if problems:
        raise NotSentError(f"{endpoint.method} {endpoint.path} was not sent: {'; '.join(problems)}.", path=path)
    return PlannedCall(endpoint, filled, given, body)


def send(client: GustoClient, planned: PlannedCall) -> Any:
    """Gusto's answer to a planned call, without secrets; None where it is empty. Raises GustoErrors."""
    answer = client.request(planned.endpoint.method, planned.path, params=planned.query, json=planned.body)
    return redacted(json.loads(answer.body)) if answer.body else None


def redacted(value: Any) -> Any:
    """The JSON value with secrets covered: social security, tax, account and routing numbers, tokens, passwords."""
    if isinstance(value, dict):
        return {name: _covered(each) if _SECRET.search(str(name)) else redacted(each) for name, each in value.items()}
    if isinstance(value, list):
        return [redacted(each) for each in value]
    return _SSN.sub(REDACTED, value) if isinstance(value, str) else value


def problems_of(schema: Schema, value: Any, where: str) -> list[str]:
    """What keeps a JSON value from fitting a schema of the index, in words that never quote the value.

    Fields that an object's schema does not name do not fit it.
    """
    if alternatives := schema.get("anyOf"):
        found = [problems_of(each, value, where) for each in alternatives]
        return [] if [] in found else min(found, key=len)
    types = schema.get("type", [])
    types = [types] if isinstance(types, str) else types
    if types and not any(_is(value, name) for name in types):
        return [f"{where} must be {' or '.join(types)}"]
    if value is None:
        return []
    problems = []
    if "enum" in schema and value not in schema["enum"]:
        problems.append(f"{where} must be one of {', '.join(map(str, schema['enum']))}")
    if isinstance(value, str):
        problems += _text_problems(schema, value, where)
    elif isinstance(value, list):
        if len(value) < schema.get("minItems", 0):
            problems.append(f"{where} needs {schema['minItems']} or more")
        for number, each in enumerate(value):
            problems += problems_of(schema.get("items", {}), each, f"{where}[{number}]")
    elif isinstance(value, dict):
        problems += _object_problems(schema, value, where)
    elif not schema.get("minimum", value) <= value <= schema.get("maximum", value):
        problems.append(f"{where} must lie within {schema.get('minimum', '…')} and {schema.get('maximum', '…')}")
    return problems


def _endpoint(method: str, path: str) -> tuple[Endpoint, dict[str, str]]:
    fitting = [(e, values) for e in endpoints() if (values := e.values(path)) is not None]
    for endpoint, values in fitting:
        if endpoint.method == method:
            return endpoint, values
    if fitting:
        known = ", ".join(sorted({endpoint.method for endpoint, _ in fitting}))
        raise NotSentError(f"{method} {path} was not sent: Gusto knows {known} there.", path=path)
    here = {e.path for e in endpoints() if e.method == method} or {e.path for e in endpoints()}
    # Ids are as long as they are random: names of the same place let the words decide what is near.
    plain = {re.sub(r"{\w+}", "{}", known): known for known in sorted(here)}
    asked = re.sub(r"/([0-9a-f-]{8,}|{\w*})(?=/|$)", "/{}", path)
    [near] = get_close_matches(asked, plain, n=1, cutoff=0)
    raise NotSentError(f"{method} {path} was not sent: Gusto has no such path. Nearest: {plain[near]}", path=path)


def _parameter_problems(schema: Schema, value: Any, where: str) -> list[str]:
    """Parameters travel as text: what a number or a list is must show in it."""
    types = schema.get("type", "string")
    types = [types] if isinstance(types, str) else types
    if "array" in types:
        items = value if isinstance(value, list | tuple) else str(value).split(",")
        return [problem for each in items for problem in _parameter_problems(schema.get("items", {}), each, where)]
    if isinstance(value, str):
        if "integer" in types and re.fullmatch(r"-?\d+", value):
            value = int(value)
        elif "boolean" in types and value in ("true", "false"):
            value = value == "true"
        elif "number" in types and re.fullmatch(r"-?\d+(\.\d+)?", value):
            value = float(value)
    return problems_of(schema, value, where)


def _body_problems(endpoint: Endpoint, body: Any) -> list[str]:
    if endpoint.body is None:
        return [] if body is None else ["it takes no body"]
    if body is None:
        return ["it needs a body"] if endpoint.body_required or endpoint.body.get("required") else []
    return problems_of(endpoint.body, body, "the body")


def _text_problems(schema: Schema, value: str, where: str) -> list[str]:
    if "pattern" in schema and not re.search(schema["pattern"], value):
        return [f"{where} must look like {schema['pattern']}"]
    if len(value) > schema.get("maxLength", len(value)):
        return [f"{where} must be at most {schema['maxLength']} characters"]
    if schema.get("format") == "date":
        try:
            date.fromisoformat(value)
        except ValueError:
            return [f"{where} must be a date like 2026-12-31"]
    return []


def _object_problems(schema: Schema, value: dict[str, Any], where: str) -> list[str]:
    problems = [f"{where} lacks {name}" for name in schema.get("required", ()) if name not in value]
    known, others = schema.get("properties", {}), schema.get("additionalProperties", not schema.get("properties"))
    for name, each in value.items():
        inner = f"{name} in {where}"
        if name in known:
            problems += problems_of(known[name], each, inner)
        elif others is False:
            problems.append(f"{where} has no field {name}{_near(name, known)}")
        elif isinstance(others, dict):
            problems += problems_of(others, each, inner)
    return problems


def _is(value: Any, name: str) -> bool:
    return isinstance(value, _TYPES[name]) and (name == "boolean" or not isinstance(value, bool))


def _near(name: str, known: Any) -> str:
    known = list(known)
    near = get_close_matches(name, known, n=1, cutoff=0.5)
    return f" (did you mean {near[0]}?)" if near else f" (there are: {', '.join(known) or 'none'})"


def _covered(value: Any) -> Any:
    if isinstance(value, dict):
        return {name: _covered(each) for name, each in value.items()}
    if isinstance(value, list):
        return [_covered(each) for each in value]
    return value if value in (None, "") or isinstance(value, bool) else REDACTED


# -- making the index ---------------------------------------------------------------------------------------------


def build(document: dict[str, Any]) -> list[dict[str, Any]]:
    """The index of an OpenAPI 3.1 document: names and types of its operations under /v1/, without its prose.

    Its OAuth endpoints are left out: tokens are got and renewed by connecting, never by hand.
    """
    rows = []
    for path, operations in document["paths"].items():
        shared = operations.get("parameters", [])
        for method, operation in operations.items():
            if method != "parameters" and path.startswith("/v1/"):
                rows.append(_row(document, method.upper(), path, operation, shared))
    return rows


def _row(
    document: dict[str, Any], method: str, path: str, operation: dict[str, Any], shared: list[dict[str, Any]]
) -> dict[str, Any]:
    parameters = [_resolved(document, each) for each in [*shared, *operation.get("parameters", [])]]
    parameters = [each for each in parameters if each["in"] != "header"]
    scope = re.search(r"scope: `([^`]+)`", operation.get("description", ""))
    row: dict[str, Any] = {
        "method": method,
        "path": path,
        "scope": scope[1] if scope else "",
        "system": any("SystemAccessAuth" in each for each in operation.get("security", ())),
        "parameters": {each["name"]: _schema(document, each["schema"]) for each in parameters},
        "required": [each["name"] for each in parameters if each.get("required") and each["in"] == "query"],
    }
    if body := _resolved(document, operation.get("requestBody", {})):
        row["body"] = _schema(document, body["content"]["application/json"]["schema"])
        row["body_required"] = body.get("required", False)
    return {name: value for name, value in row.items() if value not in ("", False, [], {})}


def _resolved(document: dict[str, Any], node: dict[str, Any]) -> dict[str, Any]:
    while "$ref" in node:
        found: Any = document
        for name in node["$ref"].removeprefix("#/").split("/"):
            found = found[name]
        node = found
    return node


def _schema(document: dict[str, Any], node: dict[str, Any]) -> Schema:
    """What a JSON Schema says of names and types: references filled in, allOf merged, what only Gusto sets left out."""
    node = _resolved(document, node)
    made: Schema = {name: node[name] for name in _KEPT if name in node}
    if node.get("format") == "date":
        made["format"] = "date"
    if isinstance(made.get("additionalProperties"), dict):
        made["additionalProperties"] = _schema(document, made["additionalProperties"])
    if "items" in node:
        made["items"] = _schema(document, node["items"])
    if "properties" in node:
        made["properties"] = dict(_properties(document, node["properties"]))
        made["required"] = [name for name in node.get("required", ()) if name in made["properties"]]
    if alternatives := node.get("anyOf") or node.get("oneOf"):
        made["anyOf"] = [_schema(document, each) for each in alternatives]
    if node.get("nullable") and isinstance(made.get("type"), str):
        made["type"] = [made["type"], "null"]
    for part in (_schema(document, each) for each in node.get("allOf", ())):
        properties = made.get("properties", {}) | part.get("properties", {})
        required = sorted({*made.get("required", ()), *part.get("required", ())})
        made = made | part | {"properties": properties, "required": required}
    return {name: value for name, value in made.items() if value != []}


def _properties(document: dict[str, Any], properties: dict[str, Any]) -> Iterator[tuple[str, Schema]]:
    for name, each in properties.items():
        if not _resolved(document, each).get("readOnly"):
            yield name, _schema(document, each)


def main() -> None:
    """Writes the index, a line per endpoint."""
    parser = argparse.ArgumentParser(description="Make the index of Gusto's endpoints of its API description.")
    parser.add_argument("--build", type=Path, required=True, metavar="FILE", help="Gusto's OpenAPI document, as JSON")
    rows = build(json.loads(parser.parse_args().build.read_text(encoding="utf-8")))
    lines = ",\n".join(json.dumps(row, separators=(",", ":")) for row in rows)
    INDEX.write_text(f"[\n{lines}\n]\n", encoding="utf-8")


if __name__ == "__main__":
    main()
