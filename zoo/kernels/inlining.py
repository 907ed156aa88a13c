"""Functions in machine code that all kernels of a process share: compiled once, called by their symbol.

Whatever else a kernel calls is compiled inside it. That makes small things fast; a register tile is long and
gains nothing by it, and was a fifth of the time that a cell took to compile.

Kernels that other kernels call, and how they are compiled: once, inside their callers.

Numba optimises every function on its own, turns it into machine code, links it into each caller and optimises
it there again, and makes two wrappers for Python and for C beside. Of a kernel that another kernel calls only
the first form is ever used: the unoptimised one, which the caller takes in. To leave out all else makes a
first run of ``vanilla`` compile in two thirds of the time.
"""

from __future__ import annotations

import pickle
from collections.abc import Callable
from pathlib import Path
from typing import Any

from llvmlite import ir  # type: ignore[import-untyped]
from llvmlite.binding import parse_bitcode  # type: ignore[import-untyped]
from numba.core import compiler
from numba.core.codegen import JITCodeLibrary
from numba.core.compiler_lock import global_compiler_lock
from numba.core.compiler_machinery import FunctionPass, LoweringPass, register_pass
from numba.core.environment import lookup_environment
from numba.core.registry import cpu_target
from numba.core.typed_passes import NativeLowering
from numba.core.untyped_passes import IRProcessing

from zoo.kernels.cache import library_digest
from zoo.kernels.cache_dir import kernel_directory, load_pickled, write_checked

_libraries: dict[str, Any] = {}


def shared_library(symbol: str, write: Callable[[ir.Module], None]) -> Any:
    """The library that defines a symbol, which kernels may call from now on; kept on disk as kernels are.

    Args:
        symbol: Its name to the linker.
        write: Defines it in a module, if it was not found on disk.
    """
    with global_compiler_lock:
        if symbol not in _libraries:
            _libraries[symbol] = _made(symbol, write)
        return _libraries[symbol]


def _made(symbol: str, write: Callable[[ir.Module], None]) -> Any:
    codegen = cpu_target.target_context.codegen()
    path = _path(symbol, codegen)
    if path is not None and (stored := load_pickled(path, codegen.unserialize_library)) is not None:
        return stored
    library = codegen.create_library(symbol)
    library.enable_object_caching()
    module = library.create_ir_module(symbol)
    write(module)
    library.add_ir_module(module)
    library.finalize()
    if path is not None:
        write_checked(path, pickle.dumps(library.serialize_using_object_code()))
    return library


def _path(symbol: str, codegen: Any) -> Path | None:
    """The file of a symbol on this processor."""
    directory = kernel_directory()
    digest = library_digest(repr(codegen.magic_tuple()))
    return directory and directory / f"{symbol}-{digest[:40]}.kernel"


_ENVIRONMENT = "_ZN08NumbaEnv"


class _Unwired:
    """The code generator of a library whose functions have no addresses."""

    def __init__(self, codegen: Any) -> None:
        self._codegen = codegen

    def __getattr__(self, name: str) -> Any:
        return getattr(self._codegen, name)

    def set_env(self, name: str, environment: Any) -> None:
        """Leave it to the caller: what would point to the environment does not exist yet."""


class NestedLibrary(JITCodeLibrary):
    """Code that is only ever linked into other code."""

    @property
    def codegen(self) -> Any:
        """The code generator, for what may be asked of it here."""
        return _Unwired(self._codegen)

    def _optimize_final_module(self) -> None:
        pass

    def _finalize_final_module(self) -> None:
        self._finalize_dynamic_globals()  # type: ignore[no-untyped-call]
        self._finalized = True

    def serialize_using_object_code(self) -> tuple[str, bytes]:
        """Name and code, for :func:`restore`."""
        module: Any = self._get_module_for_linking()  # type: ignore[no-untyped-call]
        return self.name, module.as_bitcode()

    def get_pointer_to_function(self, _name: str) -> int:
        """Zero, by which Numba knows that there is none."""
        self._ensure_finalized()  # type: ignore[no-untyped-call]  # what is called at loading is known then
        return 0


@register_pass(mutates_CFG=False, analysis_only=True)  # type: ignore[no-untyped-call]
class _TakeNestedLibrary(FunctionPass):
    _name = "zoo_take_nested_library"

    def __init__(self) -> None:
        FunctionPass.__init__(self)  # type: ignore[no-untyped-call]  # abstract, for want of a reason

    def run_pass(self, state: Any) -> bool:
        """Let the code of this function go into a library of its own kind."""
        kind: Any = NestedLibrary  # Numba's own functions are untyped
        state.library = kind(state.targetctx.codegen(), state.func_id.func_qualname)
        state.library.enable_object_caching()
        return False


@register_pass(mutates_CFG=False, analysis_only=True)  # type: ignore[no-untyped-call]
class _BindEnvironments(LoweringPass):
    _name = "zoo_bind_environments"

    def __init__(self) -> None:
        LoweringPass.__init__(self)  # type: ignore[no-untyped-call]  # abstract, for want of a reason

    def run_pass(self, state: Any) -> bool:
        """Do for nested kernels what Numba does for each function: tell its code where its constants are."""
        find: Any = lookup_environment
        for variable in state.library._final_module.global_variables:
            environment = variable.name.startswith(_ENVIRONMENT) and find(variable.name)
            if environment:
                state.library.codegen.set_env(variable.name, environment)
        return False


class KernelCompiler(compiler.CompilerBase):
    """Numba's compiler for a kernel that Python calls."""

    def define_pipelines(self) -> list[Any]:
        """Numba's passes and one more."""
        return [_passes(self.state, _BindEnvironments, NativeLowering)]


class NestedCompiler(compiler.CompilerBase):
    """Numba's compiler for a kernel that another kernel calls."""

    def define_pipelines(self) -> list[Any]:
        """Numba's passes and one more."""
        return [_passes(self.state, _TakeNestedLibrary, IRProcessing)]


class DisjointCompiler(NestedCompiler):
    """The same for one whose arrays share no memory."""

    def define_pipelines(self) -> list[Any]:
        """Tell LLVM so, which remembers it when the kernel is taken into its callers."""
        self.state.flags.noalias = True
        return super().define_pipelines()


def _passes(state: Any, added: type, after: type) -> Any:
    builder: Any = compiler.DefaultPassBuilder
    passes = builder.define_nopython_pipeline(state)
    passes.add_pass_after(added, after)
    passes.finalize()
    return passes


def restore(context: Any, stored: tuple[str, bytes], *facts: Any) -> compiler.CompileResult:
    """A nested kernel from the disk: ``CompileResult._rebuild`` for a library of the other kind."""
    function, environment, signature, objectmode, lifted, annotation, reload, environments = facts
    for call in reload:
        call()
    kind: Any = NestedLibrary
    made: Any = compiler.CompileResult
    library = kind(context.codegen(), stored[0])
    library._final_module = parse_bitcode(stored[1])
    library._reload_init.update(reload)  # for the callers
    library._finalize_final_module()
    return made(  # type: ignore[no-any-return]
        typing_context=context.typing_context,
        target_context=context,
        entry_point=context.get_executable(library, function, environment),
        typing_error=None,
        type_annotation=annotation,
        library=library,
        call_helper=None,
        signature=signature,
        objectmode=objectmode,
        lifted=lifted,
        fndesc=function,
        environment=environment,
        metadata=None,
        reload_init=reload,
        referenced_envs=environments,
    )
