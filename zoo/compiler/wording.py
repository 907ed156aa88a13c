"""Values of a plan as a reader writes them: by name, or as an equation in terms of what has one."""

from __future__ import annotations

from collections.abc import Iterator

from zoo.compiler.contents import computed, read_by_others, recomputed, told
from zoo.compiler.copies import LEAVES
from zoo.compiler.derivation import Derivation
from zoo.compiler.emission.writer import Names
from zoo.compiler.graph import Node
from zoo.compiler.naming import invented
from zoo.compiler.notation import Notation
from zoo.compiler.program import Pass
from zoo.compiler.structure import VIEWS
from zoo.compiler.views import SAMPLE, view_of

# A longer equation is told in two.
_LONGEST = 60


class Wording(Notation):
    """The names of all values of both passes, and equations in them.

    A state after the step has a prime, ``h'``; ``dh`` is the gradient by ``h``. What the author named keeps
    its name. What is stored, used twice or computed again is called after what it is made of,
    ``sigmoid_f``; the rest has no name, and stands in the equations of its users.

    Args:
        derivation: Both passes.
        forward: The plan of the one.
        backward: The plan of the other.
    """

    def __init__(self, derivation: Derivation, forward: Pass, backward: Pass) -> None:
        self.author = derivation.equations.names
        self.names: dict[Node, str] = {}
        self.shares = {**forward.shares, **backward.shares}
        self._slices: dict[Node, list[Node]] = {}  # those that the author named, by what they are slices of
        self._wholes: dict[Node, str] = {}  # what the author calls a view of all of a value
        for view, name in self.author.items():
            if view.op == "slice":
                self._slices.setdefault(self.held(view.inputs[0]), []).append(view)
            if (whole := _whole_of(view)) is not None:
                self._wholes.setdefault(whole, name)
        self._given = Names(set())  # names that stand for a value
        self._free = Names(set(self.author.values()))  # the same, and those of the author's to come
        for name, node in _declared(derivation):
            if self.held(node) not in self.names:
                self._call(self.held(node), name)
        again = read_by_others(backward, recomputed(derivation, backward))
        for plan in (forward, backward):
            wanted = again | told(plan)
            for node in dict.fromkeys(computed(plan)):
                if node in wanted or node in self.author:
                    self.give_name(node)
                    self.windows(node)

    def held(self, node: Node) -> Node:
        """The value in whose array a value lies: a sum grows in one place."""
        return self.shares.get(node, node)

    def has_name(self, node: Node) -> bool:
        """Whether a value is told in an equation of its own."""
        return self.held(node) in self.names

    def give_name(self, node: Node) -> str:
        """The name of a value, which gets one if it has none."""
        node = self.held(node)
        if node not in self.names:
            authors = self.author.get(node) or self._wholes.get(node)
            free = self._free if authors is None else self._given
            self._call(node, free.fresh(authors or invented(node, self._word)))
        return self.names[node]

    def _call(self, node: Node, name: str) -> None:
        self.names[node] = name
        self._given.taken.add(name)
        self._free.taken.add(name)

    def _word(self, node: Node) -> str:
        """What the author or a declaration calls a value."""
        declared = self.names.get(node, "").rstrip("'") if node.op in LEAVES else ""
        return self.author.get(node, declared)

    def windows(self, node: Node) -> tuple[str, ...]:
        """What the author calls the parts of a value, in order."""
        held = self.held(node)
        parts = sorted(self._slices.get(held, ()), key=_place)
        return tuple(dict.fromkeys(map(self.give_name, parts)))

    def is_long(self, node: Node) -> bool:
        """Whether an equation had better be told on its own."""
        return len(self.equation(node)) > _LONGEST


def _declared(derivation: Derivation) -> Iterator[tuple[str, Node]]:
    """Names that follow from the declarations."""
    equations = derivation.equations
    leaves = {**equations.params, **equations.buffers, **equations.states, **equations.inputs}
    yield from (("x", equations.x), ("dy", derivation.dy), *leaves.items())
    yield from ((f"{name}'", node) for name, node in equations.after.items())
    yield "y", equations.y
    yield from ((f"d{name}'", node) for name, node in derivation.dafter.items())
    gradients = {"x": derivation.dx, **derivation.dbefore, **derivation.dparams}
    yield from ((f"d{name}", node) for name, node in gradients.items() if node is not None)


def _whole_of(node: Node) -> Node | None:
    """What a view shows all of, if it does; None for what is no view."""
    view = view_of(node) if node.op in VIEWS else None
    return view.base if view is not None and node.op != "broadcast" and view.is_whole else None


def _place(view: Node) -> int:
    found = view_of(view)
    return 0 if found is None else int(found.offset.evaluate(SAMPLE))
