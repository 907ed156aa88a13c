"""The name and the address of the distribution: the one source of installation hints and of the citation."""

from __future__ import annotations

DISTRIBUTION = "recurrent-zoo"
"""The name of the package for pip."""

REPOSITORY = ""
"""The address of the repository; empty as long as zoo is not published. ``[project.urls]`` and
``CITATION.cff`` repeat it, and a test compares them."""

YEAR = 2026
"""Year of the release, for the citation."""


def install_hint(extra: str) -> str:
    """The command that installs what an extra needs: ``pip install 'recurrent-zoo[onnx]'``.

    The command works from any directory, and also while zoo is on no package index: zoo is installed where
    the hint is printed, so pip takes the installed package and downloads only what the extra requires.
    """
    return f"pip install '{DISTRIBUTION}[{extra}]'"


def citation(version: str) -> str:
    """The BibTeX entry of zoo itself, without a final newline.

    Args:
        version: ``zoo.__version__``.
    """
    rows = {
        "author": "{The zoo authors}",
        "title": "{zoo: recurrent neural network cells, compiled from their equations}",
        "year": str(YEAR),
        "note": f"Python package {DISTRIBUTION}, version {version}",
        **({"url": REPOSITORY} if REPOSITORY else {}),
    }
    lines = (f"  {field:<6} = {{{value}}}," for field, value in rows.items())
    return "\n".join([f"@misc{{zoo{YEAR},", *lines, "}"])
