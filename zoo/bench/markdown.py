"""Results as Markdown, in the marked place of a document."""

from __future__ import annotations

from zoo.bench.records import Results
from zoo.bench.tables import sheets, surroundings
from zoo.sheets import Place, section


def put(place: Place, results: Results) -> None:
    """Write the tables to a new file, or into the marked place of one that is there.

    Raises:
        UsageError: if the file has no such place.
        CheckpointError: if it cannot be written.
    """
    about = "\n".join(f"{line}  " for line in surroundings(results)).rstrip()
    place.put(results.command, [about, *map(section, sheets(results))])
