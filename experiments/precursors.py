"""Something in a network says before validation accuracy does that it is about to grok.

40 seeds of division mod 97 by the transformer, and 40 of addition mod 97 by the MLP, watched by
four measures every 100 steps. For each of their values a rule is fixed on half of the seeds and
judged on the other half: does its alarm lead grokking more evenly than a clock that starts at
memorising (grokjax/reading/precursors.py)?

    python -m grokjax.analyze results/precursors/division --precursors
    python -m grokjax.analyze results/precursors/addition --precursors

Expected: division groks at step 1,800 in the median (40 of 40 seeds); two of 47 values precede it,
inverse participation ratio and Gini coefficient of the embeddings' spectrum. Addition groks at step
2,000 (40 of 40), hardly after memorising, and nothing precedes it.
Takes 110 and 56 minutes on two busy cores.
"""

from grokjax import Study, base, grid, run_study

MEASURES = "fourier+norms+softmax+geometry"
PARTS = {  # task, model, share of the equations, steps
    "division": (dict(name="modular", op="div"), "transformer", 0.5, 6000),
    "addition": (dict(name="modular", op="add"), "mlp", 0.7, 12_000),
}


def arms(size):
    configs = {}
    for part, (task, model, train_fraction, num_steps) in PARTS.items():
        config = base(task=task, model=model, measures=MEASURES)
        config.schedule.update(num_steps=num_steps, stop_after_grok=5, keep=1)
        config.runs = grid(config.runs, seed=range(40), train_fraction=train_fraction)
        if size == "paper":
            config.schedule.num_steps = 50_000
            config.runs.seed = tuple(range(200))
        configs[f"{part}/measured"] = config
    return configs


STUDY = Study(__file__, __doc__, arms)
get_config = STUDY.get_config

if __name__ == "__main__":
    run_study(STUDY)
