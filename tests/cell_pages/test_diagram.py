"""Diagram of a step: its equations, its layout, and the SVG file."""

from __future__ import annotations

import re
import xml.etree.ElementTree as ET
from collections import Counter
from itertools import combinations, pairwise

import numpy as np
import pytest

import zoo
from zoo import functions
from zoo.cell_pages.diagram import build_diagram, draw
from zoo.cell_pages.diagram.boxes import Box, Diagram
from zoo.cell_pages.diagram.layout import (
    MARGIN,
    WIDTH,
    assign_coordinates,
    assign_layers,
    reduce_crossings,
    separate,
)
from zoo.cell_pages.diagram.svg import box_top, edge_segments

CARD = zoo.Card(title="T", authors="A", year=2000, url="https://example.org")
CELLS = zoo.list_cells()
SVG = "{http://www.w3.org/2000/svg}"


def equations(cell: zoo.Cell) -> list[str]:
    return [text for box in build_diagram(cell).boxes for text in box.equations if " = " in text]


def make_cell(step, **members) -> zoo.Cell:
    arrays = {"W": zoo.Param("I", "H"), "h": zoo.State("H"), **members}
    return type("Made", (zoo.Cell,), {"__doc__": "Made.", "card": CARD, "step": step, **arrays})()


# ---- equations ----------------------------------------------------------------------------------------


def test_lstm_diagram() -> None:
    assert equations(zoo.get_cell("lstm")) == [
        "i, f, g, o = split(x @ Wx + h @ Wh + b)",
        "c' = sigmoid(f) * c + sigmoid(i) * tanh(g)",
        "h' = sigmoid(o) * tanh(c')",
    ]
    assert [box.equations for box in build_diagram(zoo.get_cell("lstm")).boxes][:4] == [
        ("x",),
        ("h",),
        ("c",),
        ("Wx (I, 4H)", "Wh (H, 4H)", "b  (4H)"),
    ]


# The equations of these are valid Python, except for the prime and the number of parts.
READABLE = (
    "vanilla lstm peephole_lstm lstm_projected gru gru_reset_before mgu min_gru intersection_rnn indrnn lem "
    "cfc lif antisymmetric lmu rhn tau_gru"
)


@pytest.mark.parametrize("name", READABLE.split())
def test_equations_compute_the_step(name: str) -> None:
    cell, rng = zoo.get_cell(name), np.random.default_rng(0)
    shapes = [cell.param_shapes(3, 8), cell.buffer_shapes(3, 8), cell.state_shapes(3, 8)]
    arrays = {key: rng.normal(size=shape) for group in shapes for key, shape in group.items()}
    given = {"x": rng.normal(size=3), **{key: np.array(0.7) for key in cell.inputs}, **arrays}
    names = {**vars(functions), **{f: getattr(np, f) for f in ("where", "sum", "maximum")}, "H": 8, **given}
    for text in equations(cell):
        left, _, right = re.sub(r"(\w)'", r"\1_after", text).partition(" = ")
        parts = left.split(", ")
        right = right.replace("split(", f"_split({len(parts)}, ")
        right = re.sub(r"(?<=\d)(?=[H(])", "*", right)
        right = re.sub(r"^\[(.*)\]\[", r"_joined(\1)[", right)
        right = right.replace("eye(H)", "np.eye(H)")
        value = eval(right, {**names, "_split": _split, "_joined": _joined, "np": np})
        names.update(zip(parts, value if len(parts) > 1 else [value], strict=True))
    returned = cell.with_arrays(arrays).step(
        given["x"], *(given[key] for key in (*cell.states, *cell.inputs))
    )
    y, *states = _results(returned, cell)
    for state, expected in zip(cell.states, states, strict=True):
        np.testing.assert_allclose(np.ravel(names[f"{state}_after"]), np.ravel(expected), rtol=1e-9)
    np.testing.assert_allclose(
        names.get("output", names.get("y_after" if "y" in cell.states else "y", y)), y, rtol=1e-9
    )


def _split(number: int, value: np.ndarray) -> list[np.ndarray]:
    return np.split(value, number, axis=-1)


def _joined(*values: np.ndarray) -> np.ndarray:
    return np.concatenate([np.atleast_2d(value) for value in values])


def _results(returned, cell: zoo.Cell) -> list:
    if isinstance(returned, zoo.Output):
        return [returned.y, *returned.states]
    states = returned if isinstance(returned, tuple) else (returned,)
    return [states[0], *states]


@pytest.mark.parametrize("name", CELLS)
def test_all_declarations_and_new_states_are_drawn(name: str) -> None:
    cell = zoo.get_cell(name)
    boxes = build_diagram(cell).boxes
    leaves = [
        text.split()[0] for box in boxes if box.kind not in ("value", "output") for text in box.equations
    ]
    assert sorted(leaves) == sorted(["x", *cell.states, *cell.inputs, *cell.params, *cell.buffers])
    returned = {
        re.sub("(_re|_im)?'$", "", target)
        for text in equations(cell)
        for target in text.partition(" = ")[0].split(", ")
        if target.endswith("'")
    }
    assert returned >= set(cell.states)
    assert sum("the output" in box.note for box in boxes) == 1


def test_functions_and_products_keep_their_form() -> None:
    def step(self, x, h):
        a = zoo.layer_norm(np.concatenate([x, h]) @ self.U)
        return zoo.softmax(zoo.silu(a)) + zoo.heaviside(h) + zoo.stop_gradient(h) + x @ self.W

    cell = make_cell(step, U=zoo.Param("I+H", "H"))
    assert equations(cell) == [
        "a = layer_norm([x, h] @ U)",
        "h' = softmax(silu(a)) + heaviside(h) + h + x @ W",
    ]


def test_earlier_values_of_a_name_are_numbered() -> None:
    def step(self, x, h):
        u = x @ self.W
        u = zoo.tanh(u)
        u = u * h
        return u + 1 / u

    assert equations(make_cell(step)) == ["u_1 = x @ W", "u_2 = tanh(u_1)", "u = u_2 * h", "h' = u + 1 / u"]


def test_unchanged_states_and_constants_are_drawn() -> None:
    def step(self, x, h, old, one):
        return x @ self.W + old + one, h, np.ones_like(one)

    cell = make_cell(step, old=zoo.State("H"), one=zoo.State("H"))
    assert equations(cell) == ["h' = x @ W + old + one", "old' = h", "one' = 1"]


def test_complex_parts_share_a_box() -> None:
    def step(self, x, z):
        return zoo.Output((z * self.v).real + x @ self.W, z * self.v)

    arrays = {"W": zoo.Param("I", "H"), "v": zoo.Param("H", complex=True), "z": zoo.State("H", complex=True)}
    cell = type("Z", (zoo.Cell,), {"__doc__": "Z.", "card": CARD, "step": step, **arrays})()
    box = next(box for box in build_diagram(cell).boxes if len(box.equations) == 2 and box.kind == "output")
    assert box.equations == ("z_re' = z_re * v_re - z_im * v_im", "z_im' = z_re * v_im + z_im * v_re")
    assert Box("weights", ("v (H) complex",)) in build_diagram(cell).boxes


def test_long_shared_values_get_a_box() -> None:
    def step(self, x, h):
        return zoo.tanh(x @ self.W + h @ self.U + self.b) * zoo.sigmoid(x @ self.W + h @ self.U + self.b)

    (first, second) = equations(make_cell(step, U=zoo.Param("H", "H"), b=zoo.Param("H")))
    name = first.partition(" = ")[0]
    assert first == f"{name} = x @ W + h @ U + b"
    assert second == f"h' = tanh({name}) * sigmoid({name})"


# ---- layout -------------------------------------------------------------------------------------------


@pytest.mark.parametrize("name", CELLS)
def test_boxes_do_not_overlap_and_edges_point_down(name: str) -> None:
    check_layout(build_diagram(zoo.get_cell(name)))


def check_layout(diagram: Diagram) -> None:
    layers = assign_layers(diagram)
    graph = reduce_crossings(diagram, layers)
    where = assign_coordinates(diagram, graph)
    layer_of = {number: layer for layer, numbers in enumerate(layers) for number in numbers}
    assert sorted(layer_of) == list(range(len(diagram.boxes)))
    for reader, read in diagram.reads.items():
        assert all(layer_of[number] < layer_of[reader] for number in read)
    boxes = [
        (where.center[number], box_top(diagram, where, number, layer), diagram.boxes[number])
        for number, layer in layer_of.items()
    ]
    for (x, y, a), (x2, y2, b) in combinations(boxes, 2):
        apart = abs(x - x2) >= (a.width + b.width) / 2
        assert apart or y + a.height <= y2 or y2 + b.height <= y, (a, b)
    for x, y, box in boxes:
        assert x - box.width / 2 >= MARGIN - 0.2
        assert x + box.width / 2 <= where.width - MARGIN + 1
        assert y + box.height <= where.height - MARGIN + 1
    segments = edge_segments(diagram, graph, where)
    heads = [segment for segment in segments if segment.is_last]
    assert len({segment.end for segment in heads}) == len(heads) == sum(map(len, diagram.reads.values()))
    for segment in segments:
        assert segment.start[1] <= segment.bottom < segment.top <= segment.end[1]


def test_layers_are_no_wider_than_a_page() -> None:
    diagram = Diagram(
        (*(Box("state", (f"state{n}",), "(H)") for n in range(40)), Box("output", ("h' = sum of all",))),
        {40: tuple(range(40))},
    )
    check_layout(diagram)
    assert len(assign_layers(diagram)) > 4
    where = assign_coordinates(diagram, reduce_crossings(diagram, assign_layers(diagram)))
    assert where.width <= 2 * WIDTH  # dummy vertices need room beside the boxes


def test_crossings_are_removed() -> None:
    reads = {6: (0,), 5: (1,), 4: (2,), 3: (0,)}
    boxes = (*(Box("x", (name,)) for name in "abc"), *(Box("value", (name,)) for name in "wxyz"))
    graph = reduce_crossings(Diagram(boxes, reads), [[0, 1, 2], [3, 4, 5, 6]])
    positions = [{vertex: index for index, vertex in enumerate(layer)} for layer in graph.layers]
    ends = [(positions[0][a], positions[1][b]) for a, b in graph.edges[0]]
    assert not [pair for pair in combinations(ends, 2) if np.prod(np.subtract(*pair)) < 0]


@pytest.mark.parametrize("seed", range(30))
def test_separate_minimises_squared_differences(seed: int) -> None:
    rng = np.random.default_rng(seed)
    number = int(rng.integers(2, 7))
    preferred, distances = rng.uniform(0, 10, number), rng.uniform(0.1, 2, number - 1)
    positions = separate(preferred, distances, 0.0, 20.0)
    assert all(b - a >= gap - 1e-9 for (a, b), gap in zip(pairwise(positions), distances, strict=True))
    assert positions[0] >= 0
    assert positions[-1] <= 20 + 1e-9
    cost = np.sum((np.array(positions) - preferred) ** 2)
    for _ in range(300):
        other = np.sort(rng.uniform(0, 1) * rng.normal(size=number) + positions)
        fits = np.all(np.diff(other) >= distances) and other[0] >= 0 and other[-1] <= 20
        assert not fits or np.sum((other - preferred) ** 2) >= cost - 1e-9


# ---- the file -----------------------------------------------------------------------------------------


@pytest.mark.parametrize("name", CELLS)
def test_svg_has_real_text(name: str) -> None:
    cell = zoo.get_cell(name)
    file = draw(cell)
    root = ET.fromstring(file)
    texts = ["".join(node.itertext()) for node in root.iter(f"{SVG}text")]
    lines = [line for box in build_diagram(cell).boxes for line in box.lines]
    shown = Counter(text.replace("\u00a0", " ") for text in texts)
    assert not Counter(lines) - shown
    assert root.get("viewBox") == f"0 0 {root.get('width')} {root.get('height')}"
    assert "prefers-color-scheme: dark" in file
    assert "href" not in file


def test_xml_characters_are_escaped() -> None:
    def step(self, x, h):
        return np.where(h < 0.5, x @ self.W, h)

    text = draw(make_cell(step))
    assert "h &lt; 0.5" in text
    ET.fromstring(text)
