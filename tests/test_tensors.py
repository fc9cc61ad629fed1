"""Exported weights, read by a stranger who knows safetensors and how a transformer computes."""

import json
import re
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
from grokjax.config.experiment import setup
from grokjax.core import loop
from grokjax.core.prefixes import plain
from grokjax.recording.checkpoints import Checkpoints
from grokjax.recording.results import Results

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
    random = np.random.default_rng(0)

    def stirred(w_R):
        return np.asarray(w_R) + random.normal(0, 0.3, w_R.shape).astype(np.float32)

    state_R = state_R.replace(params=jax.tree.map(stirred, state_R.params))
    folder.mkdir(parents=True)
    Results(folder).config.write_text(json.dumps(experiment.record))
    with Checkpoints(folder / "checkpoints", config.schedule) as saving:
        saving.save(STEP, state_R, {}, experiment.record)
    return experiment, state_R


def export(capsys, folder, *words):
    with flagsaver.flagsaver():
        flags.FLAGS(["checkpoint_tool", *words])
        checkpoint_tool.command(["checkpoint_tool", "export", str(folder)])()
    return capsys.readouterr().out


def arguments_in(folder):
    """Those of the `HookedTransformerConfig` in the README of an export."""
    text = (folder / "exported" / str(STEP) / "README.md").read_text()
    found = re.search(r"HookedTransformerConfig\((.*?)\n\)", text, re.DOTALL)
    return eval(f"dict({found[1]})")


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


def logits_of(experiment, state_R, run):
    """[N, C]: those that training computes."""
    params = jax.tree.map(lambda w_R: w_R[run], state_R.params)
    tree = plain(experiment.task.examples.inputs_NxL)
    return np.asarray(jax.jit(experiment.recipe.network.apply)({"params": params}, tree))


@pytest.mark.parametrize("model", MODELS.values(), ids=MODELS)
def test_a_forward_pass_by_hand_with_the_exported_weights_has_the_same_logits(
    model, tmp_path, capsys
):
    experiment, state_R = left(tmp_path / "run", model)
    export(capsys, tmp_path / "run")
    tokens_NxL = experiment.task.examples.inputs_NxL

    for run in range(3):
        weights = load_file(tmp_path / "run" / "exported" / str(STEP) / f"run-{run}.safetensors")
        logits_NxC = forward(weights, tokens_NxL, arguments_in(tmp_path / "run"))
        expected_NxC = logits_of(experiment, state_R, run)
        assert expected_NxC.std() > 0.3
        np.testing.assert_allclose(logits_NxC, expected_NxC, atol=1e-5, rtol=1e-5)


@pytest.mark.slow
@pytest.mark.parametrize("model", MODELS.values(), ids=MODELS)
def test_transformer_lens_loads_them_and_has_the_same_logits(model, tmp_path, capsys):
    torch = pytest.importorskip("torch")
    lens = pytest.importorskip("transformer_lens")
    experiment, state_R = left(tmp_path / "run", model)
    export(capsys, tmp_path / "run", "--run=2")
    weights = load_file(tmp_path / "run" / "exported" / str(STEP) / "run-2.safetensors")
    config = lens.HookedTransformerConfig(**arguments_in(tmp_path / "run"), device="cpu")
    network = lens.HookedTransformer(config)
    loaded = {name: torch.tensor(w) for name, w in weights.items()}
    missing, unexpected = network.load_state_dict(loaded, strict=False)
    with torch.no_grad():
        tokens_NxL = torch.tensor(experiment.task.examples.inputs_NxL).long()
        logits_NxC = network(tokens_NxL)[:, -1].numpy()

    assert not unexpected
    assert {name.rpartition(".")[2] for name in missing} <= {
        *("mask", "IGNORE", "rotary_sin", "rotary_cos")
    }
    np.testing.assert_allclose(logits_NxC, logits_of(experiment, state_R, 2), atol=1e-5, rtol=1e-5)


def test_of_a_sweep_one_run_can_be_exported_with_its_label_and_config(tmp_path, capsys):
    experiment, _ = left(tmp_path / "run", MODELS["gpt2"])
    said = export(capsys, tmp_path / "run", "--run=1")
    folder = tmp_path / "run" / "exported" / str(STEP)

    assert said == f"wrote 1 of 3 runs, see {folder}/README.md\n"
    assert {path.name for path in folder.iterdir()} == {"README.md", "run-1.safetensors"}
    with safe_open(folder / "run-1.safetensors", "numpy") as file:
        facts = file.metadata()
    assert (facts["step"], facts["run"]) == (str(STEP), "seed=1")
    assert json.loads(facts["config"]) == experiment.record
    lines = (folder / "README.md").read_text().splitlines()
    assert "| `run-1.safetensors` | seed=1 |" in lines
    assert "| `blocks.1.attn.W_O` | [2, 5, 12] | float32 |" in lines
    assert "| `unembed.W_U` | [12, 7] | float32 |" in lines


@pytest.mark.parametrize("options", [
    dict(norm="post"), dict(norm="sphere"), dict(activation="square"), dict(linear="bit"),
    dict(qk_norm="layer"), dict(attention_coefficient=0.5),
    dict(positions="alibi", num_heads=3),
], ids=str)  # fmt: skip
def test_what_transformer_lens_has_no_word_for_is_said(options, tmp_path, capsys):
    left(tmp_path / "run", MODELS["transformer"] | options)
    export(capsys, tmp_path / "run")
    text = (tmp_path / "run" / "exported" / str(STEP) / "README.md").read_text()
    name, value = next(iter(options.items()))

    assert f"**Not for `HookedTransformer`**, which has no model.{name} = {value!r}:" in text
    assert "HookedTransformerConfig" not in text


def test_other_models_keep_their_own_names(tmp_path, capsys):
    _, state_R = left(tmp_path / "run", None)
    export(capsys, tmp_path / "run")
    weights = load_file(tmp_path / "run" / "exported" / str(STEP) / "run-2.safetensors")

    assert "readout.kernel" in weights
    np.testing.assert_array_equal(weights["readout.kernel"], state_R.params["readout"]["kernel"][2])
    assert sum(w.size for w in weights.values()) * 3 == sum(
        w_R.size for w_R in jax.tree.leaves(state_R.params)
    )


def test_exported_are_the_weights_that_are_evaluated(tmp_path, capsys):
    """Of Schedule-Free the average, which is not what it trains."""
    experiment, state_R = left(tmp_path / "run", None, "schedule_free")
    export(capsys, tmp_path / "run", "--run=0")
    weights = load_file(tmp_path / "run" / "exported" / str(STEP) / "run-0.safetensors")
    one_run = jax.tree.map(lambda x_R: x_R[0], (state_R, experiment.runs_R))
    evaluated = experiment.trainer.eval_params(*one_run)

    np.testing.assert_array_equal(weights["readout.kernel"], evaluated["readout"]["kernel"])
    assert not np.array_equal(weights["readout.kernel"], state_R.params["readout"]["kernel"][0])


def test_mistakes_are_one_line_and_write_nothing(tmp_path, capsys, monkeypatch):
    left(tmp_path / "run", None)
    with pytest.raises(ValueError, match="run = 3; there are 3, choose 0 to 2"):
        export(capsys, tmp_path / "run", "--run=3")
    with pytest.raises(ValueError, match="no checkpoint in"):
        export(capsys, tmp_path)
        export(capsys, tmp_path / "nothing")
    monkeypatch.setitem(sys.modules, "safetensors", None)
    monkeypatch.setitem(sys.modules, "safetensors.numpy", None)
    with pytest.raises(ValueError, match=r"pip install 'grokjax\[safetensors\]'"):
        export(capsys, tmp_path / "run")
    assert not (tmp_path / "run" / "exported").exists()
