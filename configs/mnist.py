"""A thousand MNIST digits from initial weights eight times as large, with and without Grokfast.

Liu, Michaud & Tegmark, 2022, https://arxiv.org/abs/2210.01117, and Lee et al., 2024,
https://arxiv.org/abs/2405.20233: three layers, ReLU, squared error, AdamW; alpha .8, lamb .1. On
purpose both arms have both weight decays (there .01 without the filter, 2 with it), validation is
on 1,000 other training digits (there the test split), and training takes 50,000 steps (100,000).
Expected: not run, because the machine that measured the others has no network. Lee et al. report
89.8 % after 44,022 steps without Grokfast, 91.2 % after 2,001 with it.
Takes a download first: python -m grokjax.datasets fetch mnist

    python -m grokjax.train --config configs/mnist.py
"""

from grokjax import base, grid


def get_config(choice=""):
    config = base(
        choice,
        task="images",
        model=dict(name="mlp", code="pixels", hidden=(200, 200)),
        optimizer="grokfast_ema+adamw",
    )
    config.batch_size = 200
    config.loss.name = "squared_error"
    config.grok.threshold = 0.85
    config.schedule.update(num_steps=50_000, eval_every=500, checkpoint_every=5000)
    config.schedule.learning_rate = "constant"
    config.runs = grid(
        config.runs,
        seed=(0, 1, 2),
        init_scale=8.0,
        weight_decay=(0.01, 2.0),
        b2=0.999,
        alpha=0.8,
        lamb=(0.0, 0.1),
    )
    return config
