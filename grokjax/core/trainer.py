"""The trainer of one run: three pure functions.

A `Trainer` is to a run what an `optax.GradientTransformation` is to a parameter tree.
Nothing here knows that runs have neighbours; `loop.py` gives the run axis.
"""

import functools
from collections.abc import Callable, Mapping
from typing import Any, NamedTuple

import chex
import flax.linen as nn
import flax.struct
import jax
import jax.numpy as jnp
import optax

from grokjax.core import lapack, losses, measure, prefixes, weight_stats
from grokjax.core.checks import of_a_part
from grokjax.core.dataset import Dataset
from grokjax.core.evaluation import Evaluation
from grokjax.core.measure import Measures, View
from grokjax.core.optimizer import Optimizer
from grokjax.core.run import Run, same_numbers, streams
from grokjax.core.split import Split, draw_split

MATMUL_PRECISIONS = {  # of the network's products alone, in JAX's words
    "default": None,  # float32; on recent GPUs the faster TensorFloat-32
    "highest": "highest",  # float32 everywhere
    "bfloat16": "BF16_BF16_F32",  # factors rounded to bfloat16, sums in float32
}


class Trainer(NamedTuple):
    """One run as four pure functions."""

    init: Callable  # (run, dataset) -> state
    step: Callable  # (state, t, run, dataset) -> state, after step number t = 0, 1, ...
    evaluate: Callable  # (state, run, dataset, t=0) -> {metric: []} on all examples, and measures
    eval_params: Callable  # (state, run) -> the parameters that are evaluated
    eval_every: int  # steps between evaluations, over which the state gathers its means


class Interval(flax.struct.PyTreeNode):
    """What is watched at every step since the last evaluation."""

    learning_rate: jax.Array  # of the latest step
    grad_norm: jax.Array  # sum over steps of ||gradient of loss and penalty||
    update_size: jax.Array  # sum over steps of ||change of the weights|| / ||weights||
    max_loss: jax.Array  # largest loss of a training batch

    @classmethod
    def zeros(cls) -> "Interval":
        """Before the first step."""
        return cls(*(jnp.zeros((), jnp.float32) for _ in range(4)))


class TrainState(flax.struct.PyTreeNode):
    """All that a run carries from step to step."""

    params: Any
    opt_state: Any
    split: Split
    interval: Interval


class Recipe(NamedTuple):
    """The static half of an experiment, as a `Run` is the traced half."""

    network: nn.Module
    matmul_precision: str | None  # of the network's matmuls, as JAX names it
    make_optimizer: Callable[[Mapping], Optimizer]  # from the hyperparameters of a step
    schedule: Callable  # (t, hparams) -> factor of the learning rate
    per_example: Callable  # (logits_BxC, labels_B) -> loss_B
    penalty: Callable  # (params) -> []
    draw_batch: Callable  # (key, t, split, share_G) -> Batch
    eval_every: int
    evaluation: Evaluation
    measures: Measures = measure.NONE
    correct: Callable = losses.correct  # (logits_BxC, labels_B) -> bool_B


def make_trainer(recipe: Recipe) -> Trainer:
    """The trainer of one run."""
    return Trainer(
        init=functools.partial(_init, recipe),
        step=functools.partial(_step, recipe),
        evaluate=functools.partial(_evaluate, recipe),
        eval_params=functools.partial(_eval_params, recipe),
        eval_every=recipe.eval_every,
    )


def try_out(recipe: Recipe, trainer: Trainer, run: Run, dataset: Dataset) -> Any:
    """A run's state by shapes; a ValueError if its model or optimizer returns what it must not."""

    def first_update(state, run):
        _, optimizer = _optimizer_of_step(recipe, run, 0)
        moments = {"t": jnp.int32(0), "key": streams(run.seed).noise}
        optimizer.update(state.params, state.opt_state, state.params, **moments)

    with same_numbers():
        state = jax.eval_shape(trainer.init, run, dataset)
        jax.eval_shape(first_update, state, run)
    return state


def _init(recipe: Recipe, run: Run, dataset: Dataset) -> TrainState:
    params = _initial(recipe, run, dataset)
    _, optimizer = _optimizer_of_step(recipe, run, 0)
    return TrainState(
        params=params,
        opt_state=optimizer.init(params),
        split=draw_split(run, dataset.examples, dataset.strata),
        interval=Interval.zeros(),
    )


def _initial(recipe, run, dataset):
    """The weights before the first step."""
    any_input = prefixes.plain(dataset.examples.inputs_NxL[:1])
    logits_1xC, variables = recipe.network.init_with_output(streams(run.seed).init, any_input)
    _check_logits(recipe, logits_1xC, 1)
    return optax.tree.scale(run.hparams["init_scale"], variables["params"])


def _step(recipe: Recipe, state: TrainState, t, run: Run, dataset: Dataset) -> TrainState:
    keys = streams(run.seed)
    key_forward, key_update = jax.random.split(jax.random.fold_in(keys.noise, t))
    key_dropout = jax.random.fold_in(keys.dropout, t)
    batch = recipe.draw_batch(keys.batch, t, state.split, run.share_G)
    tree = dataset.tree(recipe.network, batch.rows_B, train=True)
    labels_B = state.split.labels_N[batch.rows_B]
    rate, optimizer = _optimizer_of_step(recipe, run, t)

    def objective(params):
        params = optimizer.forward_params(params, state.opt_state, key_forward)
        logits_BxC = _logits(recipe, params, tree, train=True, rngs={"dropout": key_dropout})
        loss_B = recipe.per_example(logits_BxC, labels_B)
        chex.assert_equal_shape([batch.weights_B, labels_B, loss_B])
        loss = batch.weights_B @ loss_B
        return loss + run.hparams["l1"] * recipe.penalty(params), loss

    grads, loss = jax.grad(objective, has_aux=True)(state.params)
    updates, opt_state = optimizer.update(grads, state.opt_state, state.params, t=t, key=key_update)
    seen = jax.tree.map(lambda x: jnp.where(t % recipe.eval_every == 0, 0.0, x), state.interval)
    interval = Interval(
        learning_rate=rate,
        grad_norm=seen.grad_norm + weight_stats.norm(grads),
        update_size=seen.update_size + weight_stats.norm(updates) / weight_stats.norm(state.params),
        max_loss=jnp.maximum(seen.max_loss, loss),
    )
    params = optax.apply_updates(state.params, updates)
    chex.assert_trees_all_equal_shapes_and_dtypes(params, state.params)
    return TrainState(params, opt_state, state.split, interval)


def _evaluate(
    recipe: Recipe, state: TrainState, run: Run, dataset: Dataset, t: Any = 0
) -> dict[str, jax.Array]:
    """Metrics after step number t - 1; what is not measured at that step is NaN."""
    params = _eval_params(recipe, state, run)
    arguments = (recipe, params, state, run, dataset)
    if not recipe.measures.measures:
        return _metrics(*arguments)[0]
    if recipe.measures.every == recipe.eval_every:
        return _metrics_and_measures(*arguments)
    shapes = jax.eval_shape(functools.partial(_metrics_and_measures, *arguments))

    def without():
        metrics = _metrics(*arguments)[0]
        unknown = {n: jnp.full(x.shape, jnp.nan) for n, x in shapes.items() if n not in metrics}
        return metrics | unknown

    is_due = t % recipe.measures.every == 0
    return jax.lax.cond(is_due, lambda: _metrics_and_measures(*arguments), without)


def _metrics_and_measures(recipe, params, state, run, dataset):
    metrics, outputs = _metrics(recipe, params, state, run, dataset, recipe.measures.reads)

    def logits(params, rows_B):
        tree = dataset.tree(recipe.network, rows_B, train=False)
        return _logits(recipe, params, tree)

    view = View(
        params=params,
        run=run,
        dataset=dataset,
        split=state.split,
        initial_params=lambda: _initial(recipe, run, dataset),
        logits=logits,
        per_example=recipe.per_example,
        outputs=outputs,
        correct=recipe.correct,
    )
    return metrics | recipe.measures.take(view)


def _metrics(recipe, params, state, run, dataset, reads=()):
    """{metric: []}, and the outputs that are read, of all N rows."""

    def judge(rows_B):
        tree = dataset.tree(recipe.network, rows_B, train=False)
        logits_BxC, outputs = _outputs(recipe, params, tree, reads)
        labels_B = state.split.labels_N[rows_B]
        loss_B = recipe.per_example(logits_BxC, labels_B)
        return (loss_B, recipe.correct(logits_BxC, labels_B)), outputs

    scores, outputs = recipe.evaluation.scores(
        judge, state.split, dataset.strata.group_N, run.share_G
    )
    metrics = {
        **scores,
        "learning_rate": state.interval.learning_rate,
        "l1": run.hparams["l1"] * recipe.penalty(params),
        "grad_norm": state.interval.grad_norm / recipe.eval_every,
        "update_size": state.interval.update_size / recipe.eval_every,
        "max_train_loss": state.interval.max_loss,
        "sparsity": weight_stats.sparsity(params),
        "weight_norm": weight_stats.norm(params),
        "last_layer_norm": lapack.spectral_norm(recipe.network.last_layer(params)),
    }
    chex.assert_rank(list(metrics.values()), 0)
    return metrics, outputs


def _eval_params(recipe: Recipe, state: TrainState, run: Run) -> Any:
    _, optimizer = _optimizer_of_step(recipe, run, 0)
    return optimizer.eval_params(state.params, state.opt_state)


def _logits(recipe, params, tree, **options) -> Any:
    with jax.default_matmul_precision(recipe.matmul_precision):
        logits_BxC = recipe.network.apply({"params": params}, tree, **options)
    _check_logits(recipe, logits_BxC, tree.tokens[-1].shape[0])
    return logits_BxC


def _outputs(recipe, params, tree, reads):
    """The logits, and the outputs that measures read."""
    if not reads:
        return _logits(recipe, params, tree), {}
    with jax.default_matmul_precision(recipe.matmul_precision):
        return measure.outputs(recipe.network, params, tree, reads)


def _check_logits(recipe, logits_BxC, batch_size):
    wanted = (batch_size, recipe.network.num_classes)
    given = f"{jnp.shape(logits_BxC)} {jnp.result_type(logits_BxC)}"
    with of_a_part(f"the model gives logits {given}; make them [B, C] = {wanted} float32"):
        chex.assert_shape(logits_BxC, wanted)
        chex.assert_type(logits_BxC, float)


def _optimizer_of_step(recipe, run, t):
    """This step's learning rate, and the optimizer built with it."""
    rate = run.hparams["learning_rate"] * recipe.schedule(t, run.hparams)
    return rate, recipe.make_optimizer({**run.hparams, "learning_rate": rate})
