"""Compiled programs, kept between processes."""

import contextlib
from pathlib import Path

from grokjax.running import command_line

FOLDER = command_line.define_path(
    "compilation_cache", "~/.cache/grokjax/xla", "Folder of compiled programs; empty: no cache."
)
MOST_BYTES = 500_000_000  # a program has a few hundred thousand


def use() -> None:
    """Keeps compiled programs between processes, in the folder that the flag names."""
    import jax

    if FOLDER.value and not jax.config.jax_compilation_cache_dir:
        folder = Path(FOLDER.value)
        trim(folder, MOST_BYTES)
        jax.config.update("jax_compilation_cache_dir", str(folder))
        jax.config.update("jax_persistent_cache_min_compile_time_secs", 0.1)
        jax.config.update("jax_persistent_cache_min_entry_size_bytes", -1)


def trim(folder: Path, limit: int) -> None:
    """Deletes the programs of a cache that were used longest ago, until it has `limit` bytes.

    JAX's own limit fails on entries that were written without it or by a process that was killed.
    Another process that misses one compiles it again.
    """
    found = []
    for path in folder.glob("*-cache"):
        with contextlib.suppress(OSError):  # another process trims as well
            facts = path.stat()
            found.append((max(facts.st_atime, facts.st_mtime), facts.st_size, path))
    kept = 0
    for _, size, path in sorted(found, reverse=True):
        kept += size
        if kept > limit:
            with contextlib.suppress(OSError):
                path.unlink()
