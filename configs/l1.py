"""Division mod 97 from 40 % of the equations with an L1 term, and the same runs without it.

The term is .005 times sum |w| / ||w||, the norm a constant in the gradient, as in
https://github.com/ndtippens/grok-tests. There p is 96, so that most numbers have no inverse,
embeddings are multiplied by sqrt(128), dropout is .1 and batches are drawn with replacement; here
the setting is that of `moddiv.py`.
Expected: all runs grok, those with the term sooner: validation accuracy is at 99 % at step
1,100, 1,300 and 1,200 with it, at 2,100, 2,100 and 2,000 without.
Takes 7 minutes on two CPU cores.

    python -m grokjax.train --config configs/l1.py
"""

from grokjax import base, grid


def get_config(choice=""):
    config = base(choice)
    config.schedule.num_steps = 6000
    config.schedule.stop_after_grok = 5
    config.runs = grid(config.runs, seed=(0, 1, 2), train_fraction=0.4, l1=(0.0, 0.005))
    return config
