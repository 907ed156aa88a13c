"""Does the compiler work, and what does it compile for?"""

from __future__ import annotations

import time
from pathlib import Path
from typing import Any

from zoo.cli.examinations.finding import Finding

# Instruction sets on which the speed of the kernels depends.
FEATURES = ("sse2", "avx", "avx2", "fma", "avx512f", "neon", "sve")


def processor() -> Finding:
    """The processor that kernels are compiled for."""
    try:
        from numba.core.registry import cpu_target

        triple, name, features = cpu_target.target_context.codegen().magic_tuple()
    except Exception as error:  # whatever keeps Numba from working is the finding
        return _no_compiler("processor", error)
    enabled = [feature for feature in FEATURES if f"+{feature}" in features.split(",")]
    text = f"{_marketing_name()}compiled for {name} ({triple.partition('-')[0]}): {', '.join(enabled)}"
    return Finding("processor", text, {"target": name, "triple": triple, "features": features.split(",")})


def _marketing_name() -> str:
    """What Linux calls the processor; elsewhere nothing, since no file says."""
    try:
        lines = Path("/proc/cpuinfo").read_text(encoding="utf-8", errors="replace").splitlines()
    except OSError:
        return ""
    names = [line.partition(":")[2].strip() for line in lines if line.startswith("model name")]
    return f"{names[0]}, " if names else ""


def vectors() -> Finding:
    """How many numbers one instruction handles."""
    try:
        from numba import types

        from zoo.kernels.tiles import lanes

        widths = {"float32": lanes(types.float32), "float64": lanes(types.float64)}
    except Exception as error:
        return _no_compiler("vectors", error)
    text = (
        f"{32 * widths['float32']} bits: {widths['float32']} float32 or {widths['float64']} float64 at once"
    )
    return Finding("vectors", text, widths)


def compiler() -> Finding:
    """Whether a kernel compiles and runs."""
    try:
        import numba

        if numba.config.DISABLE_JIT:  # type: ignore[attr-defined]  # numba sets it from the environment
            return Finding(
                "compiler", "switched off by NUMBA_DISABLE_JIT: everything runs as plain, slow Python", "off"
            )
        started = time.perf_counter()
        compiled: Any = numba.njit(_successor)
        if compiled(41) != 42:
            raise ArithmeticError("41 + 1 came out wrong")
    except Exception as error:
        return _no_compiler("compiler", error)
    seconds = time.perf_counter() - started
    return Finding(
        "compiler", f"works ({seconds:.2f} s for the smallest kernel)", {"seconds": round(seconds, 3)}
    )


def _successor(number: int) -> int:
    return number + 1


def _no_compiler(name: str, error: Exception) -> Finding:
    problem = f"Numba cannot be used ({type(error).__name__}: {error}); install recurrent-zoo afresh."
    return Finding(name, "unknown", None, problem)
