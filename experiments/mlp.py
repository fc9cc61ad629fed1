"""A network without attention groks addition, but never predicts a sum that it was not trained on.

Addition mod 97 by one hidden layer of 128 on four embeddings of 128, AdamW with weight decay .01.

* `random`: 80 % of all sums for training, with the five seeds, the layers and the inputs of
  https://github.com/enerrio/grokking-mlp; loss in float64 as there, and in float32. The size
  `paper` has its 20,000 epochs, 300,000 steps. The initial weights are PyTorch's defaults, 2.45
  times smaller than the Kaiming ones there: with those, `configs/modadd_mlp.py`, it takes more
  than twice as long.
* `held_out`: the sums 1 and 2, and the sums 0 to 19, are in no training example.
* `raised`: does a rescaled last layer, its weights multiplied by 2 or 4 after the plateau has
  begun, bring grokking forward?

Sparsity, norms and the size of the updates over time are in the figures `weights.png`; accuracy
after pruning: `python -m grokjax.checkpoint_tool prune results/mlp/random/float32`.
The slingshot of the last layer's norm: Thilak et al., 2022, https://arxiv.org/abs/2206.04817.
Expected: memorised at step 1,500; `random` groks at step 33,500 in float32 and 26,000 in float64 (5
of 5 seeds each); `held_out` stays at 0 %; `raised` delays grokking. Takes 70 minutes on one
core.
"""

from grokjax import Study, base, grid, run_study

SEEDS = (21, 5, 10, 30, 42)
ADDITION = dict(name="modular", op="add")
HELD_OUT = {"two": (1, 2), "twenty": tuple(range(20))}


def arms(size):
    num_steps = 300_000 if size == "paper" else 40_000
    configs = {}
    for precision in ("float32", "float64"):
        configs[f"random/{precision}"] = config = network(num_steps, SEEDS)
        config.loss.precision = precision
    for name, answers in HELD_OUT.items():
        configs[f"held_out/{name}"] = config = network(num_steps, SEEDS)
        config.split.held_out = answers
        config.runs.train_fraction = (1.0,)
    for name, factor in {"baseline": 1.0, "doubled": 2.0, "fourfold": 4.0}.items():
        configs[f"raised/{name}"] = config = network(num_steps, SEEDS[:3], "adamw+raise_layer")
        config.runs = grid(config.runs, raise_step=2500, raise_factor=factor)
        config.schedule.stop_after_grok = 5
    return configs


def network(num_steps, seeds, optimizer="adamw"):
    config = base(task=ADDITION, model="mlp", optimizer=optimizer)
    config.schedule.update(num_steps=num_steps, eval_every=500, checkpoint_every=5000)
    config.runs = grid(config.runs, seed=seeds, train_fraction=0.8, weight_decay=0.01)
    return config


STUDY = Study(__file__, __doc__, arms)
get_config = STUDY.get_config

if __name__ == "__main__":
    run_study(STUDY)
