"""Figures as files, and contrast of the colours, also for colour-blind readers."""

from __future__ import annotations

import itertools
import xml.etree.ElementTree as ElementTree
from dataclasses import replace
from importlib.util import find_spec

import numpy as np
import pytest
import report_fixtures as examples

import zoo
from zoo.report import figures, make_report, palette, write_figures
from zoo.report.blocks import Axis, Chart, Intervals, PageSection, Reference, ReportPage, Series
from zoo.tables import Column, Table, TableEntry

needs_matplotlib = pytest.mark.skipif(find_spec("matplotlib") is None, reason="needs matplotlib")


@pytest.fixture(scope="module")
def run(tmp_path_factory):
    path = examples.train(tmp_path_factory.mktemp("figures"))
    examples.log(path, *examples.analyses(steps=2))
    with zoo.kernels.pure_python():
        return make_report(path, symbols=120)


@needs_matplotlib
def test_every_figure_of_a_run_has_a_file(run, tmp_path):
    files = write_figures(run, tmp_path / "new" / "folder", "svg")
    names = {file.stem for file in files}
    assert {"loss", "gradient-norm", "clipped", "learning-rate", "speed"} < names
    assert {"gradient-by-lag-layer-1-h", "gradient-by-lag-layer-1-c"} < names
    assert {"gate-saturation-layer-1", "gate-saturation-layer-2"} < names
    assert any(name.startswith("unit-l0.h-") for name in names)
    for file in files:
        assert ElementTree.fromstring(file.read_text(encoding="utf-8")).tag.endswith("svg")


@needs_matplotlib
def test_comparison_figures_as_png(tmp_path):
    report = make_report(examples.compare(tmp_path, examples.CELLS[:3], seeds=3))
    overview, task, *_ = report.sections
    files = write_figures(replace(report, sections=(overview, task)), tmp_path, "png")
    kinds = ("scores", "parameters", "seconds", "rates", "curves")
    assert [file.name for file in files] == [
        *("cells-and-tasks.png", "mean-ranks.png"),
        *(f"copying-{kind}.png" for kind in kinds),
    ]
    assert all(file.read_bytes().startswith(b"\x89PNG") for file in files)
    (axes,) = figures.draw_chart(task.blocks[-1]).axes
    assert len(axes.collections) == 3, "a band around each mean"
    (ranks,) = (block for block in overview.blocks if isinstance(block, Intervals))
    (axes,) = figures.draw_intervals(ranks).axes
    assert [label.get_text() for label in axes.get_yticklabels()] == [row.name for row in ranks.rows]
    ends = [tuple(line.get_xdata()) for line in axes.lines if len(line.get_xdata()) == 2]
    assert ends == [(row.low, row.high) for row in ranks.rows]


def one_chart(name: str, text: str) -> ReportPage:
    series = (Series(text, (0, 1, 2), (0.0, None, 2.0)), Series(text, (0, 1), (0.0, 1.0), slot=7, marks=True))
    axes = Axis(text, log=True), Axis(text, "share", low=0, high=1)
    section = PageSection("s", "s", (Chart(name, text, *axes, series, (Reference(text, 1.0),)),))
    return ReportPage("t", "t", (), (section,))


@needs_matplotlib
def test_legend_is_outside_the_axes():
    (chart,) = one_chart("a", "a").sections[0].blocks
    figure = figures.draw_chart(chart)
    figure.canvas.draw()
    (axes,) = figure.axes
    assert axes.get_legend().get_window_extent().x0 >= axes.get_window_extent().x1


@needs_matplotlib
def test_hostile_names_in_figures(tmp_path):
    hostile = "../../a b$\\frac{$</svg>"
    (file,) = write_figures(one_chart(hostile, hostile), tmp_path, "svg")
    assert file.parent == tmp_path
    assert file.name == "a-b-frac-svg.svg"
    rewritten = write_figures(one_chart(hostile, hostile), tmp_path / "again", "svg")
    assert rewritten[0].read_bytes() == file.read_bytes(), "the same figure gives the same bytes"


@needs_matplotlib
def test_figures_as_pdf(tmp_path):
    (file,) = write_figures(one_chart("a", "a"), tmp_path, "pdf")
    (rewritten,) = write_figures(one_chart("a", "a"), tmp_path / "again", "pdf")
    assert file.name == "a.pdf"
    assert file.read_bytes().startswith(b"%PDF")
    assert rewritten.read_bytes() == file.read_bytes(), "the same figure gives the same bytes"
    assert b"/Type3" not in file.read_bytes(), "many journals reject fonts of type 3"


def test_invalid_ending_or_missing_matplotlib(tmp_path, monkeypatch):
    with pytest.raises(
        zoo.UsageError, match="the ending of figures is 'gif'; expected one of 'pdf', 'png', 'svg'"
    ):
        write_figures(one_chart("a", "a"), tmp_path, "gif")
    monkeypatch.setattr(figures.importlib.util, "find_spec", lambda name: None)
    with pytest.raises(zoo.UsageError, match=r"pip install 'recurrent-zoo\[report\]'"):
        write_figures(one_chart("a", "a"), tmp_path)


# Colours, by the model of Machado, Oliveira & Fernandes 2009, https://doi.org/10.1109/TVCG.2009.113,
# at full severity

LACKING = {
    "nothing": np.eye(3),
    "long": [
        [0.152286, 1.052583, -0.204868],
        [0.114503, 0.786281, 0.099216],
        [-0.003882, -0.048116, 1.051998],
    ],
    "medium": [
        [0.367322, 0.860646, -0.227968],
        [0.280085, 0.672501, 0.047413],
        [-0.011820, 0.042940, 0.968881],
    ],
    "short": [
        [1.255528, -0.076749, -0.178779],
        [-0.078411, 0.930809, 0.147602],
        [0.004733, 0.691367, 0.303900],
    ],
}
TO_XYZ = np.array([[0.4124, 0.3576, 0.1805], [0.2126, 0.7152, 0.0722], [0.0193, 0.1192, 0.9505]])


def linear(colour: str) -> np.ndarray:
    channels = np.array([int(colour[place : place + 2], 16) for place in (1, 3, 5)]) / 255
    return np.where(channels <= 0.04045, channels / 12.92, ((channels + 0.055) / 1.055) ** 2.4)


def lab(rgb: np.ndarray) -> np.ndarray:
    """CIE 1976 L*a*b* of linear sRGB."""
    white = TO_XYZ.sum(axis=1)
    x, y, z = np.cbrt(np.clip(TO_XYZ @ np.clip(rgb, 0, 1) / white, 1e-9, None))
    return np.array([116 * y - 16, 500 * (x - y), 200 * (y - z)])


def contrast(one: str, other: str) -> float:
    """The ratio of WCAG 2, https://www.w3.org/TR/WCAG21/#dfn-contrast-ratio."""
    dark, light = sorted(float(TO_XYZ[1] @ linear(colour)) for colour in (one, other))
    return (light + 0.05) / (dark + 0.05)


@pytest.mark.parametrize("theme", [0, 1], ids=["light", "dark"])
@pytest.mark.parametrize("lacking", LACKING)
def test_series_colours_differ_for_colour_blind_readers(theme, lacking):
    seen = [lab(np.array(LACKING[lacking]) @ linear(pair[theme])) for pair in palette.SERIES]
    distances = [np.linalg.norm(a - b) for a, b in itertools.combinations(seen, 2)]
    assert min(distances) > 18


@needs_matplotlib
def test_heat_map_has_lines_and_a_legend_for_scores_at_chance(tmp_path):
    columns = (Column("cell"), *(Column(task, "number", heat=True) for task in ("copying", "adding")))
    good, bad = TableEntry(0.9, shade=1.0), TableEntry(0.1, hatched=True)
    table = Table("scores", "Scores", columns, ((TableEntry("gru"), good, bad),), hatch="at chance: $0$")
    (axes,) = figures.draw_heat(table).axes
    assert [patch.get_hatch() for patch in axes.patches] == [None, "////"]
    assert [text.get_text() for text in axes.get_legend().get_texts()] == [r"at chance: \$0\$"]
    plain = replace(table, hatch="", rows=((TableEntry("gru"), good, good),))
    (axes,) = figures.draw_heat(plain).axes
    assert axes.get_legend() is None
    report = ReportPage("r", "", (), (PageSection("s", "S", (table,)),))
    (one,), (other,) = (write_figures(report, tmp_path / name, "svg") for name in "ab")
    assert one.read_bytes() == other.read_bytes()


@pytest.mark.parametrize("theme", [0, 1], ids=["light", "dark"])
def test_lines_of_hatched_cells_are_visible_and_text_on_them_readable(theme):
    line, card, ink = (palette.BACKGROUND[name][theme] for name in ("hatch", "card", "ink"))
    assert contrast(line, card) >= 1.9
    assert contrast(ink, line) >= 4.5


@pytest.mark.parametrize("theme", [0, 1], ids=["light", "dark"])
def test_contrast_of_lines_and_text(theme):
    ground = palette.BACKGROUND["card"][theme]
    assert all(contrast(pair[theme], ground) >= 3 for pair in palette.SERIES)
    words = [palette.BACKGROUND[name][theme] for name in ("ink", "muted", "accent", "warning")]
    assert all(
        contrast(word, palette.BACKGROUND[back][theme]) >= 4.5 for word in words for back in ("page", "card")
    )
    shades = [pair[theme] for pair in palette.HEAT.values()]
    assert all(contrast(palette.BACKGROUND["ink"][theme], shade) >= 4.5 for shade in shades)


def test_figures_and_page_share_markers():
    assert len(palette.SERIES) == 6
    assert set(palette.MARKERS) == set(figures._MARKERS)


@pytest.mark.parametrize("text", ["monday", "a\nbc\td\n$", "x" * 90, "ab\n" * 20])
def test_text_figure_has_a_square_in_the_colour_of_each_shown_symbol(text):
    values = np.random.default_rng(len(text)).uniform(-1, 1, len(text))
    layout = list(figures._layout(tuple(text)))
    (axes,) = figures._text_figure(tuple(text), values, "title").axes
    (squares,) = axes.collections
    corners = [path.get_extents().bounds for path in squares.get_paths()]
    assert corners == [(column, line, 1, 1) for _, line, column in layout]
    colours = squares.get_facecolors()
    np.testing.assert_allclose(colours[:, 3], np.abs(values[: len(layout)]))
    assert len({tuple(colour) for colour in colours[:, :3]}) == len(set(values[: len(layout)] > 0))
    shown = [each.get_text() for each in axes.texts]
    assert shown == [text[index].replace("\n", "↵").replace("\t", " ") for index, *_ in layout]
    assert axes.get_title(loc="left") == "title"
