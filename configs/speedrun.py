"""Division mod 97, from half of all equations to 99 % validation accuracy in the fewest seconds.

One hidden layer of 256 on the embeddings of the two operands, and AdamW with forty times the usual
learning rate: a step costs a fraction of the transformer's, and less than a tenth as many do.
Expected: validation accuracy is at 99 % at step 100 to 150 for each of the seeds 0 to 19 (median
125), at most 50 steps after training accuracy. There is little margin: at weight decay 2
seed 0 is at 75 % after 600 steps.
Takes seconds on two CPU cores; measured by `python -m benchmarks.time_to_grok`.

    python -m grokjax.train --config configs/speedrun.py
    python -m grokjax.train --config configs/speedrun.py --seeds 20 --workdir results/speedrun20
"""

from grokjax import base, grid


def get_config(choice=""):
    config = base(choice, model=dict(name="mlp", slots=(0, 2), hidden=(256,), initializer="lecun"))
    config.schedule.update(num_steps=400, eval_every=25, checkpoint_every=400, stop_after_grok=2)
    config.runs = grid(config.runs, learning_rate=0.04)
    return config
