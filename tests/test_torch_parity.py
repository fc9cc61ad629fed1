"""Training is what PyTorch does: the same weights and batches give the same losses."""

import collections
import functools
from pathlib import Path

import jax
import jax.numpy as jnp
import numpy as np
import pytest

pytest.importorskip("torch")

import torch

import grokjax
from benchmarks import torch_reference
from benchmarks.problem import Problem
from grokjax.core import loop
from grokjax.core.run import streams

CONFIGS = Path(__file__).parent.parent / "configs"
STEPS, WINDOW = 20, 5  # Grokfast-MA waits for a full window
ARCHITECTURES = {
    "transformer": dict(num_blocks=2, width=12, num_heads=2, ff_width=20, activation="gelu"),
    "mlp": dict(embedding_width=12, hidden=(20, 17)),
    "lstm": dict(num_layers=2, width=12),
}
CHAINS = {
    "adamw": dict(adamw={}),
    "sgd_momentum": dict(sgd_momentum={}),
    "grokfast_ema": dict(grokfast_ema={}, adamw={}),
    "grokfast_ma": dict(grokfast_ma=dict(window=WINDOW), adamw={}),
}
RUNS = {
    "adamw": dict(learning_rate=0.01, weight_decay=1.0),
    "sgd_momentum": dict(learning_rate=0.1, weight_decay=0.03),
    "grokfast_ema": dict(learning_rate=0.01, weight_decay=1.0, alpha=0.8),
    "grokfast_ma": dict(learning_rate=0.01, weight_decay=1.0),
}
CASES = [
    pytest.param(model, chain, marks=[] if fast else pytest.mark.slow)
    for i, model in enumerate(ARCHITECTURES)
    for j, chain in enumerate(CHAINS)
    for fast in [(i + j) % 2 == 0]
]


@pytest.fixture(autouse=True)
def _one_thread():
    """Dividing what is this small among threads takes longer than computing it."""
    threads = torch.get_num_threads()
    torch.set_num_threads(1)
    yield
    torch.set_num_threads(threads)


def make_config(model, chain):
    """Division mod 11: 11 first tokens in a batch of 23, of 55 rows for training."""
    config = grokjax.base(
        task=dict(name="modular", op="div", p=11),
        model=dict(name=model, **ARCHITECTURES[model]),
        optimizer=CHAINS[chain],
    )
    config.batch_size = 23
    config.schedule.update(num_steps=STEPS, eval_every=1, checkpoint_every=STEPS, eval_block=13)
    config.runs = grokjax.grid(config.runs, warmup=3.0, **RUNS[chain])
    return config


def run_of(r, tree_R):
    return jax.tree.map(lambda x: x[r], tree_R)


def train_here(experiment, run):
    """The state before the first step; the rows [T, B] and loss [T] of every batch; the weights."""
    trainer, steps_T = experiment.trainer, jnp.arange(experiment.config.schedule.num_steps)

    @jax.jit
    def training(run, dataset):
        def step(state, t):
            state = trainer.step(state, t, run, dataset)
            return state, state.interval.max_loss  # the largest of an interval of one step

        first = trainer.init(run, dataset)
        last, loss_T = jax.lax.scan(step, first, steps_T)
        return first, rows_of_steps(trainer, first, run, steps_T), loss_T, last.params

    return jax.device_get(training(run, experiment.dataset))


def rows_of_steps(trainer, state, run, steps_T):
    """[T, B]: what every step reads."""
    recipe, key = trainer.step.args[0], streams(run.seed).batch

    def rows_B(t):
        return recipe.draw_batch(key, t, state.split, run.share_G).rows_B

    return jax.lax.map(rows_B, steps_T)


def make_problem(config, experiment, state, run):
    """What a run trains, for PyTorch; the rows are those of the whole table."""
    task = experiment.task
    sizes = dict(
        num_tokens=task.num_tokens,
        num_classes=task.num_classes,
        length=task.examples.inputs_NxL.shape[1],
    )
    return Problem(
        architecture=sizes | ARCHITECTURES[config.model.name],
        params=state.params,
        inputs_NxL=task.examples.inputs_NxL,
        labels_N=state.split.labels_N,
        batch_size=config.batch_size,
        hparams={name: float(value) for name, value in run.hparams.items()},
        model=config.model.name,
    )


def train_there(problem, model, chain, rows_TxB):
    """Trains a model of PyTorch, and gives the loss [T] of every batch."""
    make_filter, make_optimizer = PYTORCH[chain]
    filtered = make_filter(problem.hparams)
    optimizer, schedule = make_optimizer(model, problem.hparams)
    trained = [w for w in model.parameters() if w.requires_grad]
    inputs_NxL, labels_N = (torch.tensor(x).long() for x in (problem.inputs_NxL, problem.labels_N))
    losses = []
    for rows_B in torch.tensor(rows_TxB).long():
        loss = torch.nn.functional.cross_entropy(model(inputs_NxL[rows_B]), labels_N[rows_B])
        grads = filtered(torch.autograd.grad(loss, trained))
        for w, grad in zip(trained, grads, strict=True):
            w.grad = grad
        optimizer.step()
        schedule.step()
        losses.append(loss.item())
    return np.array(losses)


def unfiltered(hparams):
    return lambda grads: grads


def grokfast_ema(hparams):
    """Lee et al., 2024, https://arxiv.org/abs/2405.20233: h = alpha h + (1 - alpha) g."""
    alpha, lamb = hparams["alpha"], hparams["lamb"]
    slow = None

    def filtered(grads):
        nonlocal slow
        old = grads if slow is None else slow
        slow = [alpha * h + (1 - alpha) * g for h, g in zip(old, grads, strict=True)]
        return [g + lamb * h for g, h in zip(grads, slow, strict=True)]

    return filtered


def grokfast_ma(hparams):
    """The same paper's h: the mean of the last gradients, once there are enough of them."""
    window = collections.deque(maxlen=WINDOW)

    def filtered(grads):
        window.append(grads)
        if len(window) < WINDOW:
            return grads
        means = [sum(past) / WINDOW for past in zip(*window, strict=True)]
        return [g + hparams["lamb"] * h for g, h in zip(grads, means, strict=True)]

    return filtered


def sgd_momentum(model, hparams):
    """SGD with momentum that leaves biases and norms without decay, and its warm-up."""
    trained = [w for w in model.parameters() if w.requires_grad]
    groups = [
        {"params": [w for w in trained if w.ndim > 1], "weight_decay": hparams["weight_decay"]},
        {"params": [w for w in trained if w.ndim == 1], "weight_decay": 0.0},
    ]
    rate, momentum = hparams["learning_rate"], hparams["momentum"]
    optimizer = torch.optim.SGD(groups, lr=rate, momentum=momentum)
    return optimizer, torch_reference.linear_warmup(optimizer, hparams["warmup"])


PYTORCH = {
    "adamw": (unfiltered, torch_reference.adamw),
    "sgd_momentum": (unfiltered, sgd_momentum),
    "grokfast_ema": (grokfast_ema, torch_reference.adamw),
    "grokfast_ma": (grokfast_ma, torch_reference.adamw),
}


def without_key_bias(name, w):
    """The softmax takes out what it adds; its gradient is rounding, of which Adam makes steps."""
    return w.reshape(3, -1)[[0, 2]] if name.endswith("qkv.bias") else w


@pytest.mark.parametrize(("model", "chain"), CASES)
def test_twenty_steps_have_the_losses_of_pytorch(model, chain):
    config = make_config(model, chain)
    experiment = grokjax.setup(config)
    run = run_of(0, experiment.runs_R)

    first, rows_TxB, loss_T, _ = train_here(experiment, run)

    problem = make_problem(config, experiment, first, run)
    expected_T = train_there(problem, torch_reference.make_model(problem), chain, rows_TxB)
    np.testing.assert_allclose(loss_T, expected_T, rtol=1e-5)


@pytest.mark.slow
def test_two_hundred_steps_of_addition_are_those_of_their_source():
    """The network, optimizer and loss of https://github.com/enerrio/grokking-mlp, for 97 answers.

    Rounding grows: after 200 steps PyTorch's own losses in float32 and in float64 are .1 % apart,
    logits up to .4. Ours are as near to those in float64.
    """
    config = grokjax.load(str(CONFIGS / "modadd_mlp.py"))
    config.loss.precision = "float64"
    config.runs.warmup = (0.0,)
    config.schedule.update(num_steps=200, eval_every=1)
    experiment = grokjax.setup(config)
    first, rows_TxB, loss_T, params = train_here(experiment, run_of(0, experiment.runs_R))
    table = torch.tensor(experiment.task.examples.inputs_NxL).long()
    weights, ours = (addition_weights(p) for p in (first.params, params))

    exact, rounded = (
        train_addition(weights, table, rows_TxB, dtype) for dtype in (torch.float64, torch.float32)
    )

    np.testing.assert_allclose(loss_T[:50], exact[0][:50], rtol=1e-5)
    with torch.no_grad():
        here = (loss_T, addition_model(ours)(table).numpy())
    for x, expected, theirs in zip(here, exact, rounded, strict=True):
        assert abs(x - expected).max() < 4 * abs(theirs - expected).max()


def train_addition(weights, inputs_NxL, rows_TxB, dtype):
    """The losses [T] and the logits [N, C] after them, as that source computes them."""
    model = addition_model(weights).to(dtype)
    optimizer = torch.optim.AdamW(model.parameters(), lr=1e-3, betas=(0.9, 0.98))
    labels_N = (inputs_NxL[:, 0] + inputs_NxL[:, 2]) % 97
    losses = []
    for rows_B in torch.tensor(rows_TxB).long():
        logits_BxC = model(inputs_NxL[rows_B]).double()
        loss = torch.nn.functional.cross_entropy(logits_BxC, labels_N[rows_B])
        optimizer.zero_grad()
        loss.backward()
        optimizer.step()
        losses.append(loss.item())
    return np.array(losses), model(inputs_NxL).detach().numpy()


def addition_model(weights):
    model = torch.nn.Sequential(
        torch.nn.Embedding(99, 128),
        torch.nn.Flatten(),
        torch.nn.Linear(4 * 128, 128),
        torch.nn.ReLU(),
        torch.nn.Linear(128, 97),
    )
    model.load_state_dict(weights)
    return model


def addition_weights(params):
    """Under the names of that source."""
    weights = {
        "0.weight": params["token"],
        "2.weight": params["kernel_0"].T,
        "2.bias": params["bias_0"],
        "4.weight": params["readout"]["kernel"].T,
        "4.bias": params["readout"]["bias"],
    }
    return {name: torch.tensor(w) for name, w in weights.items()}


def test_the_transformer_shares_its_prefixes():
    config = make_config("transformer", "adamw")
    prefixes = grokjax.setup(config).dataset.prefixes

    assert prefixes.tree(jnp.arange(config.batch_size)).num_shared == 2  # of `a / b =`: a, a /


@pytest.mark.slow
def test_runs_side_by_side_have_the_weights_of_pytorch():
    config = make_config("transformer", "grokfast_ema")
    config.schedule.eval_every = STEPS
    varied = dict(seed=(0, 1, 2), learning_rate=(5e-3, 1e-2, 2e-2), lamb=(1.0, 2.0, 3.0))
    config.runs = grokjax.grid(config.runs, **varied)
    experiment = grokjax.setup(config)
    runs_R = jax.tree.map(lambda x: x[::13], experiment.runs_R)  # the diagonal of 3 x 3 x 3
    given = (experiment.trainer, runs_R, experiment.dataset)
    first_R = jax.device_get(loop.init(*given, lift="vmap"))
    draw = functools.partial(rows_of_steps, experiment.trainer, steps_T=jnp.arange(STEPS))
    rows_RxTxB = jax.device_get(jax.jit(jax.vmap(draw))(first_R, runs_R))

    *_, (_, last_R, _) = grokjax.chunks(*given, num_steps=STEPS, lift="vmap")

    everything = (first_R, jax.device_get(last_R), runs_R, rows_RxTxB)
    for first, last, run, rows_TxB in (run_of(r, everything) for r in range(3)):
        problem = make_problem(config, experiment, first, run)
        model = torch_reference.make_model(problem)
        train_there(problem, model, "grokfast_ema", rows_TxB)
        expected = {name: w.numpy() for name, w in model.state_dict().items()}
        for name, w in torch_reference.weights(problem._replace(params=last.params)).items():
            pair = (without_key_bias(name, x) for x in (w, expected[name]))
            np.testing.assert_allclose(*pair, atol=1e-4, rtol=0, err_msg=name)
