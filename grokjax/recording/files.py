"""Files that are there whole or not at all."""

import contextlib
import os
from collections.abc import Iterator
from pathlib import Path


@contextlib.contextmanager
def replacing(path: Path) -> Iterator[Path]:
    """Gives a path to write; puts it in place of `path` when all has been written.

    The suffix stays the same, because some writers choose the format by it; two processes that
    write the same file do not meet.
    """
    scratch = path.with_name(f"{path.stem}.{os.getpid()}{path.suffix}")
    try:
        yield scratch
        scratch.replace(path)
    finally:
        scratch.unlink(missing_ok=True)
