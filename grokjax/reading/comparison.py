"""The folder of a comparison: its table and its pictures."""

import itertools
import re
import textwrap
from collections.abc import Iterator, Sequence
from pathlib import Path

from matplotlib.figure import Figure

from grokjax.reading.arms import Arm
from grokjax.reading.evidence import LEVEL
from grokjax.reading.findings import Finding
from grokjax.reading.pictures import charts, grids, measures, plots
from grokjax.reading.rows import Row, best_of_families, markdown, rows, write_csv
from grokjax.recording.files import replacing

MANY = 10  # more arms than this are a muddle; then each family is shown at one setting
LINK = re.compile(r"^!?\[(.+\.(?:png|csv))\]\(\1\)$", re.MULTILINE)
NOTES = """\
Medians are Kaplan-Meier estimates over all runs: one that has not grokked, also because it has
diverged, counts as followed up to the last step without it. `> 5,000` was not reached by step
5,000. Intervals are those of Brookmeyer and Crowley, 95 %; `none` is no bound, for want of
runs, and with fewer than six they are rough. Delays are from memorising to grokking. The log-rank p
compares with the arm of the first folder that has the same values, else with the first arm
(`compared_with` in summary.csv), without regard to how many arms there are; `log_rank_p_holm` has
Holm's correction for their number. Where training stops after grokking, a run keeps its last
metrics and does not collapse any more.

`validation when memorised` is the validation accuracy at the memorised step, `of the delay above
90 %` the share of the delay with a validation accuracy above that: near 100 % there was no plateau.
`collapsed after` counts runs that fell below the threshold again after they had grokked, `diverged`
those whose loss became infinite or NaN.

summary.csv has more. `share_low` and `share_high` are Wilson's 95 % interval of the share that
grokked; `mean_step` is the mean of the steps to grok, counted up to `mean_until` (restricted mean
survival time), with its standard error. At 50, 90, 95 and 99 % validation accuracy it has medians
of three times: `first`; `sustained`, the first of several evaluations in a row (the median grok
step, at the threshold of the config); `strict`, from which on a run was never below again as long
as it was watched; `times.png` draws them, of six arms at most. `strict_runs` are so many at the
threshold of the config; `collapse_depth` and `collapse_steps` say how far and for how many steps
runs that collapsed were below it at most, medians. `grok_seconds` is the median grok step by the
seconds that a step of one run took, its share of the wall time, and `grok_flops` (with --flops) by
its floating-point operations.

Falls and rises are the accuracy lost and the rise of the logarithm of training loss from one
evaluation to the next, on average from memorising to grokking or to the end: medians over runs,
exact intervals from six runs on, and the Mann-Whitney test against the same arm.
"""


def write(
    arms: Sequence[Arm],
    output: Path,
    title: str = "",
    note: str = "",
    since: int = 0,
    findings: Sequence[Finding] = (),
    summary: Sequence[Row] = (),
) -> str:
    """Writes summary.csv, summary.md and the figures; returns what people read first.

    Where a family is a choice of settings, it has a second table of each at its best. The summary
    are the rows of the arms, if they have been made.
    """
    if not arms:
        raise ValueError("there are no arms to compare; choose one folder of results or more")
    output.mkdir(parents=True, exist_ok=True)
    summary = summary or rows(arms)
    text = output / "summary.md"
    before = LINK.findall(text.read_text("utf-8", errors="replace")) if text.is_file() else []
    table = markdown(summary)
    if said := verdict(summary):
        table += f"\n{textwrap.fill(said, 100)}\n"
    best = best_of_families(arms)
    if 1 < len(best) < len(arms) and not by_fraction(arms):
        table += f"\nEach at its best setting, chosen by these very runs:\n\n{markdown(rows(best))}"
    tables = [f"{one.name}.csv" for one in findings]
    pictures = []
    write_csv(summary, output / "summary.csv")
    for one in findings:
        table += f"\n{one.text}\n"
        write_csv(one.rows, output / f"{one.name}.csv", columns=())
    own = ((f"{one.name}.png", one.draw()) for one in findings if one.draw)
    for name, figure in itertools.chain(figures(arms, since), own):
        with replacing(output / name) as path:
            plots.save(figure, path)
        pictures.append(name)
    links = [f"[{name}]({name})" for name in tables] + [f"![{name}]({name})" for name in pictures]
    parts = [f"# {title or 'Comparison'}", table.rstrip(), note, NOTES.rstrip(), *links]
    with replacing(text) as path:
        path.write_text("\n\n".join(filter(None, parts)) + "\n", encoding="utf-8")
    for name in set(before) - {*tables, *pictures}:  # of other arms, or other questions
        (output / name).unlink(missing_ok=True)
    return table


def verdict(summary: Sequence[Row]) -> str:
    """What the comparisons of a table can show, and what is left of them; empty if it has none.

    The smallest effects are those of the comparison with the fewest runs.
    """
    runs = {(row["arm"], row["task"]): row["runs"] for row in summary}
    compared = [row for row in summary if row["compared_with"]]

    def sizes(row):
        return f"{row['runs']} against {runs[row['compared_with'], row['task']]} runs"

    said = []
    if few := [row for row in compared if row["smallest_p"] > LEVEL]:
        row = max(few, key=lambda row: row["smallest_p"])
        said.append(
            f"{sizes(row)} cannot decide: even if all of one arm grok before all of the other, "
            f"that comes by chance with probability {row['smallest_p']:.2g}, whatever the log-rank "
            "p says; train more seeds."
        )
    if enough := [row for row in compared if row["smallest_p"] <= LEVEL]:
        row = max(enough, key=lambda row: row["smallest_hazard_ratio"])
        alike = [r["smallest_median_ratio"] for r in enough if sizes(r) == sizes(row)]
        ratio = max((ratio for ratio in alike if ratio is not None), default=None)
        found = f"a ratio of hazards of {row['smallest_hazard_ratio']:.2g} or more"
        if ratio is not None:
            found += f" (of medians {ratio:.2g}, if steps are log-normal and spread as here)"
        said.append(
            f"{sizes(row)} show {found}, with 80 % power at the 5 % level, if all of them grok; "
            "less may go unseen."
        )
    if len(enough) > 1:
        p_values = [row["log_rank_p_holm"] for row in enough]
        left = sum(p is not None and p < LEVEL for p in p_values)
        said.append(
            f"Corrected for the number of arms, the log-rank p is below 0.05 in {left} of "
            f"{len(enough)} comparisons (Holm)."
        )
    return " ".join(said)


def figures(arms: Sequence[Arm], since: int = 0) -> Iterator[tuple[str, Figure]]:
    """(file name, picture) of everything that arms have to show; weights from a step on."""
    few = fewer(arms)
    yield "comparison.png", charts.comparison(few)
    yield "survival.png", charts.survival(few)
    if len(few) <= charts.FEW:
        yield "times.png", charts.times(few)
    if charts.WEIGHTS.keys() & set.intersection(*(set(arm.history.arrays()) for arm in few)):
        yield "weights.png", charts.weights(few, since)

    for name in measures.names(few):
        yield f"measure_{name}.png", measures.measure(few, name)

    families = {}
    for arm in arms:
        families.setdefault(arm.family, []).append(arm)
    varying = {family: _varying(members) for family, members in families.items()}
    numeric = {
        family: values
        for family, values in varying.items()
        if not any(isinstance(value, str) for distinct in values.values() for value in distinct)
    }
    planes = [family for family, values in numeric.items() if len(values) == 2]
    for family in planes:
        yield _name("phase", family, planes), grids.phase(families[family], *varying[family])

    alone = [next(iter(values.items())) for values in numeric.values() if len(values) == 1]
    lines = dict.fromkeys(entry for entry, distinct in alone if len(distinct) >= 3)
    for x in lines:
        on_it = [arm for arm in arms if list(varying[arm.family]) == [x]]
        yield _name("curve", x, lines), grids.curve(on_it, x)
        yield _name("best", x, lines), grids.curve(on_it, x, best=True)

    if mixtures := [arm for arm in arms if arm.trained_tasks]:
        yield "tasks.png", charts.tasks(mixtures)


def fewer(arms: Sequence[Arm]) -> list[Arm]:
    """All arms, or of many one of each family.

    That is the one at its best, or where data is what varies, with the same share of it.
    """
    if len(arms) <= MANY:
        return list(arms)
    if not by_fraction(arms):
        return best_of_families(arms)
    shares = {}
    for arm in arms:
        shares.setdefault(arm.family, set()).update(arm.config["runs"]["train_fraction"])
    common = sorted(set.intersection(*shares.values()))
    if not common:
        return list(arms)
    chosen = common[len(common) // 2]
    return [arm for arm in arms if arm.values.get("train_fraction", chosen) == chosen]


def by_fraction(arms: Sequence[Arm]) -> bool:
    """Do some differ in their share of the examples? That is no setting to be chosen."""
    return any("train_fraction" in arm.values for arm in arms)


def differ_in_data(arms: Sequence[Arm]) -> bool:
    """The same, of arms in different folders too: which is earlier says nothing then."""
    entry = "train_fraction"
    shares = [a.values.get(entry, a.config.get("runs", {}).get(entry)) for a in arms]
    return any(share != shares[0] for share in shares)


def _varying(arms):
    """{entry: its distinct values} for what differs between the arms of one folder."""
    values = {entry: {arm.values[entry] for arm in arms} for entry in arms[0].values}
    return {entry: distinct for entry, distinct in values.items() if len(distinct) > 1}


def _name(kind, which, of):
    """`phase.png`, or `phase_moddiv.png` where there are several."""
    return f"{kind}.png" if len(of) == 1 else f"{kind}_{str(which).replace('/', '_')}.png"
