"""Digits of 8 x 8 pixels from small and from large initial weights: grokking on images.

Liu, Michaud & Tegmark, 2022, "Omnigrok", https://arxiv.org/abs/2210.01117: three layers of width
200, ReLU, squared error, initial weights eight times as large. Theirs are a thousand MNIST digits
and weight decay .01, with which these are at 23 % after 8,000 steps.
Expected:
Takes

    pip install 'grokjax[images]'  # scikit-learn, which ships the digits
    python -m grokjax.train --config configs/digits.py
"""

from grokjax import base, grid


def get_config(choice=""):
    config = base(
        choice,
        task=dict(name="images", dataset="digits", samples=1797),
        model=dict(name="mlp", code="pixels", hidden=(200, 200)),
    )
    config.batch_size = 200
    config.loss.name = "squared_error"
    config.grok.threshold = 0.95
    config.schedule.update(num_steps=20_000, eval_every=100, checkpoint_every=5000)
    config.schedule.stop_after_grok = 10
    config.runs = grid(
        config.runs, seed=(0, 1, 2), init_scale=(1.0, 8.0), train_fraction=0.3, weight_decay=0.1
    )
    return config
