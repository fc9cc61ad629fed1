"""The arithmetic of training, counted from the program that a config makes."""

import dataclasses
from collections.abc import Sequence

import jax

from grokjax.config.experiment import Experiment, setup
from grokjax.core.run import same_numbers
from grokjax.reading.arms import Arm
from grokjax.reading.rebuild import config_of


def flops_per_step(experiment: Experiment) -> float:
    """Floating-point operations of a training step of one run: an addition or multiplication each.

    As XLA counts them before it compiles; nothing is run. The body of a loop counts once, and
    evaluations are not part of a step.
    """
    with same_numbers():
        run = jax.tree.map(lambda x_R: x_R[0], experiment.runs_R)
        t = jax.ShapeDtypeStruct((), "int32")
        given = (experiment.shapes_of_run(), t, run, experiment.dataset)
        return float(jax.jit(experiment.trainer.step).lower(*given).cost_analysis()["flops"])


def counted(arms: Sequence[Arm]) -> list[Arm]:
    """The arms with their arithmetic; each results folder is one program.

    Raises:
        ValueError: if a config cannot be trained with this version.
    """
    configs = {arm.family: arm.config for arm in arms}
    flops = {name: flops_per_step(setup(config_of(record))) for name, record in configs.items()}
    return [dataclasses.replace(arm, flops_per_step=flops[arm.family]) for arm in arms]
