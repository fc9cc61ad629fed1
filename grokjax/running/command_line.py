"""The common part of all commands: how they begin, and the flags that they share."""

import functools
import gc
import os
import re
import shlex
import signal
import sys
import warnings
from collections.abc import Callable, Sequence
from pathlib import Path

import jax
from absl import app, flags, logging
from ml_collections import ConfigDict, config_flags

from grokjax.config.config import load
from grokjax.config.grid import MAX_RUNS
from grokjax.reading import rebuild
from grokjax.recording.output import in_one_line, make_steady, warn
from grokjax.running.mistakes import fail, not_understood, one_line_errors, unknown

OF_THE_SYSTEM = re.compile("RESOURCE_EXHAUSTED|os_error_code")  # as C++ libraries say it


class PathParser(flags.ArgumentParser):
    """Of a file or folder on this machine: expands ~, and refuses what is no path."""

    def parse(self, argument: str) -> str:
        if scheme := re.match(r"[A-Za-z][A-Za-z0-9+.-]+://", argument):
            raise ValueError(f"{scheme[0]} cannot be written to; choose a path on this machine")
        try:
            argument.encode()
        except UnicodeEncodeError as error:
            raise ValueError("this is not UTF-8; choose another name") from error
        return os.path.expanduser(argument)


# Defines a flag whose value is a path; name, default, help and options are those of `flags.DEFINE`.
define_path = functools.partial(flags.DEFINE, PathParser(), serializer=flags.ArgumentSerializer())


class ConfigParser(flags.ArgumentParser):
    """Of a config file, found and read as `load` does, or of a folder of results."""

    def parse(self, argument: str) -> ConfigDict:
        if not os.path.isdir(argument):
            return load(argument).lock()
        folder, _ = rebuild.training_at(Path(argument))
        return rebuild.config_of(rebuild.record_in(folder)).lock()


USUAL = "configs/moddiv.py"
CONFIG = config_flags.DEFINE_config_file("config", None, f"Config file; to train, {USUAL} if none.")
flags.FLAGS["config"].parser = ConfigParser()

SEEDS = flags.DEFINE_string("seeds", None, "Short for runs.seed: N for 0 .. N-1, or A:B.")
SHARD = flags.DEFINE_string("shard", None, "I/N: only the I-th of N shards of the runs, from 1.")
flags.DEFINE_alias("chunk", "shard")
HTML = flags.DEFINE_bool(
    "html", None, "Write page.html, which needs plotly; studies do so where it is installed."
)
WANDB = flags.DEFINE_bool("wandb", False, "Send curves to Weights & Biases too.")
TRACKIO = flags.DEFINE_bool("trackio", False, "Send curves to Trackio too.")


def run(
    prepare: Callable[[list[str]], Callable[[], None]],
    takes: Sequence[str] | None = (),
    arguments: bool = False,
) -> None:
    """Runs a command in two steps: all checks, then the work.

    Args:
        prepare: takes the words of the command line, checks them and returns the work. A
            ValueError in it is a user's mistake; in the work it would be ours.
        takes: the shared flags that it reads, others are mistakes; None: all, and it trains the
            config USUAL, or of a resume the folder's own, if none is given.
        arguments: leave words that are no flags to `prepare`; otherwise they are mistakes.
    """

    def main(argv):
        with one_line_errors():
            work = prepare(argv)
        try:
            work()
        except Exception as error:
            if not (isinstance(error, OSError) or OF_THE_SYSTEM.search(str(error))):
                raise
            fail(in_one_line(error, 400), 1)  # a full disk or memory, a folder that is gone

    if sys.getfilesystemencoding() != "utf-8" and os.environ.get("PYTHONUTF8") != "1":
        # libraries take every name of a file for UTF-8
        environment = os.environ | {"PYTHONUTF8": "1"}
        os.execve(sys.executable, [sys.executable, *sys.orig_argv[1:]], environment)
    if takes is None and not _word("config"):
        sys.argv.insert(1, f"--config={_resumed() or USUAL}")
    make_steady()
    sys.unraisablehook = _say_unraisable
    warnings.showwarning = lambda message, *_, **__: warn(f"warning: {message}")
    warnings.filterwarnings("ignore", "coroutine .* was never awaited")  # orbax's, of damaged files
    gc.freeze()  # what is imported stays: collections that visit it cost a tenth of the start
    gc.set_threshold(50_000)
    try:
        app.run(main, flags_parser=functools.partial(_parse, takes=takes, arguments=arguments))
    except KeyboardInterrupt:
        warn("stopped by Ctrl-C; the same command begins again")
        sys.exit(128 + signal.SIGINT)


def without_accelerator() -> None:
    """For what only reads: by default jax takes most of a GPU's memory, even beside a training."""
    jax.config.update("jax_platforms", "cpu")


def config() -> ConfigDict:
    """The config that `--config` names, with its overrides."""
    config_file()  # there is one
    return CONFIG.value


def config_file() -> str:
    """`configs/moddiv.py`, with a choice `configs/moddiv.py:model=lstm`, or a folder of results."""
    if not flags.FLAGS["config"].present:
        raise ValueError("no config given; choose one with --config, such as configs/moddiv.py")
    return config_flags.get_config_filename(flags.FLAGS["config"])


def seeds() -> tuple[int, ...]:
    """Those of the flag: `8` is 0 to 7, `8:12` is 8 to 11; none if it was not given."""
    if SEEDS.value is None:
        return ()
    found = re.fullmatch(r"(?:(\d{1,10}):)?(\d{1,10})", SEEDS.value, re.ASCII)
    values = range(int(found[1] or 0), int(found[2])) if found else ()
    if not 1 <= len(values) <= MAX_RUNS:
        raise ValueError(
            f"--seeds {SEEDS.value}; choose a number such as 8, or a range as 8:12, "
            f"of at most {MAX_RUNS:,} seeds"
        )
    return tuple(values)


def services() -> tuple[str, ...]:
    """Those that are sent the curves."""
    return tuple(flag.name for flag in (WANDB, TRACKIO) if flag.value)


def shard() -> tuple[int, int] | None:
    """That of the flag: `2/8` is the second of eight shards."""
    if SHARD.value is None:
        return None
    numbers = re.fullmatch(r"(\d{1,6})/(\d{1,6})", SHARD.value, re.ASCII)
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


def given(*names: str) -> list[str]:
    """Those of some flags that are not at their defaults, as words for another process."""
    chosen = [flags.FLAGS[name] for name in names]
    return [flag.serialize() for flag in chosen if flag.value != flag.default]


def itself() -> str:
    """This command, as it is typed."""
    return shlex.join(["python", *sys.orig_argv[1:]])


def path(word: str) -> str:
    """A word of the command line as a path; a ValueError if it is none."""
    return PathParser().parse(word)


def usual_results() -> str:
    """The folder that is read where none is given."""
    if not os.path.isdir("results"):
        raise ValueError("no folder given, and there is no results/; choose one or more")
    return "results"


def _resumed():
    """The folder whose training is resumed, if the command resumes one; else empty."""
    folder = _word("resume")
    if folder == "latest" or folder.isdigit():
        folder = _word("workdir") or str(Path("results", Path(USUAL).stem))
    return folder if os.path.isdir(folder) else ""


def _word(name):
    """The value of a flag, before the flags are read; empty if it is not given."""
    found = re.search(f"\0--?{name}[=\0]([^\0]*)", "\0".join(["", *sys.argv]))
    return found[1] if found else ""


def _say_unraisable(unraisable):
    """Leaves out what a library's threads raise in nothing of Python: on a full disk, hundreds."""
    if unraisable.object is not None:
        sys.__unraisablehook__(unraisable)


def _parse(argv, takes, arguments):
    unread = _unread(takes)
    if {"--help", "-help", "-h", "--h"} & set(argv):
        _help(unread)
    try:
        left = flags.FLAGS(argv)
    except Exception as error:  # of the flags library, or whatever a config file can raise
        fail(unknown(argv, error, takes) or error)
    if given := [name for name in unread if flags.FLAGS[name].present]:
        fail(f"--{given[0]} has no effect here; leave it out, see --help")
    if flags.FLAGS["verbosity"].using_default_value:
        logging.set_verbosity(logging.FATAL)  # orbax reports every file, and errors it raises too
    if len(left) > 1 and not arguments:
        fail(not_understood(left[1], argv, takes))
    return left


def _unread(takes):
    """The shared flags that a command does not read."""
    modules = flags.FLAGS.flags_by_module_dict().items()
    shared = {f.name for m, found in modules if m.startswith("grokjax.running") for f in found}
    return [] if takes is None else sorted(shared - set(takes))


def _help(unread):
    """The command's own words and flags, without those of the libraries."""
    for name in unread:
        delattr(flags.FLAGS, name)
    print(sys.modules["__main__"].__doc__)
    for module, of_module in sorted(flags.FLAGS.flags_by_module_dict().items()):
        if of_module and (module.startswith("grokjax") or module == sys.argv[0]):
            print(flags.FLAGS.module_help(module))
    if not unread:
        print("\nEvery entry of a config is a flag too, as --config.batch_size=256; see --show.")
    sys.exit(0)
