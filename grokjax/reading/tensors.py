"""Weights as files that other libraries read: safetensors, under the names of TransformerLens.

What `transformer` and `gpt2` have learnt gets the names and shapes of `HookedTransformer` (Nanda &
Bloom, 2022, "TransformerLens", https://github.com/TransformerLensOrg/TransformerLens, version 2).
Other models keep their own names, `readout.kernel`.
"""

import json
from collections.abc import Iterable, Mapping
from pathlib import Path
from typing import Any

import jax
import numpy as np
from flax.traverse_util import flatten_dict

from grokjax.models import gpt2, transformer
from grokjax.models._decoder import Decoder
from grokjax.reading.rebuild import Rebuilt
from grokjax.recording.checkpoints import Restored
from grokjax.recording.files import replacing

LENS_MODELS = (transformer.Model, gpt2.Model)
ACT_FNS = {"relu": "relu", "gelu": "gelu", "gelu_tanh": "gelu_new", "silu": "silu"}
NORMALIZATIONS = {"layer": "LN", "rms": "RMS", "bare": "LNPre"}
POSITIONS = {"learned": "standard", "none": "standard", "rotary": "rotary", "alibi": "alibi"}
LETTERS = {"query": "Q", "key": "K", "value": "V"}
OWN = """The names are grokjax's own, with dots: a dense layer is `x @ kernel + bias`.

```python
from safetensors.numpy import load_file

weights = load_file("run-0.safetensors")  # {name: array}
```"""

Weights = dict[str, np.ndarray]


def check_package() -> None:
    """Raises a ValueError if files of this format cannot be written here."""
    try:
        import safetensors.numpy  # noqa: F401, an optional package
    except ImportError as error:
        raise ValueError(
            "export needs the package safetensors; install it with "
            "pip install 'grokjax[safetensors]'"
        ) from error


def write(rebuilt: Rebuilt, restored: Restored, runs: Iterable[int]) -> Path:
    """Writes a file for each of some runs, and what is in them as README.md; returns the folder.

    The weights are those that are evaluated, which for some optimizers are an average.
    """
    from safetensors.numpy import save_file

    experiment = rebuilt.experiment
    folder = rebuilt.results.exported / str(restored.step)
    folder.mkdir(parents=True, exist_ok=True)
    network = experiment.recipe.network
    record = json.dumps(experiment.record)
    weights = {}
    for run in runs:
        params = jax.tree.map(np.asarray, rebuilt.weights(restored.state_R, run))
        is_known = isinstance(network, LENS_MODELS)
        weights = lens_weights(network, params) if is_known else own_weights(params)
        facts = {"step": str(restored.step), "run": experiment.labels[run], "config": record}
        with replacing(folder / f"run-{run}.safetensors") as path:
            save_file({n: np.ascontiguousarray(w) for n, w in weights.items()}, path, facts)
    with replacing(folder / "README.md") as path:
        path.write_text(_readme(rebuilt, restored.step, weights), "utf-8")
    return folder


def own_weights(params: Mapping) -> dict[str, Any]:
    """{path, with dots: array}, such as `block_0.mlp.up.kernel`."""
    return {".".join(path): w for path, w in flatten_dict(params).items()}


def lens_weights(network: Decoder, params: Mapping) -> Weights:
    """{name in a `HookedTransformer`: array}; what a network does without is zeros there.

    The factor of the embeddings is multiplied into them. Blocks that are applied again are there
    again.
    """
    token_VxD = params["token"]
    found = {"embed.W_E": token_VxD * np.float32(network.embedding_scale)}
    if network.positions != "rotary":
        none_LxD = np.zeros((network.length, network.width), token_VxD.dtype)
        found["pos_embed.W_pos"] = params.get("position", none_LxD)
    for i in range(network.num_blocks * network.block_repeats):
        block = _block(network, params[f"block_{i % network.num_blocks}"])
        found |= {f"blocks.{i}.{name}": w for name, w in block.items()}
    readout_DxC = np.asarray(network.last_layer(params))
    zeros_C = np.zeros(readout_DxC.shape[1], readout_DxC.dtype)
    readout = {"unembed.W_U": readout_DxC, "unembed.b_U": zeros_C}
    return found | _norm("ln_final", params.get("norm")) | readout


def _block(network, params):
    """The weights of one block, by their names within it."""
    attention, mlp = params["attention"], params["mlp"]
    heads = (network.num_heads, network.width_of_head)
    found = _norm("ln1", params.get("norm_1")) | _norm("ln2", params.get("norm_2"))
    for name, letter in LETTERS.items():
        kernel_DxHxK = attention[name]["kernel"].reshape(-1, *heads)
        found[f"attn.W_{letter}"] = kernel_DxHxK.transpose(1, 0, 2)
        found[f"attn.b_{letter}"] = _bias(attention[name]).reshape(heads)
        if scale := attention.get(f"norm_{name}"):
            found[f"attn.{letter.lower()}_norm.w"] = scale["scale"]
    found["attn.W_O"] = attention["out"]["kernel"].reshape(*heads, -1)
    found["attn.b_O"] = _bias(attention["out"])
    for name, direction in {"up": "in", "down": "out"}.items():
        found[f"mlp.W_{direction}"] = mlp[name]["kernel"]
        found[f"mlp.b_{direction}"] = _bias(mlp[name])
    return found


def _bias(layer):
    """[O]: that of a layer, or zeros."""
    kernel_IxO = layer["kernel"]
    return layer.get("bias", np.zeros(kernel_IxO.shape[1], kernel_IxO.dtype))


def _norm(name, params):
    """Of a norm with weights."""
    letters = {"scale": "w", "bias": "b"}
    return {f"{name}.{letters[part]}": w for part, w in (params or {}).items()}


def lens_config(network: Decoder) -> dict[str, Any]:
    """The arguments of the `HookedTransformerConfig` that has these weights."""
    has_norms = network.norm != "none"
    config = {
        "n_layers": network.num_blocks * network.block_repeats,
        "d_model": network.width,
        "n_ctx": network.length,
        "d_head": network.width_of_head,
        "n_heads": network.num_heads,
        "d_mlp": network.width_of_mlp,
        "d_vocab": network.num_tokens,
        "d_vocab_out": network.num_classes,
        "act_fn": ACT_FNS.get(network.activation),
        "normalization_type": NORMALIZATIONS[network.norm_kind] if has_norms else None,
        "eps": network.norm_eps,
        "positional_embedding_type": POSITIONS[network.positions],
        "attention_dir": "causal" if network.causal else "bidirectional",
        "use_qk_norm": network.qk_norm != "none",
    }
    return config | ({"rotary_dim": network.width_of_head} if network.positions == "rotary" else {})


def unknown_to_lens(network: Decoder) -> list[str]:
    """The options of a decoder that no `HookedTransformerConfig` has."""
    is_power = network.num_heads & (network.num_heads - 1) == 0
    known = {
        "norm": network.norm in ("pre", "none"),
        "activation": network.activation in ACT_FNS,
        "linear": network.linear == "dense",
        "qk_norm": network.qk_norm in ("none", "rms"),
        "attention_coefficient": network.attention_coefficient == 1,
        # its slopes are others unless the heads are 1, 2, 4, 8 ..., and it looks back alone
        "positions": network.positions != "alibi" or (is_power and network.causal),
    }
    return [
        f"model.{name} = {getattr(network, name)!r}"
        for name, is_known in known.items()
        if not is_known
    ]


def _readme(rebuilt, step, weights):
    """What is in the files of a folder, and how it is read."""
    config, labels = rebuilt.experiment.config, rebuilt.experiment.labels
    rows = [f"| `{name}` | {list(w.shape)} | {w.dtype} |" for name, w in weights.items()]
    files = [f"| `run-{run}.safetensors` | {label} |" for run, label in enumerate(labels)]
    table = rebuilt.experiment.task.examples
    example = f"{table.inputs_NxL[-1].tolist()} with the answer {table.labels_N[-1]}"
    network = rebuilt.experiment.recipe.network
    use = lens_text(network) if isinstance(network, LENS_MODELS) else OWN
    parts = [
        f"# Weights of {rebuilt.results.folder.name} at step {step:,}",
        f"A `{config.model.name}` trained on the task `{config.task.name}`; the whole config is in "
        f"each file's metadata. Its last example is {example}; the logits of the last position are "
        "read.",
        "\n".join(["| file, if it was exported | run |", "|---|---|", *files]),
        "\n".join(["| name | shape | type |", "|---|---|---|", *rows]),
        use,
    ]
    return "\n\n".join(parts) + "\n"


def lens_text(network: Decoder) -> str:
    """How TransformerLens loads them, or why it does not."""
    unknown = unknown_to_lens(network)
    note = (
        "Names and shapes are those of TransformerLens. Biases and positions that the network does "
        "without are zeros."
    )
    if unknown:
        return (
            f"{note}\n\n**Not for `HookedTransformer`**, which has no {', no '.join(unknown)}: "
            "with these weights it would compute something else. `grokjax/models/_decoder.py` says "
            "what is computed."
        )
    arguments = "".join(f"    {name}={value!r},\n" for name, value in lens_config(network).items())
    return (
        f"{note}\n\n```python\n"
        "from safetensors.torch import load_file\n"
        "from transformer_lens import HookedTransformer, HookedTransformerConfig\n\n"
        f"config = HookedTransformerConfig(\n{arguments})\n"
        "model = HookedTransformer(config)\n"
        'weights = load_file("run-0.safetensors")\n'
        "model.load_state_dict(weights, strict=False)  # its masks are in no file\n"
        "logits = model(tokens)[:, -1]  # of tokens [B, L]\n```"
    )
