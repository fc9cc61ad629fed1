"""Compares what training has left: `python -m grokjax.analyze results/A results/B`.

    python -m grokjax.analyze results/moddiv results/moddiv_grokfast_ema
    python -m grokjax.analyze results --output analysis/all --flops
    python -m grokjax.analyze results/A results/B --paired

Each word is a results folder or a folder above several; without any it is results/. Runs that
differ in nothing but their seeds are one arm; p values compare with the first. Branches are
compared with it in pairs too, and all arms with --paired. Prints the table of arms, and writes it
with the figures as summary.md, summary.csv and *.png.

    python -m grokjax.analyze results/grid --law "delay ~ learning_rate * weight_decay"
    python -m grokjax.analyze results/curve --critical train_fraction
    python -m grokjax.analyze results/width8 results/width32 --critical model.width
    python -m grokjax.analyze results/measured --precursors

    python -m grokjax.analyze results/moddiv --html
    python -m grokjax.analyze results --serve

A law gives each entry its exponent, a critical value is where half of the runs grok; both with
95 % intervals. A precursor's rule is fixed on half of the runs and judged on the other. They are
law.csv, law.png and so on, and parts of summary.md. --html writes page.html too, one file that any
browser shows, without a network; --serve shows it on this machine alone, and anew at each
checkpoint of a training that goes on.
"""

from collections.abc import Callable, Sequence
from pathlib import Path

from absl import flags

from grokjax.reading import findings
from grokjax.reading.arms import read_all
from grokjax.reading.comparison import write
from grokjax.reading.folders import without_history
from grokjax.reading.narrow import for_this_terminal
from grokjax.reading.page import page
from grokjax.reading.rows import rows
from grokjax.recording.results import check_writable
from grokjax.running import command_line, server

SINCE = flags.DEFINE_integer(
    "since", 0, "First step in weights.png, where it was reached.", lower_bound=0
)
PAIRED = flags.DEFINE_bool(
    "paired", False, "Compare runs with the same seed in pairs, also of arms that are no branches."
)
FLOPS = flags.DEFINE_bool(
    "flops", False, "Count the arithmetic to grok too, which takes a second or two for each folder."
)
LAW = flags.DEFINE_string(
    "law", None, "A time (delay, grok, memorised) as a product of powers: 'delay ~ A * B'."
)
CRITICAL = flags.DEFINE_string(
    "critical", None, "Entry of a config whose value is wanted at which half of the runs grok."
)
PRECURSORS = flags.DEFINE_bool(
    "precursors", False, "Ask of each value, measures included, how well it precedes grokking."
)
SERVE = flags.DEFINE_bool(
    "serve", False, "Show the page at http://127.0.0.1:PORT, anew at each checkpoint of a training."
)
PORT = flags.DEFINE_integer(
    "port", 8000, "Of --serve; 0 is any that is free.", lower_bound=0, upper_bound=65535
)
OUTPUT = command_line.define_path("output", "analysis", "Folder for the table and the figures.")
NOT_SERVED = ("law", "critical", "precursors", "flops", "paired", "since", "output", "html")


def prepare(argv: Sequence[str]) -> Callable[[], None]:
    """Reads what is to be compared; returns the work, which writes and prints it."""
    folders = [command_line.path(word) for word in argv[1:]]
    output = Path(OUTPUT.value)
    if not folders:
        folders = [command_line.usual_results()]
    if SERVE.value:
        return _server([Path(folder) for folder in folders])
    if flags.FLAGS["port"].present:
        raise ValueError("--port is for --serve; add that, or leave --port out")
    has_page = page.wanted(command_line.HTML.value, usual=False)
    check_writable("--output", output)
    arms = read_all(folders, command_line.warn)
    if FLOPS.value:
        from grokjax.reading import arithmetic  # and with it whatever trains

        arms = arithmetic.counted(arms)
    for folder in dict.fromkeys(f for path in folders for f in without_history(Path(path))):
        command_line.warn(f"left out {folder}: it has no evaluation yet")
    found = []
    if LAW.value is not None:
        found.append(findings.law(arms, LAW.value))
    if CRITICAL.value is not None:
        found.append(findings.critical(arms, CRITICAL.value))
    if PRECURSORS.value:
        found.append(findings.signs(arms))
    found += findings.paired(arms, PAIRED.value)

    def work():
        table = rows(arms)
        summary = write(arms, output, since=SINCE.value, findings=found, summary=table)
        print(for_this_terminal(summary.rstrip()))
        print(f"the table and the figures are in {output}")
        if has_page:
            parts = {"": page.Part(arms, table, findings=found)}
            page.write(output / page.NAME, parts, "Comparison", command_line.itself())
            print(f"open {output / page.NAME} in a browser")

    return work


def _server(folders):
    """Checks what --serve needs; returns the work."""
    for name in NOT_SERVED:
        if flags.FLAGS[name].present and flags.FLAGS[name].value is not False:
            raise ValueError(f"--serve shows no --{name}; leave one of them out")
    for folder in folders:
        if not folder.is_dir():
            raise ValueError(f"{folder} is no folder; choose one that training writes to")
    page.check()
    return server.prepare(folders, PORT.value)


if __name__ == "__main__":
    command_line.run(prepare, ("html",), arguments=True)
