"""Variable binding at full size: eighteen items over five variables, then the value of one.

Lines such as a=3, b=a, a=7; `task.path` reads them from a file, without it 10,000 are generated.
Expected:
Takes

    python -m grokjax.train --config configs/binding_full.py
    python -m grokjax.train --config configs/binding_full.py \
        --config.task.path=varbinding_10000.csv
"""

from grokjax import base, grid


def get_config(choice=""):
    config = base(
        choice,
        task="binding",
        model=dict(name="transformer", num_blocks=3, width=64),
    )
    config.batch_size = 128
    config.schedule.update(num_steps=4500, eval_every=250, checkpoint_every=1500)
    config.runs = grid(
        config.runs, seed=(0, 1, 2), train_fraction=0.8, learning_rate=0.002, weight_decay=0.1
    )
    return config
