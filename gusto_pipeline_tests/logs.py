"""A plugin for pytest that keeps all that tests log and print, for `.ci/leaks` to look through.

`pytest -p gusto_pipeline_tests.logs` puts it into the folder TEST_LOGS: a log of each of xdist's workers, and what was
printed.
"""

from __future__ import annotations

import logging
import os
from pathlib import Path

import pytest

LOGS = Path(os.environ["TEST_LOGS"])
WORKER = os.environ.get("PYTEST_XDIST_WORKER")


def pytest_configure(config: pytest.Config) -> None:
    config.option.log_file = str(LOGS / f"{WORKER or 'main'}.log")
    config.option.log_file_mode = "a"  # who configures logging, as Dagster does, closes all files; these open again
    config.option.log_file_level = "DEBUG"
    config.option.log_level = "WARNING"  # what tests see of logs is what they see without this


def pytest_runtest_logstart(nodeid: str) -> None:
    logging.getLogger("pytest").debug(_test(nodeid))


def pytest_runtest_logreport(report: pytest.TestReport) -> None:
    # Workers send their reports to the process that started them, which writes them all.
    if report.when == "teardown" and not WORKER:
        with (LOGS / "printed.log").open("a", encoding="utf-8") as file:
            for name, text in report.sections:
                if not name.startswith("Captured log"):
                    file.write(f"--- {_test(report.nodeid)}: {name}\n{text}\n")


def _test(nodeid: str) -> str:
    return nodeid.partition("[")[0]  # without parameters, of which some are made to look like leaks
