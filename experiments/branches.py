"""What brings a network to grok, and keeps it there, shows when it is changed at that very moment.

Runs that have memorised, or grokked, go on in several ways from the same state: 20 seeds of
addition mod 113 from 30 % of the sums, by one block without norms, batches of 512. Their questions:

freeze    Janati, 2026, https://arxiv.org/abs/2608.07436: under weight decay 3 accuracy dips after
          grokking, four of five seeds fall below 95 %, and with embedding and readout frozen from
          then on none does. 4,000 steps more, undisturbed and with both of them frozen. Grokked
          is, as there, six evaluations in a row at 95 %; seed 0 is left out, which does not come
          to it within 15,000 steps.
later     4,000 steps more after grokking, as before, and with one change. Varma et al., 2023,
          https://arxiv.org/abs/2309.02390: with too little data a network that has grokked forgets
          to generalise (`tenth` of all sums in place of 30 %). Is weight decay needed to stay
          (`no_decay`)?
grokfast  Does Grokfast-MA, switched on when a run has memorised, help as much as from the first
          step (Lee et al., 2024, https://arxiv.org/abs/2405.20233)? Steps count from the branch.

Each run begins at the first checkpoint after its own event; run by run they are compared by

    python -m grokjax.analyze results/branches/later --paired

and a branch with a training that begins with the first step by the steps of branch and trunk:

    python -m grokjax.analyze results/branches/trunk/ma results/branches/grokfast/ma --paired

Expected: undisturbed, 6 of 20 runs dip under weight decay 3, and none with embedding and readout
frozen. Without weight decay all 20 have been below 99 % after 4,000 steps more, undisturbed 3;
with a tenth of the sums 19, the lowest at 82 %. AdamW groks at step 7,300, with Grokfast-MA at
5,200; switched on after memorising, 4,100 steps later: either way sooner in all of 20 pairs.
Takes 150 minutes on two CPU cores.
"""

from grokjax import Study, base, grid, run_study

NUM_STEPS = 15_000
FREEZE = {"undisturbed": (), "frozen": ("token", "readout")}
LATER = {
    "undisturbed": {},
    "no_decay": dict(weight_decay=0.0),
    "tenth": dict(train_fraction=0.1),
}
MA = "grokfast_ma+adamw"
DIPPING = dict(seed=range(1, 21), weight_decay=3.0, b2=0.999)


def addition(origin="none", num_steps=NUM_STEPS, optimizer="adamw", stop_after_grok=0, **runs):
    """A config; of what is branched from, each checkpoint is kept."""
    config = base(
        task=dict(name="modular", op="add", p=113),
        model=dict(name="transformer", num_blocks=1, norm="none", activation="relu"),
        optimizer=optimizer,
    )
    config.branch.origin = origin
    keep = num_steps // 500 if origin == "none" else 1
    config.schedule.update(num_steps=num_steps, checkpoint_every=500, keep=keep)
    config.schedule.stop_after_grok = stop_after_grok
    config.runs = grid(config.runs, **{"seed": range(20), "train_fraction": 0.3} | runs)
    return config


def dipping(origin="none", num_steps=NUM_STEPS, stop_after_grok=0):
    """A config of the question `freeze`."""
    config = addition(origin, num_steps, stop_after_grok=stop_after_grok, **DIPPING)
    config.grok.update(threshold=0.95, count=6)
    return config


def arms(size):
    configs = {
        "trunk/adamw": addition(stop_after_grok=5),
        "trunk/dipping": dipping(stop_after_grok=5),
        "trunk/ma": addition(stop_after_grok=5, optimizer=MA),
    }
    for name, frozen in FREEZE.items():
        config = dipping("trunk/dipping@grokked", 4000)
        config.freeze = frozen
        configs[f"freeze/{name}"] = config
    for name, runs in LATER.items():
        configs[f"later/{name}"] = addition("trunk/adamw@grokked", 4000, **runs)
    configs["grokfast/ma"] = addition("trunk/adamw@memorised", optimizer=MA, stop_after_grok=5)
    if size == "paper":
        for config in configs.values():
            config.runs.seed = tuple(range(100))
            config.schedule.update(num_steps=50_000, keep=100 if config.schedule.keep > 1 else 1)
    return configs


STUDY = Study(__file__, __doc__, arms)
get_config = STUDY.get_config

if __name__ == "__main__":
    run_study(STUDY)
