"""All sandboxes in a process of their own: they are there while they are used, and gone after that."""

from __future__ import annotations

import os
import signal
import socket
import subprocess
import sys

import httpx
import pytest

from gusto_pipeline.sandbox.everything import everything

WANTED = {"companies": 1, "employees": 2, "spreadsheet": "a-spreadsheet"}


def answers(url: str) -> bool:
    try:
        return httpx.get(url, timeout=30).status_code > 0
    except httpx.TransportError:
        return False


def test_each_is_where_it_is_said_to_be_until_it_is_left():
    with everything(["slack", "okta"], **WANTED) as (places, _):
        urls = [places[one]["base_url"] for one in ("gusto", "google")]
        urls += [app["base_url"] for app in places["apps"].values()]
        assert places["apps"].keys() == {"slack", "okta"}
        assert len(places["companies"]) == 1
        assert len(set(urls)) == 4
        assert all(map(answers, urls))
    assert not any(map(answers, urls))


def test_they_end_with_whoever_started_them_however_that_ends():
    code = (
        "import os, sys; from gusto_pipeline.sandbox.everything import everything\n"
        f"with everything([], **{WANTED!r}) as (places, _):\n"
        "    print(places['gusto']['base_url'], flush=True); sys.stdin.read()"
    )
    pipe = subprocess.PIPE
    with subprocess.Popen([sys.executable, "-c", code], stdin=pipe, stdout=pipe, stderr=pipe, text=True) as process:
        assert process.stdout
        assert process.stderr
        url = process.stdout.readline().strip()
        assert answers(url)
        os.kill(process.pid, signal.SIGKILL)
        process.stderr.read()  # ends when the sandboxes do, which have it too
    assert not answers(url)


def test_a_port_that_is_taken_is_said():
    with socket.create_server(("127.0.0.1", 0)) as taken:
        port = taken.getsockname()[1]
        with pytest.raises(OSError, match=str(port)), everything([], **WANTED, ports=(port, 0)):
            pass
