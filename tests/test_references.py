"""Every part against somebody else's numbers: another library's, a paper's, or a closed form.

A formula of ours that is written down a second time proves nothing, so `REFERENCES` says for
every part which test compares it with what, and a part without one fails.
"""

import inspect
from pathlib import Path

import jax
import jax.numpy as jnp
import numpy as np
import optax
import pytest
import scipy.linalg
import scipy.special
import scipy.stats
from conftest import toy_mlp
from scipy.signal import lfilter

import grokjax
from grokjax.config import registry
from grokjax.core import losses, weight_stats
from grokjax.core.optimizer import as_optimizer, chain
from grokjax.core.prefixes import plain
from grokjax.core.schedules import SCHEDULES
from grokjax.reading import evidence, roughness, survival
from grokjax.recording.history import Grokking

HERE = Path(__file__).parent
BY_HAND = "numbers worked by hand"
HERE_TABLE = "test_an_optimizer_takes_the_steps_of_pytorch"
METRICS = "test_metrics_are_those_of_numpy_and_scipy"

# part: (what it is compared with, the test, in this file unless another is named)
REFERENCES = {
    "optimizer": {
        "adam": ("torch.optim.Adam", HERE_TABLE),
        "adamw": ("torch.optim.AdamW", HERE_TABLE),
        "clip": ("torch clip_grad_norm_, optax", "test_clipping_is_that_of_optax_and_pytorch"),
        "column_norm": (
            BY_HAND,
            "test_matrices.py::test_column_norm_divides_the_weights_into_each_neuron",
        ),
        "egd": ("scipy.linalg.polar", "test_matrices.py::test_egd_makes_all_singular_values_one"),
        "from_optax": ("torch.optim.NAdam, RAdam, Adamax", HERE_TABLE),
        "grokfast_ema": ("scipy.signal.lfilter", "test_grokfast_filters_like_scipy"),
        "grokfast_ma": ("scipy.signal.lfilter", "test_grokfast_filters_like_scipy"),
        "grokfast_rate": (
            BY_HAND,
            "test_optimizers.py::test_grokfast_rate_takes_the_gain_of_a_constant_gradient_out",
        ),
        "hold_norm": (
            BY_HAND,
            "test_optimizers.py::test_hold_norm_keeps_all_weights_on_one_sphere",
        ),
        "l2": ("torch.optim.SGD", "test_an_l2_term_is_what_pytorch_calls_weight_decay"),
        "lion": (BY_HAND, "test_lion_takes_the_steps_of_a_table"),
        "muon": (
            "a singular value decomposition; torch.optim.Muon",
            "test_muon_maps_singular_values",
        ),
        "norm_ceiling": (
            BY_HAND,
            "test_matrices.py::"
            "test_a_norm_above_the_ceiling_is_scaled_back_and_no_other_is_touched",
        ),
        "orthograd": (BY_HAND, "test_optimizers.py::test_orthograd_turns_and_does_not_scale"),
        "raise_layer": (BY_HAND, "test_optimizers.py::test_raise_layer_multiplies_one_layer_once"),
        "schedule_free": (
            "optax.contrib.schedule_free_adamw",
            "test_optimizers.py::test_schedule_free_is_optax_also_while_the_rate_rises",
        ),
        "sgd": ("torch.optim.SGD", HERE_TABLE),
        "sgd_momentum": ("torch.optim.SGD", HERE_TABLE),
        "splus": (
            "the authors' optax code",
            "test_optimizers.py::test_splus_takes_the_steps_of_its_authors_code",
        ),
        "update_noise": ("scipy.stats.kstest", "test_noise_is_normal"),
        "weight_noise": ("scipy.stats.kstest", "test_noise_is_normal"),
    },
    "loss": {
        "cross_entropy": ("scipy.special.log_softmax, torch", "test_losses_are_those_of_others"),
        "hinge": ("torch multi_margin_loss, optax", "test_losses_are_those_of_others"),
        "squared_error": ("torch mse_loss", "test_losses_are_those_of_others"),
        "stablemax": (BY_HAND, "test_losses.py::test_stablemax_of_three_logits"),
    },
    "penalty": {
        "normalized": ("numpy.linalg.norm", "test_penalties_are_ratios_of_norms_of_numpy"),
        "plain": ("numpy.linalg.norm", "test_penalties_are_ratios_of_norms_of_numpy"),
    },
    "schedule": {
        "constant": (BY_HAND, "test_schedules_are_those_of_optax"),
        "linear_warmup": (
            BY_HAND,
            "test_optimizers.py::test_warmup_does_not_lose_its_first_step",
        ),
        "warmup_cosine": ("optax.cosine_decay_schedule", "test_schedules_are_those_of_optax"),
    },
    "model": {
        "gpt2": ("torch.nn.TransformerEncoderLayer", "test_reference_models.py::test_gpt2"),
        "gpt2_meta": ("torch.nn.functional", "test_reference_models.py::test_gpt2_meta"),
        "gpt2_resv": ("torch.nn.functional", "test_reference_models.py::test_gpt2_resv"),
        "lstm": ("torch.nn.LSTM", "test_reference_models.py::test_lstm"),
        "mlp": ("torch.nn.Sequential", "test_reference_models.py::test_mlp"),
        "tokenformer": ("the authors' layer", "test_reference_models.py::test_tokenformer"),
        "transformer": (
            "torch.nn.TransformerEncoderLayer",
            "test_reference_models.py::test_transformer",
        ),
    },
    "metric": dict.fromkeys(
        (
            *("train_loss", "train_accuracy", "val_loss", "val_accuracy", "misclassified"),
            *("learning_rate", "l1", "grad_norm", "update_size", "max_train_loss", "sparsity"),
            *("weight_norm", "last_layer_norm"),
        ),
        ("numpy, scipy", METRICS),
    ),
    "weight statistic": {
        "norm": ("optax", "test_weight_stats.py::test_the_norm_is_that_of_optax"),
        "sparsity": ("torch.nn.utils.prune", "test_pruning_is_that_of_pytorch"),
        "count": ("torch.nn.utils.prune", "test_pruning_is_that_of_pytorch"),
        "prune": ("torch.nn.utils.prune", "test_pruning_is_that_of_pytorch"),
        "spectral_norms": (
            BY_HAND,
            "test_weight_stats.py::"
            "test_spectral_norms_are_the_largest_singular_values_by_the_layers_names",
        ),
    },
    "survival": {
        "times_until": (
            BY_HAND,
            "test_survival.py::test_steps_that_never_came_are_censored_at_the_last",
        ),
        "delay_times": (BY_HAND, "test_delays_are_counted_from_memorising"),
        "kaplan_meier": (
            "textbooks",
            "test_survival.py::test_the_band_is_that_of_the_textbooks",
        ),
        "median_time": (
            "textbooks",
            "test_survival.py::test_medians_and_their_intervals_are_those_of_the_textbooks",
        ),
        "log_rank": (
            "textbooks",
            "test_survival.py::test_the_log_rank_test_gives_the_chi_square_of_the_textbooks",
        ),
        "restricted_mean": (
            "R's survival",
            "test_survival.py::"
            "test_restricted_means_and_their_errors_are_those_of_the_survival_package",
        ),
        "horizon": (
            BY_HAND,
            "test_survival.py::"
            "test_arms_are_comparable_up_to_the_last_step_at_which_all_were_watched",
        ),
    },
    "evidence": {
        "rate_interval": ("R", "test_evidence.py::test_intervals_of_rates_are_those_of_r"),
        "holm": ("R", "test_evidence.py::test_corrected_p_values_are_those_of_r_and_pingouin"),
        "smallest_p": (BY_HAND, "test_evidence.py::test_no_exact_test_gives_less_than_every_order"),
        "smallest_ratio": ("simulation", "test_evidence.py::test_four_of_five_trials_find_it"),
        "log_spread": (BY_HAND, "test_evidence.py::test_the_spread_is_that_within_arms"),
        "compared": (
            BY_HAND,
            "test_evidence.py::test_the_table_has_what_its_comparisons_can_show",
        ),
    },
    "roughness": {
        "roughness": (
            BY_HAND,
            "test_roughness.py::test_the_mean_of_the_falls_from_memorising_to_grokking",
        ),
        "median_of": (
            BY_HAND,
            "test_roughness.py::test_the_interval_of_a_median_is_exact_or_none",
        ),
        "rank_test": (
            BY_HAND,
            "test_roughness.py::test_ranks_tell_two_arms_apart_as_they_do_by_counting",
        ),
    },
    "criterion": {
        "first, strict": (
            BY_HAND,
            "test_times.py::test_three_times_of_a_run_that_dips_and_comes_back",
        ),
        "sustained": (
            BY_HAND,
            "test_history.py::test_the_first_of_several_consecutive_evaluations_counts",
        ),
        "s3": (
            BY_HAND,
            "test_history.py::test_the_s3_rule_asks_for_a_gap_in_which_validation_stays_low",
        ),
    },
}


def public_functions(module):
    return {
        name
        for name, f in inspect.getmembers(module, inspect.isfunction)
        if f.__module__ == module.__name__ and not name.startswith("_")
    }


@pytest.mark.parametrize(
    ("kind", "parts"),
    [
        ("optimizer", registry.names("optimizer")),
        ("model", registry.names("model")),
        ("loss", losses.LOSSES),
        ("penalty", losses.PENALTIES),
        ("schedule", SCHEDULES),
        ("weight statistic", public_functions(weight_stats)),
        ("survival", public_functions(survival)),
        ("evidence", public_functions(evidence)),
        ("roughness", public_functions(roughness)),
    ],
)
def test_every_part_is_compared_with_something_that_is_not_ours(kind, parts):
    assert set(REFERENCES[kind]) == set(parts)


def test_the_tests_that_are_named_exist():
    for references in REFERENCES.values():
        for _, test in references.values():
            file, _, function = f"{Path(__file__).name}::{test}".rpartition("::")
            text = (HERE / file.rpartition("::")[2]).read_text()
            assert f"\ndef {function}(" in text, test


def hparams_of(name, /, **options):
    """Hyperparameters at their defaults, but for a larger rate and a smaller decay."""
    known = registry.hparams(name)
    hparams = {h: known[h].default for h in registry.reads(name, options)}
    changed = dict(learning_rate=0.1, weight_decay=0.5)
    return hparams | {h: x for h, x in changed.items() if h in hparams}


def make(part, hparams, **options):
    return as_optimizer(registry.find("optimizer", part).make(**hparams, **options))


START = {"kernel": [[1.0, -2.0, 0.25]], "bias": [0.5, -1.0]}
GRADIENTS_T = [
    {"kernel": [[0.5, -0.25, 1.0]], "bias": [0.75, 0.125]},
    {"kernel": [[-0.375, 0.5, 0.25]], "bias": [1.0, -0.75]},
    {"kernel": [[0.25, 0.875, -0.125]], "bias": [-0.5, 0.375]},
    {"kernel": [[1.5, -0.625, 0.5]], "bias": [0.25, 1.0]},
    {"kernel": [[-1.0, 0.125, 0.375]], "bias": [0.625, -0.25]},
    {"kernel": [[0.75, 0.25, -2.0]], "bias": [-0.125, 0.5]},
]
BETAS = dict(betas=(0.9, 0.98), eps=1e-8)


def matrices_decay(parameters):
    return [dict(params=[w], weight_decay=0.5 if w.ndim > 1 else 0.0) for w in parameters]


# the part and its options where they are not the defaults
CHOSEN = {
    "adam of matrices": ("adam", dict(decayed="matrices")),
    "adamw of matrices": ("adamw", dict(decayed="matrices")),
    "sgd of all": ("sgd", dict(decayed="all")),
    "sgd_momentum of all": ("sgd_momentum", dict(decayed="all")),
    **{name: ("from_optax", dict(name=name)) for name in ("nadamw", "radam", "adamax")},
}
# the optimizer of PyTorch, and where it takes the weights in six steps
PYTORCH = {
    "adam": (
        lambda torch, ws: torch.optim.Adam(ws, 0.1, weight_decay=0.5, **BETAS),
        [0.544497, -1.4945, -0.124824, 0.0465289, -0.637967],
    ),
    "adamw": (
        lambda torch, ws: torch.optim.AdamW(ws, 0.1, weight_decay=0.5, **BETAS),
        [0.519307, -1.54653, -0.125094, 0.0175241, -0.835081],
    ),
    "sgd": (
        lambda torch, ws: torch.optim.SGD(matrices_decay(ws), 0.1),
        [0.590137, -1.54705, 0.215999, 0.3, -1.1],
    ),
    "sgd_momentum": (
        lambda torch, ws: torch.optim.SGD(matrices_decay(ws), 0.1, momentum=0.9),
        [-0.14032, -0.730106, -0.315069, -0.262979, -1.1539],
    ),
    "adam of matrices": (
        lambda torch, ws: torch.optim.Adam(matrices_decay(ws), 0.1, **BETAS),
        [0.544497, -1.4945, -0.124824, 0.0941887, -1.11348],
    ),
    "adamw of matrices": (
        lambda torch, ws: torch.optim.AdamW(matrices_decay(ws), 0.1, **BETAS),
        [0.519307, -1.54653, -0.125094, 0.0941887, -1.11348],
    ),
    "sgd of all": (
        lambda torch, ws: torch.optim.SGD(ws, 0.1, weight_decay=0.5),
        [0.590137, -1.54705, 0.215999, 0.201493, -0.832328],
    ),
    "sgd_momentum of all": (
        lambda torch, ws: torch.optim.SGD(ws, 0.1, weight_decay=0.5, momentum=0.9),
        [-0.14032, -0.730106, -0.315069, -0.472968, -0.413074],
    ),
    "nadamw": (  # whose first moment PyTorch warms up; at 1e9 it does not
        lambda torch, ws: torch.optim.NAdam(
            ws, 0.1, weight_decay=0.5, momentum_decay=1e9, decoupled_weight_decay=True, **BETAS
        ),
        [0.492841, -1.55688, -0.0991037, 0.000209734, -0.888565],
    ),
    "radam": (
        lambda torch, ws: torch.optim.RAdam(ws, 0.1, **BETAS),
        [0.86382, -2.0569, -0.019093, 0.21979, -1.01141],
    ),
    "adamax": (
        lambda torch, ws: torch.optim.Adamax(ws, 0.1, **BETAS),
        [0.803636, -2.02054, -0.0224925, 0.163854, -1.10224],
    ),
}


@pytest.mark.parametrize("name", PYTORCH)
def test_an_optimizer_takes_the_steps_of_pytorch(name):
    """Within 1e-5."""
    part, options = CHOSEN.get(name, (name, {}))
    w = taken(make(part, hparams_of(part, **options), **options))

    np.testing.assert_allclose(w, PYTORCH[name][1], rtol=1e-5, atol=2e-6)


def test_an_l2_term_is_what_pytorch_calls_weight_decay():
    """Behind it SGD has none of its own."""
    sgd = make("sgd", dict(learning_rate=0.1, weight_decay=0.0))
    w = taken(chain(make("l2", dict(l2=0.5)), sgd))

    np.testing.assert_allclose(w, PYTORCH["sgd of all"][1], rtol=1e-5, atol=2e-6)


def taken(optimizer):
    """Where an optimizer takes the weights in six steps."""
    w = {k: jnp.array(x) for k, x in START.items()}
    state = optimizer.init(w)
    for t, gradients in enumerate(GRADIENTS_T):
        g = {k: jnp.array(x) for k, x in gradients.items()}
        updates, state = optimizer.update(g, state, w, t=t, key=None)
        w = optax.apply_updates(w, updates)
    return flat(w)


@pytest.mark.parametrize("name", PYTORCH)
def test_the_table_is_what_pytorch_computes(name):
    torch = pytest.importorskip("torch")
    factory, expected = PYTORCH[name]
    w = {k: torch.nn.Parameter(torch.tensor(x)) for k, x in START.items()}
    optimizer = factory(torch, list(w.values()))
    for gradients in GRADIENTS_T:
        for k, g in gradients.items():
            w[k].grad = torch.tensor(g)
        optimizer.step()

    np.testing.assert_allclose(
        flat({k: x.detach().numpy() for k, x in w.items()}), expected, rtol=1e-5, atol=2e-6
    )


def flat(w):
    """The weights of the kernel, then those of the bias."""
    return np.concatenate([np.asarray(w[k]).ravel() for k in ("kernel", "bias")])


def test_lion_takes_the_steps_of_a_table():
    """One weight; b1 = .5 in the step, b2 = .75 in the memory, rate .1, decay .5.

     g     m before   .5 m + .5 g   sign   w after                     m after
     2       0           1           +     1     - .1 (1 + .5)    = .85      .5
    -1       .5         -.25         -     .85   - .1 (-1 + .425) = .9075    .125
    -.1      .125        .0125       +     .9075 - .1 (1 + .45375) = .762125
    """
    lion = make("lion", dict(learning_rate=0.1, weight_decay=0.5, b1=0.5, b2=0.75))
    w = jnp.float32(1.0)
    state = lion.init(w)
    for t, (g, expected) in enumerate([(2.0, 0.85), (-1.0, 0.9075), (-0.1, 0.762125)]):
        updates, state = lion.update(jnp.float32(g), state, w, t=t, key=None)
        w = w + updates
        assert float(w) == pytest.approx(expected, rel=1e-6)


def test_adamw_pulled_to_its_start_follows_a_geometric_series():
    """Of a constant gradient Adam steps by the learning rate; let r be rate times decay.

    The distance to the start is d' = (1 - r) d - rate, so -rate (1 - (1 - r)^t) / r.
    """
    adamw = make("adamw", hparams_of("adamw"), decay="initial")
    start = w = jnp.float32(3.0)
    state = adamw.init(w)
    for t in range(7):
        updates, state = adamw.update(jnp.float32(0.25), state, w, t=t, key=None)
        w = w + updates

    assert float(w - start) == pytest.approx(-0.1 * (1 - 0.95**7) / 0.05, rel=1e-5)


@pytest.mark.parametrize(
    ("momentum", "ns_steps", "scaled"),
    [(0.0, 5, True), (0.75, 5, True), (0.75, 5, False), (0.75, 1, True), (0.75, 1, False)],
)
def test_muon_maps_singular_values(momentum, ns_steps, scaled):
    """Newton-Schulz leaves singular vectors as they are, and maps values by its polynomial.

    In float64 by numpy's decomposition, within 1e-4; PyTorch rounds to bfloat16: within 3 %.
    """
    rng = np.random.default_rng(0)
    w, *grads_T = rng.normal(size=(41, 3, 5)).astype(np.float32)  # 3 inputs, 5 outputs
    options = dict(ns_steps=ns_steps, scaled=scaled)
    muon = make("muon", hparams_of("muon") | dict(momentum=momentum), **options)
    params = {"up": jnp.array(w)}
    state, update = muon.init(params), jax.jit(muon.update)
    for t, g in enumerate(grads_T):
        updates, state = update({"up": g}, state, params, t=t, key=None)

    mean_T = lfilter([1 - momentum], [1, -momentum], np.array(grads_T, float), axis=0)
    ahead = momentum * mean_T[-1] + (1 - momentum) * grads_T[-1]
    u, s, vt = np.linalg.svd(ahead / np.linalg.norm(ahead), full_matrices=False)
    for _ in range(ns_steps):
        s = 3.4445 * s - 4.7750 * s**3 + 2.0315 * s**5
    expected = -0.1 * ((np.sqrt(5 / 3) if scaled else 1) * (u * s) @ vt + 0.5 * w)
    np.testing.assert_allclose(updates["up"], expected, rtol=1e-4, atol=1e-5)

    torch = pytest.importorskip("torch")
    if not hasattr(torch.optim, "Muon"):
        pytest.skip("PyTorch has Muon from 2.9 on")
    if not scaled:
        return  # theirs always is
    theirs = torch.nn.Parameter(torch.zeros(5, 3))  # theirs is [outputs, inputs]
    optimizer = torch.optim.Muon(
        [theirs], 0.1, weight_decay=0.5, momentum=momentum, ns_steps=ns_steps
    )
    for g in grads_T:
        theirs.data.copy_(torch.tensor(w.T))
        theirs.grad = torch.tensor(g.T)
        optimizer.step()
    step = theirs.detach().numpy().T - w
    assert np.linalg.norm(step - expected) < 0.03 * np.linalg.norm(expected)


@pytest.mark.parametrize(("scaled", "factor"), [(True, (5 / 3) ** 0.5), (False, 1.0)])
def test_muon_without_newton_schulz_is_momentum_as_pytorch_has_it(scaled, factor):
    """By the factor of its shape, which here is 3 inputs and 5 outputs; without decay."""
    w, *grads_T = np.random.default_rng(0).normal(size=(7, 3, 5)).astype(np.float32)
    hparams = hparams_of("muon") | dict(momentum=0.75, weight_decay=0.0)
    muon = make("muon", hparams, ns_steps=0, scaled=scaled)
    params = {"up": jnp.array(w)}
    state, update = muon.init(params), jax.jit(muon.update)
    for t, g in enumerate(grads_T):
        updates, state = update({"up": g}, state, params, t=t, key=None)

    sum_T = lfilter([1], [1, -0.75], np.array(grads_T, float), axis=0)
    ahead = grads_T[-1] + 0.75 * sum_T[-1]
    np.testing.assert_allclose(updates["up"], -0.1 * factor * ahead, rtol=1e-5)

    torch = pytest.importorskip("torch")
    theirs = torch.nn.Parameter(torch.zeros(3, 5))
    sgd = torch.optim.SGD([theirs], 0.1, momentum=0.75, nesterov=True)
    for g in grads_T:
        theirs.data.zero_()
        theirs.grad = torch.tensor(g)
        sgd.step()
    np.testing.assert_allclose(updates["up"], factor * theirs.detach().numpy(), rtol=1e-5)


def test_clipping_is_that_of_optax_and_pytorch():
    clip, theirs = make("clip", dict(max_norm=1.0)), optax.clip_by_global_norm(1.0)
    long = {k: jnp.array(x) for k, x in START.items()}
    short = jax.tree.map(lambda x: 0.1 * x, long)
    for g in (long, short):
        ours, _ = clip.update(g, clip.init(g), g, t=0, key=None)
        expected, _ = theirs.update(g, theirs.init(g))
        np.testing.assert_array_equal(flat(ours), flat(expected))

        torch = pytest.importorskip("torch")
        parameters = [torch.nn.Parameter(torch.zeros(x.shape)) for x in g.values()]
        for parameter, x in zip(parameters, g.values(), strict=True):
            parameter.grad = torch.tensor(np.array(x))
        torch.nn.utils.clip_grad_norm_(parameters, 1.0)
        grads = dict(zip(g, (w.grad.numpy() for w in parameters), strict=True))
        np.testing.assert_allclose(flat(ours), flat(grads), rtol=2e-6)


def test_grokfast_filters_like_scipy():
    """EMA is an infinite, MA a finite impulse response; within 1e-5 of them in float64."""
    grads_TxD = np.random.default_rng(0).normal(size=(31, 3))
    start_D = 0.75 * grads_TxD[:1]  # so that the mean begins at the first gradient
    mean_TxD, _ = lfilter([0.25], [1, -0.75], grads_TxD, axis=0, zi=start_D)
    moving_TxD = lfilter(np.full(7, 1 / 7), [1], grads_TxD, axis=0)
    moving_TxD[:6] = 0  # no full window yet
    for transform, slow_TxD in (
        (grokjax.grokfast_ema(alpha=0.75, lamb=2.0), mean_TxD),
        (grokjax.grokfast_ma(lamb=2.0, window=7), moving_TxD),
    ):
        state, out = transform.init(jnp.zeros(3)), []
        for g in jnp.float32(grads_TxD):
            update, state = transform.update(g, state)
            out.append(update)
        np.testing.assert_allclose(out, grads_TxD + 2 * slow_TxD, rtol=1e-5, atol=1e-6)


def test_noise_is_normal():
    """Kolmogorov and Smirnov's test of 10,007 draws, which a p below 1e-3 would refuse."""
    w = jnp.full((10_007,), 2.0)
    update_noise = make("update_noise", dict(learning_rate=0.1, update_noise=3.0))
    update, _ = update_noise.update(w, update_noise.init(w), w, t=0, key=jax.random.key(0))
    weight_noise = make("weight_noise", dict(weight_noise=0.5))
    noisy = weight_noise.forward_params(w, weight_noise.init(w), jax.random.key(0))

    for draws, deviation in ((update, 0.3), (noisy, 0.5)):
        assert (
            scipy.stats.kstest(np.asarray(draws), scipy.stats.norm(2, deviation).cdf).pvalue > 1e-3
        )


def test_losses_are_those_of_others():
    rng = np.random.default_rng(0)
    logits_BxC = rng.normal(size=(5, 7)).astype(np.float32) * 3
    labels_B = np.array([0, 3, 6, 3, 1])
    expected_B = -scipy.special.log_softmax(logits_BxC.astype(float), axis=1)[
        np.arange(5), labels_B
    ]
    np.testing.assert_allclose(losses.cross_entropy(logits_BxC, labels_B), expected_B, rtol=1e-5)

    torch = pytest.importorskip("torch")
    functional = torch.nn.functional
    logits, labels = torch.tensor(logits_BxC), torch.tensor(labels_B)
    theirs_B = functional.cross_entropy(logits, labels, reduction="none")
    np.testing.assert_allclose(losses.cross_entropy(logits_BxC, labels_B), theirs_B, rtol=1e-5)
    for y in (0, 1):  # whose margin loss is a mean over classes, of which two make half of it
        two_BxC, y_B = logits[:, :2], torch.full((5,), y)
        theirs_B = 2 * functional.multi_margin_loss(two_BxC, y_B, reduction="none")
        ours_B = losses.hinge(logits_BxC[:, :2], np.full(5, y))
        np.testing.assert_allclose(ours_B, theirs_B, rtol=1e-5)
        difference_B = logits_BxC[:, 1] - logits_BxC[:, 0]
        np.testing.assert_allclose(ours_B, optax.hinge_loss(difference_B, 2 * y - 1), rtol=1e-5)
    target = functional.one_hot(labels, 7).float()
    theirs_B = functional.mse_loss(logits, target, reduction="none").mean(1)
    np.testing.assert_allclose(losses.squared_error(logits_BxC, labels_B), theirs_B, rtol=1e-5)


def test_penalties_are_ratios_of_norms_of_numpy():
    params = {k: jnp.array(x) for k, x in START.items()}
    ones, twos = (np.linalg.norm(flat(params), ord=order) for order in (1, 2))

    assert float(losses.l1_plain(params)) == pytest.approx(ones, rel=1e-6)
    assert float(losses.l1_normalized(params)) == pytest.approx(ones / twos, rel=1e-6)


def test_schedules_are_those_of_optax():
    """From the end of the warm-up on, to which optax counts its cosine from zero."""
    theirs = optax.cosine_decay_schedule(1.0, decay_steps=90)
    for t in (10, 11, 37, 99, 100):
        ours = float(SCHEDULES["warmup_cosine"](t, 10.0, 100))
        assert ours == pytest.approx(float(theirs(t - 10)), abs=1e-6)
        assert float(SCHEDULES["constant"](t)) == 1


def test_pruning_is_that_of_pytorch():
    """It is told how many weights to prune, not the threshold."""
    torch = pytest.importorskip("torch")
    from torch.nn.utils import prune

    kernel = np.random.default_rng(0).normal(size=(7, 5)).astype(np.float32)
    params, threshold = {"kernel": jnp.array(kernel)}, 0.4
    num_pruned = int((np.abs(kernel) <= threshold).sum())
    layer = torch.nn.Linear(5, 7)
    layer.weight.data = torch.tensor(kernel)
    prune.l1_unstructured(layer, "weight", amount=num_pruned)
    theirs = layer.weight.detach().numpy()

    assert 5 < num_pruned < 30
    np.testing.assert_array_equal(weight_stats.prune(params, threshold)["kernel"], theirs)
    assert float(weight_stats.sparsity(params, threshold)) == pytest.approx((theirs == 0).mean())


def test_delays_are_counted_from_memorising():
    """To the end where it did not grok, and not at all where it did not memorise."""
    never = np.nan
    memorised_R, grok_R = np.array([100, 200, never]), np.array([400, never, never])
    grok = Grokking(memorised_R, grok_R, grok_R - memorised_R, None, None, None)
    delays = survival.delay_times(grok, 1000)

    assert delays.duration_R.tolist() == [300, 800]
    assert delays.event_observed_R.tolist() == [True, False]


def test_metrics_are_those_of_numpy_and_scipy():
    """After one step of gradient descent on all rows, from whose size the gradient follows."""
    config = toy_mlp("sgd")
    config.batches = "full"
    config.schedule.update(learning_rate="constant", eval_every=1)
    config.runs = grokjax.grid(config.runs, learning_rate=0.1, weight_decay=0.0, l1=0.5)
    experiment = grokjax.setup(config)
    trainer, dataset = experiment.trainer, experiment.dataset
    run = jax.tree.map(lambda x_R: x_R[0], experiment.runs_R)
    before = jax.jit(trainer.init)(run, dataset)
    after = jax.jit(trainer.step)(before, 0, run, dataset)
    metrics = {k: float(x) for k, x in jax.jit(trainer.evaluate)(after, run, dataset).items()}

    table = experiment.task.examples
    network = trainer.step.args[0].network
    is_train_N = np.isin(
        np.arange(len(table.labels_N)), before.split.order_N[: int(run.num_train_G[0])]
    )

    apply = jax.jit(network.apply)

    def scores(params):
        logits_NxC = apply({"params": params}, plain(jnp.asarray(table.inputs_NxL)))
        log_p_NxC = scipy.special.log_softmax(np.asarray(logits_NxC, float), axis=1)
        loss_N = -np.take_along_axis(log_p_NxC, table.labels_N[:, None], axis=1)[:, 0]
        return loss_N, log_p_NxC.argmax(1) == table.labels_N

    def weights(params):
        return np.concatenate([np.ravel(w) for w in jax.tree.leaves(params)]).astype(float)

    loss_N, correct_N = scores(after.params)
    w0, w1 = weights(before.params), weights(after.params)
    norm = np.linalg.norm
    expected = {
        "train_loss": loss_N[is_train_N].mean(),
        "val_loss": loss_N[~is_train_N].mean(),
        "train_accuracy": correct_N[is_train_N].mean(),
        "val_accuracy": correct_N[~is_train_N].mean(),
        "misclassified": (~correct_N[is_train_N]).sum(),
        "learning_rate": 0.1,
        "l1": 0.5 * norm(w1, 1) / norm(w1),
        "grad_norm": norm(w1 - w0) / 0.1,
        "update_size": norm(w1 - w0) / norm(w0),
        "max_train_loss": scores(before.params)[0][is_train_N].mean(),
        "sparsity": (np.abs(w1) < 0.01).mean(),
        "weight_norm": norm(w1),
        "last_layer_norm": scipy.linalg.svdvals(after.params["readout"]["kernel"])[0],
    }
    assert set(metrics) == set(expected) == set(REFERENCES["metric"])
    for name, value in expected.items():
        assert metrics[name] == pytest.approx(value, rel=2e-5), name
