"""A server that shows the page of results on this machine alone, anew when they have changed."""

import contextlib
import functools
import hashlib
import itertools
import re
import threading
from collections.abc import Callable, Sequence
from http import HTTPStatus
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from pathlib import Path

from grokjax.reading.arms import read_all
from grokjax.reading.folders import walk
from grokjax.reading.page import page
from grokjax.reading.rows import rows
from grokjax.recording.results import Results
from grokjax.running.command_line import itself

HERE = "127.0.0.1"
HOSTS = re.compile(r"(127\.0\.0\.1|localhost)(:\d+)?")  # no page elsewhere may ask by another name


class Shown:
    """The page of some folders, made again only when a history in them has changed."""

    def __init__(self, folders: Sequence[Path]):
        self._folders = folders
        self._lock = threading.Lock()
        self._stamp = ""
        self._page = b""

    def stamp(self) -> str:
        """Another text whenever there are other evaluations."""
        seen = hashlib.sha256()
        for folder, below in itertools.chain(*map(walk, self._folders)):
            history = Results(folder).history
            with contextlib.suppress(OSError):  # there is none, or it is being replaced
                facts = history.stat()
                seen.update(f"{history} {facts.st_mtime_ns} {facts.st_size}\n".encode())
                below.clear()
        return seen.hexdigest()[:16]

    def page(self) -> bytes:
        """The page of what is there now, or one that waits for it."""
        with self._lock:
            stamp = self.stamp()
            if stamp != self._stamp:
                self._page = self._made(stamp).encode()
                self._stamp = stamp
            return self._page

    def _made(self, stamp):
        try:
            arms = read_all(self._folders, warn=lambda _: None)
        except (ValueError, OSError) as error:
            return page.waiting(stamp, str(error))
        title = ", ".join(map(str, self._folders))
        return page.text({"": page.Part(arms, rows(arms))}, title, itself(), stamp)


class Handler(BaseHTTPRequestHandler):
    """Answers two addresses, and reads no file that a request names."""

    def __init__(self, *args, shown: Shown):
        self._shown = shown
        super().__init__(*args)

    def do_GET(self):
        if not HOSTS.fullmatch(self.headers.get("Host", "")):
            self._answer(HTTPStatus.FORBIDDEN, b"asked for by another name", "text/plain")
        elif self.path == "/":
            self._answer(HTTPStatus.OK, self._shown.page(), "text/html")
        elif self.path == "/stamp":
            self._answer(HTTPStatus.OK, self._shown.stamp().encode(), "text/plain")
        else:
            self._answer(HTTPStatus.NOT_FOUND, b"there is only /", "text/plain")

    do_HEAD = do_GET

    def log_message(self, format, *args):
        """Nothing is printed of requests."""

    def _answer(self, status, content, kind):
        self.send_response(status)
        self.send_header("Content-Type", f"{kind}; charset=utf-8")
        self.send_header("Content-Length", str(len(content)))
        self.send_header("Cache-Control", "no-store")
        self.send_header("X-Content-Type-Options", "nosniff")
        self.end_headers()
        if self.command != "HEAD":
            self.wfile.write(content)


class Server(ThreadingHTTPServer):
    """On this machine alone."""

    daemon_threads = True

    def handle_error(self, request, client_address):
        """A browser that has gone is no error."""


def prepare(folders: Sequence[Path], port: int) -> Callable[[], None]:
    """Takes a port; returns the work, which serves until Ctrl-C.

    Raises:
        ValueError: if another program has the port.
    """
    handler = functools.partial(Handler, shown=Shown(folders))
    try:
        server = Server((HERE, port), handler)
    except OSError as error:
        raise ValueError(
            f"--port {port} cannot be used ({error.strerror}); choose another, or 0 for any"
        ) from error

    def work():
        print(f"open http://{HERE}:{server.server_port}/ in a browser; Ctrl-C ends it", flush=True)
        try:
            server.serve_forever()
        except KeyboardInterrupt:
            print()
        finally:
            server.server_close()

    return work
