"""Division mod 97 at 40 % with an L1 term, beside the same runs without it.

The term is .005 times sum |w| / ||w||, the norm a constant in the gradient, as in the
comparison of L1 with Grokfast that this repeats.
Expected: RESULT
Takes TIME on two CPU cores.

    python -m grokjax.train --config configs/l1.py
"""

from grokjax import base, grid


def get_config(choice=""):
    config = base(choice)
    config.schedule.num_steps = 6000
    config.schedule.stop_after_grok = 5
    config.runs = grid(config.runs, seed=(0, 1, 2), train_fraction=0.4, l1=(0.0, 0.005))
    return config
