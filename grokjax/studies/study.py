"""A study: a question, and the arms that answer it, each an ordinary config."""

import runpy
from collections.abc import Callable, Sequence
from pathlib import Path
from typing import NamedTuple

from ml_collections import ConfigDict

from grokjax.config.config import flat, plain
from grokjax.config.values import ENTRIES
from grokjax.core.checks import check_choice, did_you_mean

SIZES = ("smoke", "default", "paper")
FORMER = {"quick": "smoke", "desk": "default"}  # names of sizes that are accepted as well
TOY = {  # whichever of these a config has
    "task.p": 11,
    "task.k": 4,
    "task.length": 2,
    "task.lines": 40,
    "task.samples": 40,
    "model.num_blocks": 1,
    "model.width": 8,
    "model.num_heads": 2,
    "model.embedding_width": 5,
    "model.hidden": (6,),
    "split.held_out": (0,),
    "runs.label_noise": (0, 3),
    "runs.raise_step": (2,),
    "runs.warmup": (2.0,),
    "optimizer.grokfast_ma.window": 3,
    "batch_size": 9,
    "schedule.num_steps": 12,
    "schedule.num_epochs": 0,
    "schedule.eval_every": 2,
    "schedule.checkpoint_every": 4,
    "schedule.eval_block": 64,
}
USUAL = (None, (), (0,), (10.0,))  # stay: nothing held out, and the default's warm-up


class Study(NamedTuple):
    """A file of `experiments/`, one claim.

    Its arms are named `baseline` or, where a study has several parts, `part/baseline`; the
    first arm of a part is the one that the others are compared with. An arm may begin with the
    states of one before it: `branch.origin` is `trunk/adamw@grokked` then.
    """

    file: str
    text: str  # the file's docstring: the claim in its first line, what to expect, the time
    make_arms: Callable[[str], dict[str, ConfigDict]]  # from the size, default or paper

    @property
    def name(self) -> str:
        return Path(self.file).stem

    @property
    def claim(self) -> str:
        """Empty for a file without a docstring."""
        return (self.text or "").strip().partition("\n")[0]

    def arms(self, size: str = "default", seeds: Sequence[int] = ()) -> dict[str, ConfigDict]:
        """The configs by name; `smoke` are the same arms, of tiny networks for a few steps.

        Args:
            size: `smoke`, `default` or `paper`.
            seeds: in place of those that the study has chosen.
        """
        size = FORMER.get(size, size)
        check_choice("size", size, SIZES)
        arms = self.make_arms("default" if size == "smoke" else size)
        for config in arms.values():
            if size == "smoke":
                config.runs.seed = (0, 1)
                shrink(config)
            if seeds:
                config.runs.seed = tuple(seeds)
        return arms

    def get_config(self, choice: str = "") -> ConfigDict:
        """One arm: `--config experiments/l1_grokfast.py:division/l1` or `...:division/l1,paper`."""
        name, _, size = choice.partition(",")
        arms = self.arms(size or "default")
        if name not in arms:
            known = f"choose an arm from {', '.join(arms)}{did_you_mean(name, arms)}"
            raise ValueError(f"{self.file}: {f'unknown arm {name!r}; ' if name else ''}{known}")
        return arms[name]


def find(folder: Path) -> dict[str, Study]:
    """The studies among the files of a folder, by name."""
    studies = []
    for path in sorted(folder.glob("[!_]*.py")):
        try:
            studies.append(runpy.run_path(str(path)).get("STUDY"))
        except SyntaxError as error:
            raise ValueError(f"{path} is no Python: {error}") from error
    return {study.name: study for study in studies if isinstance(study, Study)}


def shrink(config: ConfigDict) -> None:
    """Makes a config small and short: the same plug-ins, a few seconds."""
    with config.unlocked():
        for path, value in flat(config):
            if path in TOY and value not in USUAL:
                section, _, entry = path.rpartition(".")
                (config[section] if section else config)[entry] = TOY[path]
        if is_branch(config):  # nothing groks in so few steps
            arm = config.branch.origin.partition("@")[0]
            last = TOY["schedule.num_steps"]
            config.branch.update(origin=f"{arm}@{last}", from_zero=True)


def is_branch(config: ConfigDict) -> bool:
    """Does it begin with the states of another training, or in a study of another arm?"""
    return config.branch.origin != ENTRIES["branch.origin"].default


def part(arm: str) -> str:
    """`division` of `division/l1`; empty if the study has one part."""
    return arm.rpartition("/")[0]


def differences(stored: dict, config: ConfigDict) -> str:
    """What a stored config has other than this one, in words; empty if nothing."""
    stored, wanted = dict(flat(stored)), dict(flat(plain(config)))
    names = sorted(n for n in wanted if n in stored and stored[n] != wanted[n])
    return ", ".join(f"{n} was {stored[n]!r}, is {wanted[n]!r}" for n in names)
