"""The page in a real browser: charts are drawn, hidden and moved, and nothing is fetched."""

import functools
import re
import shutil
import threading

import numpy as np
import pytest
from made_results import change, leave

from grokjax.config.grid import label, varying_points
from grokjax.reading.arms import read, read_all
from grokjax.reading.page import page
from grokjax.reading.rows import rows
from grokjax.running import server

BROWSERS = ("chromium", "chromium-browser", "google-chrome")
WIDTHS = (1280, 390)
RUNS = {"learning_rate": [0.001, 0.002, 0.004, 0.008, 0.016], "weight_decay": [0, 1, 2, 4]}

pytestmark = pytest.mark.slow


@pytest.fixture(scope="module")
def browser():
    api = pytest.importorskip("playwright.sync_api")
    pytest.importorskip("plotly")
    path = next(filter(None, map(shutil.which, BROWSERS)), None)
    if path is None:
        pytest.skip(f"there is none of {', '.join(BROWSERS)}")
    with api.sync_playwright() as playwright:
        running = playwright.chromium.launch(executable_path=path, args=["--no-sandbox"])
        yield running
        running.close()


@pytest.fixture(scope="module")
def file(tmp_path_factory):
    """20 arms of 50 runs, in which a run groks the earlier the larger both entries are."""
    folder = tmp_path_factory.mktemp("page")
    runs = {**RUNS, "seed": list(range(50))}
    points = list(varying_points(runs))
    labels = [label(point) for point in points]
    draws_R = np.random.default_rng(0).lognormal(0, 0.25, len(points))
    own_R = [1e-3 / point["learning_rate"] / (point["weight_decay"] + 0.2) for point in points]
    middle_R = 4000 * draws_R * np.array(own_R)
    leave(folder / "sweep", [None] * len(points), runs=runs, labels=labels, last=9000)

    def accuracy(arrays):
        return 1 / (1 + (middle_R / arrays["step"][:, None]) ** 9)

    def spectrum(arrays):
        return np.ones((len(arrays["step"]), 1000, 3)) * arrays["step"][:, None, None]

    change(folder / "sweep", val_accuracy=accuracy, **{"odd/waves": spectrum})
    arms = read(folder / "sweep")
    part = page.Part(arms, rows(arms))
    page.write(folder / "page.html", {"": part}, "A sweep", "python -m grokjax.analyze")
    return folder / "page.html"


@pytest.fixture(scope="module")
def mixtures(tmp_path_factory):
    """Grids and lines of two mixtures each, of which `half` groks at 300 and `all` at 600."""
    folder = tmp_path_factory.mktemp("mixtures")
    rates = {"mix": ["half", "all"], "learning_rate": [0.1, 0.2, 0.4]}
    for name, runs in (("grid", {**rates, "weight_decay": [0, 1]}), ("line", rates)):
        points = list(varying_points(runs))
        steps = [300 if point["mix"] == "half" else 600 for point in points]
        leave(folder / name, steps, runs=runs, labels=[label(point) for point in points])
    arms = read_all([folder / "grid", folder / "line"])
    page.write(folder / "page.html", {"": page.Part(arms, rows(arms))}, "Mixtures", "")
    return folder / "page.html"


@pytest.fixture(params=WIDTHS)
def opened(request, browser, file):
    """The page at a width, and what it has said and asked for, which is to be nothing."""
    touch = request.param < 500
    context = browser.new_context(
        viewport={"width": request.param, "height": 900}, has_touch=touch, offline=True
    )
    view = context.new_page()
    view.errors = []
    view.requests = []
    view.on("console", lambda message: view.errors.append(message.text))
    view.on("pageerror", lambda error: view.errors.append(str(error)))
    view.on("request", lambda asked: view.requests.append(asked.url))
    view.goto(file.as_uri())
    yield view
    assert view.errors == []
    assert view.requests == [file.as_uri()]
    context.close()


def show(view, selector):
    """Scrolls to a figure, and waits until it is drawn."""
    view.locator(selector).first.scroll_into_view_if_needed()
    view.locator(f"{selector} .main-svg").first.wait_for()


def settle(view):
    """Waits for two frames, in which what has changed is drawn."""
    frame = "new Promise(done => requestAnimationFrame(() => requestAnimationFrame(done)))"
    view.evaluate(frame)


def test_a_thousand_runs_are_small_and_shown_at_once(opened, file):
    """At once is three seconds on a quiet machine; here others may be at work.

    Then the first charts are drawn too, of which those of all runs take longest.
    """
    timing = "performance.getEntriesByType('navigation')[0].domContentLoadedEventEnd"

    assert file.stat().st_size < 6e6
    assert opened.evaluate(timing) < 9000
    for kind in ("survival", "dots", "curves"):
        show(opened, f"figure.{kind}")
    assert opened.evaluate("performance.now()") < 15_000
    assert opened.title() == "A sweep"


def test_every_chart_is_drawn_and_nothing_is_wider_than_the_page(opened):
    for kind in ("survival", "dots", "curves", "phase", "measures"):
        show(opened, f"figure.{kind}")
    opened.locator("#provenance").scroll_into_view_if_needed()
    wide = "document.documentElement.scrollWidth - innerWidth"

    assert opened.evaluate(wide) <= 0
    assert opened.locator("figure.survival path.js-line").count() > 0
    assert opened.locator("figure.phase .heatmaplayer image, figure.phase .hm").count() > 0


def test_names_of_arms_are_whole_or_shortened_inside_their_chart(opened):
    show(opened, "figure.dots")

    for text in names_in_dots(opened):  # one folder's name says nothing
        assert re.fullmatch(r"\d+ of 50 · learning_rate=[\d.]+ weight_decay=\d", text)


def names_in_dots(view):
    """Of arms, all inside their chart."""
    ends = """chart => [...chart.querySelectorAll('.annotation-text')].map(text => {
        const [own, whole] = [text, chart].map(each => each.getBoundingClientRect());
        return [own.left - whole.left, whole.right - own.right, text.textContent];
    })"""
    found = view.locator("figure.dots .chart").evaluate(ends)
    assert found
    assert all(left >= 0 and right >= 0 for left, right, _ in found), found
    return [text for _, _, text in found]


def test_arms_of_other_texts_are_other_lines_and_other_diagrams(browser, mixtures):
    view = browser.new_page(viewport={"width": 390, "height": 900})
    view.goto(mixtures.as_uri())
    show(view, "figure.dots")
    view.get_by_role("button", name="all", exact=True).click()
    settle(view)
    shortened = [text for text in names_in_dots(view) if "…" in text]
    show(view, "figure.entry")
    traces = "chart => chart.data.map(trace => [trace.x, trace.y])"
    lines = view.locator("figure.entry .js-plotly-plot").first.evaluate(traces)
    show(view, "figure.phase")
    folder = view.get_by_label("Folder")
    names = folder.locator("option").all_inner_texts()
    medians = "chart => chart.data[0].z.flat().map(z => Math.round(10 ** z))"
    diagram = view.locator("figure.phase .js-plotly-plot").first
    first = diagram.evaluate(medians)
    folder.focus()
    folder.press("ArrowDown")  # keys go on in the control that replaces it
    settle(view)
    second = diagram.evaluate(medians)
    used = view.evaluate("document.activeElement.value")
    view.keyboard.press("ArrowUp")
    settle(view)

    assert len(shortened) == 12  # of two folders, whose names stay
    assert all(re.fullmatch(r"1 of 1 · grid .+ weight_decay=\d", text) for text in shortened)
    assert [line for line in lines if line[1][0]] == [
        [[0.1, 0.2, 0.4], [300] * 3],
        [[0.1, 0.2, 0.4], [600] * 3],
    ]
    assert names == ["grid mix=half", "grid mix=all"]
    assert (first, second, used) == ([300] * 6, [600] * 6, "grid mix=all")
    assert diagram.evaluate(medians) == [300] * 6
    view.close()


def test_a_click_on_an_arm_hides_it_and_another_shows_it(opened):
    show(opened, "figure.curves")
    lines = "document.querySelector('figure.curves .chart').data.length"
    button = opened.locator(".arms button[aria-pressed=true]").first
    name = button.inner_text().strip()
    own = opened.locator(".arms button", has_text=name).first
    before = opened.evaluate(lines)
    own.click()
    settle(opened)
    hidden = opened.evaluate(lines)
    pressed = own.get_attribute("aria-pressed")
    own.press("Enter")
    settle(opened)

    assert (hidden, pressed) == (before - 2, "false")  # its runs and their median
    assert opened.evaluate(lines) == before
    assert own.get_attribute("aria-pressed") == "true"


def test_the_slider_moves_by_the_keyboard_and_values_with_it(opened):
    show(opened, "figure.measures")
    opened.locator("figure.measures select").select_option("odd")
    box = opened.locator("figure.measures .panel", has_text="waves").locator(".js-plotly-plot")
    box.scroll_into_view_if_needed()
    box.wait_for()
    slider = opened.locator("figure.measures input[type=range]")
    slider.press("Home")
    settle(opened)
    first = opened.locator("figure.measures output").inner_text()
    low = box.evaluate("chart => chart.data[0].y[0]")
    slider.press("End")
    settle(opened)

    assert (first, low) == ("step 100", 100)
    assert opened.locator("figure.measures output").inner_text() == "step 9,000"
    assert slider.get_attribute("aria-valuetext") == "step 9,000"
    assert box.evaluate("chart => chart.data[0].y[0]") == 9000


def test_a_click_on_a_header_sorts_the_table(opened):
    def column(number):
        return opened.locator(f"tbody tr > :nth-child({number})").all_inner_texts()

    header = opened.get_by_role("button", name="median grok step")
    header.click()
    rising = column(5)
    header.click()
    falling = column(5)
    steps = [
        float(text.split()[0 if text[0] != ">" else 1].replace(",", "")) + (text[0] == ">")
        for text in rising
    ]

    assert steps == sorted(steps)
    assert len(set(steps)) > 5
    assert opened.locator("[aria-sort=descending]").count() == 1
    assert falling[0] == max(zip(steps, rising, strict=True))[1]


def test_dark_and_print_have_colours_that_can_be_read(browser, file):
    """Of text on its ground, by the contrast of the Web Content Accessibility Guidelines 2.1."""
    for scheme, media in (("light", "screen"), ("dark", "screen"), ("dark", "print")):
        view = browser.new_page(color_scheme=scheme)
        view.goto(file.as_uri())
        if media == "print":
            view.evaluate("dispatchEvent(new Event('beforeprint'))")
        read = "name => getComputedStyle(document.documentElement).getPropertyValue(name)"
        ground = view.evaluate(read, "--paper")
        for name in ("--ink", "--muted", "--accent"):
            assert contrast(view.evaluate(read, name), ground) > 4.5, (scheme, name)
        assert (luminance(ground) < 0.1) == (scheme == "dark" and media == "screen")
        view.close()


def test_a_served_page_is_loaded_again_when_there_are_new_results(browser, tmp_path):
    handler = functools.partial(server.Handler, shown=server.Shown([tmp_path]))
    with server.Server((server.HERE, 0), handler) as running:
        threading.Thread(target=running.serve_forever, daemon=True).start()
        view = browser.new_page()
        view.goto(f"http://127.0.0.1:{running.server_port}/")
        waits = view.title()
        leave(tmp_path / "run", [300, 400])
        view.locator("tbody th", has_text="run").wait_for(timeout=60_000)
        view.locator(".arms button").click()
        leave(tmp_path / "later", [500])
        view.locator("tbody th", has_text="later").wait_for(timeout=60_000)
        running.shutdown()

    assert waits == "Waiting for results"
    assert view.locator(".arms [aria-pressed=false]").inner_text() == "run"  # as it was left
    view.close()


def luminance(colour):
    channels = np.array([int(colour.strip()[i : i + 2], 16) for i in (1, 3, 5)]) / 255
    linear = np.where(channels <= 0.03928, channels / 12.92, ((channels + 0.055) / 1.055) ** 2.4)
    return linear @ [0.2126, 0.7152, 0.0722]


def contrast(a, b):
    low, high = sorted([luminance(a), luminance(b)])
    return (high + 0.05) / (low + 0.05)
