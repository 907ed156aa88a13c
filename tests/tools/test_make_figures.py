"""Figures of the documents: up to date, small, and used."""

from __future__ import annotations

import json
import re
from pathlib import Path
from typing import Any
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


def bench_results(processor: str, inputs: str, milliseconds: float) -> dict[str, Any]:
    """The part of the output of ``zoo bench --json`` that a figure shows."""
    races = [
        {
            "cell": cell,
            "shape": shape,
            "steps": [
                {"contender": name, "least_s": milliseconds / 1000} for name in ("zoo", "torch", "jax")
            ],
        }
        for cell in make_figures.SPEED_CELLS
        for shape in make_figures.SPEED_SHAPES
    ]
    settings = {"threads": 2, "dtype": "float32", "inputs": inputs, "seconds": 1.0}
    about = {"command": "zoo bench", "date": "2026-01-01 00:00 UTC", "remarks": ["busy"]}
    return {"races": races, "settings": settings, "machine": {"processor": processor}, **about}


def test_speed_has_a_row_for_each_processor_and_kind_of_input(tmp_path, monkeypatch, capsys) -> None:
    monkeypatch.setattr(make_figures, "IMAGES", tmp_path)
    for processor, inputs, milliseconds in (
        ("X", "dense", 3.0),
        ("X", "tokens", 1.0),
        ("A", "tokens", 2.0),
        ("X", "tokens", 4.0),
    ):
        file = tmp_path / "bench.json"
        file.write_text(json.dumps(bench_results(processor, inputs, milliseconds)), encoding="utf-8")
        make_figures.store("speed", file)
    machines = make_figures.measured("speed")["machines"]
    assert [make_figures.speed_key(each) for each in machines] == [
        ("A", "tokens"),
        ("X", "tokens"),
        ("X", "dense"),
    ]
    assert machines[1]["milliseconds"]["gru"]["64x64x512"] == {"zoo": 4.0, "jax": 4.0, "torch": 4.0}
    assert capsys.readouterr().err == 4 * "busy\n"
    picture = make_figures.draw_speed()
    assert "One training step on A and X: less is better" in picture
    assert "X, dense input, float32, 2 threads" in picture


def test_incomplete_speeds_are_rejected() -> None:
    results = bench_results("X", "tokens", 1.0)
    results["races"][0]["steps"][1]["least_s"] = None
    with pytest.raises(ValueError, match="vanilla 64x32x128 has no time of torch"):
        make_figures.speed_of(results)
    with pytest.raises(ValueError, match="expected vanilla, lstm, gru with the shapes 64x32x128, 64x64x512"):
        make_figures.speed_of({**results, "races": []})


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
    text = canvas.svg()
    assert "\n.stroke-3 {" in text
    assert ".stroke-2 {" not in text, "styles that no element uses are left out"
    picture = ElementTree.fromstring(text)
    namespace = "{http://www.w3.org/2000/svg}"
    assert picture.findtext(f"{namespace}title") == "a < b"
    assert [span.text for span in picture.iter(f"{namespace}tspan")] == ["h", "t-1", " W", "T"]
    paths = {path.get("class"): path.get("d") for path in picture.iter(f"{namespace}path")}
    assert paths["curve stroke-3"] == "M20.0 90.0L120.0 10.0"
