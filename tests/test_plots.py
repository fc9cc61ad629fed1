"""What the pictures show, read back from the figures."""

import numpy as np
import pytest
from matplotlib.text import Text

from grokjax.reading.pictures import plots, style
from grokjax.recording.history import Grokking

pytestmark = pytest.mark.filterwarnings("error")


NEVER = np.nan


def grokking_of(memorised_R, grok_R):
    """When runs memorised and grokked."""
    memorised_R, grok_R = np.array(memorised_R, float), np.array(grok_R, float)
    zeros_R = np.zeros(grok_R.size, int)
    return Grokking(memorised_R, grok_R, grok_R - memorised_R, zeros_R, zeros_R, zeros_R)


ONE = grokking_of([300], [2600])


def make_history(step_E, num_runs, seed=0):
    """Losses and accuracies without any meaning, all different."""
    shape, rng = (len(step_E), num_runs), np.random.default_rng(seed)
    names = ("train_accuracy", "val_accuracy", "train_loss", "val_loss")
    return {"step": np.array(step_E)} | {name: rng.uniform(0.1, 0.9, shape) for name in names}


def line(axes, gid):
    """(x, y) of the line of that gid."""
    return next(one for one in axes.lines if one.get_gid() == gid).get_data()


def band(axes, gid, step_E):
    """(lower, upper) edge of the band of that gid, at each step."""
    area = next(one for one in axes.collections if one.get_gid() == gid)
    x, y = area.get_paths()[0].vertices.T
    return [[edge(y[x == step]) for step in step_E] for edge in (np.min, np.max)]


def legend_texts(figure):
    return [text.get_text() for text in figure.legends[0].get_texts()]


def texts(figure):
    return [text.get_text() for text in figure.findobj(Text)]


def test_one_run_is_a_line_without_a_band():
    history = make_history([100, 200, 300], num_runs=1)

    figure = plots.accuracy(history)

    step_E, accuracy_E = line(figure.axes[0], "validation")
    np.testing.assert_array_equal(step_E, [100, 200, 300])
    np.testing.assert_array_equal(accuracy_E, history["val_accuracy"][:, 0])
    assert not figure.axes[0].collections
    assert legend_texts(figure) == ["training", "validation"]


def test_several_runs_are_their_median_their_quartiles_and_their_range():
    history = make_history([100, 200], num_runs=5)
    history["val_accuracy"] = np.array([[0.5, 0.1, 0.3, 0.2, 0.4], [0.9, 0.9, 0.6, 0.7, 0.8]])

    figure = plots.accuracy(history)

    axes, step_E = figure.axes[0], history["step"]
    np.testing.assert_allclose(line(axes, "validation")[1], [0.3, 0.8])
    np.testing.assert_allclose(band(axes, "validation quartiles", step_E), [[0.2, 0.7], [0.4, 0.9]])
    np.testing.assert_allclose(band(axes, "validation range", step_E), [[0.1, 0.6], [0.5, 0.9]])
    assert {"quartiles of 5 runs", "range of 5 runs"} < set(legend_texts(figure))


def test_a_split_has_one_colour_in_all_panels():
    figure = plots.overview(
        make_history([100, 200], num_runs=1), grokking_of([NEVER], [NEVER]), {"task": "div"}
    )

    for axes in figure.axes[:2]:
        colours = {one.get_gid(): one.get_color() for one in axes.lines}
        assert colours["training"] == colours["memorised"] == style.VERMILION
        assert colours["validation"] == colours["grokked"] == style.BLUE


def test_accuracies_are_percentages_and_steps_have_separators():
    axes = plots.accuracy(make_history([100, 10_000], num_runs=1)).axes[0]

    assert axes.xaxis.get_major_formatter()(2600) == "2,600"
    assert axes.yaxis.get_major_formatter()(0.2) == "20%"
    assert axes.get_xscale() == "log"


def test_one_run_is_marked_where_it_memorised_and_where_it_grokked():
    figure = plots.accuracy(make_history([100, 10_000], num_runs=1), ONE)

    axes = figure.axes[0]
    assert line(axes, "memorised")[0] == [300, 300]
    assert line(axes, "grokked")[0] == [2600, 2600]
    assert {"memorised at 300", "grokked at 2,600 (delay 2,300)"} < set(legend_texts(figure))


def test_a_run_that_never_grokked_says_until_when_we_looked():
    figure = plots.accuracy(make_history([100, 10_000], num_runs=1), grokking_of([300], [NEVER]))

    assert "not grokked by 10,000" in legend_texts(figure)


def test_the_median_counts_runs_that_never_grokked_as_later_than_all_others():
    grok = grokking_of([100, NEVER, 100, NEVER, 100], [900, NEVER, 400, NEVER, 700])

    figure = plots.accuracy(make_history([100, 1000], num_runs=5), grok)

    assert line(figure.axes[0], "grokked")[0] == [900, 900]
    assert "grokked: 3 of 5 runs, median 900 (delay 800)" in legend_texts(figure)


def test_the_median_of_an_even_number_of_runs_is_when_half_of_them_were_there():
    grok = grokking_of([100, NEVER], [400, NEVER])

    figure = plots.accuracy(make_history([100, 1000], num_runs=2), grok)

    assert line(figure.axes[0], "grokked")[0] == [400, 400]


def test_no_median_is_marked_when_less_than_half_of_the_runs_grokked():
    grok = grokking_of([100, NEVER, NEVER], [900, NEVER, NEVER])

    figure = plots.accuracy(make_history([100, 1000], num_runs=3), grok)

    assert np.isnan(line(figure.axes[0], "grokked")[0]).all()
    assert "grokked: 1 of 3 runs" in legend_texts(figure)


def test_each_run_that_grokked_has_its_tick():
    grok = grokking_of([100, NEVER, 200], [900, NEVER, 400])

    axes = plots.accuracy(make_history([100, 1000], num_runs=3), grok).axes[0]

    ticks = next(one for one in axes.collections if one.get_gid() == "grokked steps")
    assert [segment[0][0] for segment in ticks.get_segments()] == [900, 400]


def test_loss_stands_on_a_linear_and_on_a_logarithmic_axis():
    figure = plots.loss(make_history([100, 1000], num_runs=1), ONE)

    assert [axes.get_yscale() for axes in figure.axes] == ["linear", "log"]
    assert "grokked at 2,600 (delay 2,300)" in legend_texts(figure)


@pytest.mark.parametrize("bad", [np.nan, np.inf])
def test_a_diverged_run_leaves_the_bands_of_the_others_as_they_were(bad):
    alone = make_history([100, 200, 300], num_runs=5)
    joined = {
        name: values if name == "step" else np.c_[values, np.full(3, bad)]
        for name, values in alone.items()
    }

    before, after = plots.loss(alone).axes[1], plots.loss(joined).axes[1]

    for name in ("training", "validation"):
        np.testing.assert_array_equal(line(after, name), line(before, name))
        for what in (f"{name} quartiles", f"{name} range"):
            assert band(after, what, alone["step"]) == band(before, what, alone["step"])
    assert after.get_ylim() == before.get_ylim()
    assert after.get_title(loc="left") == "Loss, log scale (diverged: 1 of 6)"


def test_a_run_that_explodes_does_not_flatten_the_others():
    history = make_history([100, 200], num_runs=7)
    history["val_loss"][1, 3] = 1e30

    linear, logarithmic = plots.loss(history).axes

    assert 0.9 < linear.get_ylim()[1] < 2
    assert 0.9 < logarithmic.get_ylim()[1] < 20


def test_a_loss_of_zero_stays_below_a_logarithmic_axis():
    history = make_history([100, 200, 300], num_runs=1)
    history["train_loss"][:, 0] = [0.5, 0.01, 0.0]
    history["val_loss"][:, 0] = 0.5

    bottom, _ = plots.loss(history).axes[1].get_ylim()

    assert 0.001 < bottom < 0.01


@pytest.mark.parametrize(("loss", "num_runs"), [(0.0, 1), (0.0, 3), (np.nan, 1), (np.inf, 3)])
def test_losses_without_a_single_positive_value_are_drawn_too(loss, num_runs):
    history = make_history([100, 200], num_runs)
    history["train_loss"][:] = history["val_loss"][:] = loss

    plots.loss(
        history, grokking_of([NEVER] * num_runs, [NEVER] * num_runs)
    ).draw_without_rendering()


@pytest.mark.parametrize("num_runs", [1, 1000])
def test_a_single_evaluation_is_a_dot(num_runs):
    history = make_history([100], num_runs)

    figure = plots.overview(
        history, grokking_of([NEVER] * num_runs, [NEVER] * num_runs), {"task": "div"}
    )

    figure.draw_without_rendering()
    assert [one.get_marker() for one in figure.axes[0].lines[:2]] == ["o", "o"]


def test_a_finite_value_between_others_that_are_not_is_a_dot():
    history = make_history([100, 200, 300, 400, 500], num_runs=1)
    history["val_loss"][:, 0] = [0.5, 0.4, np.nan, 0.3, np.nan]

    axes = plots.loss(history).axes[0]

    assert [one.get_markevery() for one in axes.lines] == [None, [3]]


@pytest.mark.parametrize("num_runs", [1, 5])
def test_the_legend_covers_no_panel(num_runs):
    history = make_history([100, 10_000], num_runs)

    figure = plots.overview(
        history, grokking_of([300] * num_runs, [2600] * num_runs), {"task": "div"}
    )

    figure.draw_without_rendering()
    legend = figure.legends[0].get_window_extent()
    assert not any(legend.overlaps(axes.get_window_extent()) for axes in figure.axes)


def test_the_overview_lists_the_facts():
    facts = {"task": "modular, a / b mod 97", "optimizer": "adamw"}

    figure = plots.overview(make_history([100, 200], num_runs=1), ONE, facts)

    assert {"task\noptimizer", "modular, a / b mod 97\nadamw"} < set(texts(figure))


def test_the_suffix_chooses_the_format_of_the_file(tmp_path):
    figure = plots.accuracy(
        make_history([100, 200], num_runs=3), grokking_of([300] * 3, [2600] * 3)
    )

    plots.save(figure, tmp_path / "accuracy.png")
    plots.save(figure, tmp_path / "accuracy.pdf")

    assert (tmp_path / "accuracy.png").read_bytes().startswith(b"\x89PNG\r\n")
    assert (tmp_path / "accuracy.png").stat().st_size > 20_000
    assert (tmp_path / "accuracy.pdf").read_bytes().startswith(b"%PDF")


def test_the_tasks_of_a_mixture_have_a_panel_of_their_own():
    history = make_history([100, 200], num_runs=3)
    history |= {"val_accuracy/div": np.array([[0.1, 0.3, 0.2], [0.9, 0.7, np.nan]])}
    history |= {"val_accuracy/add": np.full((2, 3), 0.5)}

    figure = plots.overview(history, grokking_of([NEVER] * 3, [NEVER] * 3), {"task": "mixture"})

    panel = figure.axes[1]
    np.testing.assert_allclose(line(panel, "div")[1], [0.2, 0.8])
    np.testing.assert_allclose(line(panel, "add")[1], [0.5, 0.5])
    assert {"div, validation", "add, validation"} < set(legend_texts(figure))
    assert (
        len(plots.overview(make_history([100], 1), grokking_of([NEVER], [NEVER]), {}).axes)
        == len(figure.axes) - 1
    )
