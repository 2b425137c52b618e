"""Who may import whom, and what appears in one place only."""

from __future__ import annotations

import ast
import re
import subprocess
import sys
from functools import cache
from pathlib import Path

import pytest

PACKAGE = Path(__file__).parents[1] / "gusto_pipeline"
FILES = sorted(PACKAGE.rglob("*.py"))
CLI = {
    "cli", "cli_accounts", "cli_answers", "cli_common", "cli_demo", "cli_hr", "cli_learners", "cli_onboarding",
    "cli_profiles",
}  # fmt: skip
ORCHESTRATION = {"assets", "automation", "resources", "definitions"}

FOUNDATION = {"clock", "schema", "tls"}
DOMAINS = {"connections", "gusto", "warehouse", "spreadsheets", "provisioning"}
# What joins the domains; Dagster's assets and the CLI call these.
USE_CASES = {
    "answers",
    "mcp_server",
    "mcp_writes",
    "profiles",
    "sync",
    "jobs",
    "preroll",
    "lifecycle",
    "new_hires",
    "onboarding",
    "google_connection",
    "accounts",
    "reconcile",
    "reports",
    "learners",
}

# What each part of the package may import from the rest of it.
MAY_IMPORT = {
    "clock": set[str](),
    "schema": set[str](),
    "tls": set[str](),
    "config": {"gusto", "provisioning"},  # pipeline.yaml names the catalog's categories and the apps
    "notify": FOUNDATION | {"config"},
    "connections": FOUNDATION,
    "gusto": FOUNDATION | {"connections"},
    "warehouse": FOUNDATION,
    "spreadsheets": FOUNDATION | {"warehouse"},
    "provisioning": FOUNDATION | {"warehouse"},
    "sandbox": {"clock"},
} | dict.fromkeys(USE_CASES, FOUNDATION | DOMAINS | USE_CASES | {"config"})


def part(file: Path) -> str:
    """The top-level package or module a file belongs to."""
    return file.relative_to(PACKAGE).parts[0].removesuffix(".py")


@cache
def imports(file: Path) -> frozenset[str]:
    found: set[str] = set()
    for node in ast.walk(ast.parse(file.read_text(encoding="utf-8"))):
        if isinstance(node, ast.Import):
            found |= {alias.name for alias in node.names}
        elif isinstance(node, ast.ImportFrom):
            assert not node.level, f"{file}: relative imports hide who is imported"
            found |= {node.module or "", *(f"{node.module}.{alias.name}" for alias in node.names)}
    return frozenset(found)


def own(file: Path) -> set[str]:
    """Parts of the package that a file imports, other than its own."""
    found = {name.split(".")[1] for name in imports(file) if name.startswith("gusto_pipeline.")}
    return found - {part(file)}


@pytest.mark.parametrize("file", FILES, ids=lambda file: str(file.relative_to(PACKAGE)))
def test_imports_go_downward(file):
    if part(file) in MAY_IMPORT:
        assert own(file) <= MAY_IMPORT[part(file)]
    elif part(file) not in CLI:
        assert "sandbox" not in own(file)
        assert "cli" not in own(file)


def test_every_part_of_the_package_has_its_place():
    known = MAY_IMPORT.keys() | ORCHESTRATION | {*CLI, "__init__"}
    assert {part(file) for file in FILES} <= known


def test_only_orchestration_imports_dagster():
    users = {part(file) for file in FILES if any(re.match(r"dagster\b", name) for name in imports(file))}
    assert users == ORCHESTRATION


def test_nothing_private_of_dagster_is_imported():
    """But for the storage classes: dagster.yaml is where Dagster documents them, and it exports them nowhere."""
    everything = [file for file in (*FILES, *Path(__file__).parent.rglob("*.py")) if "event_log" not in file.name]
    assert not [
        (file, name) for file in everything for name in imports(file) if re.match(r"dagster\w*\.(.*\.)?_", name)
    ]


def test_the_command_line_starts_without_dagster():
    code = "import sys, gusto_pipeline.cli; sys.exit('dagster' in sys.modules)"
    assert subprocess.run([sys.executable, "-c", code], check=False).returncode == 0


def test_only_the_clock_reads_the_time_of_day():
    readers = {
        str(file.relative_to(PACKAGE))
        for file in FILES
        for node in ast.walk(ast.parse(file.read_text(encoding="utf-8")))
        if isinstance(node, ast.Call)
        and isinstance(node.func, ast.Attribute)
        and isinstance(node.func.value, ast.Name)
        and (node.func.value.id, node.func.attr)
        in {("datetime", "now"), ("datetime", "utcnow"), ("datetime", "today"), ("date", "today"), ("time", "time")}
    }
    assert readers == {"clock.py"}


def test_nothing_is_left_to_do():
    marks = re.compile(r"\b(TODO|FIXME|HACK)\b")
    sources = [*FILES, *PACKAGE.rglob("*.sql")]
    assert not [file for file in sources if marks.search(file.read_text(encoding="utf-8"))]


@pytest.mark.parametrize("file", FILES, ids=lambda file: str(file.relative_to(PACKAGE)))
def test_every_module_says_what_belongs_in_it(file):
    source = file.read_text(encoding="utf-8")
    assert not source.strip() or ast.get_docstring(ast.parse(source))
