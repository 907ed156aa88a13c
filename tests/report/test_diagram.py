"""The picture of a step: it says what ``step`` computes, no box lies on another, and few arrows cross."""

from __future__ import annotations

import re
import xml.etree.ElementTree as ET
from collections import Counter
from itertools import combinations, pairwise

import numpy as np
import pytest

import zoo
from zoo import functions
from zoo.cell_pages.diagram import diagram, draw
from zoo.cell_pages.diagram.boxes import Box, Diagram
from zoo.cell_pages.diagram.edges import box_top, edge_segments
from zoo.cell_pages.diagram.layout import (
    MARGIN,
    WIDTH,
    assign_coordinates,
    assign_layers,
    reduce_crossings,
    separate,
)

CARD = zoo.Card(title="T", authors="A", year=2000, url="https://example.org")
CELLS = zoo.list_cells()
SVG = "{http://www.w3.org/2000/svg}"


def equations(cell: zoo.Cell) -> list[str]:
    return [text for box in diagram(cell).boxes for text in box.equations if " = " in text]


def made(step, **members) -> zoo.Cell:
    arrays = {"W": zoo.Param("I", "H"), "h": zoo.State("H"), **members}
    return type("Made", (zoo.Cell,), {"__doc__": "Made.", "card": CARD, "step": step, **arrays})()


# ---- what is written ----------------------------------------------------------------------------------


def test_an_lstm_is_five_lines() -> None:
    assert equations(zoo.get_cell("lstm")) == [
        "i, f, g, o = split(x @ Wx + h @ Wh + b)",
        "c' = sigmoid(f) * c + sigmoid(i) * tanh(g)",
        "h' = sigmoid(o) * tanh(c')",
    ]
    assert [box.equations for box in diagram(zoo.get_cell("lstm")).boxes][:4] == [
        ("x",),
        ("h",),
        ("c",),
        ("Wx (I, 4H)", "Wh (H, 4H)", "b  (4H)"),
    ]


# What is written for these is Python as it stands, but for the prime and the number of parts.
READABLE = (
    "vanilla lstm peephole_lstm lstm_projected gru gru_reset_before mgu min_gru intersection_rnn indrnn lem "
    "cfc lif antisymmetric lmu rhn tau_gru"
)


@pytest.mark.parametrize("name", READABLE.split())
def test_what_is_written_computes_what_step_does(name: str) -> None:
    cell, rng = zoo.get_cell(name), np.random.default_rng(0)
    shapes = [cell.param_shapes(3, 8), cell.buffer_shapes(3, 8), cell.state_shapes(3, 8)]
    arrays = {key: rng.normal(size=shape) for group in shapes for key, shape in group.items()}
    given = {"x": rng.normal(size=3), **{key: np.array(0.7) for key in cell.inputs}, **arrays}
    names = {**vars(functions), **{f: getattr(np, f) for f in ("where", "sum", "maximum")}, "H": 8, **given}
    for text in equations(cell):
        left, _, right = re.sub(r"(\w)'", r"\1_after", text).partition(" = ")
        parts = left.split(", ")
        right = right.replace("split(", f"_parts({len(parts)}, ")
        right = re.sub(r"(?<=\d)(?=[H(])", "*", right)
        right = re.sub(r"^\[(.*)\]\[", r"_joined(\1)[", right)
        right = right.replace("eye(H)", "np.eye(H)")
        value = eval(right, {**names, "_parts": _parts, "_joined": _joined, "np": np})
        names.update(zip(parts, value if len(parts) > 1 else [value], strict=True))
    returned = cell.with_arrays(arrays).step(
        given["x"], *(given[key] for key in (*cell.states, *cell.inputs))
    )
    y, *states = _results(returned, cell)
    for state, expected in zip(cell.states, states, strict=True):
        np.testing.assert_allclose(np.ravel(names[f"{state}_after"]), np.ravel(expected), rtol=1e-9)
    np.testing.assert_allclose(names.get("y_after" if "y" in cell.states else "y", y), y, rtol=1e-9)


def _parts(number: int, value: np.ndarray) -> list[np.ndarray]:
    return np.split(value, number, axis=-1)


def _joined(*values: np.ndarray) -> np.ndarray:
    return np.concatenate([np.atleast_2d(value) for value in values])


def _results(returned, cell: zoo.Cell) -> list:
    if isinstance(returned, zoo.Output):
        return [returned.y, *returned.states]
    states = returned if isinstance(returned, tuple) else (returned,)
    return [states[0], *states]


@pytest.mark.parametrize("name", CELLS)
def test_everything_declared_is_drawn_and_every_new_state_returned(name: str) -> None:
    cell = zoo.get_cell(name)
    boxes = diagram(cell).boxes
    leaves = [
        text.split()[0] for box in boxes if box.kind not in ("value", "output") for text in box.equations
    ]
    assert sorted(leaves) == sorted(["x", *cell.states, *cell.inputs, *cell.params, *cell.buffers])
    returned = {
        re.sub("(_re|_im)?'$", "", text.partition(" = ")[0]) for text in equations(cell) if "' = " in text
    }
    assert returned >= set(cell.states)
    assert sum("the output" in box.note for box in boxes) == 1


def test_functions_and_products_stand_as_the_author_wrote_them() -> None:
    def step(self, x, h):
        a = zoo.layer_norm(np.concatenate([x, h]) @ self.U)
        return zoo.softmax(zoo.silu(a)) + zoo.heaviside(h) + zoo.stop_gradient(h) + x @ self.W

    cell = made(step, U=zoo.Param("I+H", "H"))
    assert equations(cell) == [
        "a = layer_norm([x, h] @ U)",
        "h' = softmax(silu(a)) + heaviside(h) + h + x @ W",
    ]


def test_the_last_value_of_a_name_has_it_and_those_before_it_a_number() -> None:
    def step(self, x, h):
        u = x @ self.W
        u = zoo.tanh(u)
        u = u * h
        return u + 1 / u

    assert equations(made(step)) == ["u_1 = x @ W", "u_2 = tanh(u_1)", "u = u_2 * h", "h' = u + 1 / u"]


def test_states_handed_on_and_numbers_are_told() -> None:
    def step(self, x, h, old, one):
        return x @ self.W + old + one, h, np.ones_like(one)

    cell = made(step, old=zoo.State("H"), one=zoo.State("H"))
    assert equations(cell) == ["h' = x @ W + old + one", "old' = h", "one' = 1"]


def test_complex_numbers_stand_in_one_box() -> None:
    def step(self, x, z):
        return zoo.Output((z * self.v).real + x @ self.W, z * self.v)

    arrays = {"W": zoo.Param("I", "H"), "v": zoo.Param("H", complex=True), "z": zoo.State("H", complex=True)}
    cell = type("Z", (zoo.Cell,), {"__doc__": "Z.", "card": CARD, "step": step, **arrays})()
    box = next(box for box in diagram(cell).boxes if len(box.equations) == 2 and box.kind == "output")
    assert box.equations == ("z_re' = z_re * v_re - z_im * v_im", "z_im' = z_re * v_im + z_im * v_re")
    assert Box("weights", ("v (H) complex",)) in diagram(cell).boxes


def test_what_is_long_or_used_twice_has_a_box_of_its_own() -> None:
    def step(self, x, h):
        return zoo.tanh(x @ self.W + h @ self.U + self.b) * zoo.sigmoid(x @ self.W + h @ self.U + self.b)

    (first, second) = equations(made(step, U=zoo.Param("H", "H"), b=zoo.Param("H")))
    name = first.partition(" = ")[0]
    assert first == f"{name} = x @ W + h @ U + b"
    assert second == f"h' = tanh({name}) * sigmoid({name})"


# ---- where it stands ----------------------------------------------------------------------------------


@pytest.mark.parametrize("name", CELLS)
def test_the_laws_of_layout(name: str) -> None:
    obeys_the_laws_of_layout(diagram(zoo.get_cell(name)))


def obeys_the_laws_of_layout(found: Diagram) -> None:
    rows = assign_layers(found)
    order = reduce_crossings(found, rows)
    where = assign_coordinates(found, order)
    row_of = {number: row for row, numbers in enumerate(rows) for number in numbers}
    assert sorted(row_of) == list(range(len(found.boxes)))
    for reader, read in found.reads.items():
        assert all(row_of[number] < row_of[reader] for number in read)
    spots = {
        number: (where.middle[number], box_top(found, where, number, row), found.boxes[number])
        for number, row in row_of.items()
    }
    for (x, y, a), (x2, y2, b) in combinations(spots.values(), 2):
        beside = abs(x - x2) >= (a.width + b.width) / 2
        assert beside or y + a.height <= y2 or y2 + b.height <= y, (a, b)
    for x, y, box in spots.values():
        assert x - box.width / 2 >= MARGIN - 0.2
        assert x + box.width / 2 <= where.width - MARGIN + 1
        assert y + box.height <= where.height - MARGIN + 1
    drawn = edge_segments(found, order, where)
    heads = [piece for piece in drawn if piece.is_last]
    assert len({piece.end for piece in heads}) == len(heads) == sum(map(len, found.reads.values()))
    assert all(piece.start[1] <= piece.bottom < piece.row <= piece.end[1] for piece in drawn)


def test_rows_are_no_wider_than_a_page() -> None:
    found = Diagram(
        (*(Box("state", (f"state{n}",), "(H)") for n in range(40)), Box("output", ("h' = sum of all",))),
        {40: tuple(range(40))},
    )
    obeys_the_laws_of_layout(found)
    assert len(assign_layers(found)) > 4
    where = assign_coordinates(found, reduce_crossings(found, assign_layers(found)))
    assert where.width <= 2 * WIDTH  # bends of what passes a row need room beside its boxes


def test_arrows_cross_no_more_than_they_must() -> None:
    reads = {6: (0,), 5: (1,), 4: (2,), 3: (0,)}
    boxes = (*(Box("x", (name,)) for name in "abc"), *(Box("value", (name,)) for name in "wxyz"))
    order = reduce_crossings(Diagram(boxes, reads), [[0, 1, 2], [3, 4, 5, 6]])
    places = [{item: place for place, item in enumerate(row)} for row in order.rows]
    ends = [(places[0][a], places[1][b]) for a, b in order.links[0]]
    assert not [pair for pair in combinations(ends, 2) if np.prod(np.subtract(*pair)) < 0]


@pytest.mark.parametrize("seed", range(30))
def test_places_are_as_near_as_they_can_be(seed: int) -> None:
    rng = np.random.default_rng(seed)
    number = int(rng.integers(2, 7))
    wished, apart = rng.uniform(0, 10, number), rng.uniform(0.1, 2, number - 1)
    found = separate(wished, apart, 0.0, 20.0)
    assert all(b - a >= gap - 1e-9 for (a, b), gap in zip(pairwise(found), apart, strict=True))
    assert found[0] >= 0
    assert found[-1] <= 20 + 1e-9
    cost = np.sum((np.array(found) - wished) ** 2)
    for _ in range(300):
        other = np.sort(rng.uniform(0, 1) * rng.normal(size=number) + found)
        fits = np.all(np.diff(other) >= apart) and other[0] >= 0 and other[-1] <= 20
        assert not fits or np.sum((other - wished) ** 2) >= cost - 1e-9


# ---- the file -----------------------------------------------------------------------------------------


@pytest.mark.parametrize("name", CELLS)
def test_the_file_is_svg_whose_text_is_text(name: str) -> None:
    cell = zoo.get_cell(name)
    root = ET.fromstring(draw(cell))
    texts = ["".join(node.itertext()) for node in root.iter(f"{SVG}text")]
    lines = [line for box in diagram(cell).boxes for line in box.lines]
    shown = Counter(text.replace("\u00a0", " ") for text in texts)
    assert not Counter(lines) - shown
    assert root.get("viewBox") == f"0 0 {root.get('width')} {root.get('height')}"
    assert "prefers-color-scheme: dark" in draw(cell)
    assert "href" not in draw(cell)


def test_signs_that_xml_would_obey_are_escaped() -> None:
    def step(self, x, h):
        return np.where(h < 0.5, x @ self.W, h)

    text = draw(made(step))
    assert "h &lt; 0.5" in text
    ET.fromstring(text)
