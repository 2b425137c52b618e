"""A vendor's own description of its API, and what in an exchange does not fit it.

Reads OpenAPI 3, Swagger 2 and Google's discovery format, and turns their schemas into JSON Schema.
"""

from __future__ import annotations

import json
import re
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any
from urllib.parse import parse_qsl, unquote

import httpx
from jsonschema import Draft202012Validator
from referencing import Registry, Resource
from referencing.jsonschema import DRAFT202012

SPECS = Path(__file__).resolve().parents[2] / ".." / "shared" / "reference" / "specs"
Json = dict[str, Any]


@dataclass
class Description:
    """One document. base: the path its own paths hang below. known: expressions for what it is known to get wrong."""

    file: str
    base: str
    known: tuple[str, ...] = ()
    document: Json = field(init=False)

    def __post_init__(self) -> None:
        raw = json.loads((SPECS / self.file).read_text(encoding="utf-8"))
        if "discoveryVersion" in raw or "rootUrl" in raw:
            raw = _from_discovery(raw)
        self.document = raw
        self._registry = Registry().with_resource(
            "urn:api", Resource(contents=_json_schema(raw), specification=DRAFT202012)
        )

    def problems(self, request: httpx.Request, body: bytes, response: httpx.Response) -> list[str] | None:
        """What does not fit; None when the document does not have this path at all."""
        path = request.url.path
        if not path.startswith(self.base):
            return None
        template, operation, shared = self._operation(request.method.lower(), path.removeprefix(self.base) or "/")
        if template is None:
            return None
        where = f"{request.method} {template}"
        if operation is None:
            found = ["the method is not described"]
        else:
            parameters = [self._resolved(p) for p in [*shared, *operation.get("parameters", [])]]
            found = [
                *self._wrong_query(request, parameters),
                *self._wrong_body(request, body, operation, parameters),
                *self._wrong_answer(response, operation),
            ]
        found = [f"{where}: {problem}" for problem in found]
        return [problem for problem in found if not any(re.search(known, problem) for known in self.known)]

    def _operation(self, method: str, path: str) -> tuple[str | None, Json | None, list[Json]]:
        spelled = {path, path.rstrip("/") or "/"}  # some documents lack the slash that their servers want
        spelled |= {re.sub(r"/(\w+)$", r"/microsoft.graph.\1", path)}  # of an action both are the same
        fitting = [template for template in self.document["paths"] if any(map(_pattern(template).fullmatch, spelled))]
        if not fitting:
            return None, None, []
        # The most literal one, and among equals the one with this method.
        best = min(fitting, key=lambda t: (t.count("{"), method not in self.document["paths"][t]))
        item = self.document["paths"][best]
        return best, item.get(method), item.get("parameters", [])

    def _resolved(self, node: Json) -> Json:
        while "$ref" in node:
            target: Any = self.document
            for part in node["$ref"].removeprefix("#/").split("/"):
                target = target[part.replace("~1", "/").replace("~0", "~")]
            node = target
        return node

    def _wrong_query(self, request: httpx.Request, parameters: list[Json]) -> list[str]:
        known = {p["name"]: p for p in parameters if p["in"] == "query"}
        given = dict(parse_qsl(request.url.query.decode(), keep_blank_values=True))
        wrong = [f"query parameter {name} is not described" for name in given if name not in known]
        wrong += [
            f"query parameter {name} is missing" for name, p in known.items() if p.get("required") and name not in given
        ]
        for name in given.keys() & known.keys():
            schema = self._resolved(known[name].get("schema", known[name]))
            wrong += [f"query parameter {name}: {error}" for error in self._errors(schema, _typed(given[name], schema))]
        headers = [p["name"] for p in parameters if p["in"] == "header" and p.get("required")]
        return wrong + [f"header {name} is missing" for name in headers if name.lower() not in request.headers]

    def _wrong_body(self, request: httpx.Request, body: bytes, operation: Json, parameters: list[Json]) -> list[str]:
        schema, kind = None, "application/json"
        if "requestBody" in operation:
            content = self._resolved(operation["requestBody"]).get("content", {})
            sent = request.headers.get("content-type", "").partition(";")[0]
            kind = sent if sent in content else next(iter(content), "application/json")
            schema = content.get(kind, {}).get("schema")
        elif in_body := [p for p in parameters if p["in"] == "body"]:
            schema = in_body[0]["schema"]
        if not body:
            required = self._resolved(operation.get("requestBody", {})).get("required", False)
            return ["a body is required"] if required else []
        if kind == "application/x-www-form-urlencoded" or any(p["in"] == "formData" for p in parameters):
            return []
        if schema is None:
            return ["a body is sent and none is described"] if body not in (b"{}", b"null") else []
        return [f"body: {error}" for error in self._errors(_closed(schema), json.loads(body))]

    def _wrong_answer(self, response: httpx.Response, operation: Json) -> list[str]:
        described = operation["responses"]
        answer = described.get(str(response.status_code)) or described.get("default")
        if answer is None:
            return [] if response.is_error else [f"status {response.status_code} is not described"]
        answer = self._resolved(answer)
        content = answer.get("content", {})
        schema = answer.get("schema") or next((c.get("schema") for k, c in content.items() if "json" in k), None)
        if schema is None or not response.content.strip():
            return []
        try:
            value = response.json()
        except ValueError:
            return ["the answer is not JSON"]
        schema = schema if response.is_error else _closed(schema)
        return [f"answer: {error}" for error in self._errors(schema, value)]

    def _errors(self, schema: Any, value: Any) -> list[str]:
        schema = {"$id": "urn:here", **_rebased(_json_schema(schema))}
        found = Draft202012Validator(schema, registry=self._registry).iter_errors(value)
        return [f"{'/'.join(map(str, error.absolute_path)) or 'it'}: {error.message[:300]}" for error in found]


def _pattern(template: str) -> re.Pattern[str]:
    parts = re.split(r"\{\+?[^}]+\}", template)
    return re.compile("[^/]+".join(map(re.escape, parts)))


def _rebased(node: Any) -> Any:
    if isinstance(node, dict):
        return {key: f"urn:api{value}" if key == "$ref" else _rebased(value) for key, value in node.items()}
    return [_rebased(each) for each in node] if isinstance(node, list) else node


def _json_schema(node: Any) -> Any:
    """OpenAPI's own words as JSON Schema's: `nullable` and `x-nullable`; formats and examples say nothing."""
    if isinstance(node, list):
        return [_json_schema(each) for each in node]
    if not isinstance(node, dict):
        return node
    made = {key: _json_schema(value) for key, value in node.items() if key not in ("example", "format", "xml")}
    for word in ("oneOf", "anyOf"):
        if isinstance(made.get(word), list) and len(made[word]) == 1 and "allOf" not in made:
            made["allOf"] = made.pop(word)  # of a choice of one, what is wrong can be said
    if made.get("exclusiveMinimum") in (True, False):
        del made["exclusiveMinimum"]
    if made.get("additionalProperties") == {"type": "object"} and ("allOf" in made or "properties" in made):
        del made["additionalProperties"]  # Microsoft's generator says so of everything, and means nothing by it
    for bound in ("minimum", "maximum"):
        if isinstance(made.get(bound), str):  # in discovery documents
            made[bound] = float(made[bound])
    if made.get("type") in ("any", "file"):
        del made["type"]
    if "x-items-anyOf" in made:  # where a document was made valid by setting aside what it said
        made["anyOf"] = made.pop("x-items-anyOf")
    if "x-type" in made:
        made["type"] = made.pop("x-type")
    if "discriminator" in made and "oneOf" in made:  # it tells which, where several would fit
        made["anyOf"] = made.pop("oneOf")
    if isinstance(made.get("required"), bool):  # a property's, in Swagger 2 and discovery documents
        del made["required"]
    if node.get("nullable") is True or node.get("x-nullable") is True:
        if isinstance(made.get("type"), str):
            made["type"] = [made["type"], "null"]
        if isinstance(made.get("enum"), list):
            made["enum"] = [*made["enum"], None]
        if "$ref" in made or "allOf" in made or "anyOf" in made or "oneOf" in made:
            made.pop("nullable", None)
            return {"anyOf": [made, {"type": "null"}]}
    return made


def _closed(schema: Any) -> Any:
    """The schema refusing top-level fields it does not name, unless it says that there may be others."""
    if not isinstance(schema, dict) or schema.get("additionalProperties") or schema.get("type") == "array":
        return schema
    return {**schema, "unevaluatedProperties": False}


def _typed(text: str, schema: Json) -> Any:
    kind = schema.get("type")
    if kind in ("integer", "number") and re.fullmatch(r"-?\d+(\.\d+)?", text):
        return int(text) if "." not in text else float(text)
    if kind == "boolean" and text in ("true", "false"):
        return text == "true"
    return unquote(text).split(",") if kind == "array" else text


def _from_discovery(raw: Json) -> Json:
    """A Google discovery document in OpenAPI's shape."""

    def refs(node: Any) -> Any:
        if isinstance(node, dict):
            return {k: f"#/schemas/{v}" if k == "$ref" and "/" not in str(v) else refs(v) for k, v in node.items()}
        return [refs(each) for each in node] if isinstance(node, list) else node

    paths: Json = {}

    def collect(resources: Json) -> None:
        for resource in resources.values():
            for method in resource.get("methods", {}).values():
                operation = {
                    "parameters": [
                        {"name": name, "in": p["location"], "required": p.get("required", False), "schema": refs(p)}
                        for name, p in method.get("parameters", {}).items()
                    ],
                    "responses": {"default": {"schema": refs(method["response"])} if "response" in method else {}},
                }
                if "request" in method:
                    operation["requestBody"] = {"content": {"application/json": {"schema": refs(method["request"])}}}
                paths.setdefault(f"/{method['path']}", {})[method["httpMethod"].lower()] = operation
            collect(resource.get("resources", {}))

    collect(raw["resources"])
    return {"paths": paths, "schemas": refs(raw["schemas"])}
