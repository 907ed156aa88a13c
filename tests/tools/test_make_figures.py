"""Figures of the documents: up to date, small, and used."""

from __future__ import annotations

import re
from pathlib import Path
from xml.etree import ElementTree

import make_figures
import pytest
from svg_charts import Axis, Canvas, Plot

ROOT = Path(__file__).parents[2]
IMAGES = ROOT / "docs" / "images"
PAGES = [ROOT / "README.md", *(ROOT / "docs").rglob("*.md")]


@pytest.mark.parametrize("name", make_figures.FIGURES)
def test_figure_is_up_to_date(name: str) -> None:
    drawn = make_figures.FIGURES[name]()
    stored = (IMAGES / f"{name}.svg").read_text(encoding="utf-8")
    assert drawn == stored, "draw it again: python tools/make_figures.py"


def test_measurements_name_the_command_that_made_them() -> None:
    of_pages = "pages"  # tools/make_page_figures.py
    assert {path.stem for path in IMAGES.glob("*.json")} == {of_pages, *make_figures.MEASUREMENTS}
    for name in make_figures.MEASUREMENTS:
        assert re.match(r"(zoo|python) ", make_figures.measured(name)["made by"])


def test_speeds_are_those_of_the_page_of_benchmarks() -> None:
    machine, times = make_figures.training_steps(make_figures.BENCHMARKS.read_text(encoding="utf-8"))
    assert machine.startswith("AMD EPYC")
    assert set(times["lstm", "64×32×128"]) == {"zoo", "torch", "jax"}
    assert all(0 < value < 1000 for step in times.values() for value in step.values())


def test_every_image_is_small_and_in_a_page() -> None:
    text = "\n".join(page.read_text(encoding="utf-8") for page in PAGES)
    images = [path for path in IMAGES.iterdir() if path.suffix in (".svg", ".png")]
    assert {path.stem for path in images if path.suffix == ".svg"} == set(make_figures.FIGURES)
    assert [path.name for path in images if path.stat().st_size > 150_000] == []
    assert [path.name for path in images if f"images/{path.name})" not in text] == []


def test_plot_maps_values_to_pixels() -> None:
    canvas = Canvas(200, 100, "a < b")
    plot = Plot(canvas, (20, 10), 100, 80, Axis("x", 0, 10, [0, 10]), Axis("", 0.1, 10, [1], log=True))
    assert plot.at(5, 1) == pytest.approx((70, 50))
    assert plot.at(50, 1000) == pytest.approx((120, 10)), "values outside are clipped"
    plot.curve([0, 10], [0.1, 10], 3)
    canvas.math((0, 0), "h_{t-1} W^{T}")
    picture = ElementTree.fromstring(canvas.svg())
    namespace = "{http://www.w3.org/2000/svg}"
    assert picture.findtext(f"{namespace}title") == "a < b"
    assert [span.text for span in picture.iter(f"{namespace}tspan")] == ["h", "t-1", " W", "T"]
    paths = {path.get("class"): path.get("d") for path in picture.iter(f"{namespace}path")}
    assert paths["curve stroke-3"] == "M20.0 90.0L120.0 10.0"
