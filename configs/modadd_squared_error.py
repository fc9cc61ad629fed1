"""Addition mod 97 with the mean squared error to the one-hot class.

Liu, Michaud & Tegmark, 2022, https://arxiv.org/abs/2210.01117, train on images this way, on
modular addition with cross-entropy; the network here is that of `moddiv.py`.
Expected: memorised at step 1,200 to 1,600, validation accuracy at 99 % at step 1,600, 1,300, 1,300,
1,400 and 1,600 for seeds 0 to 4: hardly a delay.
Takes 3 minutes on one CPU core, shared.

    python -m grokjax.train --config configs/modadd_squared_error.py
"""

from grokjax import base


def get_config(choice=""):
    config = base(choice, task=dict(name="modular", op="add"))
    config.loss.name = "squared_error"
    config.schedule.update(num_steps=4000, stop_after_grok=5)
    return config
