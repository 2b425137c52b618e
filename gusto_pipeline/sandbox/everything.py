"""All sandboxes at once in a process of their own, so that they and who tries them out each have a processor.

`python -m gusto_pipeline.sandbox.everything` takes what to serve as a line of JSON on its standard input, says where
everything is as a line on its standard output, and ends when its input does, however the other process ended. A further
line of input makes happen what happens `meanwhile` in the demo's story, and is answered by a line.
"""

from __future__ import annotations

import json
import signal
import subprocess
import sys
from collections.abc import Callable, Iterator, Sequence
from contextlib import contextmanager
from functools import partial
from typing import Any


@contextmanager
def everything(
    apps: Sequence[str], *, companies: int, employees: int, spreadsheet: str, ports: Sequence[int] = (0, 0)
) -> Iterator[tuple[dict[str, Any], Callable[[], object]]]:
    """Sandboxes of Gusto, Google and these apps, which hold the first company's people, stopped on leaving.

    Gives `gusto` and `google`, each with base_url, client_id and client_secret, the `companies`' uuids, and by slug the
    `apps`, each with base_url and the record to connect it with; and what makes happen what happens `meanwhile` in the
    demo's story. spreadsheet: the id of one in Google that is there for use. ports: Gusto's and Google's. Raises
    OSError when one is taken.
    """
    wanted = {
        "apps": list(apps), "companies": companies, "employees": employees, "spreadsheet": spreadsheet,
        "ports": list(ports),
    }  # fmt: skip
    command = [sys.executable, "-m", __name__]
    with subprocess.Popen(command, stdin=subprocess.PIPE, stdout=subprocess.PIPE, text=True) as process:
        assert process.stdin
        assert process.stdout
        stdin, stdout = process.stdin, process.stdout

        def ask(line: str) -> dict[str, Any]:
            stdin.write(line + "\n")
            stdin.flush()
            said = stdout.readline()
            return json.loads(said) if said else {"problem": "its process ended, for the reason above"}

        places = ask(json.dumps(wanted))
        if "problem" in places:
            raise OSError(f"the sandbox cannot be started: {places['problem']}")
        yield places, partial(ask, "meanwhile")


def main() -> None:
    """Serve what standard input asks for until it ends."""
    # Not above: whoever starts the process has no use for what it takes a second to import.
    from gusto_pipeline.sandbox.apps import running_apps
    from gusto_pipeline.sandbox.google.accounts import CLIENT_ID, CLIENT_SECRET, PERSON
    from gusto_pipeline.sandbox.server import running, running_google
    from gusto_pipeline.sandbox.story import meanwhile, stage

    signal.signal(signal.SIGINT, signal.SIG_IGN)  # a terminal sends it to all; whoever started this ends it
    wanted = json.loads(sys.stdin.readline())
    try:
        with (
            running(
                companies=wanted["companies"], employees=wanted["employees"], applicants=True, port=wanted["ports"][0]
            ) as gusto,
            running_google(port=wanted["ports"][1]) as google,
            running_apps(*wanted["apps"], company=gusto.world.companies[0], clock=gusto.world.clock) as apps,
        ):
            google.drive.create("People", {PERSON}, key=wanted["spreadsheet"])
            stage(apps, gusto.world.companies[0])
            places = {
                "gusto": {
                    "base_url": gusto.base_url, "client_id": gusto.client_id, "client_secret": gusto.client_secret,
                },
                "google": {"base_url": google.base_url, "client_id": CLIENT_ID, "client_secret": CLIENT_SECRET},
                "companies": [company.uuid for company in gusto.world.companies],
                "apps": {
                    slug: {"base_url": one.base_url, "record": one.simulator.record} for slug, one in apps.items()
                },
            }  # fmt: skip
            _say(places)
            for _ in sys.stdin:
                meanwhile(apps, gusto.world.companies[0])
                _say({})
    except OSError as error:
        ports = " and ".join(str(port) for port in wanted["ports"] if port)
        _say(
            {"problem": f"{error.strerror or error} (it wants port {ports or 'any'}). Stop what has it, and try again"}
        )


def _say(what: dict[str, Any]) -> None:
    sys.stdout.write(json.dumps(what) + "\n")
    sys.stdout.flush()


if __name__ == "__main__":
    main()
