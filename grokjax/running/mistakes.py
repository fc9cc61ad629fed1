"""A user's mistakes: one line that says what was wrong and what would be right, and exit code 2."""

import contextlib
import re
import sys
from collections.abc import Iterable, Iterator, Mapping, Sequence
from typing import Any, NoReturn

from absl import flags

from grokjax.config.config import base, flat
from grokjax.config.synonyms import SEE_ALL, hint
from grokjax.recording.output import in_one_line, warn
from grokjax.running import xla

Takes = Sequence[str] | None
LONGEST = 2000  # characters of an error


def fail(error: Exception | str, code: int = 2) -> NoReturn:
    """Says in one line what went wrong, and exits; with 2 where the user did."""
    warn(f"error: {in_one_line(error, LONGEST)}")
    sys.exit(code)


@contextlib.contextmanager
def one_line_errors() -> Iterator[None]:
    """A user's mistake within the block, in a value or a file: one line and exit code 2.

    A platform that JAX cannot use is one too. Wrong sums are the compiler's: exit code 1.
    """
    try:
        yield
    except (ValueError, OSError) as error:
        fail(error)
    except xla.WrongSums as error:
        fail(error, code=1)
    except RuntimeError as error:
        if "initialize backend" not in str(error):
            raise
        fail(f"{error}; choose another JAX_PLATFORMS, such as cpu")


def unknown(argv: Sequence[str], error: Exception, takes: Takes) -> Exception | str | None:
    """A better message than the flags library's for an entry or a flag that there is not.

    Args:
        argv: the words of the command line.
        error: what the library says.
        takes: the shared flags that the command reads; None: all.
    """
    try:
        entries = _entries(argv, takes)
    except ValueError as unusable:
        return unusable
    for path in re.findall(r"--config\.([\w.-]+)", " ".join(argv)):
        if entries and path not in entries:
            return f"unknown config entry {path!r}{hint(path, entries) or SEE_ALL}"
    if isinstance(error, flags.UnrecognizedFlagError):
        close = hint(error.flagname, _names(entries), "--config.") or "; see --help"
        return f"unknown flag --{error.flagname}{close}"
    return None


def not_understood(word: str, argv: Sequence[str], takes: Takes) -> str:
    """What is said of a word that is no flag; `lr=3` was to be one, but lacks its dashes."""
    name = word.partition("=")[0]
    close = ""
    if name != word:
        close = hint(name, _names(_entries(argv, takes)), "--config.")
    return f"cannot understand {word!r}; flags start with --{close or ', see --help'}"


def _entries(argv: Sequence[str], takes: Takes) -> Mapping[str, Any]:
    """The entries of the config that a command takes; none of one that takes none."""
    if takes is not None and "config" not in takes:
        return {}
    file = re.search(r"--config[= ](\S+)", " ".join(argv))
    return dict(flat(flags.FLAGS["config"].parser.parse(file[1]) if file else base()))


def _names(entries: Iterable[str]) -> list[str]:
    """All that a word may have meant: entries, and flags with their dashes."""
    return [*entries, *(f"--{flag}" for flag in flags.FLAGS if "." not in flag)]
