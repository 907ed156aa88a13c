"""Make the web pages of the documents: ``docs/demo/*.html``.

    python tools/make_demo.py                   # both
    python tools/make_demo.py load-forecast     # one

``reference-manual`` holds a small GRU that was trained on the reference manual in every installation of
Python, which takes some minutes. Another version of Python has another manual, and so another page.
``load-forecast`` was trained on hours of a load that this program draws. Both have int8 weights.
"""

from __future__ import annotations

import argparse
import csv
import tempfile
from collections.abc import Callable, Mapping
from pathlib import Path

import numpy as np

import zoo
from zoo.export import HtmlFile

FOLDER = Path(__file__).parents[1] / "docs" / "demo"
MAX_BYTES = 150_000
TEXT_SETTINGS = {"cell": "gru", "hidden": 96, "batch": 32, "seq": 64, "lr": 0.006, "steps": 2500, "seed": 0}
LOAD_SETTINGS = {
    "cell": "gru",
    "hidden": 32,
    "context": 48,
    "horizon": 24,
    "lr": 0.005,
    "steps": 600,
    "seed": 0,
}
DAYS, SHOWN_DAYS = 100, 7


def reference_manual(path: Path, folder: Path) -> HtmlFile:
    """A language model of the reference manual of Python."""
    zoo.train(data="builtin:pydoc", out=folder / "run", **TEXT_SETTINGS)
    title = "A model of the reference manual of Python"
    return zoo.export.to_html(zoo.Run(folder / "run"), path, title=title, weights="int8", force=True)


def load_forecast(path: Path, folder: Path) -> HtmlFile:
    """A forecaster of the load of a power grid, which knows in advance whether a day is a working day."""
    rng, count = np.random.default_rng(0), 24 * (DAYS + SHOWN_DAYS + 1)
    times = np.datetime64("2024-01-01T00") + np.arange(count) * np.timedelta64(1, "h")
    hour, day = np.arange(count) % 24, np.arange(count) // 24
    workday = (day % 7 < 5).astype(int)
    peaks = 8 * np.exp(-((hour - 8) ** 2) / 8) + 6 * np.exp(-((hour - 18) ** 2) / 12)
    shape = np.where(workday, peaks, 5 * np.exp(-((hour - 13) ** 2) / 30))
    load = (20 + shape + rng.normal(size=count).cumsum() / 50 + rng.normal(size=count) / 2).round(2)
    rows = [
        (str(time).replace("T", " ") + ":00", value, is_work)
        for time, value, is_work in zip(times, load, workday, strict=True)
    ]
    last = len(rows) - 24
    _write(folder / "load.csv", rows[: 24 * DAYS])
    _write(
        folder / "shown.csv",
        rows[24 * DAYS : last] + [(time, "", is_work) for time, _, is_work in rows[last:]],
    )
    zoo.train(
        data=folder / "load.csv", target="load", known_future="workday", out=folder / "run", **LOAD_SETTINGS
    )
    title, example = "A made-up load of a power grid in the next 24 hours", folder / "shown.csv"
    run = zoo.Run(folder / "run")
    return zoo.export.to_html(run, path, title=title, example=example, weights="int8", force=True)


PAGES: Mapping[str, Callable[[Path, Path], HtmlFile]] = {
    "reference-manual": reference_manual,
    "load-forecast": load_forecast,
}


def _write(path: Path, rows: list[tuple[str, object, object]]) -> None:
    with path.open("w", newline="", encoding="utf-8") as file:
        csv.writer(file).writerows([("time", "load", "workday"), *rows])


def main() -> None:
    """Train the models, and write the pages.

    Raises:
        SystemExit: if a page is too large.
    """
    parser = argparse.ArgumentParser(
        description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter
    )
    parser.add_argument("pages", nargs="*", help=f"names of pages, of {', '.join(PAGES)}; all by default")
    FOLDER.mkdir(exist_ok=True)
    for name in parser.parse_args().pages or PAGES:
        if name not in PAGES:
            parser.error(f"unknown page {name!r}")
        with tempfile.TemporaryDirectory() as folder:
            page = PAGES[name](FOLDER / f"{name}.html", Path(folder))
        if page.bytes > MAX_BYTES:
            raise SystemExit(f"{page.path}: {page.bytes:,} bytes; expected at most {MAX_BYTES:,}.")
        print(f"{page.path.name}: {page.bytes:,} bytes")


if __name__ == "__main__":
    main()
