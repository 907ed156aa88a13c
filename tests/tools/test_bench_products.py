"""The program that compares kernels with their products: the products that it counts and runs."""

from __future__ import annotations

import bench_products
import numpy as np
import pytest
from bench_products import Product, product_work, products_of

import zoo
from zoo.compiler.compile import plan_kernels
from zoo.compiler.explain import cost_of
from zoo.errors import UsageError
from zoo.kernels import pure_python

SIZES = {"I": 3, "H": 5}


@pytest.mark.parametrize("name", ["lstm", "prenorm(lstm)", "griffin(lstm)", "mamba(gru)"])
def test_products_are_those_of_the_costs(name):
    cell = zoo.get_cell(name)
    plan = plan_kernels(cell)
    costs = cost_of(plan.forward), cost_of(plan.backward)
    products = products_of(cell, *SIZES.values())
    operations = sum(2 * each.inputs * each.outputs for each in products)
    sizes = cell.size_values(*SIZES.values())
    assert operations == sum(cost.products.evaluate(sizes) for cost in costs)


def test_products_of_an_lstm():
    forward = [Product(3, 20, False, False), Product(5, 20, False, True)]
    backward = [Product(20, 5, False, True), Product(20, 3, False, False)]
    gradients = [Product(5, 20, True, False), Product(3, 20, True, False)]
    products = products_of(zoo.get_cell("lstm"), *SIZES.values())
    assert sorted(products, key=repr) == sorted([*forward, *backward, *gradients], key=repr)


def test_products_run_on_all_rows(monkeypatch):
    rows = []
    monkeypatch.setattr(bench_products.kernels, "add_matmul", lambda a, panels, c: rows.append(a.shape))
    monkeypatch.setattr(bench_products.kernels, "add_matmul_ta", lambda a, b, c: rows.append(b.shape))
    with pure_python():
        product_work([Product(3, 2, False, True)], 4, 100, "float32")()
        product_work([Product(3, 2, False, False)], 5, 100, "float32")()
        product_work([Product(3, 2, True, False)], 5, 100, "float32")()
    assert rows == [(100, 3)] * 4 + [(200, 3), (200, 3), (100, 3)] + [(200, 2), (200, 2), (100, 2)]


def test_table_has_a_row_for_each_cell(capsys):
    with pure_python():
        bench_products.main(["prenorm(lstm)", "lstm", "--sizes", "2,2,4", "--seconds", "0"])
    heading, *rows = (line.split() for line in capsys.readouterr().out.splitlines()[1:])
    assert heading == ["cell", "kernels_ms", "products_ms", "factor"]
    assert [row[0] for row in rows] == ["prenorm(lstm)", "lstm"]
    kernels_ms, products_ms, factor = map(float, rows[0][1:])
    assert np.isclose(kernels_ms / products_ms, factor, rtol=0.05)


@pytest.mark.parametrize(
    ("name", "message"), [("vanilla", "has its own kernels"), ("prenorm(slstm)", "several heads")]
)
def test_cell_without_plain_products_is_an_error(name, message):
    with pytest.raises(UsageError, match=message):
        products_of(zoo.get_cell(name), *SIZES.values())


@pytest.mark.parametrize("name", ["vanilla", "lstmm"])
def test_cells_are_checked_before_any_is_measured(name, monkeypatch, capsys):
    monkeypatch.setattr(bench_products, "compare", None)
    with pytest.raises(SystemExit, match="2"):
        bench_products.main(["lstm", name])
    captured = capsys.readouterr()
    assert captured.out == ""
    assert "error:" in captured.err
    assert name in captured.err.partition("error:")[2]
