"""A person consents at an OAuth server, whoever's it is: how the answer reaches this machine.

Each function here takes `visit`, which gives the address to open for a redirect URI and a state, and returns the code
and the redirect URI it was given for, which the token request has to repeat (RFC 6749 section 4.1).
"""

import hmac
import queue
import secrets
import threading
import webbrowser
from collections.abc import Callable, Mapping
from contextlib import closing
from http.client import HTTPConnection, HTTPException, HTTPSConnection
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from urllib.parse import parse_qs, urlsplit

import httpx

Visit = Callable[[str, str], str]
Obtain = Callable[[str, Visit], tuple[str, str]]


class SignInError(Exception):
    """Nobody signed in, or the answer is none; the message says why and what to do."""


def by_browser(
    redirect_uri: str,
    visit: Visit,
    *,
    open_browser: bool,
    timeout: float,
    announce: Callable[[str], object] = lambda url: None,
) -> tuple[str, str]:
    """Lets a person sign in with the browser of this machine.

    Listens on 127.0.0.1 at the redirect URI's port (0: any free one) for at most `timeout` seconds
    (RFC 8252 section 7.3); `announce` gets the address to visit. An answer with a foreign `state` is refused
    and does not end the wait. Raises SignInError when the person declines or does not come, or the port is taken.
    """
    wanted = urlsplit(redirect_uri)
    if wanted.scheme != "http" or wanted.hostname not in ("127.0.0.1", "localhost"):
        raise SignInError(
            f"signing in here needs a redirect URI like http://127.0.0.1:8765/callback, not {redirect_uri}"
        )
    state = secrets.token_urlsafe(24)
    answers: queue.Queue[dict[str, str]] = queue.Queue()

    class Callback(BaseHTTPRequestHandler):
        timeout = 5  # browsers open connections they never use

        def do_GET(self) -> None:
            got = urlsplit(self.path)
            query = {key: values[0] for key, values in parse_qs(got.query).items()}
            if got.path != wanted.path:
                self._say(404, "There is nothing here.")
            elif not _same(query.get("state", ""), state):
                self._say(400, "This answer does not belong to the sign-in that is waiting. Start again.")
            else:
                self._say(200, "Done. You can close this window and go back to the terminal.")
                answers.put(query)

        def _say(self, status: int, text: str) -> None:
            body = text.encode()
            self.send_response(status)
            self.send_header("Content-Type", "text/plain; charset=utf-8")
            self.send_header("Content-Length", str(len(body)))
            self.send_header("Connection", "close")
            self.end_headers()
            self.wfile.write(body)

        def log_message(self, format: str, *args: object) -> None:
            """Silent: the request line holds the code."""

    try:
        server = ThreadingHTTPServer(("127.0.0.1", wanted.port or 0), Callback)
    except OSError as error:
        raise SignInError(
            f"port {wanted.port} on 127.0.0.1 is taken ({error.strerror}): end what uses it, or register and "
            "configure another redirect URI"
        ) from error
    with server:
        listening_at = f"http://{wanted.hostname}:{server.server_port}{wanted.path}"
        listener = threading.Thread(target=server.serve_forever, args=(0.05,), daemon=True)
        listener.start()
        try:
            url = visit(listening_at, state)
            announce(url)
            if open_browser:
                webbrowser.open(url)
            answer = answers.get(timeout=timeout)
        except queue.Empty:
            raise SignInError(f"nobody signed in within {timeout:g} seconds: start again") from None
        finally:
            server.shutdown()
            listener.join()
    return _code(answer), listening_at


def by_paste(redirect_uri: str, visit: Visit, *, ask: Callable[[str], str]) -> tuple[str, str]:
    """Lets a person sign in with a browser anywhere, for a machine without one.

    `ask` shows the address to visit and gives what they paste: the address their browser ended at, which it could not
    open, or the code in it. Raises SignInError when the person declined or pasted something else.
    """
    state = secrets.token_urlsafe(24)
    pasted = ask(visit(redirect_uri, state)).strip()
    if "://" not in pasted and "code=" not in pasted:
        return _code({"code": pasted}), redirect_uri
    query = {key: values[0] for key, values in parse_qs(urlsplit(pasted).query or pasted).items()}
    if not _same(query.get("state", ""), state):
        raise SignInError("the pasted address does not belong to this sign-in: start again, and paste the newest one")
    return _code(query), redirect_uri


def unattended(redirect_uri: str, visit: Visit) -> tuple[str, str]:
    """Signs in at a server that consents by itself, which a sandbox does and no real service.

    Raises SignInError when a person is needed, or the server is out of reach.
    """
    state = secrets.token_urlsafe(24)
    url = httpx.URL(visit(redirect_uri, state))
    try:
        response = browse(url)
    except (OSError, HTTPException) as error:
        raise SignInError(f"cannot reach {url.host} ({type(error).__name__}): check the network") from error
    if not response.has_redirect_location:
        raise SignInError(
            f"{url.host} wants a person to consent (status {response.status_code}): sign in with a browser"
        )
    query = dict(httpx.URL(response.headers["location"]).params)
    if not _same(query.get("state", ""), state):
        raise SignInError("the answer fits no sign-in")
    return _code(query), redirect_uri


def browse(url: httpx.URL) -> httpx.Response:
    """What a server answers a browser; redirects are not followed. Raises OSError and HTTPException.

    Not asked for by httpx, whose log has addresses and redirects: codes are in them.
    """
    connect = HTTPSConnection if url.scheme == "https" else HTTPConnection
    with closing(connect(url.host, url.port, timeout=30)) as connection:
        connection.request("GET", url.raw_path.decode())
        answer = connection.getresponse()
        return httpx.Response(answer.status, headers=answer.getheaders(), content=answer.read())


def _code(answer: Mapping[str, str]) -> str:
    if not answer.get("code"):
        raise SignInError(f"nobody consented: {answer.get('error', 'no code came back')}")
    return answer["code"]


def _same(given: str, state: str) -> bool:
    return hmac.compare_digest(given.encode(), state.encode())
