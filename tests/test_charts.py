"""What the pictures of several arms show, read back from the figures."""

import numpy as np
import pytest
from matplotlib import colormaps
from matplotlib.colors import to_hex
from matplotlib.patches import Rectangle
from matplotlib.text import Annotation

from grokjax.reading.arms import Arm
from grokjax.reading.pictures import charts, grids, style
from grokjax.reading.survival import Durations, Median, times_until
from grokjax.recording.history import History

pytestmark = pytest.mark.filterwarnings("error")


def make_arm(name, groks, step_E=(100, 500, 700), values=None, **metrics):
    """An arm of runs that grokked at these steps; None was watched to the last one."""
    shape, rng = (len(step_E), len(groks)), np.random.default_rng(len(name))
    names = ("train_accuracy", "val_accuracy", "train_loss", "val_loss")
    arrays = {metric: rng.uniform(0.1, 0.9, shape) for metric in names} | metrics
    arm = Arm(name, name.split()[0], values or {}, {}, History({"step": np.array(step_E)} | arrays))
    return knowing(arm, durations=times_until(np.array(groks, float), step_E[-1]))


def knowing(arm, **known):
    """The arm, whose cached properties are what the test says."""
    vars(arm).update(known)
    return arm


def find(axes, gid):
    """The artist of that gid, or None."""
    return next((one for one in axes.get_children() if one.get_gid() == gid), None)


def points(axes, gid):
    """[[x, y], ...] of the line of that gid."""
    return find(axes, gid).get_xydata().tolist()


def steps(axes, gid):
    """Where its marks stand, or [] if it has none."""
    line = find(axes, gid)
    return [] if line is None else line.get_xdata().tolist()


def edges(axes, gid, step):
    """(lower, upper) edge of a band."""
    x, y = find(axes, gid).get_paths()[0].vertices.T
    return min(y[x == step]), max(y[x == step])


def arrows(axes):
    """(x, y, direction) of each arrow."""
    found = [one for one in axes.get_children() if isinstance(one, Annotation)]
    return [(*one.xy, one.get_position()) for one in found]


def texts(axes):
    return [text.get_text() for text in axes.texts]


def legend_texts(figure):
    return [text.get_text() for text in figure.legends[0].get_texts()]


def grid_arm(learning_rate, weight_decay, groks, **metrics):
    values = dict(learning_rate=learning_rate, weight_decay=weight_decay)
    return make_arm(f"div {learning_rate} {weight_decay}", groks, values=values, **metrics)


def test_a_run_that_never_grokked_is_an_open_triangle_and_no_dot():
    figure = charts.comparison([make_arm("div", [100, None, 500, None, 500])])

    axes = figure.axes[3]
    assert steps(axes, "div grokked") == [100, 500, 500]
    assert steps(axes, "div censored") == [700, 700]
    triangles = find(axes, "div censored")
    assert (triangles.get_marker(), triangles.get_markerfacecolor()) == (">", "none")
    assert texts(axes)[:2] == ["div", "3 of 5"]


def test_where_nothing_grokked_there_is_neither_a_dot_nor_a_median():
    figure = charts.comparison([make_arm("div", [None, None])])

    axes = figure.axes[3]
    assert steps(axes, "div censored") == [700, 700]
    for what in ("grokked", "median", "interval"):
        assert find(axes, f"div {what}") is None
    assert "a run that grokked" not in legend_texts(figure)


def test_the_median_has_whiskers_to_the_ends_of_its_interval():
    median = Median(500, 300, 600)

    axes = charts.comparison([knowing(make_arm("div", [100, 500, 700]), median=median)]).axes[3]

    assert steps(axes, "div median") == [500]
    assert steps(axes, "div interval") == [300, 600]
    assert not arrows(axes)


def test_an_interval_without_an_upper_bound_goes_on_from_the_last_step_as_an_arrow():
    median = Median(500, 300, np.nan)

    axes = charts.comparison([knowing(make_arm("div", [500, None]), median=median)]).axes[3]

    assert steps(axes, "div interval") == [300, 700]
    [(x, _, direction)] = arrows(axes)
    assert x == 700
    assert direction == (16, 0)


def test_a_median_that_was_not_reached_has_no_mark():
    median = Median(np.nan, 300, np.nan)

    axes = charts.comparison([knowing(make_arm("div", [500, None, None]), median=median)]).axes[3]

    assert find(axes, "div median") is None
    assert steps(axes, "div interval") == [300, 700]


def test_the_marks_of_one_arm_stay_in_its_row():
    arms = [make_arm(name, [100] * 11 + [None] * 2) for name in ("add", "div", "s5")]

    axes = charts.comparison(arms).axes[3]

    for row, arm in enumerate(arms):
        for what in ("grokked", "censored", "median", "interval"):
            for _, height in points(axes, f"{arm.name} {what}"):
                assert row + 0.3 < height < row + 1


def test_an_arm_is_the_median_and_the_quartiles_of_its_runs():
    val_accuracy = np.array([[0.5, 0.1, 0.3, 0.2, 0.4], [0.9, 0.9, 0.6, 0.7, 0.8]])
    arm = make_arm("div", [None] * 5, (100, 700), val_accuracy=val_accuracy)

    axes = charts.comparison([arm]).axes[0]

    np.testing.assert_allclose(points(axes, "div"), [[100, 0.3], [700, 0.8]])
    np.testing.assert_allclose(edges(axes, "div quartiles", 100), (0.2, 0.4))
    np.testing.assert_allclose(edges(axes, "div quartiles", 700), (0.7, 0.9))


def test_one_run_has_no_band():
    figure = charts.comparison([make_arm("div", [500])])

    assert all(find(axes, "div quartiles") is None for axes in figure.axes)
    assert "quartiles of the runs" not in legend_texts(figure)


def test_every_arm_keeps_its_own_steps():
    arms = [make_arm("add", [None] * 2, (100, 700)), make_arm("div", [None], (30, 500, 900, 1100))]

    axes = charts.comparison(arms).axes[0]

    assert steps(axes, "add") == [100, 700]
    assert steps(axes, "div") == [30, 500, 900, 1100]
    low, high = axes.get_xlim()
    assert 25 < low < 30 < 1100 < high < 1300


def test_runs_whose_loss_is_no_number_leave_the_median_to_the_others():
    loss = np.array([[0.5, 0.3, np.nan], [0.1, np.nan, np.inf]])
    arm = make_arm("div", [None] * 3, (100, 700), train_loss=loss)

    axes = charts.comparison([arm]).axes[1]

    np.testing.assert_allclose(points(axes, "div"), [[100, 0.4], [700, 0.1]])
    assert axes.get_yscale() == "log"


def test_losses_of_which_none_is_a_number_are_drawn_too():
    nothing = np.full((3, 2), np.nan)
    arm = make_arm("div", [None] * 2, train_loss=nothing, val_loss=nothing)

    charts.comparison([arm]).draw_without_rendering()


def test_the_ninth_arm_has_the_first_colour_and_another_kind_of_line():
    axes = charts.comparison([make_arm(f"arm{number}", [500]) for number in range(12)]).axes[0]

    looks = [
        (to_hex(line.get_color()), line.get_linestyle())
        for line in (find(axes, f"arm{number}") for number in range(12))
    ]
    assert len(set(looks)) == 12
    assert len({colour for colour, _ in looks}) == len(style.COLOURS) == 8
    assert (looks[8][0], looks[0][1], looks[8][1]) == (looks[0][0], "-", "--")


@pytest.mark.parametrize("picture", [charts.comparison, charts.survival])
@pytest.mark.parametrize("number", [1, 12])
def test_the_legend_covers_no_panel_and_fits_the_picture(picture, number):
    name = "s5_long learning_rate=0.001 weight_decay=0.3 arm"
    figure = picture([make_arm(f"{name}{i}", [500, None]) for i in range(number)])

    figure.draw_without_rendering()

    legend = figure.legends[0].get_window_extent()
    assert not any(legend.overlaps(axes.get_window_extent()) for axes in figure.axes)
    assert legend.x0 >= 0
    assert legend.x1 <= figure.bbox.x1
    assert min(axes.get_window_extent().height for axes in figure.axes) > 200


def test_survival_climbs_by_the_share_of_those_still_at_risk():
    durations = Durations(np.array([100, 300, 500, 700]), np.array([True, False, True, True]))
    arm = knowing(make_arm("div", [100] * 4), durations=durations)

    axes = charts.survival([arm]).axes[0]

    # 1 of 4; of the two left after a run was lost at 300 first one, then the other
    stairs = dict(points(axes, "div")[1:])
    assert stairs == pytest.approx({100: 1 / 4, 500: 1 - 3 / 4 * 1 / 2, 700: 1})
    assert find(axes, "div").get_drawstyle() == "steps-post"


def test_survival_ticks_a_run_where_it_was_last_seen():
    durations = Durations(np.array([100, 300, 500, 500]), np.array([True, False, True, False]))
    arm = knowing(make_arm("div", [100] * 4), durations=durations)

    figure = charts.survival([arm])

    np.testing.assert_allclose(
        points(figure.axes[0], "div censored"), [[300, 1 / 4], [500, 1 - 3 / 4 * 1 / 2]]
    )
    assert "div: 2 of 4" in legend_texts(figure)


def test_each_of_the_three_times_has_a_panel_at_each_threshold():
    """Of three in a row: run 0 is at 91 %, 97 % and 92 %; run 1 is at 60 %, and once at 100 %."""
    val_RxE = [[0.1, 0.91, 0.97, 0.97, 0.97, 0.92], [0.6, 0.6, 1, 0.6, 0.6, 0.6]]
    steps_E = (100, 200, 300, 400, 500, 600)
    arm = make_arm("div", [None, None], steps_E, val_accuracy=np.transpose(val_RxE))

    figure = charts.times([arm, make_arm("add", [None] * 3)])

    panels = np.array(figure.axes).reshape(3, 4)
    wanted = [  # steps of the two runs at 50, 90, 95, 99 %; None: not
        [(200, 100), (200, 300), (300, 300), (None, 300)],
        [(200, 100), (200, None), (300, None), (None, None)],
        [(200, 100), (200, None), (None, None), (None, None)],
    ]
    for of_kind, steps_of in zip(panels, wanted, strict=True):
        for axes, steps_R in zip(of_kind, steps_of, strict=True):
            came = [step for step in steps_R if step]
            climbs = {x for x, y in points(axes, "div") if y > 0}
            assert climbs - {600} == set(came)
            assert (steps(axes, "div censored") == [600]) == (None in steps_R)
    assert panels[0, 1].get_title(loc="left") == "90% validation accuracy, once"
    assert panels[2, 3].get_title(loc="left") == "99% for good, while watched"
    assert len(legend_texts(figure)) == 4  # two arms, their band, the ticks


def test_survival_of_an_arm_that_never_grokked_stays_at_zero():
    axes = charts.survival([make_arm("div", [None, None, None])]).axes[0]

    assert {share for _, share in points(axes, "div")} == {0}
    assert steps(axes, "div censored") == [700]


def test_a_phase_diagram_orders_its_values_and_writes_the_median_into_each_cell():
    arms = [
        grid_arm(0.01, 0.3, [1300] * 3),
        grid_arm(0.001, 0.3, [500, 500, 2600]),
        grid_arm(0.01, 0.0, [100, 700, 900]),
    ]

    axes = grids.phase(arms, "learning_rate", "weight_decay").axes[0]

    assert [label.get_text() for label in axes.get_xticklabels()] == ["0.001", "0.01"]
    assert [label.get_text() for label in axes.get_yticklabels()] == ["0", "0.3"]
    written = {text.get_position(): text.get_text() for text in axes.texts}
    assert written == {(1, 1): "1,300", (0, 1): "500", (1, 0): "700"}  # (0, 0) stays blank


def test_a_cell_whose_median_was_not_reached_is_hatched_and_says_how_many_grokked():
    arms = [grid_arm(0.01, 0.3, [500] * 3), grid_arm(0.001, 0.3, [100, None, None])]

    axes = grids.phase(arms, "learning_rate", "weight_decay").axes[0]

    hatched = {
        patch.get_center()[0]: patch.get_hatch()
        for patch in axes.patches
        if isinstance(patch, Rectangle)
    }
    assert hatched == pytest.approx({1: None, 0: "///"})
    assert {text.get_position()[0]: text.get_text() for text in axes.texts} == {
        1: "500",
        0: "1 of 3",
    }


def test_the_other_phase_diagram_is_of_the_last_validation_accuracy():
    arm = grid_arm(0.01, 0.3, [None] * 3, val_accuracy=np.array([[1, 1, 1], [0.2, 0.873, 0.9]]))

    axes = grids.phase([arm], "learning_rate", "weight_decay").axes[1]

    assert texts(axes) == ["87.3%"]


def test_steps_have_a_logarithmic_scale_of_colours():
    groks = {0.001: 100, 0.01: 1000, 0.1: 10_000}
    arms = [grid_arm(rate, 1.0, [step]) for rate, step in groks.items()]

    axes = grids.phase(arms, "learning_rate", "weight_decay").axes[0]

    np.testing.assert_allclose(axes.patches[1].get_facecolor(), colormaps["viridis_r"](0.5))


def test_two_arms_in_one_cell_are_an_error():
    arms = [grid_arm(0.01, 0.3, [500]), grid_arm(0.01, 0.3, [700])]

    with pytest.raises(ValueError, match=r"have the same learning_rate and weight_decay"):
        grids.phase(arms, "learning_rate", "weight_decay")


def test_an_entry_that_does_not_vary_is_an_error_that_names_those_that_do():
    arm = grid_arm(0.01, 0.3, [500])

    with pytest.raises(ValueError, match="what varies there: learning_rate, weight_decay"):
        grids.curve([arm], "train_fraction")
    with pytest.raises(ValueError, match="l1 does not vary in div 0.01 0.3"):
        grids.phase([arm], "learning_rate", "l1")


def test_an_entry_of_words_is_no_axis():
    arm = make_arm("div", [500], values={"mix": "90:10"})

    with pytest.raises(ValueError, match="choose an entry of numbers"):
        grids.curve([arm], "mix")


def fraction_arm(family, fraction, groks, **metrics):
    name = f"{family} train_fraction={fraction}"
    return make_arm(name, groks, values={"train_fraction": fraction}, **metrics)


def test_a_curve_is_a_line_per_family_in_the_order_of_its_values():
    arms = [
        fraction_arm("div", 0.5, [100]),
        fraction_arm("add", 0.3, [700, 700, 500]),
        fraction_arm("div", 0.2, [500]),
    ]

    figure = grids.curve(arms, "train_fraction")

    drawn = {line.get_label(): line.get_xydata().tolist() for line in figure.axes[0].lines}
    assert legend_texts(figure)[:2] == ["div", "add"]
    assert drawn["div"] == [[0.2, 500], [0.5, 100]]
    assert drawn["add"] == [[0.3, 700]]


def test_a_point_that_was_not_reached_is_an_open_triangle_with_an_arrow_and_breaks_the_line():
    groks = {0.2: [500, 500], 0.3: [None, None, None], 0.5: [100, 100]}
    arms = [fraction_arm("div", fraction, steps_R) for fraction, steps_R in groks.items()]

    axes = grids.curve(arms, "train_fraction").axes[0]

    triangle = find(axes, "div train_fraction=0.3 censored")
    assert triangle.get_xydata().tolist() == [[0.3, 700]]
    assert (triangle.get_marker(), triangle.get_markerfacecolor()) == ("^", "white")
    assert (0.3, 700, (0, 16)) in arrows(axes)
    line = max(axes.lines, key=lambda one: len(one.get_xdata()))
    np.testing.assert_array_equal(line.get_ydata(), [500, np.nan, 100])


def test_a_curve_shows_the_interval_of_each_median():
    median = Median(500, 300, 600)

    axes = grids.curve(
        [knowing(fraction_arm("div", 0.3, [500]), median=median)], "train_fraction"
    ).axes[0]

    whisker = find(axes, "div train_fraction=0.3 interval")
    assert whisker.get_xydata().tolist() == [[0.3, 300], [0.3, 600]]
    assert not arrows(axes)


def test_the_best_accuracy_is_the_highest_of_each_run():
    val_accuracy = np.array([[0.1, 0.9, 0.2], [0.5, 0.1, np.nan], [0.4, 0.3, 0.7]])
    arm = fraction_arm("div", 0.3, [None] * 3, val_accuracy=val_accuracy)

    axes = grids.curve([arm], "train_fraction", best=True).axes[0]

    assert axes.lines[0].get_xydata().tolist() == [[0.3, 0.7]]  # of 0.5, 0.9 and 0.7
    np.testing.assert_allclose(axes.collections[0].get_segments()[0], [[0.3, 0.6], [0.3, 0.8]])
    assert axes.yaxis.get_major_formatter()(0.2) == "20%"


def test_values_of_several_magnitudes_have_a_logarithmic_axis():
    def scale(values):
        arms = [grid_arm(value, 1.0, [500]) for value in values]
        return grids.curve(arms, "learning_rate").axes[0].get_xscale()

    assert scale([0.001, 0.01, 0.1]) == "log"
    assert scale([0.2, 0.5, 0.8]) == "linear"
    assert scale([0.0, 0.01, 0.1]) == "linear"


def mixture_arm(name, trained):
    """Accuracies of the tasks add and div; no training examples of those not in `trained`."""
    metrics = {}
    for height, task in ((0.3, "add"), (0.7, "div")):
        there = height if task in trained else np.nan
        metrics[f"train_accuracy/{task}"] = np.full((3, 2), there)
        metrics[f"val_accuracy/{task}"] = np.full((3, 2), height)
    return make_arm(name, [500, None], **metrics)


def test_every_task_has_a_panel_of_the_arms_that_train_on_it():
    arms = [mixture_arm("both", {"add", "div"}), mixture_arm("alone", {"div"})]

    figure = charts.tasks(arms)

    add, div = figure.axes
    assert add.get_title(loc="left") == "Validation accuracy, add"
    assert [line.get_label() for line in add.lines] == ["both"]
    assert [line.get_label() for line in div.lines] == ["both", "alone"]
    assert {height for _, height in points(div, "alone")} == {0.7}
    assert find(add, "both").get_color() == find(div, "both").get_color()
    assert find(div, "alone").get_color() != find(div, "both").get_color()


def test_tasks_are_only_for_mixtures():
    with pytest.raises(ValueError, match="choose arms of mixtures"):
        charts.tasks([make_arm("div", [500])])


PICTURES = [charts.comparison, charts.survival, charts.times, charts.tasks]


@pytest.mark.parametrize("picture", PICTURES)
def test_no_arms_make_no_picture(picture):
    with pytest.raises(ValueError, match="choose"):
        picture([])


def test_a_thousand_runs_are_a_thousand_dots():
    figure = charts.comparison([make_arm("div", [100, 500] * 500, (100, 700))])

    figure.draw_without_rendering()
    assert len(steps(figure.axes[3], "div grokked")) == 1000


def test_the_weights_of_an_arm_are_shown_as_far_as_they_were_recorded():
    norm_ExR = np.array([[3.0, 5.0, 7.0], [2.0, 5.0, 6.0], [1.0, 4.0, 9.0]])
    arm = make_arm("slow", [500, None, 700], weight_norm=norm_ExR, sparsity=norm_ExR / 10)
    norm, sparsity = charts.weights([arm]).axes[:2]

    assert norm.get_title(loc="left") == "Norm of all weights"
    assert points(norm, "slow") == [[100, 5], [500, 5], [700, 4]]
    assert points(sparsity, "slow") == [[100, 0.5], [500, 0.5], [700, 0.4]]


def test_training_errors_stand_beside_the_norm_of_the_last_layer():
    """Of all runs, as one that errs is no median; on an axis that has a place for none."""
    wrong_ExR = np.array([[900, 800, 700], [0, 0, 40], [0, 0, 0]])
    arm = make_arm("slow", [500, None, 700], misclassified=wrong_ExR, last_layer_norm=wrong_ExR)
    norm, errors = charts.weights([arm]).axes[:2]

    assert norm.get_title(loc="left") == "Spectral norm of the last layer"
    assert points(errors, "slow") == [[100, 800], [500, 0], [700, 0]]
    assert edges(errors, "slow range", 500) == (0, 40)
    assert errors.get_yscale() == "symlog"
    assert errors.get_ylim()[0] == 0


def test_the_weights_are_shown_from_a_step_on():
    norm_ExR = np.array([[3.0, 5.0], [2.0, 5.0], [1.0, 4.0]])
    arm = make_arm("slow", [500, None], step_E=(100, 7000, 9000), weight_norm=norm_ExR)
    norm = charts.weights([arm], since=500).axes[0]

    assert points(norm, "slow") == [[7000, 3.5], [9000, 2.5]]
    assert norm.get_xscale() == "linear"  # one power of ten would be its only tick
    assert len(charts.weights([arm], since=9001).axes[0].lines[0].get_xdata()) == 3
