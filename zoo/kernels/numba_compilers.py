"""Numba's compiler for kernels, and its three variants for kernels that other kernels call.

Numba optimises every function, turns it into machine code, links it into each caller and optimises it there
again, and adds wrappers for Python and C. A kernel that only other kernels call needs just the first form,
the unoptimised one that its callers take in. Leaving out the rest makes a first run of ``vanilla`` compile in
two thirds of the time. See :class:`BitcodeLibrary`.

Kernels such as the packing of a matrix are long and gain nothing from inlining. All kernels of a process
share one copy of each and call it by its symbol. See :class:`SharedLibrary`.
"""

from __future__ import annotations

import functools
import operator
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

from llvmlite.binding import parse_assembly, parse_bitcode  # type: ignore[import-untyped]
from numba.core import compiler, ir, types
from numba.core.codegen import JITCodeLibrary
from numba.core.compiler_machinery import FunctionPass, LoweringPass, register_pass
from numba.core.environment import lookup_environment
from numba.core.ir_utils import get_definition, guard
from numba.core.typed_passes import NativeLowering
from numba.core.untyped_passes import IRProcessing

from zoo.errors import DefinitionError
from zoo.kernels.ignored_exceptions import raise_ignored_exceptions
from zoo.kernels.processor import lanes
from zoo.kernels.unknown_names import check_names

if TYPE_CHECKING:
    from zoo.kernels.jit import Kernel


_ENVIRONMENT = "_ZN08NumbaEnv"
_BINARY_OPERATION = "binop"  # in Numba's intermediate form
_NEVER_NONE = types.Array, types.BaseTuple, types.Number, types.Boolean


class _NoAddressCodegen:
    """A code generator without function addresses, for :class:`BitcodeLibrary`."""

    def __init__(self, codegen: Any) -> None:
        self._codegen = codegen

    def __getattr__(self, name: str) -> Any:
        return getattr(self._codegen, name)

    def set_env(self, name: str, environment: Any) -> None:
        """Do nothing: the caller binds the environment, since its global does not exist yet."""


class KernelLibrary(JITCodeLibrary):
    """A library of which LLVM vectorises loops for the widest registers of the processor.

    For Intel processors with AVX-512, LLVM prefers vectors of 256 bits, since wider ones lower the clock of
    some processors. The matrix products around these loops have 512 bits anyway.
    """

    def add_ir_module(self, ir_module: Any) -> None:
        """Add a module whose functions state the width."""
        for function in ir_module.functions:
            if function.blocks:
                set.add(function.attributes, _widest_vectors())  # llvmlite rejects attributes with values
        super().add_ir_module(ir_module)  # type: ignore[no-untyped-call]


def _widest_vectors() -> str:
    return f'"prefer-vector-width"="{64 * lanes(types.int64)}"'


class BitcodeLibrary(KernelLibrary):
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


class SharedLibrary(KernelLibrary):
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


class _UseLibrary(FunctionPass):
    """Compile a function into a library of this kind."""

    kind: Any  # Numba's own functions are untyped

    def __init__(self) -> None:
        FunctionPass.__init__(self)  # type: ignore[no-untyped-call]  # declared abstract without a reason

    def run_pass(self, state: Any) -> bool:
        """Set the library."""
        state.library = self.kind(state.targetctx.codegen(), state.func_id.func_qualname)
        state.library.enable_object_caching()
        return False


@register_pass(mutates_CFG=False, analysis_only=True)  # type: ignore[no-untyped-call]
class _UseKernelLibrary(_UseLibrary):
    _name, kind = "zoo_use_kernel_library", KernelLibrary


@register_pass(mutates_CFG=False, analysis_only=True)  # type: ignore[no-untyped-call]
class _UseBitcodeLibrary(_UseLibrary):
    _name, kind = "zoo_use_bitcode_library", BitcodeLibrary


class _SharedFlags(compiler.Flags):
    """Flags that do not enter the symbol: Numba writes sets in an order that depends on the process."""

    def get_mangle_string(self) -> str:
        """A constant. The number of the function covers the flags."""
        return "shared"


@register_pass(mutates_CFG=False, analysis_only=True)  # type: ignore[no-untyped-call]
class _UseSharedLibrary(_UseLibrary):
    _name, kind = "zoo_use_shared_library", SharedLibrary

    def run_pass(self, state: Any) -> bool:
        """Set the library, with the same symbol in every process."""
        super().run_pass(state)
        flags: Any = _SharedFlags
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


@register_pass(mutates_CFG=False, analysis_only=False)  # type: ignore[no-untyped-call]
class _SetConstants(FunctionPass):
    """Set what the types of the arguments decide: literals, and comparisons with None.

    Numba compiles a function again for another literal, and for None. With these constants, it also removes
    the branches that cannot run, before it compiles the functions that they call. Without this pass, it
    removes only those of ``x is None`` if x is None.
    """

    _name = "zoo_set_constants"

    def __init__(self) -> None:
        FunctionPass.__init__(self)  # type: ignore[no-untyped-call]  # declared abstract without a reason

    def run_pass(self, state: Any) -> bool:
        """Replace expressions by constants."""
        if state.func_ir.is_generator:  # Numba rejects one whose yields are all in branches that cannot run
            return False
        mutated = False
        for block in state.func_ir.blocks.values():
            for assignment in block.find_insts(ir.Assign):
                value = _constant(assignment.value, state)
                if value is not None:
                    definitions = state.func_ir._definitions[assignment.target.name]
                    definitions[definitions.index(assignment.value)] = value
                    assignment.value, mutated = value, True
        return mutated


def _constant(expression: Any, state: Any) -> Any:
    """The constant that an expression of Numba's intermediate form is, or None."""
    constant: Any = ir.Const  # Numba's own functions are untyped
    if isinstance(expression, ir.Arg):
        kind = state.args[expression.index]
        if isinstance(kind, (types.IntegerLiteral, types.BooleanLiteral)):
            return constant(kind.literal_value, expression.loc)
    if _compares_with_none(expression, state):
        return constant(expression.fn is operator.is_not, expression.loc)
    return None


def _compares_with_none(expression: Any, state: Any) -> bool:
    """Whether an expression is ``x is None`` or ``x is not None``, for an argument x that is never None."""
    if not isinstance(expression, ir.Expr) or expression.op != _BINARY_OPERATION:
        return False
    definition: Any = functools.partial(guard, get_definition, state.func_ir)
    left, right = definition(expression.lhs), definition(expression.rhs)
    return (
        expression.fn in (operator.is_, operator.is_not)
        and isinstance(left, ir.Arg)
        and isinstance(state.args[left.index], _NEVER_NONE)
        and isinstance(right, ir.Const)
        and right.value is None
    )


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


class _Compiler(compiler.CompilerBase):
    @raise_ignored_exceptions()
    def compile_extra(self, func: Any) -> Any:
        try:
            return super().compile_extra(func)  # type: ignore[no-untyped-call]
        except DefinitionError:  # of a kernel that this one calls
            raise
        except Exception as error:
            check_names(func, error)
            raise


class KernelCompiler(_Compiler):
    """Numba's compiler for a kernel that Python calls."""

    def define_pipelines(self) -> list[Any]:
        """Numba's passes and the added ones."""
        return [_passes(self.state, (_UseKernelLibrary, IRProcessing), (_BindEnvironments, NativeLowering))]


class InlinedCompiler(_Compiler):
    """Numba's compiler for a kernel that another kernel calls."""

    def define_pipelines(self) -> list[Any]:
        """Numba's passes and the added one."""
        return [_passes(self.state, (_UseBitcodeLibrary, IRProcessing))]


class NoAliasCompiler(InlinedCompiler):
    """The same for a kernel whose array arguments share no memory."""

    def define_pipelines(self) -> list[Any]:
        """Mark the arguments ``noalias``; LLVM keeps the mark when it inlines the kernel."""
        self.state.flags.noalias = True
        return super().define_pipelines()


class SharedCompiler(_Compiler):
    """Numba's compiler for a kernel of which other kernels call the machine code.

    See the option ``shared`` of :func:`zoo.njit`.
    """

    kernel: Kernel[Any, Any]
    symbol_id: str

    def define_pipelines(self) -> list[Any]:
        """Numba's passes and the added ones."""
        added = (_UseSharedLibrary, IRProcessing), (_BindEnvironments, NativeLowering)
        return [_passes(self.state, *added, (_NameForCallers, _BindEnvironments))]


def _passes(state: Any, *added: tuple[type, type]) -> Any:
    """Numba's passes and added ones, each with the pass that it follows."""
    builder: Any = compiler.DefaultPassBuilder
    passes = builder.define_nopython_pipeline(state)
    for each, after in ((_SetConstants, IRProcessing), *added):
        passes.add_pass_after(each, after)
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


def rebuild_shared(kernel: Kernel[Any, Any], context: Any, *stored: Any) -> compiler.CompileResult:
    """Rebuild a shared kernel from disk."""
    result: Any = compiler.CompileResult
    rebuilt = result._rebuild(context, *stored)
    symbol = rebuilt.fndesc.llvm_func_name
    rebuilt.library._reload_init.add(LoadShared(kernel, rebuilt.signature.args, symbol))  # for the callers
    return rebuilt  # type: ignore[no-any-return]
