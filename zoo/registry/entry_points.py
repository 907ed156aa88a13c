"""Discovery: which plugins are installed, and which of them ``ZOO_PLUGINS`` lets in. It imports none."""

from __future__ import annotations

import contextlib
import re
from collections.abc import Iterable, Mapping
from dataclasses import dataclass
from typing import TYPE_CHECKING, Literal

from zoo.base.names import did_you_mean
from zoo.registry.registry import Source

if TYPE_CHECKING:
    from importlib.metadata import Distribution

GROUP = "zoo"
SHIPPED = "recurrent-zoo"

Status = Literal["loaded", "failed", "skipped"]


@dataclass(frozen=True)
class PluginRecord:
    """What became of one plugin.

    Args:
        name: Its entry point, or the path of its file.
        distribution: The installed distribution it came with; empty for a file.
        version: Version of the distribution.
        module: The module that the entry point names.
        status: ``loaded``, ``failed``, or ``skipped`` because ``ZOO_PLUGINS`` does not name it.
        error: Why it is not loaded, in a sentence.
        provides: What it registered, ``("cell vanilla", ...)``.
        cause: The exception behind ``error``, for a traceback.
    """

    name: str
    distribution: str
    version: str
    module: str
    status: Status
    error: str = ""
    provides: tuple[str, ...] = ()
    cause: BaseException | None = None

    def __str__(self) -> str:
        return str(Source(self.name, self.distribution, self.version))


@dataclass(frozen=True)
class EntryPoint:
    """One way in: an entry point of an installed distribution, or a file.

    Args:
        source: Plugin, distribution and version.
        target: What the entry point says, a module.
        fault: Why it cannot even be tried; empty if it can.
    """

    source: Source
    target: str
    error: str = ""

    @property
    def shipped(self) -> bool:
        """Whether it belongs to zoo itself."""
        return normalize_name(self.source.distribution) == SHIPPED

    @property
    def names(self) -> frozenset[str]:
        """What ``ZOO_PLUGINS`` may call it."""
        return frozenset({normalize_name(self.source.plugin), normalize_name(self.source.distribution)})

    def is_selected(self, selection: frozenset[str] | None) -> bool:
        """Whether a selection (see :func:`chosen`) includes it."""
        return selection is None or self.shipped or not selection.isdisjoint(self.names)

    def record(
        self,
        status: Status,
        error: str = "",
        provides: tuple[str, ...] = (),
        cause: BaseException | None = None,
    ) -> PluginRecord:
        """How the attempt ended."""
        source = self.source
        return PluginRecord(
            source.plugin, source.distribution, source.version, self.target, status, error, provides, cause
        )


def normalize_name(name: str) -> str:
    """A name as package indexes compare it: ``Zoo_Leaky`` is ``zoo-leaky``."""
    return re.sub(r"[-_.]+", "-", name.strip()).lower()


def installed_entry_points() -> tuple[EntryPoint, ...]:
    """The doors of all installed distributions: zoo's own first, then by distribution and name.

    Each (distribution, entry point) appears once, also where a distribution is found twice on ``sys.path``.
    """
    from importlib.metadata import distributions

    doors = {door for distribution in distributions() for door in _entry_points(distribution)}
    return tuple(sorted(doors, key=_sort_key))


def _sort_key(door: EntryPoint) -> tuple[bool, str, str, str]:
    return not door.shipped, normalize_name(door.source.distribution), door.source.plugin, door.target


def _entry_points(distribution: Distribution) -> tuple[EntryPoint, ...]:
    """The doors of one distribution; a damaged one gets a door with a fault, so that it stops nobody else."""
    try:
        if f"[{GROUP}]" not in (distribution.read_text("entry_points.txt") or ""):
            return ()  # nearly all: to read the metadata of every distribution would take a tenth of a second
        return _read_entry_points(distribution)
    except Exception as error:
        fault = f"its installed metadata cannot be read ({type(error).__name__}: {error}); install it again"
        return (EntryPoint(Source("entry_points.txt", _label(distribution)), "", fault),)


def _read_entry_points(distribution: Distribution) -> tuple[EntryPoint, ...]:
    name = distribution.metadata["Name"]
    if not name:
        raise ValueError("it has no name")
    first = type(distribution).from_name(name)  # an older copy further down sys.path has no say
    points = first.entry_points.select(group=GROUP)
    return tuple(EntryPoint(Source(point.name, name, first.version), point.value) for point in points)


def _label(distribution: Distribution) -> str:
    """Its name or, where METADATA is missing, as after an interrupted uninstall, its folder."""
    with contextlib.suppress(Exception):
        if name := distribution.metadata["Name"]:
            return str(name)
    return f"a damaged distribution in {distribution.locate_file('')}"


def selected_plugins(environ: Mapping[str, str]) -> frozenset[str] | None:
    """The plugins that ``ZOO_PLUGINS=a,b`` names; None if it is not set, which lets all in.

    The shipped ones need not be named: they always load.
    """
    text = environ.get("ZOO_PLUGINS")
    return None if text is None else frozenset(filter(None, map(normalize_name, text.split(","))))


def unknown_selected(selection: frozenset[str], doors: Iterable[EntryPoint]) -> tuple[PluginRecord, ...]:
    """One failed record for each name in ``ZOO_PLUGINS`` that no installed plugin has."""
    known = frozenset().union(*(door.names for door in doors))
    return tuple(
        EntryPoint(Source(name), "").record(
            "failed",
            f"ZOO_PLUGINS names {name!r}, but no such plugin is installed.{did_you_mean(name, known)}",
        )
        for name in sorted(selection - known)
    )
