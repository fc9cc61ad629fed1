"""Fewer training examples make grokking slower, and below some fraction it does not occur.

Steps to 99 % validation accuracy against the fraction of all examples in training: addition mod 97
by the transformer, by two hidden layers of 512 with a layer norm, and by an LSTM; sums of two,
three and four numbers mod 11 by a transformer of width 64. The first three are shown for one seed
each in https://github.com/Noaillesss/grokking, at nine fractions; `published` has these, its
post-norm transformer with PyTorch's initial weights, and a warm-up of 100 steps, its ten epochs at
50 %. What is left of differences: it has a norm behind the last block too, positions in the MLP,
PyTorch's LSTM, and counts the first epoch above 99 %. In `paper`, 100,000 of its epochs at 10 %.
Expected: transformer (8 seeds) 2,400, 1,800, 1,500, 700, 500, 400 and 500 steps; MLP (3 seeds) none
by 20,000 from 30 and 50 %, 3,400 from 70 % and 800 from 90 %; sums of two mostly none by 4,000, of
three none, 2,700, 2,000 and 1,400, of four unstable; LSTM (3 seeds) mostly none by 4,000 from 50 %,
1,600 and 900; `published` from 30, 60 and 50 % on (one seed), after 3,700, 9,800 and 3,200 steps.
Takes 65, 35, 22 and 13 minutes on one core, `published` 263 beside other work.
"""

from grokjax import Study, base, grid, run_study

FRACTIONS = (0.3, 0.4, 0.5, 0.6, 0.7, 0.8, 0.9)
ADDITION = dict(name="modular", op="add")
MLP = dict(name="mlp", hidden=(512, 512), layer_norm=True)
POST_NORM = dict(name="transformer", norm="post", initializer="torch_attention")


def arms(size):
    fractions = (0.2, *FRACTIONS) if size == "paper" else FRACTIONS
    configs = {
        "architectures/transformer": network(ADDITION, "transformer", 8, FRACTIONS, 6000),
        "architectures/mlp": network(ADDITION, MLP, 3, FRACTIONS[::2], 20_000),
        "architectures/lstm": network(ADDITION, "lstm", 3, FRACTIONS[2::2], 4000),
    }
    for length in (2, 3, 4):
        task = dict(name="sums", length=length)
        config = network(task, dict(name="transformer", width=64), 3, FRACTIONS[::2], 4000)
        config.batch_size = min(512, round(min(fractions) * 11**length))
        configs[f"sums/{length}_numbers"] = config
    if size == "paper":
        for config in configs.values():
            longer(config, fractions, 100_000)
    for name, model in {"transformer": POST_NORM, "mlp": MLP, "lstm": "lstm"}.items():
        num_steps = {"transformer": 9000, "mlp": 10_000, "lstm": 4000}[name]
        all_fractions = (0.1, 0.2, *FRACTIONS)
        configs[f"published/{name}"] = network(ADDITION, model, 1, all_fractions, num_steps)
        configs[f"published/{name}"].runs.warmup = (100.0,)  # ten epochs at 50 %
        if size == "paper":
            longer(configs[f"published/{name}"], all_fractions, 200_000)
    for part in ("architectures", "published"):
        configs[f"{part}/mlp"].runs.update(learning_rate=(0.01,), weight_decay=(0.01,))
    return configs


def network(task, model, seeds, fractions, num_steps):
    config = base(task=task, model=model)
    config.schedule.update(num_steps=num_steps, stop_after_grok=5)
    config.runs = grid(config.runs, seed=range(seeds), train_fraction=fractions)
    return config


def longer(config, fractions, num_steps):
    config.schedule.update(num_steps=num_steps, checkpoint_every=10_000)
    config.runs = grid(config.runs, seed=range(100), train_fraction=fractions)


STUDY = Study(__file__, __doc__, arms)
get_config = STUDY.get_config

if __name__ == "__main__":
    run_study(STUDY)
