"""Compares what training has left: `python -m grokjax.analyze results/A results/B`.

    python -m grokjax.analyze results/moddiv results/moddiv_grokfast_ema
    python -m grokjax.analyze results --output analysis/all --flops
    python -m grokjax.analyze results/A results/B --paired

Each word is a results folder or a folder above several; without any it is results/. Runs that
differ in nothing but their seeds are one arm; p values compare with the first. Branches are
compared with it in pairs too, and all arms with --paired. Prints the table of
arms, and writes it with the figures as summary.md, summary.csv and *.png.
"""

from collections.abc import Callable, Sequence
from pathlib import Path

from absl import flags

from grokjax.reading import pairs
from grokjax.reading.arms import read_all, without_history
from grokjax.reading.comparison import write
from grokjax.recording.results import check_writable
from grokjax.running import command_line

SINCE = flags.DEFINE_integer(
    "since", 0, "First step in weights.png, where it was reached.", lower_bound=0
)
PAIRED = flags.DEFINE_bool(
    "paired", False, "Compare runs with the same seed in pairs, also of arms that are no branches."
)
FLOPS = flags.DEFINE_bool(
    "flops", False, "Count the arithmetic to grok too, which takes a second or two for each folder."
)
OUTPUT = command_line.define_path("output", "analysis", "Folder for the table and the figures.")


def prepare(argv: Sequence[str]) -> Callable[[], None]:
    """Reads what is to be compared; returns the work, which writes and prints it."""
    folders = [command_line.path(word) for word in argv[1:]]
    output = Path(OUTPUT.value)
    if not folders:
        folders = [command_line.usual_results()]
    check_writable("--output", output)
    arms = read_all(folders, command_line.warn)
    if FLOPS.value:
        from grokjax.reading import arithmetic  # and with it whatever trains

        arms = arithmetic.counted(arms)
    for folder in dict.fromkeys(f for path in folders for f in without_history(Path(path))):
        command_line.warn(f"left out {folder}: it has no evaluation yet")

    paired = pairs.table(arms, PAIRED.value)

    def work():
        print(write(arms, output, note=paired, since=SINCE.value))
        if paired:
            print(paired)
        print(f"the table and the figures are in {output}")

    return work


if __name__ == "__main__":
    command_line.run(prepare, arguments=True)
