"""Another order of sums moves the step at which one run in five groks, and no median.

Nothing differs but rounding: runs trained one after the other or as one batch, the loss in float64,
one core or two, another version of jaxlib. Addition mod 41 by the MLP of `configs/modadd_quick.py`
(200 seeds), and division by the transformer of `configs/moddiv.py` (20 seeds).

    python -m experiments.knife_edge
    python -m grokjax.analyze results/knife_edge/mlp --paired

What a config cannot say is the same command elsewhere, on one core or with another jaxlib:

    taskset -c 0 python -m experiments.knife_edge --only mlp/map --results one_core
    python -m grokjax.analyze results/knife_edge/mlp/map one_core/knife_edge/mlp/map --paired

Expected: in all arms of the MLP a median of 320 steps; as one batch 40 of 200 runs are at 99 % at
another evaluation, one every 10 steps, with the loss in float64 39, with jaxlib 0.12 40, on one
core none. The transformer has not been run.
Takes 3 minutes on two CPU cores without the transformer.
"""

from grokjax import Study, base, grid, run_study

LIFTS = ("map", "vmap")


def mlp(lift="map", precision="float32"):
    network = dict(name="mlp", slots=(0, 2), embedding_width=64, hidden=(128,), initializer="lecun")
    config = configure(lift, task=dict(name="modular", op="add", p=41), model=network)
    config.loss.precision = precision
    config.batch_size = 256
    config.schedule.update(num_steps=600, eval_every=10, checkpoint_every=600)
    config.runs = grid(config.runs, seed=range(200), train_fraction=0.6, learning_rate=0.02)
    return config


def transformer(lift):
    config = configure(lift)
    config.schedule.update(num_steps=3000, eval_every=50, stop_after_grok=3)
    config.runs = grid(config.runs, seed=range(20))
    return config


def configure(lift, **parts):
    config = base(**parts)
    config.lift = lift
    return config


def arms(size):
    configs = {f"mlp/{lift}": mlp(lift) for lift in LIFTS}
    configs["mlp/double"] = mlp(precision="float64")
    configs |= {f"transformer/{lift}": transformer(lift) for lift in LIFTS}
    if size == "paper":
        for config in configs.values():
            config.runs.seed = tuple(range(1000))
            config.schedule.update(num_steps=50_000, checkpoint_every=10_000)
    return configs


STUDY = Study(__file__, __doc__, arms)
get_config = STUDY.get_config

if __name__ == "__main__":
    run_study(STUDY)
