"""docs/troubleshooting.md: every row is provoked, and whatever is provoked has its row."""

from __future__ import annotations

import json
import re
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import pytest

from gusto_pipeline.gusto.auth import exchange_code, revoke
from gusto_pipeline.gusto.client import GustoClient
from gusto_pipeline.gusto.errors import GustoError
from gusto_pipeline.sync import open_store
from gusto_pipeline_tests.conftest import Pipeline, Said, connected

DOCUMENT = Path(__file__).resolve().parents[1] / "docs" / "troubleshooting.md"
ROWS = [line.split(" | ") for line in DOCUMENT.read_text(encoding="utf-8").splitlines() if line.startswith("| `")]
MESSAGES = [row[0].removeprefix("| `").removesuffix("`") for row in ROWS]

NEW = ["employees", "create", "--set", "first_name=Ada", "--set", "last_name=New", "--set", "email=ada@example.com"]
HOME = ["--set", "home_address.street_1=1 Leaf Street", "--set", "home_address.city=Oakland",
        "--set", "home_address.state=CA", "--set", "home_address.zip=94607"]  # fmt: skip
JOB = ["--set", "job.title=Taster", "--set", "job.hire_date=2027-01-04"]

Command = Callable[..., Said]


@pytest.fixture
def pipeline(tmp_path: Path) -> Iterator[Pipeline]:
    with connected(tmp_path, employees=3) as pipeline:
        yield pipeline


def somebody(pipeline: Pipeline) -> str:
    return list(pipeline.sandbox.world.companies[0].employees)[1]


def refused_token(pipeline: Pipeline, run: Command, patch: pytest.MonkeyPatch) -> Said:
    pipeline.sandbox.fault("expired")
    return run("token")


def revoked(pipeline: Pipeline, run: Command, patch: pytest.MonkeyPatch) -> Said:
    record = open_store(pipeline.settings).read(f"gusto/{pipeline.company.slug}") or {}
    revoke(pipeline.app, record["access_token"])
    return run("token")


def wrong_secret(pipeline: Pipeline, run: Command, patch: pytest.MonkeyPatch) -> Said:
    patch.setenv("GUSTO_CLIENT_SECRET", "not the secret")
    pipeline.sandbox.advance(3 * 3600)
    return run("token")


def wrong_secret_when_connecting(pipeline: Pipeline, run: Command, patch: pytest.MonkeyPatch) -> Said:
    patch.setenv("GUSTO_CLIENT_SECRET", "not the secret")
    return run("connect", "--company", pipeline.company.name)


def used_code(pipeline: Pipeline, run: Command, patch: pytest.MonkeyPatch) -> Said:
    with pytest.raises(GustoError) as refused:
        exchange_code(pipeline.app, "used before")
    return Said(1, "", str(refused.value))


def other_environment(pipeline: Pipeline, run: Command, patch: pytest.MonkeyPatch) -> Said:
    store, name = open_store(pipeline.settings), f"gusto/{pipeline.company.slug}"
    store.write(name, (store.read(name) or {}) | {"base_url": "https://api.gusto-demo.com"})
    patch.setenv("GUSTO_BASE_URL", "https://api.gusto.com")
    return run("token")


def missing_scope(pipeline: Pipeline, run: Command, patch: pytest.MonkeyPatch) -> Said:
    pipeline.sandbox.fault("missing-scope=employees:manage")
    return run(*NEW)


def stale_twice(pipeline: Pipeline, run: Command, patch: pytest.MonkeyPatch) -> Said:
    row = pipeline.sandbox.world.companies[0].employees[somebody(pipeline)]
    _before_puts(patch, lambda: row.update(preferred_first_name=(row["preferred_first_name"] or "") + "x"))
    return run("employees", "update", row["uuid"], "--set", "middle_initial=Q")


def same_field(pipeline: Pipeline, run: Command, patch: pytest.MonkeyPatch) -> Said:
    row = pipeline.sandbox.world.companies[0].employees[somebody(pipeline)]
    _before_puts(patch, lambda: row.update(middle_initial="X"))
    said = run("employees", "update", row["uuid"], "--set", "middle_initial=Q")
    return said._replace(err=said.out.splitlines()[-3])


def _before_puts(patch: pytest.MonkeyPatch, do: Callable[[], object]) -> None:
    request = GustoClient.request

    def instead(client: GustoClient, method: str, path: str, **options: Any) -> Any:
        if method == "PUT":
            do()
        return request(client, method, path, **options)

    patch.setattr(GustoClient, "request", instead)


def partial(pipeline: Pipeline, run: Command, patch: pytest.MonkeyPatch) -> Said:
    pipeline.sandbox.fault("5xx:once:/home_addresses")
    said = run(*NEW, *HOME)
    return said._replace(err=said.err.splitlines()[0])


def unknown(pipeline: Pipeline, run: Command, patch: pytest.MonkeyPatch) -> Said:
    """The answer is lost, and from then on Gusto is down."""
    pipeline.sandbox.fault("drop:once:/home_addresses")
    patch.setattr(GustoClient, "get", _down_after(pipeline, GustoClient.get))
    return run(*NEW, *HOME)


def _down_after(pipeline: Pipeline, get: Callable[..., Any]) -> Callable[..., Any]:
    def instead(client: GustoClient, path: str, params: Any = None) -> Any:
        if path.endswith("/home_addresses"):
            pipeline.sandbox.fault("5xx:/home_addresses")
        return get(client, path, params)

    return instead


def job_not_offered(pipeline: Pipeline, run: Command, patch: pytest.MonkeyPatch) -> Said:
    return run(*NEW, *JOB)


def there_already(pipeline: Pipeline, run: Command, patch: pytest.MonkeyPatch) -> Said:
    run(*NEW)
    return run(*NEW)


def not_found(pipeline: Pipeline, run: Command, patch: pytest.MonkeyPatch) -> Said:
    return run("employees", "get", "00000000-0000-4000-8000-000000000000")


def invalid(pipeline: Pipeline, run: Command, patch: pytest.MonkeyPatch) -> Said:
    return run(*NEW, *HOME, "--set", "home_address.zip=9")


def unknown_field(pipeline: Pipeline, run: Command, patch: pytest.MonkeyPatch) -> Said:
    return run(*NEW, "--set", "frist_name=Ada")


def unknown_path(pipeline: Pipeline, run: Command, patch: pytest.MonkeyPatch) -> Said:
    return run("call", "GET", "/v1/employes")


TROUBLES = [
    refused_token, revoked, wrong_secret, wrong_secret_when_connecting, used_code, other_environment, missing_scope,
    stale_twice, same_field, partial, unknown, job_not_offered, there_already, not_found, invalid, unknown_field,
    unknown_path,
]  # fmt: skip

ROW_OF = {
    "refused_token": 0, "revoked": 1, "wrong_secret": 2, "wrong_secret_when_connecting": 2, "used_code": 3,
    "other_environment": 4, "missing_scope": 5, "stale_twice": 6, "same_field": 7, "partial": 8, "unknown": 9,
    "job_not_offered": 10, "there_already": 11, "not_found": 12, "invalid": 13, "unknown_field": 14,
    "unknown_path": 15,
}  # fmt: skip


def matches(message: str, line: str) -> bool:
    pattern = ".*".join(re.escape(part) for part in message.split("…"))
    return re.fullmatch(pattern, line.strip()) is not None


@pytest.mark.parametrize("trouble", TROUBLES, ids=lambda trouble: trouble.__name__)
def test_what_goes_wrong_is_in_the_table(pipeline, command, monkeypatch, trouble):
    said = trouble(pipeline, command, monkeypatch)
    assert said.code == 1
    assert any(matches(MESSAGES[ROW_OF[trouble.__name__]], line) for line in said.err.splitlines()), said.err


def test_every_row_is_provoked():
    assert sorted(set(ROW_OF.values())) == list(range(len(ROWS)))
    assert sorted(ROW_OF) == sorted(trouble.__name__ for trouble in TROUBLES)


def test_every_row_has_a_cause_and_a_resolution():
    assert all(len(row) == 3 and len(row[1]) > 15 and len(row[2]) > 15 for row in ROWS)


def test_every_command_of_the_table_exists(command):
    named = set(re.findall(r"gusto-pipeline ((?:employees )?[a-z]+)", DOCUMENT.read_text(encoding="utf-8")))
    assert named >= {"employees resume", "token"}
    assert all(command(*name.split(), "--help").code == 0 for name in named)


def test_a_scope_that_lacks_is_listed_by_the_command_the_table_names(pipeline, command):
    pipeline.sandbox.fault("missing-scope=employees:manage")
    assert "employees:manage" in json.loads(command("token", "--json").out)["lacking"]["create_employee"]
