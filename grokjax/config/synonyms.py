"""Other words for the entries of a config: what a user may have meant by one that is unknown."""

import difflib
import re
from collections.abc import Iterable

from grokjax.config import registry
from grokjax.config.values import NAMES

SYNONYMS = {  # words of public projects and of PyTorch, as `_normal` writes them
    "runs.learning_rate": "lr maxlr baselr eta stepsize",
    "runs.weight_decay": "wd decay l2 l2reg",
    "runs.seed": "seeds randomseed manualseed",
    "runs.train_fraction": "trainfrac fractrain trainingfraction trainratio trainsplit",
    "runs.mix": "taskdivision taskaddition tasksubtraction taskmix proportions",
    "runs.init_scale": "initialscale weightscale",
    "runs.warmup": "warmupsteps numwarmupsteps",
    "runs.l1": "l1weight l1lambda l1coeff l1loss l1reg",
    "runs.b1": "beta1 betas",
    "runs.b2": "beta2",
    "runs.eps": "epsilon",
    "runs.lamb": "lam lambda lmbda",
    "runs.max_norm": "maxgradnorm gradclip clipgradnorm gradientclipping",
    "task.p": "prime modulus mod",
    "task.op": "operation operator",
    "task.name": "dataset data problem multitask",
    "model.name": "architecture arch network",
    "model.width": "dmodel dim hiddensize hiddendim embeddim nembd",
    "model.embedding_width": "dmodel dim embeddim embeddingdim nembd",
    "model.hidden": "hiddensize hiddendim width numlayers",
    "model.num_heads": "nhead nheads heads numattentionheads",
    "model.num_blocks": "numlayers nlayer nlayers layers depth",
    "model.head_width": "dhead headdim attentiondim",
    "model.ff_width": "dff ffdim dmlp mlpdim dimfeedforward feedforwarddim",
    "model.attention_coefficient": "attncoeff attncoef attentionrate",
    "model.use_bias": "bias",
    "model.causal": "iscausal mask bidirectional",
    "model.activation": "act actfn nonlinearity",
    "model.initializer": "init initialization",
    "optimizer.chain": "optim opt",
    "batch_size": "bs batch",
    "loss.name": "loss criterion lossfn",
    "schedule.num_steps": "steps maxsteps trainsteps iters iterations",
    "schedule.num_epochs": "epochs maxepochs trainepochs",
    "schedule.eval_every": "evalinterval evalfreq evalsteps valevery",
    "schedule.checkpoint_every": "checkpointinterval saveevery savesteps",
    "schedule.learning_rate": "scheduler lrscheduler lrschedule",
    "schedule.stop_after_grok": "earlystopping patience",
    "log_every": "loginterval logfreq logsteps",
    "--workdir": "checkpointdir outputdir savedir outdir logdir",
}
SEE_ALL = "; `python -m grokjax.train --config FILE --show` lists them all"
PLUG_INS = "file.py:task=...,model=...,optimizer=a+b,measures=c+d"
COLON = f"; choose plug-ins behind a colon: --config {PLUG_INS}"


def hint(path: str, known: Iterable[str], prefix: str = "") -> str:
    """What a user may have meant by an entry or a flag that does not exist; nothing if unclear.

    Args:
        path: the entry, or the flag without its dashes.
        known: the entries that there are, and flags with their dashes.
        prefix: what an entry is to be written with.
    """
    words = {entry: {_normal(_last(entry)), *SYNONYMS.get(entry, "").split()} for entry in known}
    section, _, option = path.partition(".")
    word = _normal(_last(path))
    if section in registry.KINDS and option in ("", "name"):
        return COLON
    if not any(word in others for others in words.values()):
        elsewhere = [_last(entry) for entry, others in SYNONYMS.items() if word in others.split()]
        for name in [_last(path), *elsewhere]:
            if owners := registry.readers(name):
                return f"; {name} belongs to {', '.join(owners)}"
        close = difflib.get_close_matches(word, set().union(*words.values()), n=1, cutoff=0.75)
        word = close[0] if close else word
    best = min(
        (entry for entry, others in words.items() if word in others),
        key=lambda entry: (not entry.startswith(f"{section}."), not entry.startswith("runs.")),
        default="",
    )
    if best in NAMES:
        return COLON
    return best and f"; did you mean {best if best.startswith('--') else prefix + best!r}?"


def _normal(word):
    """`batch_size`, `batch-size` and `batchSize` are one word."""
    return re.sub("[^a-z0-9]", "", word.lower())


def _last(path):
    return path.rpartition(".")[2]
