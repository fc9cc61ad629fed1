"""A training step of one run, without the loop around it: a program to look into."""

from typing import Any, NamedTuple

import jax
import jax.numpy as jnp
from jax.stages import Compiled

import grokjax


class OneStep(NamedTuple):
    """The step of a trainer and what it takes, arrays as shapes."""

    trainer: grokjax.Trainer
    state: Any
    run: grokjax.Run
    table: Any

    def jaxpr(self):
        """The step as JAX sees it."""
        return jax.make_jaxpr(self.trainer.step)(*self._args()).jaxpr

    def compile(self) -> Compiled:
        """The step as XLA makes it, the old state's memory given to the new one."""
        return jax.jit(self.trainer.step, donate_argnums=0).lower(*self._args()).compile()

    def _args(self):
        return self.state, jnp.int32(0), self.run, self.table


def one_step(experiment: grokjax.Experiment) -> OneStep:
    """The step of an experiment's first run."""
    trainer, table = experiment.trainer, experiment.dataset
    run = jax.tree.map(lambda x: x[0], experiment.runs_R)
    return OneStep(trainer, jax.eval_shape(trainer.init, run, table), run, table)
