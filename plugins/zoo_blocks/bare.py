"""The block that adds nothing."""

from __future__ import annotations

from collections.abc import Callable

import zoo


class Bare(zoo.Block):
    """No block: the cell reads the input of the layer and makes its output.

    ``bare(lstm)`` is ``lstm``. Use the name in comparisons of blocks.
    """

    card = zoo.Card(
        title="Finding Structure in Time",
        authors="Jeffrey L. Elman",
        year=1990,
        url="https://doi.org/10.1207/s15516709cog1402_1",
        variant="A recurrent cell between the input and the readout.",
    )


@zoo.hookimpl
def zoo_register_blocks(register: Callable[[type[zoo.Block]], type[zoo.Block]]) -> None:
    """Register the block."""
    register(Bare)
