"""Base class of constraints on parameters."""

from __future__ import annotations

from typing import TYPE_CHECKING, ClassVar

from zoo.base.component import Component, check_method
from zoo.errors import DefinitionError

if TYPE_CHECKING:
    from zoo.array_types import Array


class Constraint(Component, abstract=True):
    """A constraint on parameters, which holds after every update of training.

    It has one method, ``project``, which changes an array in place to the nearest allowed one::

        class Bounded(zoo.Constraint):
            "No weight is larger than ``limit`` in magnitude."

            limit = zoo.Option(1.0, help="largest magnitude", low=0.0)

            def project(self, values, initial):
                np.clip(values, -self.limit, self.limit, out=values)

    Args:
        **options: Values for the declared options.

    Raises:
        DefinitionError: when the class is defined, if it is not well formed.
        UsageError: for an unknown option or a value that is not allowed.
    """

    kind: ClassVar[str] = "constraint"

    @classmethod
    def _check_class(cls) -> None:
        super()._check_class()
        if cls.project is Constraint.project:
            raise DefinitionError(
                f"{cls.error_name()}: project is missing; add a method project(self, values, initial) that "
                f"changes the array `values` in place."
            )
        check_method(cls, "project", ("values", "initial"))
        check_method(cls, "start", ("values",))
        check_method(cls, "check", ("name", "shape"))

    def check(self, name: str, shape: tuple[int, ...]) -> None:
        """Check that the constraint suits a parameter; the default accepts all parameters.

        Args:
            name: Name of the parameter.
            shape: Its shape.

        Raises:
            UsageError: if it does not.
        """

    def start(self, values: Array) -> None:
        """Change initial values to allowed ones, in place; the default projects them."""
        self.project(values, values.copy())

    def project(self, values: Array, initial: Array) -> None:
        """Change an array in place to the nearest allowed one; called after every update.

        Args:
            values: A parameter, of any shape. In matrices of zoo, a row holds the weights from one unit.
            initial: Its values before training, of the same shape.
        """
        raise NotImplementedError
