"""What checkpoints hold, and what is left of their networks.

    python -m grokjax.checkpoint_tool list results
    python -m grokjax.checkpoint_tool inspect results/moddiv
    python -m grokjax.checkpoint_tool inspect results/moddiv/checkpoints/2000
    python -m grokjax.checkpoint_tool compare results/moddiv results/modadd
    python -m grokjax.checkpoint_tool prune results/moddiv --threshold 0.01,0.1
    python -m grokjax.checkpoint_tool embeddings results/moddiv --method pca --run 0

Every checkpoint that is read is checked against its checksums. `compare` takes the newest sound
one of each folder unless a step is named. `prune` writes pruned.json beside the summary,
`embeddings` writes embeddings.png and, of several checkpoints, embeddings.gif.
"""

import functools
import math
from pathlib import Path

import jax
from absl import flags

from grokjax.core.weight_stats import SMALL
from grokjax.reading import findings, pruning
from grokjax.reading import inspected as inspection
from grokjax.reading.pictures import embeddings, style
from grokjax.reading.rebuild import Rebuilt, rebuild
from grokjax.recording.checkpoints import Damaged
from grokjax.recording.results import Results
from grokjax.running import command_line

THRESHOLD = flags.DEFINE_list("threshold", [str(SMALL)], "Weights below are set to 0; or several.")
METHOD = flags.DEFINE_enum("method", "pca", embeddings.METHODS, "How embeddings get flat.")
RUN = flags.DEFINE_integer("run", 0, "Number of the run whose embeddings are shown, from 0.")


def command(argv):
    """What the words of the command line ask for."""
    command_line.refuse("config", "seeds", "shard", "chunk")
    match argv[1:]:
        case ["list", *folders] if folders:
            places = [place for folder in folders for place in inspection.find(Path(folder))]
            return functools.partial(_list, places)
        case ["inspect", folder]:
            return functools.partial(print, findings.inspected(_newest(folder)))
        case ["compare", *folders] if len(folders) > 1:
            return functools.partial(print, findings.compared([_to_compare(f) for f in folders]))
        case ["prune", folder]:
            return _prune(folder, _thresholds(THRESHOLD.value))
        case ["embeddings", folder]:
            return _embeddings(folder, METHOD.value, RUN.value)
        case _:
            raise ValueError(
                "unknown command; choose from: list FOLDER..., inspect FOLDER, "
                "compare FOLDER FOLDER..., prune FOLDER, embeddings FOLDER"
            )


def _newest(folder):
    return inspection.newest_sound(inspection.of_one_training(Path(folder)))


def _to_compare(folder):
    return inspection.merged(Results(Path(folder))) or _newest(folder)


def _list(places):
    """A checkpoint may be large, so each is told of as soon as it has been read."""
    folder = None
    for place in places:
        if place.results.folder != folder:
            folder = place.results.folder
            print(folder)
        try:
            found, damage = inspection.inspect(place), ""
        except Damaged as error:
            found, damage = None, str(error)
        print(findings.listed(place.step, place.size, found, damage))


def _prune(folder, thresholds):
    command_line.use_compilation_cache()
    places = inspection.of_one_training(Path(folder))
    rebuilt = rebuild(places[0].results)
    restored = rebuilt.newest([place.step for place in places])

    def work():
        found = pruning.pruned(rebuilt, restored.state_R, thresholds)
        path = pruning.write(rebuilt, restored.step, found)
        print(f"step {restored.step:,}")
        print(f"{findings.pruned(found, rebuilt.experiment.labels)}\nalso in {path}")

    return work


def _thresholds(words):
    """0, which shows what was before, and the thresholds in their order."""
    try:
        thresholds = sorted({0.0, *map(float, words)})
    except ValueError as error:
        raise ValueError(f"--threshold {','.join(words)}; choose numbers as in 0.01,0.1") from error
    if not all(0 <= threshold < math.inf for threshold in thresholds):
        raise ValueError(f"--threshold {','.join(words)}; choose 0 or more")
    return thresholds


def _embeddings(folder, method, run):
    embeddings.check_method(method)
    places = inspection.of_one_training(Path(folder))
    rebuilt = rebuild(places[0].results)
    label = inspection.label_of(rebuilt.experiment.labels, run)
    tables = _tables(rebuilt, [place.step for place in places], run)

    def work():
        projections = [embeddings.project(table_VxD, method) for table_VxD in tables.values()]
        titles = [f"{label}, step {step:,}" for step in tables]
        still, film = rebuilt.results.embeddings_figure, rebuilt.results.embeddings_film
        style.save(embeddings.picture(projections[-1], titles[-1]), still)
        print(f"wrote {still}")
        if len(tables) > 1:
            embeddings.animate(embeddings.in_step(projections), titles, film)
            print(f"wrote {film}")
        print(
            f"checkpoints that could be shown: {len(tables)}; to keep more, train with a larger "
            "--config.schedule.keep and a smaller --config.schedule.checkpoint_every"
        )

    return work


def _tables(rebuilt: Rebuilt, steps, run):
    """{step: [V, D]} of the sound ones of some checkpoints."""
    tables, reason = {}, None
    for step in steps:
        try:
            state_R = rebuilt.restore(step).state_R
        except Damaged as damage:
            command_line.warn(f"warning: {damage}")
            reason = damage
            continue
        one_run = jax.tree.map(lambda x: x[run], (state_R, rebuilt.experiment.runs_R))
        params = rebuilt.experiment.trainer.eval_params(*one_run)
        tables[step] = embeddings.table(params, rebuilt.experiment.task.num_classes)
    if not tables:
        raise ValueError(f"no sound checkpoint in {str(rebuilt.results.folder)!r}: {reason}")
    return tables


if __name__ == "__main__":
    command_line.run(command, arguments=True)
