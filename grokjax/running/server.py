"""A server that shows the page of results on this machine alone, anew when they have changed."""

import contextlib
import functools
import hashlib
import itertools
import re
import sys
import threading
import time
from collections.abc import Callable, Sequence
from http import HTTPStatus
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from pathlib import Path

from grokjax.reading.arms import read_all
from grokjax.reading.folders import walk
from grokjax.reading.page import page
from grokjax.reading.rows import rows
from grokjax.recording.output import LONGEST, in_one_line, warn
from grokjax.recording.results import Results
from grokjax.running.command_line import itself, without_accelerator

HERE = "127.0.0.1"
REST = 4  # times what a page took to make, before the next is made
HOSTS = re.compile(r"(127\.0\.0\.1|localhost)(:\d+)?")  # no page elsewhere may ask by another name


class Shown:
    """The page of some folders, made again only when a history in them has changed.

    A large one takes its time, and is left as it is for several times that.
    """

    def __init__(self, folders: Sequence[Path]):
        self._folders = folders
        self._lock = threading.Lock()
        self._stamp = ""
        self._page = b""
        self._rests_until = 0.0
        self._said: set[str] = set()

    def stamp(self) -> str:
        """Another text when there are other histories, which training writes at checkpoints."""
        if time.monotonic() < self._rests_until:
            return self._stamp
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
                began = time.monotonic()
                self._page = self._made(stamp).encode()
                self._stamp = stamp
                ended = time.monotonic()
                self._rests_until = ended + REST * (ended - began)
            return self._page

    def _made(self, stamp):
        damaged = []
        try:
            arms = read_all(self._folders, damaged.append)
        except (ValueError, OSError) as error:
            return page.waiting(stamp, str(error))
        for text in damaged:
            self._warn(text)
        title = ", ".join(map(str, self._folders))
        try:
            part = page.Part(arms, rows(arms), " ".join(f"{text}." for text in damaged))
            return page.text({"": part}, title, itself(), stamp)
        except Exception as error:  # whatever it is, the next history may be free of it
            why = f"The page cannot be made: {in_one_line(error, LONGEST)}"
            self._warn(f"warning: {why}")
            return page.waiting(stamp, why)

    def _warn(self, text):
        """Once, however often the page is made."""
        if text not in self._said:
            self._said.add(text)
            warn(text)


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

    def handle_error(self, *_):
        """A browser that has gone is no error; another is a line."""
        error = sys.exception()
        if error is not None and not isinstance(error, ConnectionError):
            warn(f"warning: a request failed: {in_one_line(error, LONGEST)}")


def prepare(folders: Sequence[Path], port: int) -> Callable[[], None]:
    """Takes a port; returns the work, which serves until Ctrl-C.

    Raises:
        ValueError: if another program has the port.
    """
    without_accelerator()
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
