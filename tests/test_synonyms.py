"""What is unknown is answered with what was meant: other projects' words, other sections."""

import functools

import pytest
from absl import flags
from absl.testing import flagsaver

import grokjax.train  # noqa: F401, defines flags
from grokjax.config import registry
from grokjax.config.config import base, flat
from grokjax.config.synonyms import COLON, SYNONYMS, hint
from grokjax.running import command_line


@functools.cache
def known(**parts):
    return dict(flat(base(**parts)))


@pytest.mark.parametrize(
    ("path", "meant"),
    {
        "runs.lr": "runs.learning_rate",
        "runs.wd": "runs.weight_decay",
        "batchsize": "batch_size",
        "batch-size": "batch_size",
        "schedule.steps": "schedule.num_steps",
        "epochs": "schedule.num_epochs",
        "seeds": "runs.seed",
        "model.d_model": "model.width",
        "nhead": "model.num_heads",
        "num_layers": "model.num_blocks",
        "dim_feedforward": "model.ff_width",
        "train_frac": "runs.train_fraction",
        "p": "task.p",
        "lr": "runs.learning_rate",
        "betas": "runs.b1",
        "weight_decay": "runs.weight_decay",
        "model.weight_decay": "runs.weight_decay",  # a right name in the wrong section
        "learning_rate": "runs.learning_rate",
        "schedule.lr": "runs.learning_rate",
        "optimizer.decay": "optimizer.adamw.decay",
        "l1": "runs.l1",
        "loss": "loss.name",
        "model.widht": "model.width",
        "modle.width": "model.width",
        "wieght_decay": "runs.weight_decay",
    }.items(),
)
def test_a_near_miss_suggests_what_was_meant(path, meant):
    assert hint(path, known()) == f"; did you mean {meant!r}?"


def test_a_suggestion_is_an_entry_of_this_config():
    assert hint("d_model", known(model="mlp")) == "; did you mean 'model.embedding_width'?"
    assert hint("num_layers", known(model="lstm")) == "; did you mean 'model.num_layers'?"


def test_what_another_part_has_is_said_to_be_its():
    assert hint("lamb", known()).startswith("; lamb belongs to grokfast_ema, grokfast_ma")
    assert hint("max_grad_norm", known()) == "; max_norm belongs to clip"
    assert hint("model.window", known()) == "; window belongs to optimizer grokfast_ma"
    assert hint("zzz", known()) == ""


@pytest.mark.parametrize("path", ["model", "optimizer.name", "architecture", "runs.dataset"])
def test_parts_are_chosen_behind_a_colon(path):
    assert hint(path, known()) == COLON


def test_every_word_leads_to_an_entry_or_a_flag_that_exists():
    everything = {f"--{flag}" for flag in flags.FLAGS}
    for kind in registry.KINDS:
        for name in registry.names(kind):
            everything |= set(known(**{"measures" if kind == "measure" else kind: name}))

    assert set(SYNONYMS) <= everything
    assert all(words == "".join(words.lower().split("_")) for words in SYNONYMS.values())


@pytest.mark.parametrize(
    ("word", "line"),
    {
        "--lr=.1": "unknown flag --lr; did you mean '--config.runs.learning_rate'?",
        "--num_steps=9": "unknown flag --num_steps; did you mean '--config.schedule.num_steps'?",
        "--batch_size=9": "unknown flag --batch_size; did you mean '--config.batch_size'?",
        "--model.width=9": "unknown flag --model.width; did you mean '--config.model.width'?",
        "--checkpoint_dir=x": "unknown flag --checkpoint_dir; did you mean '--workdir'?",
        "--confg=x": "unknown flag --confg; did you mean '--config'?",
        "--zzz": "unknown flag --zzz; see --help",
        "train.lr=.1": "cannot understand 'train.lr=.1'; flags start with --; did you mean "
        "'--config.runs.learning_rate'?",
        "stray": "cannot understand 'stray'; flags start with --, see --help",
        "--config.runs.wd=1": "unknown config entry 'runs.wd'; did you mean 'runs.weight_decay'?",
        "--config.zzz=1": "unknown config entry 'zzz'; `python -m grokjax.train --config FILE "
        "--show` lists them all",
    }.items(),
)
def test_an_unknown_flag_is_one_line_with_the_right_spelling(word, line, tmp_path, capsys):
    file = tmp_path / "mine.py"
    file.write_text("from grokjax import base as get_config")
    with flagsaver.flagsaver(), pytest.raises(SystemExit) as left:
        command_line._parse(
            ["grokjax-train", f"--config={file}", word], takes=None, arguments=False
        )

    assert left.value.code == 2
    assert capsys.readouterr().err == f"error: {line}\n"


def test_help_names_show(capsys):
    with pytest.raises(SystemExit) as left:
        command_line._parse(["grokjax-train", "--config=configs/moddiv.py", "--help"], None, False)

    assert left.value.code == 0
    assert "--[no]show: Print every entry of the config" in capsys.readouterr().out


def test_a_command_that_trains_by_no_config_has_no_entries_of_one(capsys):
    with flagsaver.flagsaver(), pytest.raises(SystemExit):
        command_line._parse(["study", "--config.batch_size=9"], takes=("seeds",), arguments=False)

    assert capsys.readouterr().err == "error: unknown flag --config.batch_size; see --help\n"


@pytest.mark.parametrize("word", ["--workdir=x", "--log_every=5", "--config=configs/moddiv.py"])
def test_a_flag_of_training_is_a_mistake_where_nothing_reads_it(word, capsys):
    with flagsaver.flagsaver(), pytest.raises(SystemExit) as left:
        command_line._parse(["study", word], takes=("seeds",), arguments=False)

    line = f"error: {word.partition('=')[0]} has no effect here; leave it out, see --help\n"
    assert left.value.code == 2
    assert capsys.readouterr().err == line
