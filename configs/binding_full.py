"""Variable binding at full size: eighteen items over five variables, then the value of one.

Lines such as a=3, b=a, a=7; `task.path` reads them from a file, without it 10,000 are generated.
So few are memorised and not learnt, where `binding.py`, six items over three variables, is learnt.
Expected: at step 4,500 training accuracy is at 96 % and validation accuracy at 22 %, where chance
is 10 % (seed 0).
Takes 6 minutes on one CPU core, shared.

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
        config.runs, seed=(0,), train_fraction=0.8, learning_rate=0.002, weight_decay=0.1
    )
    return config
