"""Variable binding: eighteen items such as a=3, b=a, a=7, then the value of one variable.

10,000 lines over five variables, 80 % of them for training; four blocks, because a copy of a
copy has to be resolved step by step.
Expected: training accuracy is at 37 to 39 % and validation accuracy at 27 to 28 % from step 500
to step 2,000 (seed 0), where chance is 10 %. Not run longer.
Takes 5 minutes on two CPU cores, shared.

    python -m grokjax.train --config configs/binding.py
    python -m grokjax.train --config configs/binding.py --config.task.path=mine.csv
"""

from grokjax import base, grid


def get_config(choice=""):
    config = base(choice, task="binding", model=dict(name="transformer", num_blocks=4))
    config.batch_size = 128
    config.schedule.update(num_steps=2000, eval_every=250, checkpoint_every=500)
    config.schedule.stop_after_grok = 3
    config.runs = grid(config.runs, train_fraction=0.8)
    return config
