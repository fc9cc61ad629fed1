"""Every model against modules and functions of PyTorch, at the same weights, within 1e-5."""

import jax
import jax.numpy as jnp
import numpy as np
import pytest
from conftest import initial

pytest.importorskip("torch")

import torch
import torch.nn.functional as F
from torch import nn

from grokjax.config.experiment import make_network
from grokjax.core.prefixes import plain
from grokjax.tasks import modular

TASK = modular.make(op="div", p=7)
INPUTS_NxL = TASK.examples.inputs_NxL
NUM_CLASSES = 7
WIDTH, HEADS, BLOCKS, FF_WIDTH = 12, 2, 2, 20
DECODER = dict(width=WIDTH, num_heads=HEADS, num_blocks=BLOCKS, ff_width=FF_WIDTH)


@pytest.fixture(autouse=True)
def _double_in_one_thread():
    """Rounding is then ours alone."""
    threads = torch.get_num_threads()
    torch.set_default_dtype(torch.float64)
    torch.set_num_threads(1)
    yield
    torch.set_default_dtype(torch.float32)
    torch.set_num_threads(threads)


def model(name, **options):
    """Logits [N, C] of all divisions mod 7, and the weights as tensors.

    Every weight is moved off its start, where biases are zero, norms one and mixtures equal.
    """
    network = make_network(TASK, dict(name=name, **options))
    tree = plain(jnp.asarray(INPUTS_NxL))
    params, rng = initial(network, tree), np.random.default_rng(0)
    params = jax.tree.map(lambda w: w + 0.3 * jnp.float32(rng.normal(size=w.shape)), params)
    logits_NxC = jax.jit(network.apply)({"params": params}, tree)
    return logits_NxC, jax.tree.map(lambda w: torch.tensor(np.asarray(w, float)), params)


def check(logits_NxC, theirs_NxC):
    assert np.abs(logits_NxC).max() > 0.1
    np.testing.assert_allclose(logits_NxC, theirs_NxC.detach(), rtol=1e-5, atol=2e-5)


def linear(layer, w):
    """Sets a linear layer or a norm of PyTorch."""
    with torch.no_grad():
        layer.weight.copy_(w["kernel"].T if "kernel" in w else w["scale"])
        if "bias" in w:
            layer.bias.copy_(w["bias"])


def apply(x, w):
    """A linear layer."""
    return F.linear(x, w["kernel"].T, w.get("bias"))


def norm(x, w):
    return F.layer_norm(x, x.shape[-1:], w.get("scale"), w.get("bias"))


def embedded(params):
    tokens_NxL = torch.tensor(np.asarray(INPUTS_NxL)).long()
    return params["token"][tokens_NxL] + params["position"]


def encoder_layer(w, activation, norm_first):
    """One block of ours as PyTorch's, whose keys have a bias that makes no difference."""
    layer = nn.TransformerEncoderLayer(
        WIDTH, HEADS, FF_WIDTH, 0.0, activation, batch_first=True, norm_first=norm_first
    )
    attention = w["attention"]
    in_proj = (attention[name] for name in ("query", "key", "value"))
    with torch.no_grad():
        layer.self_attn.in_proj_weight.copy_(torch.cat([p["kernel"].T for p in in_proj]))
        biases = [attention["query"]["bias"], torch.zeros(WIDTH), attention["value"]["bias"]]
        layer.self_attn.in_proj_bias.copy_(torch.cat(biases))
    pairs = ((layer.self_attn.out_proj, attention["out"]), (layer.norm1, w["norm_1"]))
    pairs += ((layer.norm2, w["norm_2"]), (layer.linear1, w["mlp"]["up"]))
    for layer_, weights in (*pairs, (layer.linear2, w["mlp"]["down"])):
        linear(layer_, weights)
    return layer


def encoded(params, activation, norm_first=True, causal=True):
    """The last position [N, D] behind all blocks."""
    x_NxLxD = embedded(params)
    mask = nn.Transformer.generate_square_subsequent_mask(x_NxLxD.shape[1]) if causal else None
    for i in range(BLOCKS):
        layer = encoder_layer(params[f"block_{i}"], activation, norm_first)
        x_NxLxD = layer(x_NxLxD, src_mask=mask, is_causal=causal)
    return x_NxLxD[:, -1]


@pytest.mark.parametrize(
    ("place", "name", "activation", "causal"),
    [("pre", "gelu", F.gelu, True), ("post", "relu", F.relu, True), ("pre", "gelu", F.gelu, False)],
)
def test_transformer(place, name, activation, causal):
    """PyTorch's own layer, with the norm before each branch or behind it, masked or not."""
    options = dict(norm=place, activation=name, causal=causal)
    logits_NxC, params = model("transformer", **options, **DECODER)
    x_NxD = encoded(params, activation, norm_first=place == "pre", causal=causal)
    if place == "pre":
        x_NxD = norm(x_NxD, params["norm"])

    check(logits_NxC, apply(x_NxD, params["readout"]))


def tanh_gelu(x):
    return F.gelu(x, approximate="tanh")


def tied_readout(x_NxD, params):
    return norm(x_NxD, params["norm"]) @ params["token"][:NUM_CLASSES].T


def test_gpt2():
    """PyTorch's own layer with GPT-2's GELU and its readout, tied to the embeddings."""
    logits_NxC, params = model("gpt2", **DECODER)

    check(logits_NxC, tied_readout(encoded(params, tanh_gelu), params))


def heads(x):
    """[..., L, D] -> [..., H, L, K]."""
    return x.unflatten(-1, (HEADS, -1)).transpose(-3, -2)


def attended(q, k, v, w, mask=None):
    """PyTorch's attention, causal where there is no mask, and the layer that joins heads."""
    out = F.scaled_dot_product_attention(q, k, v, attn_mask=mask, is_causal=mask is None)
    return apply(out.transpose(-3, -2).flatten(-2), w["out"])


def mlp(x, w, activation=tanh_gelu):
    return apply(activation(apply(norm(x, w["norm_2"]), w["mlp"]["up"])), w["mlp"]["down"])


def self_attended(x, w):
    y, w = norm(x, w["norm_1"]), w["attention"]
    return attended(*(heads(apply(y, w[part])) for part in ("query", "key", "value")), w)


def rotated(x):
    """Pairs (i, i + K/2) as complex numbers, turned by the position times 10000^(-2i / K)."""
    length, width = x.shape[-2:]
    angle_LxK = torch.arange(length)[:, None] * 10000.0 ** (-torch.arange(0.0, width, 2) / width)
    turned = torch.complex(*x.chunk(2, dim=-1)) * torch.polar(torch.ones(()), angle_LxK)
    return torch.cat([turned.real, turned.imag], dim=-1)


def test_rms_norm_of_queries_and_keys_before_they_are_rotated():
    """PyTorch's norm; its scale is not the same for the two components of a pair."""
    logits_NxC, params = model("transformer", positions="rotary", qk_norm="rms", **DECODER)
    x = params["token"][torch.tensor(np.asarray(INPUTS_NxL)).long()]
    for i in range(BLOCKS):
        block = params[f"block_{i}"]
        y, w = norm(x, block["norm_1"]), block["attention"]
        q, k, v = (heads(apply(y, w[part])) for part in ("query", "key", "value"))
        q = F.rms_norm(q, q.shape[-1:], w["norm_query"]["scale"], 1e-5)
        k = F.rms_norm(k, k.shape[-1:], w["norm_key"]["scale"], 1e-5)
        x = x + attended(rotated(q), rotated(k), v, w)
        x = x + mlp(x, block, F.gelu)

    check(logits_NxC, apply(norm(x[:, -1], params["norm"]), params["readout"]))


def test_a_stream_on_the_sphere():
    """Rows at length 1 by PyTorch's `normalize`; logits are ten times its cosines."""
    logits_NxC, params = model("transformer", norm="sphere", activation="relu", **DECODER)
    x = F.normalize(embedded(params), dim=-1)
    for i in range(BLOCKS):
        w = params[f"block_{i}"]
        q, k, v = (heads(apply(x, w["attention"][part])) for part in ("query", "key", "value"))
        x = F.normalize(x + attended(q, k, v, w["attention"]), dim=-1)
        x = F.normalize(x + apply(F.relu(apply(x, w["mlp"]["up"])), w["mlp"]["down"]), dim=-1)
    columns_CxD = params["readout"]["kernel"].T

    check(logits_NxC, 10 * F.cosine_similarity(x[:, -1, None], columns_CxD[None], dim=-1))


@pytest.mark.parametrize("variant", ["resformer", "svformer"])
def test_gpt2_resv(variant):
    """Zhou et al.: values of later blocks are mixed with the first block's, or those are taken."""
    logits_NxC, params = model("gpt2_resv", variant=variant, **DECODER)
    x, first = embedded(params), None
    for i in range(BLOCKS):
        block = params[f"block_{i}"]
        y, w = norm(x, block["norm_1"]), block["attention"]
        q, k = heads(apply(y, w["query"])), heads(apply(y, w["key"]))
        value = heads(apply(y, w["value"])) if "value" in w else first
        first = value if first is None else first
        if "mixture" in w:
            value = w["mixture"][0] * value + w["mixture"][1] * first
        x = x + attended(q, k, value, w)
        x = x + mlp(x, block)

    check(logits_NxC, tied_readout(x[:, -1], params))


@pytest.mark.parametrize("frame_blocks", [False, pytest.param(True, marks=pytest.mark.slow)])
def test_gpt2_meta(frame_blocks):
    """G meta tokens a position are a sequence [L G], which attention masks by position.

    With blocks of their own each of them first is a sequence [L].
    """
    frames, length = 3, INPUTS_NxL.shape[1]
    options = dict(frames=frames, frame_blocks=frame_blocks)
    logits_NxC, params = model("gpt2_meta", **options, **DECODER)
    x = embedded(params)
    start_LxGxD = params["position"][:, None] + params["frames"]
    meta = start_LxGxD.flatten(0, 1).expand(len(x), -1, -1)
    of_row = torch.arange(length)
    of_meta = of_row.repeat_interleave(frames)

    def cross(x, x_of, context, context_of, w):
        q, k, v = (
            heads(apply(y, w[part]))
            for y, part in ((x, "query"), (context, "key"), (context, "value"))
        )
        return attended(q, k, v, w, mask=x_of[:, None] >= context_of[None])

    for i in range(BLOCKS):
        w = params[f"block_{i}"]
        meta_NxLxGxD = meta.unflatten(1, (length, frames)).clone()
        for g in range(frames if frame_blocks else 0):
            frame = meta_NxLxGxD[:, :, g]
            frame = frame + self_attended(frame, w[f"frame_{g}"])
            meta_NxLxGxD[:, :, g] = frame + mlp(frame, w[f"frame_{g}"])
        meta = meta_NxLxGxD.flatten(1, 2)
        row = norm(x, w["norm_row"])
        before = norm(meta, w["norm_frame_before"])
        meta = meta + cross(before, of_meta, row, of_row, w["to_frames"])
        after = norm(meta, w["norm_frame_after"])
        x = x + cross(row, of_row, after, of_meta, w["to_rows"])
        x = x + self_attended(x, w)
        x = x + mlp(x, w)

    check(logits_NxC, tied_readout(x[:, -1], params))


def test_tokenformer():
    """The layer of https://github.com/Haiyang-W/TokenFormer, `norm_activation_type` l2_norm_gelu.

    Scores of a row are divided by their norm, multiplied by the root of their number, and put
    through the exact GELU; its attention is the plain one, its norms have no parameters.
    """
    logits_NxC, params = model("tokenformer", tokens=5, **DECODER)

    def pattention(x, w):
        score = F.normalize(x @ w["keys"], dim=-1) * w["keys"].shape[1] ** 0.5
        return F.gelu(score) @ w["values"]

    x = embedded(params)
    for i in range(BLOCKS):
        w = params[f"block_{i}"]
        y, a = norm(x, {}), w["attention"]
        q, k, v = (heads(pattention(y, a[part])) for part in ("query", "key", "value"))
        out = F.scaled_dot_product_attention(q, k, v, is_causal=True)
        x = x + pattention(out.transpose(-3, -2).flatten(-2), a["out"])
        x = x + pattention(norm(x, {}), w["mlp"])

    check(logits_NxC, apply(norm(x[:, -1], {}), params["readout"]))


def test_mlp():
    """PyTorch's own layers on the concatenated embeddings."""
    logits_NxC, params = model("mlp", embedding_width=5, hidden=(13, 11), layer_norm=True)
    layers = [nn.Linear(20, 13), nn.ReLU(), nn.Linear(13, 11), nn.ReLU(), nn.LayerNorm(11)]
    network = nn.Sequential(*layers, nn.Linear(11, NUM_CLASSES))
    first = {"kernel": params["kernel_0"], "bias": params["bias_0"]}
    for layer, w in (
        (0, first),
        (2, params["hidden_1"]),
        (4, params["norm"]),
        (5, params["readout"]),
    ):
        linear(network[layer], w)
    tokens_NxL = torch.tensor(np.asarray(INPUTS_NxL)).long()

    check(logits_NxC, network(params["token"][tokens_NxL].flatten(1)))


@pytest.mark.parametrize("own", [False, True])
@pytest.mark.parametrize("summed", [False, True])
def test_mlp_of_two_operands(own, summed):
    """The forward pass of Chughtai et al. has embeddings of its own for each, side by side."""
    code = "own_embedding" if own else "embedding"
    options = dict(embedding_width=5, hidden=(13,), slots=(0, 2), use_bias=False)
    logits_NxC, params = model("mlp", code=code, summed=summed, **options)
    tables = [params[f"token_{slot}" if own else "token"] for slot in (0, 2)]
    tokens_NxL = torch.tensor(np.asarray(INPUTS_NxL)).long()
    left, right = (F.embedding(tokens_NxL[:, s], t) for s, t in zip((0, 2), tables, strict=True))
    x = left + right if summed else torch.hstack([left, right])

    assert params["kernel_0"].shape == (5 if summed else 10, 13)
    check(logits_NxC, torch.relu(x @ params["kernel_0"]) @ params["readout"]["kernel"])


def test_lstm():
    """PyTorch's own layer, which stacks the gates i, f, g, o and adds a bias of zero to ours."""
    logits_NxC, params = model("lstm", num_layers=2, width=WIDTH)
    lstm = nn.LSTM(WIDTH, WIDTH, num_layers=2, batch_first=True)
    with torch.no_grad():
        for i in range(2):
            cell = params[f"cell_{i}"]
            for side, name in (("i", "weight_ih"), ("h", "weight_hh")):
                gates = torch.cat([cell[side + gate]["kernel"].T for gate in "ifgo"])
                getattr(lstm, f"{name}_l{i}").copy_(gates)
            getattr(lstm, f"bias_ih_l{i}").zero_()
            bias = torch.cat([cell[f"h{gate}"]["bias"] for gate in "ifgo"])
            getattr(lstm, f"bias_hh_l{i}").copy_(bias)
    tokens_NxL = torch.tensor(np.asarray(INPUTS_NxL)).long()
    out_NxLxD, _ = lstm(params["token"][tokens_NxL])

    check(logits_NxC, apply(out_NxLxD[:, -1], params["readout"]))
