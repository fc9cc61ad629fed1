"""What a command says: nothing that prints, draws or logs can stop a training."""

import contextlib
import errno
import io
import os
import sys
from collections.abc import Iterator
from pathlib import Path
from typing import Any

from rich.console import Console

LONGEST = 200  # characters of a reason: a library's may fill a screen


def warn(message: str) -> None:
    """A line on stderr."""
    print(message, file=sys.stderr)


def in_one_line(error: BaseException | str, longest: int | None = None) -> str:
    """What an error says, up to a number of characters; of one of the system, what it is about."""
    if isinstance(error, OSError) and error.strerror and error.filename:
        return f"{error.strerror}: {str(error.filename)!r}"
    return (" ".join(str(error).split()) or type(error).__name__)[:longest]


@contextlib.contextmanager
def without(package: str) -> Iterator[None]:
    """A block whose imports find a package missing, unless it is there already."""
    if package in sys.modules:
        yield
        return
    sys.modules[package] = None  # pyright: ignore[reportArgumentType]
    try:
        yield
    finally:
        del sys.modules[package]


@contextlib.contextmanager
def may_fail(
    what: str, kinds: tuple[type[Exception], ...] = (Exception,), said: set[str] | None = None
) -> Iterator[None]:
    """A block that training does without: if it fails, that is a line on stderr.

    Args:
        what: is amiss then.
        kinds: of errors, if others are not to be passed over.
        said: what has been said before, which is not said again.
    """
    try:
        yield
    except kinds as error:
        if what in (said or ()):
            return
        if said is not None:
            said.add(what)
        warn(f"warning: {what}: {in_one_line(error, LONGEST)}")


class SteadyFile(io.FileIO):
    """Leaves out what cannot be written, and says so once; of a reader that has gone, nothing."""

    _failed = False

    def write(self, data: Any) -> int:
        try:
            written = super().write(data)
        except OSError as error:
            written = None
            if not self._failed and error.errno != errno.EPIPE:
                self._failed = True
                name = {1: "stdout", 2: "stderr"}.get(self.name, self.name)
                warn(f"warning: {str(name)!r} cannot be written: {error.strerror}")
        return len(data) if written is None else written


def open_steady(file: Path | int | str, encoding: str = "utf-8") -> io.TextIOWrapper:
    """A text file, or the number of an open one, to append to, each line at once."""
    is_open = isinstance(file, int)
    raw = SteadyFile(file, "w" if is_open else "a", closefd=not is_open)
    buffered = io.BufferedWriter(raw)
    return io.TextIOWrapper(buffered, encoding, errors="backslashreplace", line_buffering=True)


def make_steady() -> None:
    """From here on stdout and stderr raise nothing: not when closed, full or unable to spell."""
    for name in ("stdout", "stderr"):
        stream = getattr(sys, name)
        if stream is None:  # it was closed: no file of ours may get its number
            setattr(sys, name, open_steady(os.devnull))
        else:
            stream.flush()
            setattr(sys, name, open_steady(stream.fileno(), stream.encoding))


def plain_console(**options: Any) -> Console:
    """For text as it is, without markup; whether it is a terminal, only the terminal says."""
    terminal = sys.stdout is not None and sys.stdout.isatty()
    able = terminal and os.environ.get("TERM", "").lower() not in ("", "dumb", "unknown")
    plain = dict(markup=False, emoji=False, highlight=False)
    return Console(force_terminal=terminal, force_interactive=able, **plain, **options)
