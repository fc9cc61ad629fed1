"""Numbers of papers and public projects come out again, within what seeds alone change.

A row is one published number and an arm of its own: the setting of its source as far as that is
stated, its own definition of grokking, many seeds. Left out are numbers from so few examples that
a run takes hours, and those without a setting that could be tried.

    python -m experiments.reproductions --only 'noaillesss/*'
    python -m experiments verdicts --results results  # writes the verdicts into REPRODUCTIONS.md

Expected: what REPRODUCTIONS.md says. The arms take from three minutes to two hours on two cores.
"""

import math
from typing import NamedTuple

from ml_collections import ConfigDict

from grokjax import Study, base, grid, run_study
from grokjax.reading.published import Published, at_the_end, first, sustained, value_at

ADDITION = dict(name="modular", op="add")
ONE_BLOCK = dict(name="transformer", num_blocks=1)


class Row(NamedTuple):
    """A published number, and the config that reproduces it."""

    published: Published
    config: ConfigDict


def rows() -> dict[str, Row]:
    """All of them by name."""
    parts = (noaillesss, grokfast, prieto, ponyu, wang, golwala, truong, saheb, yildirim)
    found = {n: row for part in (*parts, doshi, janati) for n, row in part().items()}
    return found | choices(found)


def choices(found):
    """Rows with another choice of what their sources leave open."""
    torch = {"model.initializer": "torch_attention"}
    post = torch | {"model.norm": "post"}
    layer = post | {"model.activation": "relu", "model.ff_width": 2048}
    usual = {"task.form": "a o b =", "model.initializer": "lecun", "model.use_bias": True}
    words = "PyTorch's initial weights"
    made = {  # row, words, entries, seeds
        "golwala/mul_torch": ("golwala/mul", f"{words} and post-norm", post, 10),
        "golwala/mul_layer": ("golwala/mul", f"{words}, post-norm and 2,048 ReLUs", layer, 5),
        "wang/adamw_torch": ("wang/adamw", words, torch, 20),
        "wang/muon_torch": ("wang/muon", words, torch, 10),
        "wang/orthogonal_torch": ("wang/orthogonal", words, torch, 10),
        "yildirim/sphere_torch": ("yildirim/sphere", words, torch, 5),
        "ponyu/decay_usual": ("ponyu/decay", "a o b =, biases and LeCun's weights", usual, 20),
    }
    others = {}
    for name, (row, words, entries, seeds) in made.items():
        config = ConfigDict(found[row].config.to_dict())
        config.update_from_flattened_dict(entries)
        config.runs.seed = tuple(range(seeds))
        published = found[row].published._replace(setting=words, instead_of=row)
        others[name] = Row(published, config)
    return others


def configure(seeds, num_steps, eval_every, *, runs, threshold, batches="shuffled", **parts):
    """A config; training stops soon after the time that counts."""
    config = base(**parts)
    config.batches = batches
    config.matmul_precision = "highest"  # float32, as in the sources, on a GPU too
    config.grok.update(threshold=threshold, count=1)
    config.schedule.update(num_steps=num_steps, eval_every=eval_every, stop_after_grok=3)
    config.schedule.checkpoint_every = num_steps
    config.runs = grid(config.runs, seed=range(seeds), **runs)
    return config


def noaillesss():
    """Addition mod 97: three networks at several fractions, one seed each."""
    published = {  # network, share in training: epochs of batches of 512
        "transformer": {0.3: 605, 0.4: 291, 0.5: 127, 0.6: 86, 0.7: 59, 0.8: 41, 0.9: 37},
        "mlp": {0.7: 500, 0.8: 158},
        "lstm": {0.5: 266, 0.6: 251, 0.7: 109, 0.8: 85, 0.9: 938},
    }
    words = {
        "transformer": "two blocks, post-norm (theirs with a norm behind the last block and a bias "
        "in the readout), learning rate .001, decay 1",
        "mlp": "two hidden layers of 512 with a layer norm (theirs with positions), learning rate "
        ".01, decay .01",
        "lstm": "two layers of 128 (theirs with PyTorch's initial weights, ours with Flax's), "
        "learning rate .001, decay 1",
    }
    models = {
        "transformer": dict(name="transformer", norm="post", initializer="torch_attention"),
        "mlp": dict(name="mlp", hidden=(512, 512), layer_norm=True),
        "lstm": "lstm",
    }
    found = {}
    for network, epochs in published.items():
        rates = dict(learning_rate=0.01, weight_decay=0.01) if network == "mlp" else {}
        for fraction, number in reversed(epochs.items()):
            batches = math.ceil(round(97**2 * fraction) / 512)
            config = configure(
                seeds=100 if number * batches < 1500 else 20,
                num_steps=6 * number * batches,
                eval_every=2 * batches,
                threshold=0.99,
                runs=dict(train_fraction=fraction, warmup=10.0 * batches, **rates),
                task=ADDITION,
                model=models[network],
            )
            found[f"noaillesss/{network}_{fraction:g}"] = Row(
                Published(
                    source="Noaillesss/grokking, figure 1",
                    link="https://github.com/Noaillesss/grokking",
                    setting=f"a + b mod 97, {100 * fraction:.0f} % of the sums, {words[network]}, "
                    "batches of 512, learning rate rising over ten epochs",
                    what="epochs to 99 %",
                    values=(number,),
                    measured=first(0.99, batches),
                ),
                config,
            )
    return found


def grokfast():
    """Multiplication mod 97 with and without the filters of Grokfast, one seed each."""
    arms = {  # chain, entries, steps published, steps allowed, place
        "ema": ("grokfast_ema+adam", dict(lamb=2.0, weight_decay=0.005), 910, 6000, "table 3"),
        "ma": ("grokfast_ma+adam", dict(lamb=5.0, weight_decay=0.01), 790, 6000, "table 3"),
        "ma_no_decay": (
            "grokfast_ma+adam",
            dict(lamb=5.0, weight_decay=0.0),
            2940,
            15_000,
            "table 1",
        ),
    }
    found = {}
    for name, (chain, runs, number, num_steps, place) in arms.items():
        config = configure(
            seeds=20,
            num_steps=num_steps,
            eval_every=10,
            threshold=0.95,
            runs=runs,
            task=dict(name="modular", op="mul"),
            model=dict(name="transformer", norm="overwrite", initializer="torch_attention"),
            optimizer=chain,
        )
        filtered = "the moving average of 100 gradients"
        if name == "ema":
            filtered = "the exponential moving average, alpha .98"
        found[f"grokfast/{name}"] = Row(
            Published(
                source=f"Lee et al., 2024, {place}",
                link="https://arxiv.org/abs/2405.20233",
                setting="x y mod 97, half of the products (theirs without those by 0, ours with "
                "them), two blocks that go on from the layer norm of the residual stream, Adam "
                f"with decay {runs['weight_decay']:g} in the gradient, Grokfast by {filtered}, "
                f"lamb {runs['lamb']:g}",
                what="steps to 95 %",
                values=(number,),
                measured=first(0.95),
            ),
            config,
        )
    return found


def prieto():
    """Addition mod 113 without weight decay, by OrthoGrad."""
    model = dict(name="mlp", code="one_hot", slots=(0, 2), hidden=(200, 200), use_bias=False)
    arms = {
        "orthograd": (0.01, 0.97, 110, "figure 1"),
        "orthograd_slower": (0.005, 0.88, 160, "figure 6"),
    }
    found = {}
    for name, (rate, threshold, number, place) in arms.items():
        config = configure(
            seeds=100,
            num_steps=600,
            batches="full",
            eval_every=5,
            threshold=threshold,
            runs=dict(
                train_fraction=0.4, learning_rate=rate, weight_decay=0.0, warmup=0.0, b2=0.999
            ),
            task=ADDITION | dict(p=113),
            model=model,
            optimizer="orthograd+adamw",
        )
        config.matmul_precision = "default"  # as it was trained, on a CPU: float32, too
        found[f"prieto/{name}"] = Row(
            Published(
                source=f"Prieto et al., 2025, {place}",
                link="https://arxiv.org/abs/2501.04697",
                setting="a + b mod 113, 40 % of the sums, one-hot codes, two hidden layers of 200 "
                f"without bias, full batches, AdamW without decay, rate {rate:g}, OrthoGrad",
                what=f"epochs to {100 * threshold:.0f} %, read off a curve",
                values=(number,),
                measured=first(threshold),
            ),
            config,
        )
    return found


def ponyu():
    """Addition mod 97 in full batches, with and without weight decay, three seeds each."""
    arms = {"decay": (1.0, (375, 500, 575), 10), "no_decay": (0.0, (2225, 3425, 9300), 5)}
    found = {}
    for name, (decay, values, seeds) in arms.items():
        config = configure(
            seeds=seeds,
            num_steps=10_000 if decay == 0 else 3000,
            batches="full",
            eval_every=25,
            threshold=0.95,
            runs=dict(train_fraction=0.4, weight_decay=decay, warmup=0.0),
            task=ADDITION | dict(form="a b ="),
            model=dict(name="transformer", initializer="normal(0.02)", use_bias=False),
        )
        found[f"ponyu/{name}"] = Row(
            Published(
                source="PeterPonyu/muon-norm-cap-grokking, logs",
                link="https://github.com/PeterPonyu/muon-norm-cap-grokking",
                setting="a + b mod 97, 40 % of the sums, two blocks, full batches, AdamW, rate "
                f".001, betas .9 and .98, decay {decay:g}",
                what="steps to 95 %",
                values=values,
                measured=first(0.95),
                unstated="tokens, biases, initial weights, place of the norms, activation and "
                "warm-up; here a b =, none, of deviation .02, pre-norm, GELU and none",
                corrected="tokens were first a o b =, with biases and LeCun's weights, which "
                "missed; these fit the logged norms and numbers of parameters",
            ),
            config,
        )
    return found


def wang():
    """Addition mod 97 by one block: AdamW, and Muon on the hidden matrices."""
    muon = dict(learning_rate=0.001, momentum=0.95, adam_ratio=1.0)
    arms = {  # chain, entries, words, steps
        "adamw": ("adamw", {}, "AdamW", 2372),
        "muon": ("muon", muon, "Muon on hidden matrices, AdamW elsewhere", 1856),
        "orthogonal": (
            {"muon": dict(scaled=False)},
            muon,
            "Muon without its factor of scale, AdamW elsewhere",
            1744,
        ),
    }
    found = {}
    for name, (chain, runs, words, number) in arms.items():
        config = configure(
            seeds=100,
            num_steps=10_000,
            eval_every=50,
            threshold=0.95,
            runs=dict(train_fraction=0.4, **runs),
            task=ADDITION | dict(form="a b ="),
            model=ONE_BLOCK,
            optimizer=chain,
        )
        found[f"wang/{name}"] = Row(
            Published(
                source="Wang, 2026",
                link="https://arxiv.org/abs/2607.20512",
                setting="a + b mod 97, 40 % of the sums, tokens a b =, one block, rate .001, "
                f"{words}",
                what="steps to 95 %, mean of five",
                values=(number,),
                mean_of=5,
                measured=first(0.95),
                unstated="decay, batch size, warm-up, momentum, place of the norms, activation and "
                "initial weights; here 1, 512, ten steps, .95, pre-norm, GELU, LeCun's",
            ),
            config,
        )
    return found


def golwala():
    """Three operations mod 97 from 30 % of the equations, tokens a b = and no operator."""
    products = (5300, 5400, 5900, 4700, 5000, 5200, 5100, 4200)
    numbers = {"mul": products, "add": (4400,), "div": (9100,)}
    words = {"mul": "a b", "add": "a + b", "div": "a / b"}
    found = {}
    for op, values in numbers.items():
        config = configure(
            seeds=20,
            num_steps=30_000,
            batches="sampled",
            eval_every=100,
            threshold=0.95,
            runs=dict(train_fraction=0.3, warmup=0.0),
            task=dict(name="modular", op=op, form="a b ="),
            model=dict(**ONE_BLOCK, causal=False),
        )
        found[f"golwala/{op}"] = Row(
            Published(
                source="Golwala, 2026, tables 1 and 2",
                link="https://arxiv.org/abs/2604.20923",
                setting=f"{words[op]} mod 97, 30 % of the equations, tokens a b =, one encoder "
                "layer of 128, batches of 512 drawn with replacement, AdamW, rate .001, decay 1",
                what="steps to 95 %",
                values=values,
                measured=first(0.95),
                unstated="place of the norms, width and activation of the MLP, betas and initial "
                "weights; here pre-norm, 512, GELU, .9 and .98, LeCun's",
            ),
            config,
        )
    return found


def truong():
    """Addition mod 59 by an MLP: the norm of the weights when it groks."""
    found = {}
    for fraction, norm in {0.3: 56.4, 0.35: 55.9, 0.4: 54.8, 0.5: 55.1, 0.65: 55.7}.items():
        config = configure(
            seeds=100 if fraction == 0.35 else 40,
            num_steps=30_000,
            batches="full",
            eval_every=50,
            threshold=0.9,
            runs=dict(train_fraction=fraction, b2=0.999, warmup=0.0),
            task=ADDITION | dict(p=59, form="a b"),
            model=dict(name="mlp", hidden=(256,), activation="gelu", initializer="fan_in_normal"),
            optimizer={"adamw": dict(decayed="matrices")},
        )
        found[f"truong/{fraction:g}"] = Row(
            Published(
                source="Truong et al., 2026",
                link="https://arxiv.org/abs/2606.13753",
                setting=f"a + b mod 59, {100 * fraction:.0f} % of the sums, embeddings of 128 "
                "each, 256 GELUs, full batches, AdamW, rate .001, decay 1 of the matrices alone",
                what="norm of the weights at 90 %, mean of 12 to 16",
                values=(norm,),
                mean_of=12,
                measured=value_at("weight_norm", 0.9),
            ),
            config,
        )
    return found


def saheb():
    """Addition mod 97 by a wide hidden layer and SGD, its gradients equalised or not."""
    column = ", each column of the first layer's gradient divided by its norm"
    factor = ", the first layer's gradient replaced by its polar factor"
    arms = {  # chain, words, epochs, seeds
        "sgd": ("l2+sgd", "", 5392, 20),
        "columns": ("l2+column_norm+sgd", column, 328, 100),
        "egd": ("l2+egd+sgd", factor, 116, 5),
    }
    found = {}
    for name, (chain, words, number, seeds) in arms.items():
        config = configure(
            seeds=seeds,
            num_steps=9 * (12_000 if name == "sgd" else 2000),
            eval_every=9 * (40 if name == "sgd" else 4),
            threshold=0.95,
            runs=dict(l2=1e-4, learning_rate=0.7, weight_decay=0.0, warmup=0.0),
            task=ADDITION | dict(form="a b"),
            model=dict(name="mlp", code="one_hot", hidden=(512,), initializer="kaiming_normal"),
            optimizer={part: {} for part in chain.split("+")} | {"l2": dict(decayed="matrices")},
        )
        found[f"saheb_pasand/{name}"] = Row(
            Published(
                source="Saheb Pasand & Dohmatob, 2025, tables 2 and 3",
                link="https://arxiv.org/abs/2510.04930",
                setting="a + b mod 97, half of the sums, one-hot codes, 512 ReLUs, batches of 512, "
                f"SGD, rate .7, L2 term of .0001{words}; weights as in the authors' code, whose "
                "readout has no bias, ours has",
                what="epochs to 95 %",
                values=(number,),
                measured=first(0.95, 9),
            ),
            config,
        )
    return found


def yildirim():
    """Addition mod 113 in full batches: norms, and a residual stream on a sphere."""
    arms = {  # model, decay, epochs, their deviation, seeds
        "sphere": (dict(norm="sphere"), 0.0, 820, 199, 10),
        "sphere_decay": (dict(norm="sphere"), 1.0, 1560, 853, 10),
        "layer_norm": ({}, 1.0, 7800, 1095, 5),
        "rms_norm": (dict(norm_kind="rms"), 1.0, 7300, 925, 5),
    }
    words = {
        "sphere": "residual stream and classes of length 1, compared by their cosine",
        "layer_norm": "layer norm",
        "rms_norm": "RMS norm",
    }
    found = {}
    for name, (model, decay, number, deviation, seeds) in arms.items():
        config = configure(
            seeds=seeds,
            num_steps=3000 if "sphere" in name else 15_000,
            batches="full",
            eval_every=20 if "sphere" in name else 100,
            threshold=0.99,
            runs=dict(train_fraction=0.3, learning_rate=6e-4, weight_decay=decay, warmup=0.0),
            task=ADDITION | dict(p=113),
            model=ONE_BLOCK | model,
        )
        found[f"yildirim/{name}"] = Row(
            Published(
                source="Yildirim, 2026, tables 1 and 3",
                link="https://arxiv.org/abs/2603.05228",
                setting="a + b mod 113, 30 % of the sums, full batches, AdamW, rate .0006, decay "
                f"{decay:g}, {words[name.removesuffix('_decay')]}",
                what=f"epochs to grok, mean of ten (deviation {deviation})",
                values=(number,),
                mean_of=10,
                measured=first(0.99),
                unstated="the number of blocks, where rows are normalised, its threshold, betas, "
                "tokens and initial weights; here one, after every branch, 99 %, .9 and .98, "
                "a o b =, LeCun's",
            ),
            config,
        )
    return found


def janati():
    """Addition mod 113 by one block without norms and biases, the log of five seeds."""
    config = configure(
        seeds=5,
        num_steps=20_000,
        batches="full",
        eval_every=100,
        threshold=0.95,
        runs=dict(train_fraction=0.3, weight_decay=3.0, b2=0.999, warmup=0.0),
        task=ADDITION | dict(p=113),
        model=dict(**ONE_BLOCK, norm="none", activation="relu", use_bias=False),
    )
    config.grok.count = 6
    config.schedule.stop_after_grok = 6
    published = Published(
        source="Janati, 2026, logs",
        link="https://arxiv.org/abs/2608.07436",
        setting="a + b mod 113, 30 % of the sums, one block without norms and biases, full "
        "batches, AdamW, rate .001, decay 3, betas .9 and .999",
        what="steps to 95 %, six evaluations in a row",
        values=(8800, 8300, 4000, 11_700, 6400),
        measured=sustained(0.95),
        unstated="initial weights, warm-up and tokens; here LeCun's, none, a o b =",
    )
    return {"janati/adamw": Row(published, config)}


def doshi():
    """Addition mod 97 with a third of the labels random: decay decides what is unlearnt."""
    arms = {  # decay, epochs, training accuracy by then, seeds
        "coexistence": (0.0, 1000, 0.9783, 20),
        "partial_inversion": (5.0, 500, 0.7855, 20),
        "inversion": (15.0, 500, 0.6537, 20),
        "forgetting": (20.0, 2000, 0.1218, 100),
    }
    corrected = {
        "inversion": "decay was first 20, for 2,000 epochs, and the number was missed; decay "
        "and epochs are the notebook's now",
        "forgetting": "the number was chosen, from the notebook's log of 5,000 epochs, when ours "
        "at this decay were known",
    }
    found = {}
    for name, (decay, num_steps, number, seeds) in arms.items():
        config = configure(
            seeds=seeds,
            num_steps=num_steps,
            batches="full",
            eval_every=100,
            threshold=0.99,
            runs=dict(label_noise=1646, learning_rate=0.01, weight_decay=decay, warmup=0.0),
            task=ADDITION | dict(form="a b"),
            model=dict(
                name="mlp",
                code="one_hot",
                hidden=(500,),
                activation="square",
                use_bias=False,
                initializer="normal(0.05)",
            ),
        )
        config.loss.name = "squared_error"
        config.schedule.stop_after_grok = 0
        found[f"doshi/{name}"] = Row(
            Published(
                source="Doshi et al., 2023, the authors' notebook on label corruption",
                link="https://github.com/d-doshi/Grokking",
                setting="a + b mod 97, half of the sums, 35 % of their labels random, 500 squares "
                "on one-hot codes, squared error, full batches, AdamW, rate .01, decay "
                f"{decay:g}",
                what=f"training accuracy at epoch {num_steps:,}",
                values=(number,),
                measured=at_the_end("train_accuracy"),
                rounding=0.00005,
                corrected=corrected.get(name, ""),
            ),
            config,
        )
    return found


def arms(size):
    configs = {name: row.config for name, row in rows().items()}
    if size == "paper":
        for config in [each for each in configs.values() if each.schedule.stop_after_grok]:
            every = config.schedule.eval_every
            num_steps = max(config.schedule.num_steps, math.ceil(50_000 / every) * every)
            config.schedule.update(num_steps=num_steps, checkpoint_every=num_steps)
            config.runs.seed = tuple(range(200))
    return configs


STUDY = Study(__file__, __doc__, arms)
get_config = STUDY.get_config

if __name__ == "__main__":
    run_study(STUDY)
