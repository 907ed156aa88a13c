"""Notes about columns whose numbers probably mean something else."""

from __future__ import annotations

import warnings

import numpy as np
import pytest

import zoo
from zoo.data import growing_array
from zoo.data.column_notes import _MIN_DIFFERENT, order_notes, sentinel_notes
from zoo.data.panel import ColumnRoles, make_panel
from zoo.data.table import as_table

RNG = np.random.default_rng(0)
ROWS = 300
COLUMNS = {
    "normal": RNG.normal(size=ROWS),
    "positive": RNG.gamma(2, 3, size=ROWS).round(2),
    "counts": RNG.poisson(4, size=ROWS).astype(float),
    "with many zeros": np.where(RNG.random(ROWS) < 0.8, 0, RNG.gamma(2, 3, size=ROWS)),
    "capped": np.minimum(RNG.gamma(2, 3, size=ROWS), 9),
    "flag": RNG.integers(0, 2, size=ROWS).astype(float),
    "codes": RNG.choice([0, 1, 2, 99], size=ROWS),
    "two levels": RNG.normal(size=ROWS) + 100 * (RNG.random(ROWS) < 0.5),
    "one outlier": np.append(RNG.normal(size=ROWS - 1), 1e6),
    "constant": np.full(ROWS, 2.0),
    "missing": np.full(ROWS, np.nan),
    "partly missing": np.where(RNG.random(ROWS) < 0.5, np.nan, RNG.normal(size=ROWS)),
}


@pytest.mark.parametrize("name", COLUMNS)
def test_usual_columns_have_no_note(name):
    assert list(sentinel_notes([name], COLUMNS[name][:, None])) == []


@pytest.mark.parametrize("chunk", [150, 2**18])
@pytest.mark.parametrize(
    ("sentinel", "shown"),
    [
        (-999, "-999"),
        (-9999.0, "-9999"),
        (-99.99, "-99.99"),
        (9999, "9999"),
        (-9999999, "-9999999"),
        (99999999, "99999999"),
        (-999999.5, "-999999.5"),
        (999999999999999, "999999999999999"),
        (1e20, "1e+20"),
        (9.96921e36, "9.96921e+36"),
    ],
)
@pytest.mark.parametrize(
    "name", ["normal", "positive", "counts", "with many zeros", "capped", "partly missing"]
)
def test_repeated_distant_extreme_has_a_note(name, sentinel, shown, chunk, monkeypatch):
    values = COLUMNS[name].copy()
    values[5::9] = sentinel
    low, high = (extreme(np.delete(values, np.s_[5::9])) for extreme in (np.nanmin, np.nanmax))
    monkeypatch.setattr(growing_array, "CHUNK", chunk)
    (note,) = sentinel_notes([name], values[:, None])
    assert note.startswith(
        f"{name} is {shown} in 33 rows, and from {low:.4g} to {high:.4g} in all others. If {shown} stands"
    )
    assert "give `missing='forward'` or `missing='mask'`" in note


def _reference(name: str, values: np.ndarray) -> str | None:
    """The note as its documentation defines it, for one column; None if there is none."""
    known = values[~np.isnan(values)]
    for extreme in (known.min(), known.max()) if len(known) else ():
        others = known[known != extreme]
        if len(known) - len(others) > 1 and len(np.unique(known)) > _MIN_DIFFERENT:
            distance = np.abs(others - extreme).min()
            if distance > np.ptp(others) > 0:
                return f"{name} is {extreme:g} in {len(known) - len(others)} rows"
    return None


@pytest.mark.parametrize("chunk", [700, 2**18])
@pytest.mark.parametrize("dtype", [np.float64, np.float32])
def test_notes_of_many_columns_follow_the_definition(chunk, dtype, monkeypatch):
    columns = dict(COLUMNS)
    for name, sentinel in [("normal", -999), ("positive", 9999), ("capped", -1), ("partly missing", 99)]:
        for rows in ([0, ROWS - 1], [1, 2], [ROWS - 2, ROWS - 1], range(5, ROWS, 9), [7]):
            values = COLUMNS[name].copy()
            values[rows] = sentinel
            columns[f"{name} with {sentinel} in {rows}"] = values
    monkeypatch.setattr(growing_array, "CHUNK", chunk)
    values = np.stack(list(columns.values()), axis=1).astype(dtype)
    expected = [_reference(name, column) for name, column in zip(columns, values.T, strict=True)]
    notes = [note.partition(" rows, ")[0] + " rows" for note in sentinel_notes(list(columns), values)]
    assert notes == [note for note in expected if note is not None]
    assert len(notes) > 5


@pytest.mark.parametrize("chunk", [1, 5, 2**18])
@pytest.mark.parametrize("series", [1, 2, 5])
def test_input_that_increases_with_every_row_has_a_note(series, chunk, monkeypatch):
    rows, names = 12 * series, np.repeat([f"s{n}" for n in range(series)], 12)
    number = np.tile(np.arange(12.0), series)
    columns = {
        "y": RNG.normal(size=rows),
        "number": number,
        "stays": number // 2,
        "falls": -number,
        "who": names,
    }
    roles = ColumnRoles(("y",), ("number", "stays", "falls"), series="who")
    monkeypatch.setattr(growing_array, "CHUNK", chunk)
    assert [note.split()[0] for note in order_notes(make_panel(as_table(columns), roles))] == ["number"]
    known = ColumnRoles(("y",), ("stays",), ("number",), series="who")
    assert [note.split()[0] for note in order_notes(make_panel(as_table(columns), known))] == ["number"]
    timed = make_panel(as_table(columns), ColumnRoles(("y",), ("stays",), time="number", series="who"))
    assert list(order_notes(timed)) == []


@pytest.mark.parametrize("kind", ["table", "sequences"])
def test_notes_are_printed_and_warned_of(kind, tmp_path, monkeypatch):
    from click.testing import CliRunner

    from zoo.cli.app import cli

    monkeypatch.chdir(tmp_path)
    values = COLUMNS["positive"].copy()
    values[::10] = -999
    columns = {
        "x": values,
        "id": np.arange(ROWS) // 10,
        "way": np.array(["up", "down"])[np.arange(ROWS) // 10 % 2],
    }
    settings = {"cell": "vanilla", "hidden": 2, "steps": 1, "threads": 1}
    if kind == "table":
        columns = {"x": values, "id": np.arange(ROWS)}
        settings |= {"target": "x", "horizon": 2, "context": 4}
    else:
        settings |= {"series": "id", "label": "way"}
    others = np.delete(values, np.s_[::10])
    sentence = (
        f"x is -999 in 30 rows, and from {others.min():.4g} to {others.max():.4g} in all others. If -999"
    )
    with pytest.warns(zoo.errors.ZooWarning) as caught:
        zoo.train(columns, out="run", **settings)
    texts = [str(warning.message) for warning in caught]
    assert any(sentence in text and "missing='forward'" in text for text in texts)
    assert any("id increases with every row" in text for text in texts) == (kind == "table")
    rows = zip(*columns.values(), strict=True)
    lines = [",".join(columns), *(",".join(map(str, row)) for row in rows)]
    (tmp_path / "x.csv").write_text("\n".join(lines))
    words = [word for name, value in settings.items() for word in (f"--{name}", str(value))]
    with warnings.catch_warnings():
        warnings.simplefilter("error")
        trained = CliRunner().invoke(cli, ["train", "--data", "x.csv", *words, "--out", "other"])
    assert trained.exit_code == 0, trained.stderr
    (note,) = (line for line in trained.stderr.splitlines() if line.startswith("note "))
    assert sentence in note
    assert "leave them empty, and give --missing forward or --missing mask." in note
    assert ("give it as --time, or leave it out of the inputs" in note) == (kind == "table")


@pytest.mark.parametrize("form", ["array", "table"])
def test_estimator_of_scikit_learn_warns_with_its_arguments(form):
    pytest.importorskip("sklearn")
    from zoo.sklearn import SequenceForecaster

    values, rows = COLUMNS["positive"].copy(), np.arange(ROWS)
    values[::10] = -999
    estimator = SequenceForecaster("vanilla", hidden_size=2, horizon=2, context=4, steps=1, threads=1)
    given = (
        (np.stack([rows, values], axis=1), values) if form == "array" else ({"id": rows, "x": values}, values)
    )
    with pytest.warns(zoo.errors.ZooWarning) as caught:
        estimator.fit(*given)
    texts = [str(warning.message) for warning in caught]
    names = ("0", "1") if form == "array" else ("id", "x")
    assert any(f"column {names[0]!r} increases with every row" in text for text in texts)
    assert any("name it in `time`, or leave it out of X." in text for text in texts)
    for name in (names[1], "y"):
        assert any(f"column {name!r} is -999 in 30 rows" in text for text in texts), texts
    assert any("replace it by NaN, and set missing='forward' or missing='mask'." in text for text in texts)
    for argument in ("time", "missing"):
        assert argument in estimator.get_params()
