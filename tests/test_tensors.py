"""Exported weights, read by a stranger who knows safetensors and how a transformer computes."""

import json
import re
import shutil
import sys

import jax
import numpy as np
import pytest
from absl import flags
from absl.testing import flagsaver
from conftest import toy, toy_mlp
from safetensors import safe_open
from safetensors.numpy import load_file
from scipy.special import erf

from grokjax import checkpoint_tool, grid
from grokjax.config.experiment import make_network, setup
from grokjax.core import loop
from grokjax.core.prefixes import plain
from grokjax.reading import tensors
from grokjax.recording.checkpoints import Checkpoints
from grokjax.recording.results import Results
from grokjax.tasks import modular

STEP = 10
ACTIVATIONS = {
    "relu": lambda x: np.maximum(x, 0),
    "gelu": lambda x: x * (1 + erf(x / np.sqrt(2))) / 2,
    "gelu_new": lambda x: x * (1 + np.tanh(np.sqrt(2 / np.pi) * (x + 0.044715 * x**3))) / 2,
    "silu": lambda x: x / (1 + np.exp(-x)),
}
SMALL = dict(num_blocks=2, width=12, num_heads=2, head_width=5, ff_width=20)
MODELS = {
    "transformer": dict(name="transformer", **SMALL),
    "without norms and biases": dict(
        name="transformer", norm="none", use_bias=False, activation="relu", **SMALL
    ),
    "of today": dict(
        name="transformer", norm_kind="rms", norm_eps=1e-3, positions="rotary", qk_norm="rms",
        activation="silu", **SMALL | dict(head_width=6),
    ),
    "to all, bare norms": dict(
        name="transformer", norm_kind="bare", causal=False, positions="none", tied_readout=True,
        **SMALL,
    ),
    "gpt2": dict(name="gpt2", **SMALL),
    "gpt2 twice": dict(name="gpt2", block_repeats=2, embedding_scale=3.0, **SMALL),
    "alibi": dict(name="gpt2", positions="alibi", **SMALL),
}  # fmt: skip


def left(folder, model, optimizer="adamw"):
    """A results folder of three runs whose weights, norms and biases too, are random."""
    config = toy(optimizer, **model) if model else toy_mlp(optimizer)
    config.runs = grid(config.runs, seed=(0, 1, 2))
    experiment = setup(config)
    state_R = loop.init(experiment.trainer, experiment.runs_R, experiment.dataset)
    state_R = state_R.replace(params=stirred(state_R.params))
    folder.mkdir(parents=True)
    Results(folder).config.write_text(json.dumps(experiment.record))
    with Checkpoints(folder / "checkpoints", config.schedule) as saving:
        saving.save(STEP, state_R, {}, experiment.record)
    return experiment, state_R


def stirred(params):
    """Random weights of the same shapes: norms that are not 1, biases that are not 0."""
    random = np.random.default_rng(0)
    return jax.tree.map(lambda w: random.normal(0.05, 0.3, w.shape).astype(np.float32), params)


@pytest.fixture(scope="module")
def gpt2(tmp_path_factory):
    """The folder, experiment and state of three runs."""
    folder = tmp_path_factory.mktemp("results") / "run"
    return folder, *left(folder, MODELS["gpt2"])


def made(model):
    """A decoder for division mod 7 with random weights, and its inputs [N, L]."""
    task = modular.make(p=7)
    network = make_network(task, model)
    assert isinstance(network, tensors.LENS_MODELS)
    tokens_NxL = task.examples.inputs_NxL
    shapes = jax.eval_shape(network.init, jax.random.key(0), plain(tokens_NxL))["params"]
    return network, stirred(shapes), tokens_NxL


def export(capsys, folder, *words):
    with flagsaver.flagsaver():
        flags.FLAGS(["checkpoint_tool", *words])
        checkpoint_tool.command(["checkpoint_tool", "export", str(folder)])()
    return capsys.readouterr().out


def forward(weights, tokens_BxL, config):
    """[B, C]: what Vaswani et al., 2017, Radford et al., 2019, and so on, compute, in float64."""
    w = {name: x.astype(float) for name, x in weights.items()}
    length = tokens_BxL.shape[1]

    def norm(name, x, kind=config["normalization_type"]):
        if kind is None:
            return x
        if kind.startswith("LN"):
            x = x - x.mean(-1, keepdims=True)
        x = x / np.sqrt((x**2).mean(-1, keepdims=True) + config["eps"])
        return x * w.get(f"{name}.w", 1) + w.get(f"{name}.b", 0)

    def turned(x_BxLxHxK):
        """Pairs (i, i + K/2) as complex numbers, turned by the position."""
        half = x_BxLxHxK.shape[-1] // 2
        pair = x_BxLxHxK[..., :half] + 1j * x_BxLxHxK[..., half:]
        angle_Lxk = np.arange(length)[:, None] * 10000.0 ** (-np.arange(half) / half)
        pair = pair * np.exp(1j * angle_Lxk)[:, None]
        return np.concatenate([pair.real, pair.imag], -1)

    def attention(name, x):
        q, k, v = (np.einsum("bld,hdk->blhk", x, w[f"{name}.W_{c}"]) + w[f"{name}.b_{c}"]
                   for c in "QKV")  # fmt: skip
        if config["use_qk_norm"]:
            q, k = norm(f"{name}.q_norm", q, "RMS"), norm(f"{name}.k_norm", k, "RMS")
        if config["positional_embedding_type"] == "rotary":
            q, k = turned(q), turned(k)
        score = np.einsum("buhk,bshk->bhus", q, k) / np.sqrt(config["d_head"])
        back = np.arange(length)[:, None] - np.arange(length)
        if config["positional_embedding_type"] == "alibi":
            slope_H = 2.0 ** (-8 * np.arange(1, score.shape[1] + 1) / score.shape[1])
            score = score - slope_H[:, None, None] * back
        if config["attention_dir"] == "causal":
            score = np.where(back >= 0, score, -np.inf)
        weight = np.exp(score - score.max(-1, keepdims=True))
        weight /= weight.sum(-1, keepdims=True)
        z = np.einsum("bhus,bshk->buhk", weight, v)
        return np.einsum("blhk,hkd->bld", z, w[f"{name}.W_O"]) + w[f"{name}.b_O"]

    x = w["embed.W_E"][tokens_BxL]
    if config["positional_embedding_type"] == "standard":
        x = x + w["pos_embed.W_pos"]
    for i in range(config["n_layers"]):
        x = x + attention(f"blocks.{i}.attn", norm(f"blocks.{i}.ln1", x))
        hidden = norm(f"blocks.{i}.ln2", x) @ w[f"blocks.{i}.mlp.W_in"]
        hidden = ACTIVATIONS[config["act_fn"]](hidden + w[f"blocks.{i}.mlp.b_in"])
        x = x + hidden @ w[f"blocks.{i}.mlp.W_out"] + w[f"blocks.{i}.mlp.b_out"]
    return (norm("ln_final", x) @ w["unembed.W_U"] + w["unembed.b_U"])[:, -1]


def logits_of(network, params, tokens_NxL):
    """[N, C]: those that training computes."""
    logits_NxC = jax.jit(network.apply)({"params": params}, plain(tokens_NxL))
    assert logits_NxC.std() > 0.1
    return np.asarray(logits_NxC)


@pytest.mark.parametrize("model", MODELS.values(), ids=MODELS)
def test_a_forward_pass_by_hand_with_the_exported_weights_has_the_same_logits(model):
    network, params, tokens_NxL = made(model)
    weights = tensors.lens_weights(network, params)
    logits_NxC = forward(weights, tokens_NxL, tensors.lens_config(network))

    assert tensors.unknown_to_lens(network) == []
    expected_NxC = logits_of(network, params, tokens_NxL)
    np.testing.assert_allclose(logits_NxC, expected_NxC, atol=1e-5, rtol=1e-5)


@pytest.mark.slow
@pytest.mark.parametrize("model", MODELS.values(), ids=MODELS)
def test_transformer_lens_loads_them_and_has_the_same_logits(model):
    torch = pytest.importorskip("torch")
    lens = pytest.importorskip("transformer_lens")
    network, params, tokens_NxL = made(model)
    weights = tensors.lens_weights(network, params)
    config = lens.HookedTransformerConfig(**tensors.lens_config(network), device="cpu")
    theirs = lens.HookedTransformer(config)
    loaded = {name: torch.tensor(w.copy()) for name, w in weights.items()}
    missing, unexpected = theirs.load_state_dict(loaded, strict=False)
    with torch.no_grad():
        logits_NxC = theirs(torch.tensor(tokens_NxL).long())[:, -1].numpy()

    buffers = ("mask", "IGNORE", "rotary_sin", "rotary_cos")
    assert {name.rpartition(".")[2] for name in missing} <= {*buffers}
    assert not unexpected
    expected_NxC = logits_of(network, params, tokens_NxL)
    np.testing.assert_allclose(logits_NxC, expected_NxC, atol=1e-5, rtol=1e-5)


def test_every_run_of_a_sweep_has_a_file_that_a_stranger_can_use(gpt2, capsys):
    """By nothing but safetensors, the README and a forward pass of one's own."""
    folder, experiment, state_R = gpt2
    said = export(capsys, folder)
    exported = folder / "exported" / str(STEP)
    text = (exported / "README.md").read_text()
    (arguments,) = re.findall(r"HookedTransformerConfig\((.*?)\n\)", text, re.DOTALL)
    tokens_NxL = experiment.task.examples.inputs_NxL

    assert said == f"wrote 3 of 3 runs, see {exported}/README.md\n"
    for run in range(3):
        weights = load_file(exported / f"run-{run}.safetensors")
        logits_NxC = forward(weights, tokens_NxL, eval(f"dict({arguments})"))
        params = jax.tree.map(lambda w_R, run=run: w_R[run], state_R.params)
        expected_NxC = logits_of(experiment.recipe.network, params, tokens_NxL)
        np.testing.assert_allclose(logits_NxC, expected_NxC, atol=1e-5, rtol=1e-5)


def test_of_a_sweep_one_run_can_be_exported_with_its_label_and_config(gpt2, tmp_path, capsys):
    folder = shutil.copytree(gpt2[0], tmp_path / "run", ignore=lambda *_: ["exported"])
    said = export(capsys, folder, "--run=1")
    exported = folder / "exported" / str(STEP)

    assert said == f"wrote 1 of 3 runs, see {exported}/README.md\n"
    assert {path.name for path in exported.iterdir()} == {"README.md", "run-1.safetensors"}
    with safe_open(exported / "run-1.safetensors", "numpy") as file:
        facts = file.metadata()
    assert (facts["step"], facts["run"]) == (str(STEP), "seed=1")
    assert json.loads(facts["config"]) == gpt2[1].record
    lines = (exported / "README.md").read_text().splitlines()
    assert "| `run-1.safetensors` | seed=1 |" in lines
    assert "Its last example is [6, 7, 6, 8] with the answer 1;" in "\n".join(lines)
    assert "| `blocks.1.attn.W_O` | [2, 5, 12] | float32 |" in lines
    assert "| `unembed.W_U` | [12, 7] | float32 |" in lines


@pytest.mark.parametrize("options", [
    dict(norm="post"), dict(norm="sphere"), dict(activation="square"), dict(linear="bit"),
    dict(qk_norm="layer"), dict(attention_coefficient=0.5),
    dict(positions="alibi", num_heads=3),
], ids=str)  # fmt: skip
def test_what_transformer_lens_has_no_word_for_is_said(options):
    network, params, _ = made(MODELS["transformer"] | options)
    text = tensors.lens_text(network)
    name, value = next(iter(options.items()))

    assert f"**Not for `HookedTransformer`**, which has no model.{name} = {value!r}:" in text
    assert "HookedTransformerConfig" not in text
    assert "blocks.1.mlp.W_in" in tensors.lens_weights(network, params)


def test_other_models_keep_their_own_names_and_give_the_weights_that_are_evaluated(
    tmp_path, capsys
):
    """Of Schedule-Free the average, which is not what it trains."""
    experiment, state_R = left(tmp_path / "run", None, "schedule_free")
    export(capsys, tmp_path / "run", "--run=2")
    weights = load_file(tmp_path / "run" / "exported" / str(STEP) / "run-2.safetensors")
    one_run = jax.tree.map(lambda x_R: x_R[2], (state_R, experiment.runs_R))
    evaluated = experiment.trainer.eval_params(*one_run)

    np.testing.assert_array_equal(weights["readout.kernel"], evaluated["readout"]["kernel"])
    assert not np.array_equal(weights["readout.kernel"], state_R.params["readout"]["kernel"][2])
    assert sum(w.size for w in weights.values()) * 3 == sum(
        w_R.size for w_R in jax.tree.leaves(state_R.params)
    )


def test_mistakes_are_one_line_and_write_nothing(gpt2, tmp_path, capsys, monkeypatch):
    folder = shutil.copytree(gpt2[0], tmp_path / "run", ignore=lambda *_: ["exported"])
    with pytest.raises(ValueError, match="run = 3; there are 3, choose 0 to 2"):
        export(capsys, folder, "--run=3")
    with pytest.raises(ValueError, match="no checkpoint in"):
        export(capsys, tmp_path / "nothing")
    monkeypatch.setitem(sys.modules, "safetensors.numpy", None)
    with pytest.raises(ValueError, match=r"pip install 'grokjax\[safetensors\]'"):
        export(capsys, folder)
    assert not (folder / "exported").exists()
