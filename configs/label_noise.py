"""Label noise: addition mod 97 with 0, 100 and 1,000 of 4,704 training labels redrawn.

Power et al., 2022, https://arxiv.org/abs/2201.02177, see it generalise with up to about 1,000. As
in their code redrawn labels come from the whole table, with replacement; the network is that of
`moddiv.py`.
Expected: memorised at step 300, noisy labels too; validation accuracy is at 99 % at step 1,400
with none redrawn and at 1,600 with 100; with 1,000 it is at 61 % after 3,000 steps (seed 0).
Takes 6 minutes on one CPU core, shared.

    python -m grokjax.train --config configs/label_noise.py
"""

from grokjax import base, grid


def get_config(choice=""):
    config = base(choice, task=dict(name="modular", op="add"))
    config.schedule.num_steps = 3000
    config.runs = grid(config.runs, label_noise=(0, 100, 1000))
    return config
