"""Grokking needs weight decay, and comes sooner the larger learning rate times decay.

* `phase`: division mod 97, half of all equations, learning rate against weight decay; a network of
  width 64 (`paper`: 128).
* `sizes`: the same at learning rate .001 and weight decay 1, with networks of width 64, 128 and
  256 (the last with 8 heads and 4 blocks).

Expected (`phase`, 3 seeds a cell, 2,500 steps): decay 1 groks at rates .001 (step 2,300) and .003
(step 700), no other cell does; `sizes` (3 seeds) 2,300, 1,800 and 1,500. Takes 30 and 24 minutes
on one core.
"""

from grokjax import Study, base, grid, run_study

RATES = (1e-4, 5e-4, 1e-3, 3e-3)
DECAYS = (0.01, 0.1, 1.0, 3.0)
SIZES = {  # width, heads, blocks
    "64": (64, 4, 2),
    "128": (128, 4, 2),
    "256": (256, 8, 4),
}


def arms(size):
    width = 128 if size == "paper" else 64  # smaller where there are many settings
    phase = base(model=dict(name="transformer", width=width))
    phase.runs = grid(phase.runs, seed=range(3), learning_rate=RATES, weight_decay=DECAYS)
    configs = {"phase/adamw": phase}
    for name, (width, num_heads, num_blocks) in SIZES.items():
        model = dict(name="transformer", width=width, num_heads=num_heads, num_blocks=num_blocks)
        configs[f"sizes/{name}"] = config = base(model=model)
        config.runs = grid(config.runs, seed=range(3))
    for config in configs.values():
        config.schedule.update(num_steps=2500, stop_after_grok=5)
        if size == "paper":
            config.schedule.update(num_steps=250_000, checkpoint_every=10_000)
            config.runs.seed = tuple(range(20))
    return configs


STUDY = Study(__file__, __doc__, arms)
get_config = STUDY.get_config

if __name__ == "__main__":
    run_study(STUDY)
