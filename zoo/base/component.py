"""The base class of all components: a name, a card, options, and kernels."""

from __future__ import annotations

import copy
import functools
import inspect
import re
import sys
from collections.abc import Callable, Collection, Hashable, Mapping
from types import MappingProxyType
from typing import Any, ClassVar, TypeVar

from zoo.arguments import short_repr
from zoo.base.card import TEMPLATE as CARD_TEMPLATE
from zoo.base.card import Card, bibtex_entry, derived_card
from zoo.base.code_version import code_version, is_shipped, version_of
from zoo.base.declarations import ArrayDeclaration, Option
from zoo.base.names import (
    check_component_name,
    check_declaration_name,
    did_you_mean,
    snake_case,
    with_article,
)
from zoo.base.source_digest import source_digest
from zoo.errors import DefinitionError, UsageError
from zoo.run_module import FILE_MODULE, module_label

ComponentT = TypeVar("ComponentT", bound="Component")


class Component:
    """Base class of everything that can be registered; an instance is a class with its options chosen.

    A subclass is checked when it is defined. Mark an abstract class, from which only other classes derive:
    ``class Base(zoo.Cell, abstract=True)``.

    Args:
        **options: Values for the declared options; the others keep their defaults.

    Raises:
        UsageError: for an unknown option or a value that the option does not allow.
    """

    kind: ClassVar[str] = "component"
    name: ClassVar[str]
    """Registry name; by default derived from the class name."""
    family: ClassVar[str] = "other"
    """Group in listings."""
    card: ClassVar[Card]
    """Its reference; by default a card of an unpublished component, with the class name as title.

    The paper of a published class does not describe a subclass: its own card is unpublished and
    cites the paper. A class inherits the card of an abstract class.
    """
    declared_options: ClassVar[Mapping[str, Option[Any]]] = MappingProxyType({})
    options: Mapping[str, Any] = MappingProxyType({})
    """The value of every declared option, on an instance."""
    _subclass_names: ClassVar[tuple[str, ...]] = ("name", "card")
    """Attributes and functions that a subclass writes, and this class does not have."""

    def __init_subclass__(cls, abstract: bool = False, **kwargs: Any) -> None:
        """Collect and check the declarations of a new component."""
        super().__init_subclass__(**kwargs)
        cls._check_declarations()
        cls.declared_options = MappingProxyType(declarations_of(cls, Option))
        if not abstract:
            if "name" not in cls.__dict__:
                cls.name = snake_case(cls.__name__)
            cls._check_class()

    @classmethod
    def _check_class(cls) -> None:
        """Check that the class is well formed; base classes add their own checks."""
        cls._check_name()
        cls._check_card()
        cls._check_init()
        if sys.flags.optimize < 2 and not (cls.__doc__ or "").strip():  # python -OO drops all docstrings
            raise DefinitionError(
                f"{cls.error_name()}: the docstring is missing; add one line that describes the class."
            )

    @classmethod
    def _check_init(cls) -> None:
        """Check that ``__init__``, if there is one, takes options alone: copies are made from the options."""
        if is_shipped(cls.__init__.__module__):
            return
        _, *arguments = inspect.signature(cls.__init__).parameters.values()
        if [each.kind for each in arguments] != [inspect.Parameter.VAR_KEYWORD]:
            signature = ", ".join(map(str, ["self", *arguments]))
            raise DefinitionError(
                f"{cls.error_name()}: found __init__({signature}); declare each setting as an option "
                f"instead, `k = zoo.Option(0.5)`, which methods read as self.k."
            )

    def _check_options_set(self) -> None:
        """Raise an error if the ``__init__`` of a subclass has not called that of its base class."""
        if "_code_version" not in vars(self):
            raise DefinitionError(
                f"{self.error_name()}: its __init__ does not call super().__init__(**options); add this call "
                f"as its first line, or remove __init__ and declare each setting "
                f"as an option, `k = zoo.Option(0.5)`, which methods read as self.k."
            )

    @classmethod
    def _check_card(cls) -> None:
        """Check the card; a class that states none gets one, unless an abstract class has a reference."""
        card = getattr(cls, "card", None)
        if card is not None and not isinstance(card, Card):
            raise DefinitionError(
                f"{cls.error_name()}: card is {card!r}; give {CARD_TEMPLATE}, or no card if it is not "
                f"published."
            )
        if vars(cls).get("card") is not None:
            return
        bases = (base for base in cls.__mro__ if issubclass(base, Component) and vars(base).get("card"))
        source = next((base for base in bases if base.card.published), None)
        if source is None:
            cls.card = Card(title=cls.__name__)
        elif "name" in vars(source):
            cls.card = derived_card(cls.__name__, source.label(), source.card)
        else:  # an abstract class
            cls.card = source.card

    @classmethod
    def _check_name(cls) -> None:
        check_component_name(cls.name, cls.error_name())

    @classmethod
    def _check_declarations(cls) -> None:
        """Raise an error for a name that is invalid, used twice, or belongs to an attribute or function."""
        for name, declaration in declarations_of(cls, (ArrayDeclaration, Option)).items():
            check_declaration_name(name, cls.error_name())
            if declaration.name != name:
                raise DefinitionError(
                    f"{cls.error_name()}: {name!r} is the declaration {declaration.name!r} again; write "
                    f"another."
                )
            inherited = (vars(base)[name] for base in cls.__mro__ if name in vars(base))
            is_attribute = not all(isinstance(value, ArrayDeclaration | Option) for value in inherited)
            if is_attribute or name in cls._subclass_names:
                raise DefinitionError(
                    f"{cls.error_name()}: {name!r} is the name of an attribute or function of "
                    f"{with_article(cls.kind)} and cannot name a declaration; rename it."
                )
            if isinstance(declaration, ArrayDeclaration):
                declaration.check_init(cls.error_name())

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
        self._code_version = self.code_version()

    def __repr__(self) -> str:
        options = ", ".join(f"{name}={value!r}" for name, value in self.options.items())
        return f"{type(self).__name__}({options})"

    def __eq__(self, other: object) -> bool:
        return type(other) is type(self) and isinstance(other, Component) and other._key() == self._key()

    def __hash__(self) -> int:
        return hash((type(self), *self._key()))

    def _key(self) -> tuple[Any, ...]:
        """Options and code: caches of compiled code have components as keys."""
        self._check_options_set()
        return tuple(self.options.items()), self._code_version

    def __reduce__(self) -> tuple[Any, ...]:
        check_importable(type(self))
        return functools.partial(type(self), **self.options), ()

    def __copy__(self) -> Any:
        return type(self)(**self.options)

    def __deepcopy__(self, memo: dict[int, Any]) -> Any:
        return type(self)(**self.options)

    def refreshed(self: ComponentT) -> ComponentT:
        """This instance, or an equal one with the present code if the code of the class has changed.

        Raises:
            UsageError: if an attribute was set on the instance, which no copy has.
        """
        self._check_options_set()
        fresh = copy.copy(self)
        managed = _cached_names(type(self)) | {"options", "_code_version"}
        own, copied = (
            {name: value for name, value in vars(each).items() if name not in managed}
            for each in (self, fresh)
        )
        lost = [name for name in own if name not in copied]
        if not is_shipped(type(self).__init__.__module__):  # it may store other values than those of options
            lost += [name for name in copied if version_of(own.get(name)) != version_of(copied[name])]
        if lost:
            raise UsageError(
                f"{self.label()}: the attribute {lost[0]!r} was set on an instance, and zoo makes copies "
                f"from the options; declare it as an option, `{lost[0]} = zoo.Option(...)`."
            )
        return self if fresh == self else fresh

    @classmethod
    def error_name(cls) -> str:
        """The name of the class in error messages: kind, class and module."""
        return f"{cls.kind} class {cls.__qualname__} ({module_label(cls.__module__)})"

    @classmethod
    def label(cls) -> str:
        """The name of the component in error messages: ``cell 'vanilla'``."""
        return f"{cls.kind} {cls.name!r}"

    @classmethod
    def summary(cls) -> str:
        """First paragraph of the docstring, in one line."""
        return first_paragraph(cls)

    @classmethod
    def bibtex(cls) -> str:
        """The BibTeX entries of the card."""
        return bibtex_entry(cls.card, cls.name)

    @classmethod
    def kernel(cls, name: str) -> Callable[..., Any]:
        """The kernel ``name``, unbound: a jitted function would bind ``self`` as a method does."""
        kernel: Callable[..., Any] | staticmethod[..., Any] = inspect.getattr_static(cls, name)
        return kernel.__func__ if isinstance(kernel, staticmethod) else kernel

    @classmethod
    def code_version(cls) -> Hashable:
        """The code and the constants that the class uses now; see :mod:`zoo.base.code_version`."""
        return code_version(cls)

    @classmethod
    def source_digest(cls) -> str:
        """SHA-256 of the code that defines it; empty without a source.

        It covers the whole module, or the class alone in a notebook. For a file given by its path, it covers
        the class, the functions and classes of the file that it uses, and the modules that the file imports
        from its own folder. Comments, docstrings, cards, help texts, layout, and customary values of options
        do not change it.
        """
        return source_digest(cls)


def _cached_names(cls: type) -> set[str]:
    """The names of cached properties, which instances store when they are first read."""
    return {
        name
        for base in cls.__mro__
        for name, value in vars(base).items()
        if isinstance(value, functools.cached_property)
    }


def fixed_options(options: Mapping[str, Any], lengths: Collection[str]) -> dict[str, Any]:
    """The options without those that have a symbolic length in place of their value."""
    return {name: value for name, value in options.items() if name not in lengths}


def bound_copy(
    component: Component, lengths: Mapping[str, Any], arrays: Mapping[str, Any] = MappingProxyType({})
) -> Any:
    """A copy on which to call ``step``.

    It has the code version of the component. ``__init__`` would compute it in 50 to 200 us for each copy.

    Args:
        component: A cell, a block or a modifier.
        lengths: Symbolic lengths, in place of the values of some options.
        arrays: Arrays, in place of the declared parameters and buffers.
    """
    cls = type(component)
    bound: Any = cls.__new__(cls)
    cached = _cached_names(cls)
    vars(bound).update({name: value for name, value in vars(component).items() if name not in cached})
    bound.options = MappingProxyType({**component.options, **lengths})
    vars(bound).update(arrays)
    return bound


def first_paragraph(documented: Any) -> str:
    """The first paragraph of the docstring of a class, function or module, in one line."""
    return " ".join(re.split(r"\n\s*\n", inspect.getdoc(documented) or "", maxsplit=1)[0].split())


def printed_docstring(docstring: str) -> str:
    """A docstring, or a part of one, as commands and reports print text: code in single backticks."""
    return re.sub(r"::$", ":", docstring, flags=re.MULTILINE).replace("``", "`")


def declarations_of(cls: type, kind: type | tuple[type, ...]) -> dict[str, Any]:
    """The declarations of one kind, those of base classes first, in the order of declaration."""
    attributes: dict[str, Any] = {}
    for base in reversed(cls.__mro__):
        attributes |= vars(base)
    return {name: value for name, value in attributes.items() if isinstance(value, kind)}


def check_kernel_signature(
    cls: type[Component], name: str, arguments: tuple[str, ...], optional: str = ""
) -> None:
    """Check that a kernel takes ``arguments``, then one argument for each option, and maybe one more.

    Args:
        cls: The class with the kernel.
        name: Name of the kernel.
        arguments: Names of its arguments.
        optional: Name of a last parameter that the kernel may have.

    Raises:
        DefinitionError: with the actual and the expected signature.
    """
    kernel = cls.kernel(name)
    expected = (*arguments, *cls.declared_options)
    try:
        parameters = tuple(inspect.signature(getattr(kernel, "py_func", kernel)).parameters)
    except (TypeError, ValueError):
        raise DefinitionError(
            f"{cls.error_name()}: {name} is {kernel!r}; expected a function decorated with @zoo.njit."
        ) from None
    needed = parameters[:-1] if has_last_parameter(kernel, optional) else parameters
    if len(needed) != len(expected) or optional in needed:
        end = f", and optionally {optional} as the last one" if optional else ""
        raise DefinitionError(
            f"{cls.error_name()}: {name}({', '.join(parameters)}) takes {len(parameters)} arguments; "
            f"expected {name}({', '.join(expected)}), with one argument for each option at the end{end}."
        )
    strings = [option.name for option in cls.declared_options.values() if option.type is str]
    if strings:
        raise DefinitionError(
            f"{cls.error_name()}: option {strings[0]!r} is a string; kernels take numbers and booleans only."
        )


def check_method(cls: type[Component], name: str, arguments: tuple[str, ...]) -> None:
    """Check that a class has a method with these arguments, which is not asynchronous.

    Args:
        cls: The class.
        name: Name of the method.
        arguments: Names of the arguments after ``self``.

    Raises:
        DefinitionError: if it has another form, for example a static method.
    """
    method = inspect.getattr_static(cls, name)
    expected = f"expected a method, `def {name}(self, {', '.join(arguments)})`"
    is_partial = isinstance(method, functools.partialmethod)  # the class itself makes a function of it
    method = getattr(cls, name) if is_partial else method
    if isinstance(method, (staticmethod, classmethod)) or not callable(method):
        raise DefinitionError(f"{cls.error_name()}: {name} is {_description(method)}; {expected}.")
    function = inspect.unwrap(method)
    if inspect.iscoroutinefunction(function) or inspect.isasyncgenfunction(function):
        raise DefinitionError(f"{cls.error_name()}: {name} is asynchronous, `async def`; {expected}.")
    signature = inspect.signature(method)
    try:
        signature.bind("self", *arguments)
    except TypeError:
        raise DefinitionError(f"{cls.error_name()}: found {name}{signature}; {expected}.") from None


def _description(value: object) -> str:
    kinds = {staticmethod: "a static method", classmethod: "a class method", property: "a property"}
    return kinds.get(type(value)) or short_repr(value)


def has_last_parameter(kernel: Any, name: str) -> bool:
    """Whether the last parameter of a kernel has this name."""
    return bool(name) and [*inspect.signature(getattr(kernel, "py_func", kernel)).parameters][-1:] == [name]


def check_importable(cls: type[Component]) -> None:
    """Raise an error for a class from a file given by its path, which no other process can import.

    Raises:
        UsageError: for such a class.
    """
    if cls.__module__.startswith(FILE_MODULE):
        raise UsageError(
            f"{cls.error_name()} cannot be pickled, since no other process can import a class of a file "
            f"given by its path; import its module and give the class {cls.__qualname__} itself."
        )
