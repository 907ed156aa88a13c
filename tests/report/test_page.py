"""The page in a browser: it loads without errors, fits a phone, and its controls work."""

from __future__ import annotations

import re
from collections.abc import Iterator
from pathlib import Path

import pytest
import report_fixtures as examples

import zoo
from zoo.report import make_report, write_page

sync = pytest.importorskip("playwright.sync_api", reason="needs playwright")
CHROMIUM = next(
    (path for path in ("/usr/bin/chromium", "/usr/bin/chromium-browser") if Path(path).exists()), None
)
if CHROMIUM is None:
    pytest.skip("needs Chromium", allow_module_level=True)

PHONE, DESK = {"width": 375, "height": 700}, {"width": 1280, "height": 900}
BACKGROUND = "getComputedStyle(document.body).backgroundColor"


@pytest.fixture(scope="module")
def pages(tmp_path_factory) -> dict[str, Path]:
    """The page of a run on a text, of a run on a task with numeric inputs, and of a comparison."""
    folder = tmp_path_factory.mktemp("pages")
    run = examples.train(folder)
    examples.log(run, *examples.analyses())
    comparison = examples.compare(tmp_path_factory.mktemp("comparison"))
    sizes = {"hidden": 5, "batch": 4, "steps": 2, "eval_batches": 1}
    with zoo.kernels.pure_python():
        numbers = zoo.train(task="adding", **sizes, out=folder / "numbers").path
        return {
            "numbers": write_page(make_report(numbers), folder / "numbers.html"),
            "run": write_page(make_report(run, symbols=200), folder / "run.html"),
            "comparison": write_page(make_report(comparison), folder / "comparison.html"),
        }


@pytest.fixture(scope="module")
def browser() -> Iterator[object]:
    with sync.sync_playwright() as started:
        browser = started.chromium.launch(executable_path=CHROMIUM, args=["--no-sandbox"])
        yield browser
        browser.close()


@pytest.fixture
def opened(browser, pages):
    """Opens a page; at the end of the test no error, warning or request to anywhere may have been seen."""
    seen: list[str] = []
    contexts = []

    def open_page(name: str, viewport=DESK, **more):
        context = browser.new_context(viewport=viewport, **more)
        contexts.append(context)
        page = context.new_page()
        page.set_default_timeout(10_000)
        page.on("console", lambda message: seen.append(f"{message.type}: {message.text}"))
        page.on("pageerror", lambda error: seen.append(str(error)))
        page.on(
            "request",
            lambda request: seen.append(request.url) if request.url[:5] not in ("file:", "data:") else None,
        )
        page.goto(pages[name].as_uri())
        page.wait_for_selector("svg.plot")
        return page

    yield open_page
    for context in contexts:
        context.close()
    assert seen == []


@pytest.mark.parametrize("name", ["run", "numbers", "comparison"])
@pytest.mark.parametrize("scheme", ["light", "dark"])
def test_page_opens_and_fits_a_phone(opened, name, scheme):
    page = opened(name, PHONE, color_scheme=scheme)
    assert page.evaluate("document.documentElement.scrollWidth") == PHONE["width"]
    assert page.locator("main section").count() == page.locator("nav a").count() > 2
    assert page.evaluate("document.title") == page.locator("h1").inner_text()
    light = sum(map(int, re.findall(r"\d+", page.evaluate(BACKGROUND)))) > 384
    assert light == (scheme == "light")
    headless = page.locator("main figure:not([aria-labelledby])").count()
    assert headless == 0, "every figure has a title that readers of the screen hear"


def test_theme_switch(opened):
    page = opened("run", color_scheme="light")
    before = page.evaluate(BACKGROUND)
    page.get_by_role("button", name="Dark").click()
    dark = page.evaluate(BACKGROUND)
    page.get_by_role("button", name="Auto").click()
    assert page.evaluate(BACKGROUND) == before != dark


def ticks(chart) -> list[str]:
    return chart.locator(".tick").all_text_contents()


def test_axes_become_logarithmic_and_linear(opened):
    chart = opened("run").locator("#loss")
    linear, path = ticks(chart), chart.locator(".path").first.get_attribute("d")
    log = chart.get_by_role("group", name="x axis").get_by_role("button", name="log")
    log.click()
    assert log.get_attribute("aria-pressed") == "true"
    assert ticks(chart) != linear
    assert chart.locator(".path").first.get_attribute("d") != path
    chart.get_by_role("group", name="x axis").get_by_role("button", name="linear").click()
    assert ticks(chart) == linear


def test_tooltip_by_pointer_and_keys(opened):
    page = opened("run")
    chart = page.locator("#loss")
    plot = chart.locator("svg.plot")
    box = plot.bounding_box()
    plot.hover(position={"x": box["width"] - 20, "y": 100})
    assert re.match(r"step 12\n(.|\n)*training\n\d", chart.locator(".tip").inner_text())
    page.mouse.move(0, 0)
    assert not chart.locator(".tip").is_visible()
    plot.focus()
    for key, step in (("ArrowRight", 2), ("ArrowRight", 4), ("End", 12), ("ArrowLeft", 10), ("Home", 2)):
        page.keyboard.press(key)
        assert f"at step {step}" in chart.locator("[aria-live]").inner_text()
    page.keyboard.press("Escape")
    assert not chart.locator(".tip").is_visible()


def test_legend_hides_a_line(opened):
    chart = opened("run").locator("#loss")
    entry = chart.get_by_role("button", name="validation")
    assert chart.locator("g.series").count() == 2
    entry.click()
    assert (chart.locator("g.series").count(), entry.get_attribute("aria-pressed")) == (1, "false")
    entry.click()
    assert chart.locator("g.series").count() == 2


def test_groups_of_a_chart_are_chosen(opened):
    page = opened("run")
    lags, gates = page.locator("#gradient-by-lag"), page.locator("#gate-saturation")
    assert lags.locator("g.series").count() == 3
    first = gates.get_by_role("button", name="layer 1"), gates.get_by_role("button", name="layer 2")
    assert [button.get_attribute("aria-pressed") for button in first] == ["true", "false"]
    assert gates.locator("g.series").count() == 6
    first[1].click()
    assert [button.get_attribute("aria-pressed") for button in first] == ["false", "true"]
    assert gates.locator("g.series").count() == 6
    lags.get_by_role("button", name="layer 1, c").click()
    assert lags.get_by_role("group", name="state").get_by_role("button").all_inner_texts() == [
        "layer 1, h",
        "layer 1, c",
    ]


def colours(page) -> str:
    return page.evaluate(
        "[...document.querySelectorAll('.units-text span')].map((s) => s.style.backgroundColor).join()"
    )


def test_units_are_picked(opened):
    page = opened("run")
    panel, description = page.locator("#units"), page.locator("#units .description")
    assert len(panel.locator(".units-text span").all()) == 200
    first = colours(page)
    seen = {description.inner_text()}
    for _ in range(7):
        panel.get_by_role("button", name="next unit").click()
        seen.add(description.inner_text())
    assert len(seen) == 8, "every unit has a description"
    panel.get_by_role("button", name="next unit").click()
    assert colours(page) == first, "the last is followed by the first"
    panel.get_by_role("button", name="number").click()
    assert description.inner_text().startswith("Unit 0 of 8")
    panel.locator(".units-text").press("ArrowRight")
    assert description.inner_text().startswith("Unit 1 of 8")
    own = colours(page)
    panel.get_by_role("button", name="all units").click()
    assert colours(page) != own
    assert description.inner_text().startswith("Unit 1 of 8"), "the range is another, the unit is the same"
    box = panel.locator("canvas").bounding_box()
    panel.locator("canvas").click(position={"x": 20, "y": box["height"] - 3})
    assert description.inner_text().startswith("Unit 7 of 8")


def test_suggested_unit_correlates_with_its_feature(opened):
    page = opened("run")
    chip = page.locator("#units .chips button").last
    feature, number = re.fullmatch(r"(.*) layer 1, h (\d+)", chip.inner_text()).groups()
    chip.click()
    assert re.match(
        rf"Unit {number} of 8 in layer 1, h\. It correlates best with “{feature}”, r = ",
        page.locator("#units .description").inner_text(),
    )


def test_surprise_over_the_text(opened):
    page = opened("run")
    panel = page.locator("#units")
    before = colours(page)
    panel.get_by_label("colour").select_option("surprise")
    assert colours(page) != before
    assert not panel.locator("canvas").is_visible()
    panel.locator(".units-text span").nth(5).hover()
    assert re.search(r"surprise [\d.]+ bits", panel.locator(".tip").inner_text())
    panel.get_by_label("colour").select_option("layer 1, h")
    assert colours(page) == before


def test_numeric_inputs_are_lines_below_the_unit(opened):
    page = opened("numbers")
    panel, examples_shown = page.locator("#units"), page.get_by_role("group", name="examples")
    assert panel.locator(".row-name").all_text_contents()[1:] == ["input 1", "input 2"]
    chosen = panel.locator(".path.chosen")
    first = chosen.get_attribute("d")
    panel.get_by_role("button", name="next unit").click()
    assert chosen.get_attribute("d") != first
    text = examples_shown.locator("output").inner_text()
    assert re.fullmatch(r"examples 1 to \d+ of 20", text)
    assert panel.locator(".answer").count() == int(text.split()[3]), "an answer at the end of each example"
    examples_shown.get_by_role("button", name="next examples").click()
    assert (
        examples_shown.locator("output").inner_text().startswith(f"examples {int(text.split()[3]) + 1} to ")
    )
    panel.locator(".input-rows").hover(position={"x": 5, "y": 100})
    assert re.match(r"step [12]\ninput 1 \S+\ninput 2 [01]\nunit ", panel.locator(".tip").inner_text())


def test_samples_expand(opened):
    samples = opened("run").locator("#sample")
    steps = samples.locator(".sample-step").all_inner_texts()
    assert (len(steps), steps[0], steps[-1]) == (6, "step 1", "step 12")
    samples.get_by_role("button", name="Show all 12").click()
    assert samples.locator(".sample-step").count() == 12


def test_tables_are_sorted(opened):
    table = opened("comparison").locator("#copying-scores")

    def column(place: int) -> list[str]:
        return table.locator(f"tbody tr > :nth-child({place})").all_inner_texts()

    head = table.get_by_role("button", name="cell")
    head.click()
    assert column(1) == sorted(examples.CELLS)
    assert table.locator("th[aria-sort]").get_attribute("aria-sort") == "ascending"
    head.press("Enter")
    assert column(1) == sorted(examples.CELLS, reverse=True)
    table.get_by_role("button", name="rank").click()
    assert column(15) == [str(place) for place in range(1, len(examples.CELLS) + 1)]


def test_points_show_their_seed(opened):
    page = opened("comparison")
    chart = page.locator("#copying-parameters")
    chart.locator("g.mark").first.hover(force=True)
    assert re.search(
        r"vanilla(.|\n)*parameters: 800\nseed [01], lr 0.003, H 8", chart.locator(".tip").inner_text()
    )
    assert {text.split()[0] for text in chart.locator(".level-name").all_text_contents()} == {
        "solved",
        "without",
    }


def test_markup_in_strings_is_text(opened):
    page = opened("comparison")
    assert page.locator("#failures td").last.inner_text() == examples.HOSTILE
    assert page.locator("main b, main img").filter(has_text="bold").count() == 0
    assert page.evaluate("document.title") != "1"


def test_reduced_motion_is_kept(opened):
    page = opened("run", reduced_motion="reduce")
    assert page.evaluate("getComputedStyle(document.documentElement).scrollBehavior") == "auto"
