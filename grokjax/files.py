"""Files that are there whole or not at all."""

import contextlib
from collections.abc import Iterator
from pathlib import Path


@contextlib.contextmanager
def replacing(path: Path) -> Iterator[Path]:
    """Gives a path to write; puts it in place of `path` when all has been written.

    The suffix stays the same, because some writers choose the format by it.
    """
    scratch = path.with_name(f"{path.stem}.new{path.suffix}")
    try:
        yield scratch
        scratch.replace(path)
    finally:
        scratch.unlink(missing_ok=True)
