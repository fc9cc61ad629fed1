"""Services that are sent the curves too: Weights & Biases, Trackio."""

import contextlib
import importlib
import os
import secrets
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any

import numpy as np

from grokjax.config import grid
from grokjax.recording.writer import MANY, Writer, row


class Online(Writer):
    """One run of a service for a training command: a thousand seeds would be a thousand uploads.

    Curves are `val_accuracy/seed=0`, so that those of a metric are shown together; what is trained
    in `results/l1_grokfast/s5/ema` is called `ema` in the group `l1_grokfast/s5`. Its config is
    that of the training, and `sweep.weight_decay` the values of an entry that varies.
    """

    def __init__(
        self, folder: Path, labels: Sequence[str], config: Mapping[str, Any], resumed_from: int = 0
    ):
        """Starts a run as the service's environment variables say, or goes on with one."""
        self._labels = labels
        self._group = "/".join(folder.parent.parts[-2:]).lstrip("/") or None
        axes = grid.axes(config.get("runs", {}))
        config = dict(config) | ({"sweep": axes} if axes else {})
        self._run = self._begin(folder, config, resumed_from)

    def _begin(self, folder: Path, config: dict, resumed_from: int) -> Any:
        raise NotImplementedError

    def write_scalars(self, step: int, scalars_R: Mapping[str, np.ndarray]) -> None:
        self._run.log(row(self._labels, scalars_R), step=step)


class WeightsAndBiases(Online):
    """As the environment says (WANDB_MODE=offline, WANDB_PROJECT).

    (The event files that `sync_tensorboard` would send have neither these names nor one row for
    each step.)

    A resumed training goes on in the same W&B run, whose id is in the folder. W&B takes no step
    twice: evaluations that are repeated after a crash are ignored, being the same bit for bit.
    """

    _exit_code = 1  # what has no summary has not finished, and W&B is to show that

    def _begin(self, folder, config, resumed_from):
        import wandb  # takes a second, and is an optional package

        known = folder / "wandb" / "id"
        known.parent.mkdir(parents=True, exist_ok=True)
        if not (resumed_from and known.exists()):
            known.write_text(secrets.token_hex(4), "utf-8")
        return wandb.init(
            project=os.environ.get("WANDB_PROJECT", "grokjax"),
            group=self._group,
            name=folder.name,
            id=known.read_text("utf-8"),
            resume="allow",
            config=config,
            allow_val_change=True,  # a resume may have other schedule.keep, log_every
            dir=folder,
            settings=wandb.Settings(console="off"),  # the lines are in training.log
        )

    def write_texts(self, step: int, texts: Mapping[str, str]) -> None:
        if step == 0:
            self._run.notes = "\n\n".join(texts.values())  # a resumed run keeps its own

    def write_summary(self, summary: Mapping[str, Any]) -> None:
        self._run.summary.update(summary["overall"])
        if len(self._labels) <= MANY:
            steps = {f"grok_step/{run['label']}": run["grok_step"] for run in summary["runs"]}
            self._run.summary.update(steps)
        self._exit_code = 0

    def close(self) -> None:
        self._run.finish(exit_code=self._exit_code)


class Trackio(Online):
    """Kept on this machine, or sent on as the environment says (TRACKIO_SPACE_ID, TRACKIO_DIR).

    Its runs are told apart by their names, so the group is part of a name. Evaluations that are
    repeated after a crash are there twice.
    """

    def _begin(self, folder, config, resumed_from):
        import trackio  # takes a second, and is an optional package

        with contextlib.redirect_stdout(None):  # it says what it does, over several lines
            return trackio.init(
                project=os.environ.get("TRACKIO_PROJECT", "grokjax"),
                group=self._group,
                name="/".join(filter(None, (self._group, folder.name))),
                resume="allow" if resumed_from else "never",
                config=config,
                embed=False,
                auto_log_gpu=False,
                auto_log_cpu=False,
            )

    def close(self) -> None:
        import trackio

        with contextlib.redirect_stdout(None):
            trackio.finish()  # the run's own would be repeated as Python ends


SERVICES = {"wandb": WeightsAndBiases, "trackio": Trackio}


def check(services: Sequence[str]) -> None:
    """Raises a ValueError if one of SERVICES cannot be used; asks for a login if need be."""
    for name in services:
        try:
            service = importlib.import_module(name)
            service.init  # noqa: B018, a folder `wandb` of results has none
        except (ImportError, AttributeError) as error:
            raise ValueError(
                f"--{name} needs the package {name}; install it with pip install 'grokjax[{name}]'"
            ) from error
        if name == "wandb":
            _log_in(service)


def _log_in(wandb):
    try:
        wandb.login(verify=False)
    except wandb.Error as error:
        raise ValueError(f"--wandb: {error} To keep curves here, set WANDB_MODE=offline") from error
