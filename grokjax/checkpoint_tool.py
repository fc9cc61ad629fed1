"""Reads checkpoints, and evaluates their networks with fewer weights.

    python -m grokjax.checkpoint_tool list                   # of results/; or of other folders
    python -m grokjax.checkpoint_tool inspect results/moddiv
    python -m grokjax.checkpoint_tool inspect results/moddiv/checkpoints/2000
    python -m grokjax.checkpoint_tool compare results/moddiv results/modadd
    python -m grokjax.checkpoint_tool prune results/moddiv --threshold 0.01,0.1
    python -m grokjax.checkpoint_tool embeddings results/moddiv --method pca --run 0
    python -m grokjax.checkpoint_tool export results/moddiv --format safetensors

The checksums of every checkpoint are checked. `compare` takes the newest sound one of each folder
unless a step is named. `prune` writes pruned.json next to the summary, `embeddings` writes
embeddings.png and, of several checkpoints, embeddings.gif. `export` writes the weights of each run,
or of one, for other libraries: those of transformers as TransformerLens names them.
"""

import functools
import itertools
import math
from collections.abc import Callable, Sequence
from pathlib import Path

from absl import flags

from grokjax.core.weight_stats import SMALL
from grokjax.reading import tensors, texts
from grokjax.reading.checkpoint import (
    Place,
    find,
    find_of_one_training,
    newest,
    read_merged,
    read_newest,
)
from grokjax.reading.pictures import embeddings, style
from grokjax.reading.rebuild import Rebuilt, pruned, rebuild, write_pruned
from grokjax.recording.checkpoints import Damaged
from grokjax.recording.output import plain_console
from grokjax.recording.results import Results
from grokjax.running import cache, command_line

THRESHOLD = flags.DEFINE_list(
    "threshold", [str(SMALL)], "Weights smaller than this are set to 0; or several."
)
METHOD = flags.DEFINE_enum("method", "pca", [*embeddings.METHODS], "Projection of the embeddings.")
RUN = flags.DEFINE_integer(
    "run", None, "Number of the run, from 0: embeddings are of one, 0 if not given, exports of all."
)
FORMAT = flags.DEFINE_enum("format", "safetensors", ["safetensors"], "Of files that are exported.")
WIDTH = 10_000  # of a table, which a file or another program gets without line breaks


def command(argv: Sequence[str]) -> Callable[[], None]:
    """Checks the words of the command line; returns the work that they ask for."""
    match [command_line.path(word) for word in argv[1:]]:
        case ["list", *folders]:
            folders = folders or [command_line.usual_results()]
            places = [place for folder in folders for place in find(Path(folder))]
            return functools.partial(_list, places)
        case ["inspect", folder]:
            checkpoint = read_newest(Path(folder))
            return lambda: print(*texts.inspected(checkpoint), sep="\n")
        case ["compare", *folders] if len(folders) > 1:
            paths = [Path(folder) for folder in folders]
            checkpoints = [read_merged(Results(path)) or read_newest(path) for path in paths]
            return functools.partial(_print, *texts.compared(checkpoints))
        case ["prune", folder]:
            return _prune(folder, _thresholds(THRESHOLD.value))
        case ["embeddings", folder]:
            return _embeddings(folder, METHOD.value, RUN.value or 0)
        case ["export", folder]:
            return _export(folder, RUN.value)
        case _:
            raise ValueError(
                "unknown command; choose from: list [FOLDER...], inspect FOLDER, "
                "compare FOLDER FOLDER..., prune FOLDER, embeddings FOLDER, export FOLDER"
            )


def _list(places):
    for _, of_folder in itertools.groupby(places, lambda place: place.results.folder):
        places = list(of_folder)
        results = places[0].results
        _print(str(results.folder), texts.listed(places))
        if line := texts.how_to_go_on(results):
            print(line)


def _prune(folder, thresholds):
    cache.use()
    places = find_of_one_training(Path(folder))
    rebuilt = rebuild(places[0].results)
    restored = newest(places, lambda place: rebuilt.restore(place.step))

    def work():
        found = pruned(rebuilt, restored.state_R, thresholds)
        path = write_pruned(rebuilt, restored.step, found)
        table = texts.pruned(found, rebuilt.experiment.labels)
        _print(f"step {restored.step:,}", table, f"also in {path}")

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
    places = find_of_one_training(Path(folder))
    rebuilt = rebuild(places[0].results)
    labels = rebuilt.experiment.labels
    rebuilt.check_run(run)
    tables = _tables(rebuilt, places, run)
    projections = [embeddings.METHODS[method](table_VxD) for table_VxD in tables.values()]
    titles = [f"{labels[run]}, step {step:,}" for step in tables]
    still, film = rebuilt.results.embeddings_figure, rebuilt.results.embeddings_film

    def work():
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


def _export(folder, run):
    tensors.check_package()
    places = find_of_one_training(Path(folder))
    rebuilt = rebuild(places[0].results)
    if run is not None:
        rebuilt.check_run(run)
    runs = range(len(rebuilt.experiment.labels)) if run is None else [run]
    restored = newest(places, lambda place: rebuilt.restore(place.step))

    def work():
        written = tensors.write(rebuilt, restored, runs)
        print(
            f"wrote {len(runs)} of {len(rebuilt.experiment.labels)} runs, see {written}/README.md"
        )

    return work


def _tables(rebuilt: Rebuilt, places: Sequence[Place], run: int):
    """{step: [V, D]} of the sound ones of some checkpoints."""
    tables = {}
    for place in places:
        try:
            state_R = rebuilt.restore(place.step).state_R
        except Damaged as damage:
            command_line.warn(f"warning: {damage}")
            reason = damage
            continue
        params = rebuilt.weights(state_R, run)
        tables[place.step] = embeddings.table(params, rebuilt.experiment.task.num_classes)
    if not tables:
        raise ValueError(f"no sound checkpoint in {str(rebuilt.results.folder)!r}: {reason}")
    return tables


def _print(*lines_and_tables):
    """Tables are as wide as they are, on a terminal and in a file; no text is markup."""
    console = plain_console(width=WIDTH)
    for part in lines_and_tables:
        console.print(part)


if __name__ == "__main__":
    command_line.run(command, arguments=True)
