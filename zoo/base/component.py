"""What cells, optimizers and samplers share: a name, a card, options, and kernels."""

from __future__ import annotations

import functools
import hashlib
import inspect
import re
import sys
from collections.abc import Callable, Mapping
from types import MappingProxyType
from typing import Any, ClassVar

from zoo.base.card import TEMPLATE as CARD_TEMPLATE
from zoo.base.card import Card, bibtex_entry
from zoo.base.declarations import Array, Option
from zoo.base.names import check_component_name, check_declaration_name, did_you_mean, snake_case
from zoo.errors import DefinitionError, UsageError
from zoo.run_module import FILE_MODULE, module_label


class Component:
    """Base of everything that can be registered; an instance is a class with its options chosen.

    A subclass is checked when it is defined. One that only others derive from says so:
    ``class Base(zoo.Cell, abstract=True)``.

    Args:
        **options: Values for the declared options; the others keep their defaults.

    Raises:
        UsageError: for an unknown option or a value that the option does not allow.
    """

    kind: ClassVar[str] = "member"
    name: ClassVar[str]
    """Registry name; derived from the class name when not given."""
    family: ClassVar[str] = "other"
    """Group under which listings show it."""
    card: ClassVar[Card]
    """Its reference; one with the class's name alone where the class states none, since it is unpublished."""
    declared_options: ClassVar[Mapping[str, Option[Any]]] = MappingProxyType({})
    options: Mapping[str, Any] = MappingProxyType({})
    """The value of every declared option, on an instance."""

    def __init_subclass__(cls, abstract: bool = False, **kwargs: Any) -> None:
        """Read and check the declarations of a new member."""
        super().__init_subclass__(**kwargs)
        cls._check_declarations()
        cls.declared_options = MappingProxyType(declarations_of(cls, Option))
        if not abstract:
            if "name" not in cls.__dict__:
                cls.name = snake_case(cls.__name__)
            cls._check_class()

    @classmethod
    def _check_class(cls) -> None:
        """Refuse a class that is not well formed; subclasses add their own laws."""
        cls._check_name()
        cls._check_card()
        if sys.flags.optimize < 2 and not (cls.__doc__ or "").strip():  # python -OO drops all docstrings
            raise DefinitionError(
                f"{cls.error_name()}: the docstring is missing; say in one line what it is."
            )

    @classmethod
    def _check_card(cls) -> None:
        """Refuse a card that is none; a class without a reference gets a card with its own name."""
        card = getattr(cls, "card", None)
        if card is not None and not isinstance(card, Card):
            raise DefinitionError(
                f"{cls.error_name()}: card is {card!r}; give {CARD_TEMPLATE}, or no card if it is not "
                f"published."
            )
        if card is None or not (card.published or "card" in vars(cls)):
            cls.card = Card(title=cls.__name__)

    @classmethod
    def _check_name(cls) -> None:
        """Refuse what is no name for the registry."""
        check_component_name(cls.name, cls.error_name())

    @classmethod
    def _check_declarations(cls) -> None:
        """Refuse a declaration whose name is no name, is shared, or hides an attribute of the contract."""
        for part, declaration in declarations_of(cls, (Array, Option)).items():
            check_declaration_name(part, cls.error_name())
            if declaration.name != part:
                raise DefinitionError(
                    f"{cls.error_name()}: {part!r} is the declaration {declaration.name!r} again; write "
                    f"another."
                )
            inherited = (vars(base)[part] for base in cls.__mro__ if part in vars(base))
            if not all(isinstance(value, Array | Option) for value in inherited):
                raise DefinitionError(
                    f"{cls.error_name()}: {part!r} would hide what a {cls.kind} has under this name; rename "
                    f"it."
                )

    def __init__(self, **options: Any) -> None:
        for name in options:
            if name not in self.declared_options:
                known = ", ".join(self.declared_options) or "none"
                raise UsageError(
                    f"{self.label()} has no option {name!r}; it has: {known}."
                    f"{did_you_mean(name, self.declared_options)}"
                )
        self.options = MappingProxyType(
            {
                name: option.check(options.get(name, option.default), self.label())
                for name, option in self.declared_options.items()
            }
        )

    def __repr__(self) -> str:
        options = ", ".join(f"{name}={value!r}" for name, value in self.options.items())
        return f"{type(self).__name__}({options})"

    def __eq__(self, other: object) -> bool:
        return type(other) is type(self) and isinstance(other, Component) and other.options == self.options

    def __hash__(self) -> int:
        return hash((type(self), tuple(self.options.items())))

    def __reduce__(self) -> tuple[Any, ...]:
        check_importable(type(self))
        return functools.partial(type(self), **self.options), ()

    def __copy__(self) -> Any:
        return type(self)(**self.options)

    def __deepcopy__(self, memo: dict[int, Any]) -> Any:
        return type(self)(**self.options)

    @classmethod
    def error_name(cls) -> str:
        """How an error names the class itself: kind, class and module."""
        return f"{cls.kind} class {cls.__qualname__} ({module_label(cls.__module__)})"

    @classmethod
    def label(cls) -> str:
        """How an error names the registered member: ``cell 'vanilla'``."""
        return f"{cls.kind} {cls.name!r}"

    @classmethod
    def summary(cls) -> str:
        """First paragraph of the docstring, in one line."""
        return first_paragraph(cls)

    @classmethod
    def bibtex(cls) -> str:
        """The reference on its card as an entry for BibTeX, see :mod:`zoo.base.card`."""
        return bibtex_entry(cls.card, cls.name)

    @classmethod
    def kernel(cls, name: str) -> Callable[..., Any]:
        """The kernel stored under ``name``, unbound: jitted functions would bind ``self`` as methods do."""
        kernel: Callable[..., Any] | staticmethod[..., Any] = inspect.getattr_static(cls, name)
        return kernel.__func__ if isinstance(kernel, staticmethod) else kernel

    @classmethod
    def source_digest(cls) -> str:
        """SHA-256 of the file (in a notebook, the class) that states this member; empty without a source."""
        source = _source(sys.modules.get(cls.__module__)) or _source(cls)
        return hashlib.sha256(source.encode()).hexdigest() if source else ""


def first_paragraph(documented: Any) -> str:
    """The first paragraph of the docstring of a class, function or module, in one line."""
    return " ".join(re.split(r"\n\s*\n", inspect.getdoc(documented) or "", maxsplit=1)[0].split())


def _source(stated_in: Any) -> str:
    try:
        return inspect.getsource(stated_in)
    except (OSError, TypeError):
        return ""


def declarations_of(cls: type, kind: type | tuple[type, ...]) -> dict[str, Any]:
    """The class attributes of one kind, base classes first, in the order of declaration."""
    found: dict[str, Any] = {}
    for base in reversed(cls.__mro__):
        found |= vars(base)
    return {name: value for name, value in found.items() if isinstance(value, kind)}


def check_kernel_signature(cls: type[Component], name: str, arguments: tuple[str, ...]) -> None:
    """Refuse a kernel that does not take the contract's arguments: ``arguments``, then one for each option.

    Raises:
        DefinitionError: showing the signature found and the one expected.
    """
    kernel = cls.kernel(name)
    expected = (*arguments, *cls.declared_options)
    try:
        found = tuple(inspect.signature(getattr(kernel, "py_func", kernel)).parameters)
    except (TypeError, ValueError):
        raise DefinitionError(
            f"{cls.error_name()}: {name} is {kernel!r}; expected a function decorated with @zoo.njit."
        ) from None
    if len(found) != len(expected):
        raise DefinitionError(
            f"{cls.error_name()}: {name}({', '.join(found)}) takes {len(found)} arguments; expected "
            f"{name}({', '.join(expected)}), with one argument for each option at the end."
        )
    text = [option.name for option in cls.declared_options.values() if option.type is str]
    if text:
        raise DefinitionError(
            f"{cls.error_name()}: option {text[0]!r} is a string; kernels take numbers and booleans only."
        )


def check_importable(cls: type[Component]) -> None:
    """Refuse to pickle a class of a file given by its path: no other process could import it.

    Raises:
        UsageError: saying what to do.
    """
    if cls.__module__.startswith(FILE_MODULE):
        raise UsageError(
            f"{cls.error_name()} cannot be pickled, since no other process can import a class of a file "
            f"given by its path; import its module and give the class {cls.__qualname__} itself."
        )
