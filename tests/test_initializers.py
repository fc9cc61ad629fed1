"""Initial weights are those of the libraries that they are named after."""

from pathlib import Path

import jax
import numpy as np
import pytest

import grokjax
from grokjax.config.experiment import make_network, make_task
from grokjax.core import loop
from grokjax.models import _initializers

SHAPE = (300, 200)  # [I, O]
WIDTH = 64


def draw(name, shape=SHAPE):
    """A kernel, a bias and an embedding."""
    init = _initializers.find(name)
    keys = jax.random.split(jax.random.key(0), 3)
    return (
        init.kernel(keys[0], shape),
        init.bias(keys[1], shape[1:], shape[0]),
        init.embedding(keys[2], shape),
    )


@pytest.mark.parametrize(
    ("name", "std", "bound"),
    [
        ("torch", 300**-0.5 / 3**0.5, 300**-0.5),
        ("kaiming_normal", (2 / 300) ** 0.5, None),
        ("kaiming_uniform", (2 / 300) ** 0.5, (6 / 300) ** 0.5),
        ("xavier_normal", (2 / 500) ** 0.5, None),
        ("xavier_uniform", (2 / 500) ** 0.5, (6 / 500) ** 0.5),
        ("fan_in_normal", 300**-0.5, None),
        ("lecun", 300**-0.5, 2 * 300**-0.5 / 0.8796),  # truncated at two standard deviations
        ("gpt2", 0.02, None),
        ("normal(0.5)", 0.5, None),
        ("normal(1e-3)", 1e-3, None),
    ],
)
def test_a_kernel_has_its_spread(name, std, bound):
    kernel = draw(name)[0]
    assert kernel.std() == pytest.approx(std, rel=0.01)
    assert abs(kernel.mean()) < 0.02 * std
    if bound is None:
        assert abs(kernel).max() > 3.5 * std  # a normal distribution that is not truncated
    else:
        assert bound * 0.995 < abs(kernel).max() <= bound * 1.001


@pytest.mark.parametrize(
    ("name", "bias", "embedding"),
    [
        ("torch", 300**-0.5 / 3**0.5, 1.0),
        ("kaiming_normal", 0.0, 1.0),
        ("xavier_uniform", 0.0, 1.0),
        ("lecun", 0.0, 200**-0.5),
        ("fan_in_normal", 0.0, 200**-0.5),
        ("gpt2", 0.0, 0.02),
        ("normal(0.5)", 0.0, 0.5),
    ],
)
def test_biases_and_embeddings(name, bias, embedding):
    assert draw(name)[1].std() == pytest.approx(bias, rel=0.1)
    assert draw(name)[2].std() == pytest.approx(embedding, rel=0.01)


@pytest.mark.parametrize(
    "name", ["kaiming_normal", "kaiming_uniform", "xavier_normal", "xavier_uniform"]
)
def test_kernels_spread_as_those_of_pytorch(name):
    torch = pytest.importorskip("torch")
    given = dict(nonlinearity="relu") if name.startswith("kaiming") else {}
    weight = torch.empty(SHAPE[::-1])  # [O, I]
    getattr(torch.nn.init, f"{name}_")(weight, **given)
    kernel = draw(name)[0]
    assert kernel.std() == pytest.approx(weight.std().item(), rel=0.02)
    if "uniform" in name:
        assert abs(kernel).max() == pytest.approx(weight.abs().max().item(), rel=0.01)


def params_of(**model):
    config = grokjax.base(task=dict(name="modular", p=97), model=model)
    experiment = grokjax.setup(config)
    state_R = loop.init(experiment.trainer, experiment.runs_R, experiment.dataset)
    return jax.tree.map(lambda x_R: np.asarray(x_R[0]), state_R.params)


def test_the_mlp_starts_as_that_of_its_source():
    """Layers of 512 and 128 inputs by Kaiming for ReLU, N(0, 1) embeddings, no biases."""
    config = grokjax.load(str(Path(__file__).parent.parent / "configs/modadd_mlp.py"))
    params = params_of(**config.model)

    assert params["token"].std() == pytest.approx(1, rel=0.03)
    assert params["kernel_0"].std() == pytest.approx((2 / 512) ** 0.5, rel=0.02)
    assert params["readout"]["kernel"].std() == pytest.approx((2 / 128) ** 0.5, rel=0.03)
    assert not params["bias_0"].any()
    assert not params["readout"]["bias"].any()


def test_attention_is_drawn_as_pytorch_draws_it():
    """Queries, keys and values at once, [3 D, D], by Xavier; no biases but those of the MLP."""
    name = dict(name="transformer", width=WIDTH, initializer="torch_attention")
    block = params_of(**name)["block_0"]
    attention = block["attention"]
    bound = (6 / (4 * WIDTH)) ** 0.5
    for projection in ("query", "key", "value"):
        assert 0.99 * bound < abs(attention[projection]["kernel"]).max() <= bound
    assert 0.99 * WIDTH**-0.5 < abs(attention["out"]["kernel"]).max() <= WIDTH**-0.5
    assert not any(layer["bias"].any() for layer in attention.values() if "bias" in layer)
    assert block["mlp"]["up"]["bias"].any()


def test_attention_has_the_bounds_of_pytorch():
    torch = pytest.importorskip("torch")
    theirs = torch.nn.MultiheadAttention(WIDTH, 4)
    bound = theirs.in_proj_weight.abs().max().item()
    assert bound == pytest.approx((6 / (4 * WIDTH)) ** 0.5, rel=0.01)
    assert not theirs.in_proj_bias.any()
    assert not theirs.out_proj.bias.any()
    assert theirs.out_proj.weight.abs().max().item() == pytest.approx(WIDTH**-0.5, rel=0.01)


@pytest.mark.parametrize(
    "model", ["transformer", "gpt2", "gpt2_meta", "tokenformer", "mlp", "lstm"]
)
def test_every_model_takes_every_initializer(model):
    task = make_task(dict(name="modular", p=5))
    for name in [*_initializers.INITS, "normal(0.1)"]:
        make_network(task, dict(name=model, initializer=name))
    with pytest.raises(ValueError, match=r"unknown model.initializer 'kaiming'; .* did you mean"):
        make_network(task, dict(name=model, initializer="kaiming"))
