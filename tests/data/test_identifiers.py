"""Names of series and groups: they stay as the data have them, in files, data frames and arrays."""

from __future__ import annotations

import importlib.util

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from zoo.data import ColumnRoles, DataTable, LabelledSequences, as_table, make_panel, read_table
from zoo.data.sequence_reader import SequenceRoles, read_sequences
from zoo.data.text_values import is_missing_text
from zoo.errors import DataError, UsageError

ROLES = SequenceRoles("y", ("x",), "id")

NAMES = st.lists(
    st.one_of(
        st.integers(-(2**63), 2**64).map(str),
        st.integers(0, 99).map("{:04}".format),
        st.sampled_from(["1e1", "10", "1_0", "07", "7", "7.0", "2024-05", "2024-05-01", "a", "A b", "nan1"]),
        st.text(st.characters(codec="ascii", categories=["Lu", "Ll", "Nd"]), min_size=1).filter(
            lambda text: not is_missing_text(text)
        ),
    ),
    min_size=1,
    max_size=6,
    unique=True,
)


def columns(names, rows=2):
    return {"id": np.repeat(names, rows), "x": np.arange(rows * len(names)), "y": np.ones(rows * len(names))}


def write(path, names, rows=2):
    lines = zip(*(values.tolist() for values in columns(names, rows).values()), strict=True)
    path.write_text("id,x,y\n" + "".join(f"{name},{x},{y}\n" for name, x, y in lines))
    return path


def ids(data):
    given = read_sequences(data, ROLES)
    assert given.lengths.tolist() == [2] * len(given)
    return {name: given.values[start, 0] for name, start in zip(given.ids, given.offsets, strict=False)}


@given(names=NAMES)
def test_names_of_a_file_stay_as_they_are(names, tmp_path_factory):
    """Different texts are different names, also if they are equal as numbers or times."""
    path = write(tmp_path_factory.mktemp("names") / "x.csv", names)
    expected = dict(zip(names, range(0, 2 * len(names), 2), strict=True))
    assert ids(path) == ids(columns(names)) == expected
    table = read_table(path, ["id"])
    assert make_panel(table, ColumnRoles(("x",), series="id")).names == tuple(ids(path))


@given(numbers=st.lists(st.integers(0, 10**6), min_size=1, max_size=20, unique=True))
def test_names_that_are_numbers_are_in_the_order_of_numbers(numbers, tmp_path_factory):
    """The order decides about parts and batches: it does not depend on the form of the data."""
    path = write(tmp_path_factory.mktemp("order") / "x.csv", numbers)
    assert list(ids(path)) == list(ids(columns(numbers))) == list(map(str, sorted(numbers)))


@given(
    start=st.integers(-(2**63), 2**63 - 9),
    form=st.sampled_from(["int64", "object", "list", "pandas", "Int64", "polars"]),
)
def test_integers_of_64_bits_are_different_names(start, form):
    numbers = list(range(start, start + 8))
    given = columns(numbers)
    given["id"] = np.array(np.repeat(numbers, 2).tolist(), object if form == "object" else np.int64)
    if form == "list":
        given["id"] = given["id"].tolist()
    if form in ("pandas", "Int64", "polars"):
        library = pytest.importorskip("polars" if form == "polars" else "pandas")
        given = library.DataFrame(given)
        if form == "Int64":
            given["id"] = given["id"].astype("Int64")
    assert ids(given) == dict(zip(map(str, numbers), range(0, 16, 2), strict=True))


def test_texts_among_numbers_are_names():
    given = {"id": np.array([7, 7, "07", "07", None, 3][:4], object), "x": [1, 2, 3, 4], "y": np.ones(4)}
    assert ids(given) == {"7": 1, "07": 3}


def test_names_in_the_files_of_a_directory(tmp_path):
    """A file with numbers only and a file with texts have names alike."""
    for file, names in {"b.csv": ["3", "020"], "a.csv": ["10", "x1"], "c.csv": ["02"]}.items():
        write(tmp_path / file, names)
    assert set(ids(tmp_path)) == {"3", "020", "10", "x1", "02"}
    (tmp_path / "a.csv").unlink()
    assert list(ids(tmp_path)) == ["02", "3", "020"]
    if importlib.util.find_spec("pyarrow"):
        parquet = importlib.import_module("pyarrow.parquet")
        arrow = importlib.import_module("pyarrow")
        parquet.write_table(arrow.table(columns([10**16, 10**16 + 1])), tmp_path / "d.parquet")
        assert {"10000000000000000", "10000000000000001"} < set(ids(tmp_path))


def test_groups_are_names(tmp_path):
    numbers = [10**16, 10**16 + 1]
    sequences = LabelledSequences.from_arrays(np.ones((2, 3, 1)), groups=numbers)
    assert sequences.groups.categories == tuple(map(str, numbers))
    write(tmp_path / "x.csv", ["a", "b"])
    text = (tmp_path / "x.csv").read_text().splitlines()
    persons = ["person", "01", "01", "1", "1"]
    (tmp_path / "x.csv").write_text("".join(f"{row},{g}\n" for row, g in zip(text, persons, strict=True)))
    groups = read_sequences(tmp_path / "x.csv", SequenceRoles("y", ("x",), "id", group="person")).groups
    assert groups.categories == ("01", "1")


def test_rounded_names_of_a_table_are_an_error():
    """A table that was made without the names of its identifiers holds rounded numbers."""
    numbers = columns([10**16, 10**16 + 1])
    with pytest.raises(DataError, match=r"row 0, column 'id': found 1000.*identifiers=\['id'\]"):
        ids(DataTable.from_arrays(numbers))
    assert len(ids(DataTable.from_arrays(numbers, identifiers=["id"]))) == 2
    for names in (["id"], ("id",), "id"):
        assert as_table(numbers, identifiers=names).column("id").kind == "category"
    assert as_table({**numbers, "d": numbers["id"]}, identifiers="id").column("d").kind == "number"
    with pytest.raises(UsageError, match="identifiers is 5; expected names of columns"):
        as_table(numbers, identifiers=5)


@given(step=st.integers(1, 10**12))
def test_times_that_are_rounded_are_an_error(step):
    """Nanoseconds since 1970 as integers: float64 rounds them to multiples of 256."""
    given = {"t": 1_700_000_000_000_000_000 + step * np.arange(50), "y": np.arange(50.0) % 7}
    roles = ColumnRoles(("y",), time="t")
    if step < 256_000:
        with pytest.raises(DataError, match=r"column 't': found 17.* multiples of 256, too coarse"):
            make_panel(as_table(given), roles)
    else:
        dt = make_panel(as_table(given), roles).time_differences()
        np.testing.assert_allclose(dt, 1, rtol=3e-3)


@given(step=st.integers(1, 10**12), dtype=st.sampled_from([np.int64, np.uint64]))
def test_times_of_arrays_are_exact(step, dtype):
    times = (1_700_000_000_000_000_000 + step * np.array([0, 1, 3])).astype(dtype)
    sequences = LabelledSequences.from_arrays([np.ones((3, 1))], times=[times])
    assert (sequences.time_unit, sequences.dt.tolist()) == (2 * step, [1, 0.5, 1])
