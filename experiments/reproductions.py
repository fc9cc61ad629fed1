"""Numbers of papers and public projects come out again, within what seeds alone change.

A row for every published number, each an arm of its own: the setting of its source as far as that
is stated, its own definition of grokking, many seeds. The verdicts are in REPRODUCTIONS.md, which

    python -m experiments.reproductions --only 'noaillesss/*'
    python -m experiments verdicts --results results

write. Expected: what that page says; the arms take from one minute to an hour on two cores.
"""

import math
from typing import NamedTuple

from ml_collections import ConfigDict

from grokjax import Study, base, grid, run_study
from grokjax.reading.published import Published, first

ADDITION = dict(name="modular", op="add")


class Row(NamedTuple):
    """A published number, and the config that reproduces it."""

    published: Published
    config: ConfigDict


def rows() -> dict[str, Row]:
    """All of them by name, the cheap ones of a source first."""
    return noaillesss() | grokfast() | prieto() | ponyu() | wang()


def configure(seeds, num_steps, eval_every, *, runs, threshold, **parts):
    """A config; training stops soon after the time that counts."""
    config = base(**parts)
    config.grok.update(threshold=threshold, count=1)
    config.schedule.update(num_steps=num_steps, eval_every=eval_every, stop_after_grok=3)
    config.schedule.checkpoint_every = num_steps
    config.runs = grid(config.runs, seed=range(seeds), **runs)
    return config


def noaillesss():
    """Addition mod 97: three networks at several fractions, one seed each."""
    published = {  # network, share in training: epochs of batches of 512
        "transformer": {0.3: 605, 0.4: 291, 0.5: 127, 0.6: 86, 0.7: 59, 0.8: 41, 0.9: 37},
        "mlp": {0.7: 650, 0.8: 158},
        "lstm": {0.6: 251, 0.7: 109, 0.8: 85},
    }
    words = {
        "transformer": "two blocks, post-norm, learning rate .001, decay 1",
        "mlp": "two hidden layers of 512 with a layer norm, learning rate .01, decay .01",
        "lstm": "two layers of 128, learning rate .001, decay 1",
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
                seeds=100 if number * batches < 1300 else 20,
                num_steps=6 * number * batches,
                eval_every=2 * batches,
                threshold=0.99,
                runs=dict(train_fraction=fraction, warmup=100.0, **rates),
                task=ADDITION,
                model=models[network],
            )
            found[f"noaillesss/{network}_{fraction:g}"] = Row(
                Published(
                    source="Noaillesss/grokking, figure 1",
                    link="https://github.com/Noaillesss/grokking",
                    setting=f"a + b mod 97, {fraction:.0%} of the sums, {words[network]}, batches "
                    "of 512, learning rate rising over ten epochs",
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
        filtered = "moving average" if "ma+" in chain else "exponential moving average"
        found[f"grokfast/{name}"] = Row(
            Published(
                source=f"Lee et al., 2024, {place}",
                link="https://arxiv.org/abs/2405.20233",
                setting="x y mod 97, half of the products without those by 0, two blocks whose "
                f"stream is replaced by its norm, Adam with decay {runs['weight_decay']:g} in the "
                f"gradient, Grokfast by the {filtered}, lamb {runs['lamb']:g}",
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
            eval_every=5,
            threshold=threshold,
            runs=dict(train_fraction=0.4, learning_rate=rate, weight_decay=0.0, warmup=0.0),
            task=dict(name="modular", op="add", p=113),
            model=model,
            optimizer="orthograd+adamw",
        )
        config.batches = "full"
        found[f"prieto/{name}"] = Row(
            Published(
                source=f"Prieto et al., 2025, {place}",
                link="https://arxiv.org/abs/2501.04697",
                setting="a + b mod 113, 40 % of the sums, one-hot codes, two hidden layers of 200 "
                f"without bias, full batches, AdamW without decay, rate {rate:g}, OrthoGrad",
                what=f"epochs to {threshold:.0%}",
                values=(number,),
                measured=first(threshold),
            ),
            config,
        )
    return found


def ponyu():
    """Addition mod 97 in full batches, with and without weight decay, three seeds each."""
    arms = {"decay": (1.0, (375, 500, 575), 20), "no_decay": (0.0, (2225, 3425, 9300), 5)}
    found = {}
    for name, (decay, values, seeds) in arms.items():
        config = configure(
            seeds=seeds,
            num_steps=10_000 if decay == 0 else 3000,
            eval_every=25,
            threshold=0.95,
            runs=dict(train_fraction=0.4, weight_decay=decay, warmup=0.0),
            task=ADDITION,
            model="transformer",
        )
        config.batches = "full"
        found[f"ponyu/{name}"] = Row(
            Published(
                source="PeterPonyu/muon-norm-cap-grokking, logs",
                link="https://github.com/PeterPonyu/muon-norm-cap-grokking",
                setting="a + b mod 97, 40 % of the sums, two blocks, full batches, AdamW, rate "
                f".001, decay {decay:g}",
                what="steps to 95 %",
                values=values,
                measured=first(0.95),
                unstated="place of the norms, betas and warm-up; here pre-norm, .9 and .98, none",
            ),
            config,
        )
    return found


def wang():
    """Addition mod 97 by one block: AdamW, and Muon on the hidden matrices."""
    arms = {
        "adamw": ("adamw", {}, 2372),
        "muon": ("muon", dict(learning_rate=0.001, momentum=0.95, adam_ratio=1.0), 1856),
    }
    found = {}
    for name, (chain, runs, number) in arms.items():
        config = configure(
            seeds=100,
            num_steps=10_000,
            eval_every=50,
            threshold=0.95,
            runs=dict(train_fraction=0.4, **runs),
            task=ADDITION,
            model=dict(name="transformer", num_blocks=1),
            optimizer=chain,
        )
        found[f"wang/{name}"] = Row(
            Published(
                source="Wang, 2026",
                link="https://arxiv.org/abs/2607.20512",
                setting="a + b mod 97, 40 % of the sums, one block, rate .001, "
                + ("Muon on hidden matrices, AdamW elsewhere" if name == "muon" else "AdamW"),
                what="steps to 95 %, mean of five",
                values=(number,),
                runs=5,
                measured=first(0.95),
                unstated="decay, batch size and warm-up; here 1, 512 and ten steps",
            ),
            config,
        )
    return found


def arms(size):
    configs = {name: row.config for name, row in rows().items()}
    if size == "paper":
        for config in configs.values():
            config.schedule.num_steps = 50_000 * config.schedule.eval_every
            config.runs.seed = tuple(range(200))
    return configs


STUDY = Study(__file__, __doc__, arms)
get_config = STUDY.get_config

if __name__ == "__main__":
    run_study(STUDY)
