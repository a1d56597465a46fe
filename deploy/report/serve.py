"""The live report for a browser on this machine."""

from __future__ import annotations

import html
from collections.abc import Callable, Iterator
from contextlib import contextmanager, suppress
from http import HTTPStatus
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from threading import Lock

from mobiledeploy.errors import MobileDeployError, OutputError

LOOPBACK = "127.0.0.1"
_HEADERS = {
    "Content-Type": "text/html; charset=utf-8",
    "Cache-Control": "no-store",
    "X-Content-Type-Options": "nosniff",
    "X-Frame-Options": "DENY",
    "Referrer-Policy": "no-referrer",
}


@contextmanager
def serving(make: Callable[[], str], port: int = 0) -> Iterator[ThreadingHTTPServer]:
    """A server on loopback alone; inside the block its ``serve_forever`` may be called.

    Args:
        make: the page, made anew for each request, one at a time.
        port: 0: a free one.

    Raises:
        OutputError: the port is in use, or not for this user.
    """
    try:
        server = ThreadingHTTPServer((LOOPBACK, port), _handler(make))
    except OSError as error:
        hint = "Choose another one with --port, or leave it out for a free one"
        raise OutputError(
            f"the port cannot be used ({error.strerror})", where=f"{LOOPBACK}:{port}", hint=hint
        ) from error
    server.daemon_threads = True
    with server:
        yield server


def _handler(make: Callable[[], str]) -> type[BaseHTTPRequestHandler]:
    lock = Lock()

    class Handler(BaseHTTPRequestHandler):
        def do_GET(self) -> None:
            if self.path.partition("?")[0] != "/":
                self._answer(HTTPStatus.NOT_FOUND, _message("There is one page alone: /"))
            elif not self._meant():
                self._answer(HTTPStatus.FORBIDDEN, _message("Ask by the address that was printed"))
            else:
                self._answer(*self._page())

        do_HEAD = do_GET  # noqa: N815

        def log_message(self, *_: object) -> None:
            """Nothing: one user, one page."""

        def _meant(self) -> bool:
            """A page of a stranger may have a name that leads here (DNS rebinding)."""
            host, _, port = (self.headers.get("Host") or "").partition(":")
            return host in (LOOPBACK, "localhost") and port == str(self.connection.getsockname()[1])

        def _page(self) -> tuple[HTTPStatus, str]:
            with lock:
                try:
                    return HTTPStatus.OK, make()
                except MobileDeployError as error:
                    return HTTPStatus.SERVICE_UNAVAILABLE, _message(str(error))

        def _answer(self, status: HTTPStatus, text: str) -> None:
            content = text.encode()
            # The browser may have gone.
            with suppress(ConnectionError):
                self.send_response(status)
                for name, value in _HEADERS.items():
                    self.send_header(name, value)
                self.send_header("Content-Length", str(len(content)))
                self.end_headers()
                if self.command != "HEAD":
                    self.wfile.write(content)

    return Handler


def _message(text: str) -> str:
    return f"<!doctype html><meta charset=utf-8><title>mobiledeploy</title><p>{html.escape(text)}</p>"
