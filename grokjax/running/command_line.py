"""The common part of all commands: flags, errors of one line, the compilation cache."""

import contextlib
import functools
import gc
import re
import sys
from collections.abc import Callable, Iterator
from pathlib import Path

from absl import app, flags, logging
from ml_collections import ConfigDict, config_flags

from grokjax.config.config import flat, load
from grokjax.config.rules import hint
from grokjax.running import xla

CONFIG = config_flags.DEFINE_config_file("config", None, "Config file, such as configs/moddiv.py.")
CACHE = flags.DEFINE_string(
    "compilation_cache", "~/.cache/grokjax/xla", "Folder of compiled programs; empty: no cache."
)

CACHE_BYTES = 500_000_000  # a program has a few hundred thousand

SEEDS = flags.DEFINE_string("seeds", None, "Short for runs.seed: N for 0 .. N-1, or A:B.")
SHARD = flags.DEFINE_string("shard", None, "I/N: only the I-th of N shards of the runs, from 1.")
flags.DEFINE_alias("chunk", "shard")
WANDB = flags.DEFINE_bool("wandb", False, "Send curves to Weights & Biases too.")


def run(prepare: Callable[[list[str]], Callable[[], None]], arguments: bool = False) -> None:
    """Runs a command in two steps: all checks, then the work.

    Args:
        prepare: takes the words of the command line, checks them and returns the work. A
            ValueError in it is a user's mistake; in the work it would be ours.
        arguments: leave words that are no flags to `prepare`; otherwise they are mistakes.
    """

    def main(argv):
        with one_line_errors():
            work = prepare(argv)
        work()

    gc.freeze()  # what is imported stays: collections that visit it cost a tenth of the start
    gc.set_threshold(50_000)
    app.run(main, flags_parser=functools.partial(_parse, arguments=arguments))


@contextlib.contextmanager
def one_line_errors() -> Iterator[None]:
    """A ValueError within the block is a user's mistake: one line and exit code 2, no traceback.

    Wrong sums are the compiler's, and end it with exit code 1.
    """
    try:
        yield
    except ValueError as error:
        fail(error)
    except xla.WrongSums as error:
        fail(error, code=1)


def config() -> ConfigDict:
    """The config that `--config` names, with its overrides."""
    if not flags.FLAGS["config"].present:
        raise ValueError("no config given; choose one with --config, such as configs/moddiv.py")
    load(config_file())  # its errors are one line
    return CONFIG.value


def config_file() -> str:
    """`configs/moddiv.py`, or with a choice `configs/moddiv.py:model=lstm`."""
    return config_flags.get_config_filename(flags.FLAGS["config"])


def refuse(*names: str) -> None:
    """Flags of other commands, which would have no effect in this one, are mistakes."""
    for name in names:
        if flags.FLAGS[name].present:
            raise ValueError(f"--{name} has no effect here; leave it out, see --help")


def seeds() -> tuple[int, ...]:
    """Those of the flag: `8` is 0 to 7, `8:12` is 8 to 11; none if it was not given."""
    if SEEDS.value is None:
        return ()
    found = re.fullmatch(r"(?:(\d+):)?(\d+)", SEEDS.value)
    values = tuple(range(int(found[1] or 0), int(found[2]))) if found else ()
    if not values:
        raise ValueError(f"--seeds {SEEDS.value}; choose a number such as 8, or a range as 8:12")
    return values


def shard() -> tuple[int, int] | None:
    """That of the flag: `2/8` is the second of eight shards."""
    if SHARD.value is None:
        return None
    numbers = re.fullmatch(r"(\d+)/(\d+)", SHARD.value)
    if not numbers or not 1 <= int(numbers[1]) <= int(numbers[2]):
        raise ValueError(f"--shard {SHARD.value}; choose the i-th of n shards, from 1/8 to 8/8")
    return int(numbers[1]), int(numbers[2])


def words_without(*names: str) -> list[str]:
    """The words of this command, but for some flags and their values."""
    words, kept = iter(sys.argv[1:]), []
    for word in words:
        name, equals, _ = word.lstrip("-").partition("=")
        if not word.startswith("-") or name not in names:
            kept.append(word)
        elif not equals and not flags.FLAGS[name].boolean:
            next(words, None)  # its value
    return kept


def use_compilation_cache() -> None:
    """Keeps compiled programs between processes, in the folder that the flag names."""
    import jax

    if CACHE.value and not jax.config.jax_compilation_cache_dir:
        folder = Path(CACHE.value).expanduser()
        trim(folder, CACHE_BYTES)
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


def given(*names: str) -> list[str]:
    """Those of some flags that are not at their defaults, as words for another process."""
    chosen = [flags.FLAGS[name] for name in names]
    return [flag.serialize() for flag in chosen if flag.value != flag.default]


def warn(message: str) -> None:
    """A line on stderr."""
    print(message, file=sys.stderr)


def _parse(argv, arguments):
    if {"--help", "-help", "-h", "--h"} & set(argv):
        _help()
    try:
        left = flags.FLAGS(argv)
    except Exception as error:  # of the flags library, or whatever a config file can raise
        fail(_unknown_entry(argv) or error)
    if flags.FLAGS["verbosity"].using_default_value:
        logging.set_verbosity(logging.ERROR)  # orbax reports every file it writes
    if len(left) > 1 and not arguments:
        fail(f"cannot understand {left[1]!r}; flags start with --, see --help")
    return left


def _help():
    """The command's own words and flags, without those of the libraries."""
    print(sys.modules["__main__"].__doc__)
    for module in sorted(flags.FLAGS.flags_by_module_dict()):
        if module.startswith("grokjax") or module == sys.argv[0]:
            print(flags.FLAGS.module_help(module))
    print("\nEvery entry of a config is a flag too, such as --config.batch_size=256.")
    sys.exit(0)


def _unknown_entry(argv):
    """A better message than the library's for an override of what no config has."""
    words = " ".join(argv)
    file = re.search(r"--config[= ](\S+)", words)
    if not file:
        return None
    try:
        known = dict(flat(load(file[1])))
    except ValueError as error:
        return error
    for path in re.findall(r"--config\.([\w.]+)", words):
        if path not in known:
            return f"unknown config entry {path!r}{hint(path, known)}"
    return None


def fail(error: Exception, code: int = 2) -> None:
    """Says in one line what the user got wrong, and exits with 2, or another code."""
    line = " ".join(str(error).split())
    warn(f"error: {line}")
    sys.exit(code)
