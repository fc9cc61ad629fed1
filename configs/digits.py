"""Digits of 8 x 8 pixels from small and from large initial weights: grokking on images.

Liu, Michaud & Tegmark, 2022, "Omnigrok", https://arxiv.org/abs/2210.01117: three layers of width
200, ReLU, squared error, initial weights eight times as large. Theirs are a thousand MNIST digits
and weight decay .01, with which these are at 23 % after 8,000 steps (seed 0).
Expected: at scale 8 training accuracy is at 95 % at step 700, 900 and 900 for seeds 0 to 2, with
validation accuracy at 22, 29 and 30 %; that is at 95 % at step 9,200, 8,800 and 9,600. It rises
steadily in between: 46 to 52 % at step 3,000, 74 to 77 % at 5,000. At scale 1 both are at 95 % at
step 100, the first evaluation, and validation accuracy ends at 97.4 to 98.2 %.
Takes 50 seconds of one CPU core.

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
