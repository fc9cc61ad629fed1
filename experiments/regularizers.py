"""Decoupled weight decay needs the fewest examples; SGD without it does not generalise.

Best validation accuracy on addition mod 97 against the fraction of examples in training, under SGD,
SGD with momentum, Adam (weight decay 1e-4 in the gradient), Adam at a tenth of the learning rate,
AdamW with weight decay 1, and the same with dropout .1, for a post-norm transformer of width 64
(`paper`: 128). After https://github.com/Noaillesss/grokking, one seed each for 10,000 epochs: at
90 % 170,000 steps, which `paper` has at every fraction. SGD has its warm-up over a tenth of the
steps and its cosine, the others a warm-up of 100 steps, its ten epochs at 50 %. On purpose SGD has
a learning rate of its own and no decay: with the decay of 1 there its weights stay at zero. Dropout
acts on embeddings and attention too, there on the feed-forward layers alone.
Expected (one seed, 4,000 steps): AdamW generalises from 30 % on, with dropout as well, Adam from
80 %, SGD with momentum from 90 %; Adam at a tenth of the rate and SGD have mostly not memorised
by then. Takes 194 minutes beside other work.
"""

from grokjax import Study, base, grid, run_study

FRACTIONS = tuple(tenths / 10 for tenths in range(1, 10))
ARMS = {  # optimizer, dropout, what differs in config.runs
    "adamw": ("adamw", 0.0, {}),
    "adam": ("adam", 0.0, dict(weight_decay=1e-4)),
    "adam_slow": ("adam", 0.0, dict(weight_decay=1e-4, learning_rate=1e-4)),
    "sgd_momentum": ("sgd_momentum", 0.0, dict(weight_decay=0.0, learning_rate=0.1)),
    "sgd": ("sgd", 0.0, dict(weight_decay=0.0, learning_rate=0.1)),
    "adamw_dropout": ("adamw", 0.1, {}),
}


def arms(size):
    is_paper = size == "paper"
    num_steps = 170_000 if is_paper else 4000
    network = dict(name="transformer", norm="post", initializer="torch_attention")
    configs = {}
    for name, (optimizer, dropout, runs) in ARMS.items():
        configs[name] = config = base(
            task=dict(name="modular", op="add"),
            model=network | dict(width=128 if is_paper else 64, dropout=dropout),
            optimizer=optimizer,
        )
        config.schedule.update(num_steps=num_steps, stop_after_grok=5)
        config.schedule.checkpoint_every = 10_000 if is_paper else 1000
        seeds = range(100 if is_paper else 1)
        config.runs = grid(config.runs, seed=seeds, train_fraction=FRACTIONS, **runs)
        config.runs.warmup = (100.0,)  # ten epochs at 50 %
        if optimizer.startswith("sgd"):
            config.schedule.learning_rate = "warmup_cosine"
            config.runs.warmup = (num_steps / 10,)
    return configs


STUDY = Study(__file__, __doc__, arms)
get_config = STUDY.get_config

if __name__ == "__main__":
    run_study(STUDY)
