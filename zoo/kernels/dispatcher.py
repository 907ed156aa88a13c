"""Numba dispatchers of kernels, and the two ways to compile a kernel that other kernels call.

Numba optimises every function, turns it into machine code, links it into each caller and optimises it there
again, and adds wrappers for Python and C. A kernel that only other kernels call needs just the first form,
the unoptimised one that its callers take in. Leaving out the rest makes a first run of ``vanilla`` compile in
two thirds of the time. See :class:`BitcodeLibrary`.

The GEMM micro-kernel, and kernels such as the packing of a matrix, are long and gain nothing from inlining.
Included in every cell they took half of its compile time. All kernels of a process share one copy of each and
call it by its symbol. See :func:`linked_library` and :class:`SharedLibrary`.
"""

from __future__ import annotations

import functools
import gc
import importlib.util
import itertools
import pickle
import uuid
from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Any, NamedTuple
from weakref import WeakKeyDictionary

import llvmlite.binding as llvm  # type: ignore[import-untyped]
import numba
import numpy as np
from llvmlite import ir
from llvmlite.binding import parse_assembly, parse_bitcode
from numba.core import cgutils, compiler
from numba.core import event as numba_event
from numba.core.codegen import JITCodeLibrary
from numba.core.compiler_lock import global_compiler_lock
from numba.core.compiler_machinery import FunctionPass, LoweringPass, register_pass
from numba.core.environment import lookup_environment
from numba.core.imputils import impl_ret_new_ref
from numba.core.registry import cpu_target
from numba.core.runtime.context import NRTContext
from numba.core.typed_passes import NativeLowering
from numba.core.untyped_passes import IRProcessing
from numba.np import linalg

# Numba looks for overloads when a compilation starts: ours must be registered by then.
from zoo.kernels import compile_message
from zoo.kernels import elementary as elementary
from zoo.kernels.cache import attach_cache, function_digest, library_digest
from zoo.kernels.cache_dir import kernel_directory, load_pickled, write_checked
from zoo.kernels.cache_lock import lock_kernel, unlock_kernel
from zoo.kernels.float_formats import intrinsic

if TYPE_CHECKING:
    from zoo.kernels.jit import Kernel

_libraries: dict[str, Any] = {}


class _CollectorPause(numba_event.Listener):
    """Pauses Python's garbage collector while Numba compiles.

    A compiler makes many objects that stay until it is done, and collections look at all of them again: they
    took a seventh of the time of a first ``zoo train``.
    """

    def __init__(self) -> None:
        self._depth, self._was_enabled = 0, False

    def on_start(self, event: Any) -> None:  # noqa: ARG002  # Numba's signature
        """Stop collections. Numba holds a lock here, so threads do not interfere."""
        if self._depth == 0:
            self._was_enabled = gc.isenabled()
            gc.disable()
        self._depth += 1

    def on_end(self, event: Any) -> None:  # noqa: ARG002  # Numba's signature
        """Continue after the outermost function."""
        self._depth -= 1
        if self._depth == 0 and self._was_enabled:
            gc.enable()


numba_event.register("numba:compile", _CollectorPause())  # type: ignore[no-untyped-call]


_counted_members: WeakKeyDictionary[Any, list[bool]] = WeakKeyDictionary()


def _reference_counts(self: Any, builder: Any, ty: Any, val: Any) -> list[tuple[Any, Any]]:
    """The reference counts in a value, with their types: Numba's method, which reads no other members.

    Numba reads all fields of an array whenever it counts a reference, though only one of them has a count.
    These reads were a third of all instructions of a cell, until the optimiser removed them.
    """
    manager = self._context.data_model_manager
    model = manager[ty]
    counts = [(ty, model.get_nrt_meminfo(builder, val))] if model.has_nrt_meminfo() else []
    if ty not in _counted_members:
        members = model.traverse(builder)
        _counted_members[ty] = [manager[kind].contains_nrt_meminfo() for kind, _ in members]
    if any(_counted_members[ty]):
        for kind, member in itertools.compress(model.traverse(builder), _counted_members[ty]):
            counts += _reference_counts(self, builder, kind, member(val))
    return counts


NRTContext.get_meminfos = _reference_counts  # type: ignore[method-assign]  # Numba has no setting for it


def _import_array_functions() -> None:
    """Import Numba's array functions, but not ``scipy.linalg``, which takes 0.12 of 0.9 s of a warm start.

    Numba imports it to see whether there is a BLAS. It imports it again before it compiles a function of
    BLAS. Compiled code is cached for one version of SciPy, so what Numba checks then remains true.
    """
    ensure_blas = linalg.ensure_blas

    def find_scipy() -> None:
        if importlib.util.find_spec("scipy") is None:
            raise ImportError("SciPy is not installed.")

    linalg.ensure_blas = find_scipy
    try:
        importlib.import_module("numba.np.arraymath")
    finally:
        linalg.ensure_blas = ensure_blas


_import_array_functions()


def linked_library(symbol: str, write: Callable[[ir.Module], None]) -> Any:
    """Load, or compile and cache on disk, the library that defines a symbol, so that kernels can call it.

    Args:
        symbol: Name for the linker.
        write: Define the symbol in a module, if the disk cache lacks it.
    """
    with global_compiler_lock:
        if symbol not in _libraries:
            _libraries[symbol] = _load_or_compile(symbol, write)
        return _libraries[symbol]


def _load_or_compile(symbol: str, write: Callable[[ir.Module], None]) -> Any:
    codegen = cpu_target.target_context.codegen()
    path = _path(symbol, codegen)
    if path is None:
        return _compile_library(symbol, write)
    if (stored := load_pickled(path, codegen.unserialize_library)) is not None:
        return stored
    lock_kernel(path)
    try:
        # Another process may have compiled it.
        if (stored := load_pickled(path, codegen.unserialize_library)) is not None:
            return stored
        library = _compile_library(symbol, write)
        write_checked(path, pickle.dumps(library.serialize_using_object_code()))
        return library
    finally:
        unlock_kernel(path)


def _compile_library(symbol: str, write: Callable[[ir.Module], None]) -> Any:
    codegen = cpu_target.target_context.codegen()
    library = codegen.create_library(symbol)
    library.enable_object_caching()
    module = library.create_ir_module(symbol)
    write(module)
    library.add_ir_module(module)
    library.finalize()
    return library


def _path(symbol: str, codegen: Any) -> Path | None:
    directory = kernel_directory()
    digest = library_digest(repr(codegen.magic_tuple()))
    return directory and directory / f"{symbol}-{digest[:40]}.kernel"


_ENVIRONMENT = "_ZN08NumbaEnv"


class _NoAddressCodegen:
    """A code generator without function addresses, for :class:`BitcodeLibrary`."""

    def __init__(self, codegen: Any) -> None:
        self._codegen = codegen

    def __getattr__(self, name: str) -> Any:
        return getattr(self._codegen, name)

    def set_env(self, name: str, environment: Any) -> None:
        """Do nothing: the caller binds the environment, since its global does not exist yet."""


class BitcodeLibrary(JITCodeLibrary):
    """A library that exists only as bitcode, to be linked into other libraries."""

    @property
    def codegen(self) -> Any:
        """The code generator, without addresses."""
        return _NoAddressCodegen(self._codegen)

    def _optimize_final_module(self) -> None:
        pass

    def _finalize_final_module(self) -> None:
        self._finalize_dynamic_globals()  # type: ignore[no-untyped-call]
        self._finalized = True

    def serialize_using_object_code(self) -> tuple[str, bytes]:
        """Name and code, for :func:`rebuild`."""
        module: Any = self._get_module_for_linking()  # type: ignore[no-untyped-call]
        return self.name, module.as_bitcode()

    def get_pointer_to_function(self, _name: str) -> int:
        """Zero: Numba's value for no address."""
        self._ensure_finalized()  # type: ignore[no-untyped-call]  # the reload hooks are complete then
        return 0


@register_pass(mutates_CFG=False, analysis_only=True)  # type: ignore[no-untyped-call]
class _UseBitcodeLibrary(FunctionPass):
    _name = "zoo_use_bitcode_library"

    def __init__(self) -> None:
        FunctionPass.__init__(self)  # type: ignore[no-untyped-call]  # declared abstract without a reason

    def run_pass(self, state: Any) -> bool:
        """Compile this function into a :class:`BitcodeLibrary`."""
        kind: Any = BitcodeLibrary  # Numba's own functions are untyped
        state.library = kind(state.targetctx.codegen(), state.func_id.func_qualname)
        state.library.enable_object_caching()
        return False


class SharedLibrary(JITCodeLibrary):
    """Machine code that other kernels call by its symbol: they link nothing and declare the function."""

    def _get_module_for_linking(self) -> Any:
        self._ensure_finalized()  # type: ignore[no-untyped-call]
        return parse_assembly("")


@dataclass(frozen=True)
class LoadShared:
    """Load, or compile, a shared kernel. Cached kernels that call it do this before they are loaded.

    Args:
        kernel: The kernel.
        argument_types: Numba types of its arguments.
        symbol: Its name for the linker.
    """

    kernel: Kernel[Any, Any]
    argument_types: tuple[Any, ...]
    symbol: str

    def __call__(self) -> None:
        """Make the symbol known to the linker, which would end the process without it."""
        dispatcher: Any = self.kernel.inlined
        dispatcher.compile(self.argument_types)
        symbol = dispatcher.overloads[self.argument_types].fndesc.llvm_func_name
        if symbol != self.symbol:
            raise LookupError(f"{self.kernel!r} defines {symbol}; expected {self.symbol}.")


class _SharedFlags(compiler.Flags):
    """Flags that do not enter the symbol: Numba writes sets in an order that depends on the process."""

    def get_mangle_string(self) -> str:
        """A constant. The number of the function covers the flags."""
        return "shared"


@register_pass(mutates_CFG=False, analysis_only=True)  # type: ignore[no-untyped-call]
class _UseSharedLibrary(FunctionPass):
    _name = "zoo_use_shared_library"

    def __init__(self) -> None:
        FunctionPass.__init__(self)  # type: ignore[no-untyped-call]  # declared abstract without a reason

    def run_pass(self, state: Any) -> bool:
        """Compile this function into a :class:`SharedLibrary`, with the same symbol in every process."""
        kind: Any = SharedLibrary  # Numba's own functions are untyped
        flags: Any = _SharedFlags
        state.library = kind(state.targetctx.codegen(), state.func_id.func_qualname)
        state.library.enable_object_caching()
        state.func_id.unique_id = state.pipeline.symbol_id
        state.flags = flags(state.flags)
        return False


@register_pass(mutates_CFG=False, analysis_only=True)  # type: ignore[no-untyped-call]
class _NameForCallers(LoweringPass):
    _name = "zoo_name_for_callers"

    def __init__(self) -> None:
        LoweringPass.__init__(self)  # type: ignore[no-untyped-call]  # declared abstract without a reason

    def run_pass(self, state: Any) -> bool:
        """Let callers, when they are loaded from disk, load this kernel first."""
        symbol = state["cr"].fndesc.llvm_func_name
        state.library._reload_init.add(LoadShared(state.pipeline.kernel, state.args, symbol))
        return False


@register_pass(mutates_CFG=False, analysis_only=True)  # type: ignore[no-untyped-call]
class _BindEnvironments(LoweringPass):
    _name = "zoo_bind_environments"

    def __init__(self) -> None:
        LoweringPass.__init__(self)  # type: ignore[no-untyped-call]  # declared abstract without a reason

    def run_pass(self, state: Any) -> bool:
        """Bind the environments (constants) of inlined kernels, as Numba does for each function."""
        lookup: Any = lookup_environment
        for variable in state.library._final_module.global_variables:
            environment = variable.name.startswith(_ENVIRONMENT) and lookup(variable.name)
            if environment:
                state.library.codegen.set_env(variable.name, environment)
        return False


class KernelCompiler(compiler.CompilerBase):
    """Numba's compiler for a kernel that Python calls."""

    def define_pipelines(self) -> list[Any]:
        """Numba's passes and the added one."""
        return [_passes(self.state, _BindEnvironments, NativeLowering)]


class InlinedCompiler(compiler.CompilerBase):
    """Numba's compiler for a kernel that another kernel calls."""

    def define_pipelines(self) -> list[Any]:
        """Numba's passes and the added one."""
        return [_passes(self.state, _UseBitcodeLibrary, IRProcessing)]


class NoAliasCompiler(InlinedCompiler):
    """The same for a kernel whose array arguments share no memory."""

    def define_pipelines(self) -> list[Any]:
        """Mark the arguments ``noalias``; LLVM keeps the mark when it inlines the kernel."""
        self.state.flags.noalias = True
        return super().define_pipelines()


class SharedCompiler(compiler.CompilerBase):
    """Numba's compiler for a kernel of which other kernels call the machine code.

    See the option ``shared`` of :func:`zoo.njit`.
    """

    kernel: Kernel[Any, Any]
    symbol_id: str

    def define_pipelines(self) -> list[Any]:
        """Numba's passes and the added ones."""
        passes = _passes(self.state, _UseSharedLibrary, IRProcessing)
        passes.add_pass_after(_BindEnvironments, NativeLowering)
        passes.add_pass_after(_NameForCallers, _BindEnvironments)
        passes.finalize()
        return [passes]


def _passes(state: Any, added: type, after: type) -> Any:
    builder: Any = compiler.DefaultPassBuilder
    passes = builder.define_nopython_pipeline(state)
    passes.add_pass_after(added, after)
    passes.finalize()
    return passes


def rebuild(context: Any, stored: tuple[str, bytes], *facts: Any) -> compiler.CompileResult:
    """Rebuild an inlined kernel from disk: ``CompileResult._rebuild`` for a :class:`BitcodeLibrary`."""
    function, environment, signature, objectmode, lifted, annotation, reload, environments = facts
    for call in reload:
        call()
    kind: Any = BitcodeLibrary
    result: Any = compiler.CompileResult
    library = kind(context.codegen(), stored[0])
    library._final_module = parse_bitcode(stored[1])
    library._reload_init.update(reload)  # for the callers
    library._finalize_final_module()
    return result(  # type: ignore[no-any-return]
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


def _rebuild_shared(kernel: Kernel[Any, Any], context: Any, *stored: Any) -> compiler.CompileResult:
    """Rebuild a shared kernel from disk."""
    result: Any = compiler.CompileResult
    rebuilt = result._rebuild(context, *stored)
    symbol = rebuilt.fndesc.llvm_func_name
    rebuilt.library._reload_init.add(LoadShared(kernel, rebuilt.signature.args, symbol))  # for the callers
    return rebuilt  # type: ignore[no-any-return]


# A loop over many arrays is vectorised only if LLVM may test at run time that no two of them overlap, at most
# 128 tests by default: a fused loop over 14 arrays, nine of them written to, took 48.8 ns an element, and
# takes 13.1 with more. LLVM aborts the process over an unknown option, so only known versions get it.
#
# The epilogue of a vectorised loop must not be vectorised again, more narrowly: overlap is tested once, at
# the distance that the wide loop needs. For short rows the addresses of the arrays then decided which loop
# ran and in which order numbers were summed, and so the last bits (AVX-512, float64, rows of four). Without
# it no slowdown could be measured, at widths of 64, 100 and 128.
if llvm.llvm_version_info[0] <= 22:
    llvm.set_option("zoo", "-vectorize-memory-check-threshold=2000")
    llvm.set_option("zoo", "-enable-epilogue-vectorization=false")

# Kernels return fresh arrays of some hundred kilobytes to a few megabytes at every call. glibc gives memory
# of that size back to the system whenever it is freed, and the first touch of a page costs 2 us: a third of
# the time of an LSTM's step in all. Its thresholds rise with the largest block ever freed, so one of 31 MB,
# the largest that counts, is allocated, never touched, and freed. Other systems ignore it.
np.empty(31 << 20, np.uint8)


def make_dispatcher(
    function: Callable[..., Any], python_fallback: Callable[..., Any], options: dict[str, Any]
) -> Callable[..., Any]:
    """The dispatcher of ``function``, with zoo's disk cache; ``python_fallback`` if Numba is switched off."""
    if numba.config.DISABLE_JIT:  # type: ignore[attr-defined]
        return python_fallback
    compile_message.install()
    # No wrapper for C, which would take a fifteenth of the compile time: nothing uses it.
    settings = {**options, "pipeline_class": KernelCompiler, "no_cfunc_wrapper": True}
    dispatcher = numba.njit(**settings)(function)
    attach_cache(dispatcher, options)
    return dispatcher  # type: ignore[no-any-return]


def make_inlined_dispatcher(kernel: Kernel[Any, Any]) -> Callable[..., Any]:
    """The dispatcher of a kernel for calls from other kernels."""
    bare = {**kernel.options, "no_cfunc_wrapper": True, "no_cpython_wrapper": True}
    rebuild_from_disk: Callable[..., Any] = rebuild
    compiler_class: type = NoAliasCompiler if kernel.noalias else InlinedCompiler
    if kernel.shared:
        function: Any = kernel.py_func
        digest = function_digest(function, bare) or uuid.uuid4().hex
        members = {"kernel": kernel, "symbol_id": digest[:32]}
        compiler_class = type("SharedCompiler", (SharedCompiler,), members)
        rebuild_from_disk = functools.partial(_rebuild_shared, kernel)
    dispatcher = numba.njit(**bare, pipeline_class=compiler_class)(kernel.py_func)
    attach_cache(dispatcher, {**bare, "noalias": kernel.noalias, "shared": kernel.shared}, rebuild_from_disk)
    return dispatcher  # type: ignore[no-any-return]


# Calls by address. Kernels otherwise inline the kernels that they call, and compile them again. This caller
# compiles in a fifth of a second whatever it calls, and computes the same bits as calls from Python.

_tools: Any = cgutils  # Numba's helpers are untyped
_new: Any = impl_ret_new_ref


class CompiledKernel(NamedTuple):
    """Machine code of a kernel.

    Args:
        address: Its address.
        returns: The Numba type of its result.
    """

    address: int
    returns: Any


class KernelRef:
    """A kernel that compiled code calls through its address. Numba needs only its result type.

    Args:
        kernel: The kernel.
    """

    def __init__(self, kernel: Kernel[Any, Any]) -> None:
        self.kernel = kernel
        # For digests, which unwrap it.
        self.__wrapped__, self.__module__ = kernel, kernel.__module__

    @property
    def _numba_type_(self) -> Any:
        return self.kernel.dispatcher._numba_type_  # type: ignore[attr-defined]

    def lookup(self, kinds: tuple[Any, ...]) -> CompiledKernel | None:
        """The compiled code for arguments of these Numba types, or None: nothing is compiled here."""
        overloads: Any = getattr(self.kernel.dispatcher, "overloads", {})
        if kinds not in overloads:
            return None
        overload = overloads[kinds]
        address = overload.library.get_pointer_to_function(overload.fndesc.llvm_func_name)
        return CompiledKernel(address, overload.signature.return_type)


@intrinsic
def call(typing: Any, reference: Any, address: Any, arguments: Any) -> Any:
    """``reference(*arguments)`` through an address from :meth:`KernelRef.lookup` for these arguments."""
    callee = reference.get_call_type(typing, tuple(arguments), {})

    def emit(context: Any, builder: ir.IRBuilder, _signature: Any, args: Any) -> Any:
        convention = context.call_conv
        kind = convention.get_function_type(callee.return_type, callee.args)
        function = builder.inttoptr(args[1], kind.as_pointer())
        values = [builder.extract_value(args[2], n) for n in range(len(callee.args))]
        status, result = convention.call_function(builder, function, callee.return_type, callee.args, values)
        with _tools.if_unlikely(builder, status.is_error):
            convention.return_status_propagate(builder, status)
        return _new(context, builder, callee.return_type, result)

    return callee.return_type(reference, address, arguments), emit
