"""AMX in Python, for a process of its own on a processor with AVX512-BF16: call `install` before compiling.

The kernels then have calls of functions of this module in place of the instructions. Each function checks its
operands as the processor does, and a fault ends up in ``FAULTS``, since compiled code cannot raise it.
"""

from __future__ import annotations

import ctypes
import functools
import threading
from collections import defaultdict
from typing import Any

import llvmlite.binding as llvm
import numpy as np
from numba.core import cgutils

from zoo.kernels import amx_microkernel, bf16_pairs, gemm_library, precision, processor

FEATURES = frozenset({"+amx-tile", "+amx-bf16"})
FAULTS: list[str] = []
COUNTS: dict[str, int] = defaultdict(int)
"""Executed instructions by name."""

_BYTE, _ADDRESS = ctypes.c_int8, ctypes.c_int64


class Tiles:
    """The tile registers of one thread."""

    def __init__(self) -> None:
        self.sizes: list[tuple[int, int]] = [(0, 0)] * 8
        self.registers = np.zeros((8, 16, 64), np.uint8)

    def ldtilecfg(self, address: int) -> None:
        data = np.frombuffer(ctypes.string_at(address, 64), np.uint8)
        assert data[0] == 1, "the palette is not 1"
        assert not data[1:16].any(), "a reserved byte is not zero"
        assert not data[32:48].any(), "a tile above 7 has columns"
        assert not data[56:].any(), "a tile above 7 has rows"
        widths = data[16:32].view(np.uint16).tolist()
        self.sizes = list(zip(data[48:56].tolist(), widths, strict=True))
        assert all((rows == 0) == (width == 0) for rows, width in self.sizes), f"half a tile: {self.sizes}"
        assert all(rows <= 16 and width <= 64 and width % 4 == 0 for rows, width in self.sizes), self.sizes
        self.registers[:] = 0

    def size(self, tile: int) -> tuple[int, int]:
        assert self.sizes[tile][0], f"tile {tile} has no rows"
        return self.sizes[tile]

    def tilezero(self, tile: int) -> None:
        self.size(tile)
        self.registers[tile] = 0

    def tileloadd64(self, tile: int, address: int, stride: int) -> None:
        rows, width = self.size(tile)
        self.registers[tile] = 0
        for row in range(rows):
            data = ctypes.string_at(address + row * stride, width)
            self.registers[tile, row, :width] = np.frombuffer(data, np.uint8)

    def tilestored64(self, tile: int, address: int, stride: int) -> None:
        rows, width = self.size(tile)
        for row in range(rows):
            ctypes.memmove(address + row * stride, self.registers[tile, row, :width].tobytes(), width)

    def tdpbf16ps(self, c: int, a: int, b: int) -> None:
        (rows, c_width), (a_rows, a_width), (depth, width) = map(self.size, (c, a, b))
        assert (rows, c_width, a_width) == (a_rows, width, 4 * depth), f"tiles {c}, {a} and {b}: {self.sizes}"
        left, right = (self.registers[each].view(np.uint16).reshape(16, 16, 2) for each in (a, b))
        # Columns of left, and rows of right, are k.
        left, right = (
            (each.astype(np.uint32) << 16).view(np.float32)
            for each in (left.reshape(16, 32), np.ascontiguousarray(right.swapaxes(1, 2)).reshape(32, 16))
        )
        sums = self.registers[c].view(np.float32)
        bf16_pairs.add_products(
            left[:rows], right[:, : width // 4], part := sums[:rows, : width // 4].copy(), True
        )
        self.registers[c] = 0
        sums[:rows, : width // 4] = part

    def tilerelease(self) -> None:
        self.sizes = [(0, 0)] * 8


_tiles: dict[int, Tiles] = defaultdict(Tiles)
_KINDS = {
    "ldtilecfg": [_ADDRESS],
    "tilezero": [_BYTE],
    "tileloadd64": [_BYTE, _ADDRESS, _ADDRESS],
    "tilestored64": [_BYTE, _ADDRESS, _ADDRESS],
    "tdpbf16ps": [_BYTE, _BYTE, _BYTE],
    "tilerelease": [],
}


_permission: list[bool] = []


def _request_tiles() -> str:
    _permission.append(True)
    return ""


def _execute(name: str, *operands: int) -> None:
    try:
        assert _permission, "the process did not request the tiles"
        COUNTS[name] += 1
        getattr(_tiles[threading.get_ident()], name)(*operands)
    except Exception as error:
        FAULTS.append(f"{name}{operands}: {error!r}")


_callbacks = {
    name: ctypes.CFUNCTYPE(None, *kinds)(functools.partial(_execute, name)) for name, kinds in _KINDS.items()
}


def _declare(instructions: Any, name: str, kind: Any) -> Any:
    return cgutils.get_or_insert_function(instructions.builder.module, kind, f"emulated.{name}")


def install() -> None:
    """Give this process an emulated AMX."""
    for name, callback in _callbacks.items():
        llvm.add_symbol(f"emulated.{name}", ctypes.cast(callback, ctypes.c_void_p).value)
    amx_microkernel.TileInstructions.declare = _declare  # type: ignore[method-assign]
    real = processor.target_processor()
    emulated = real._replace(features=real.features | FEATURES)
    processor.target_processor = lambda: emulated  # type: ignore[assignment]
    for module in (precision, gemm_library):
        module.request_tiles = _request_tiles  # type: ignore[attr-defined]
