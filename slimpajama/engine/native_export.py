"""What numba compiled for a kernel, as an object file that :mod:`slimpajama.engine.native_code` loads and calls.

numba passes an array as nine or more values, so an entry is added in front of the kernel that reads them from numpy's
struct. Everything else in the module becomes internal, and what the kernel does not call goes. A kernel that allocates
memory, makes Python objects, or returns an array needs numba at hand: there is no file of it. It is compiled into code
once more from what numba has optimised, which takes some milliseconds.
"""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

from slimpajama.engine.native_code import ARRAY_FIELDS, RESULT_AT, Returned, packed

__all__ = ["exported"]

_KNOWN = {"memcpy", "memmove", "memset", "exp", "exp2", "floor", "log", "log2", "pow", "sqrt", "trunc"}
"""Functions of the C library that a kernel may call."""

_DESTRUCTOR = "NRT_MemInfo_call_dtor"
"""What ends numba's own arrays; those that entries pass are none of them, so it is never called."""


def exported(overload: Any, context: Any, entry: str, arguments: Sequence[str]) -> bytes | None:
    """The file of a kernel, compiled for one combination of types; ``None`` where it needs numba.

    ``overload`` and ``context``: numba's compile result, and its target context. ``entry``: a unique name.
    """
    import llvmlite.binding as llvm

    returned = _returned(overload.signature.return_type)
    if returned is None:
        return None
    library = overload.library
    module = llvm.parse_bitcode(library._get_module_for_linking().as_bitcode())
    module.link_in(llvm.parse_assembly(str(_entry(overload.fndesc, context, entry))))
    kinds = [str(argument.type) for one in module.functions if one.name == _DESTRUCTOR for argument in one.arguments]
    if kinds:
        module.link_in(llvm.parse_assembly(f"define void @{_DESTRUCTOR}({kinds[0]} %memory) {{ ret void }}"))
    for value in [*module.functions, *module.global_variables]:
        if not value.is_declaration and value.name != entry:
            value.linkage = "internal"
    machine = library._codegen._tm
    _remove_uncalled(module, machine)
    module.verify()
    called = {one.name for one in [*module.functions, *module.global_variables] if one.is_declaration}
    if any(name not in _KNOWN and not name.startswith("llvm.") for name in called):
        return None
    return packed(entry, arguments, returned, machine.emit_object(module))


def _remove_uncalled(module: Any, machine: Any) -> None:
    import llvmlite.binding as llvm

    if hasattr(llvm, "create_module_pass_manager"):  # up to llvmlite 0.44
        old = llvm.create_module_pass_manager()
        old.add_global_dce_pass()
        old.run(module)
        return
    passes = llvm.create_new_module_pass_manager()
    passes.add_global_dead_code_eliminate_pass()
    passes.run(module, llvm.create_pass_builder(machine, llvm.create_pipeline_tuning_options(speed_level=0)))


def _returned(kind: Any) -> Returned | None:
    from numba import types

    if isinstance(kind, types.NoneType):
        return Returned((), False)
    is_tuple = isinstance(kind, types.BaseTuple)
    parts: list[Any] = [*kind] if is_tuple else [kind]
    if not all(isinstance(part, (types.Integer, types.Float, types.Boolean)) for part in parts):
        return None
    return Returned(tuple(_scalar(part) for part in parts), is_tuple)


def _scalar(kind: Any) -> str:
    from numba import types

    if isinstance(kind, types.Boolean):
        return "b1"
    if isinstance(kind, types.Float):
        return f"f{kind.bitwidth // 8}"
    return f"{'i' if kind.signed else 'u'}{kind.bitwidth // 8}"


def _entry(description: Any, context: Any, name: str) -> Any:
    """A module with the function ``name``: where results go, then arrays as objects, and scalars."""
    from llvmlite import ir
    from numba import types

    convention = context.call_conv.get_function_type(description.restype, description.argtypes)
    byte, word = ir.IntType(8).as_pointer(), ir.IntType(64)
    module = ir.Module(name)
    kernel = ir.Function(module, convention, description.llvm_func_name)
    expected = iter(convention.args)
    result, fault = next(expected), next(expected)
    given, passed = [], []
    for kind in description.argtypes:
        if isinstance(kind, types.Array):
            given.append(byte)
            passed.append([next(expected) for _ in range(5 + 2 * kind.ndim)])
        else:
            passed.append([next(expected)])
            given.append(passed[-1][0])
    function = ir.Function(module, ir.FunctionType(convention.return_type, [byte, *given]), name)
    builder = ir.IRBuilder(function.append_basic_block())

    def at(base: Any, offset: int, kind: Any) -> Any:
        place = builder.gep(base, [ir.Constant(word, offset)], source_etype=ir.IntType(8))
        return builder.bitcast(place, kind)

    def field(base: Any, offset: int, kind: Any) -> Any:
        return builder.load(at(base, offset, kind.as_pointer()), typ=kind)

    filled, *objects = function.args
    values = [at(filled, RESULT_AT, result), at(filled, 0, fault)]
    for kind, value, parts in zip(description.argtypes, objects, passed, strict=True):
        if not isinstance(kind, types.Array):
            values.append(value)
            continue
        shape_at, strides_at = (field(value, ARRAY_FIELDS + offset, byte) for offset in (16, 24))
        shape = [field(shape_at, 8 * dimension, word) for dimension in range(kind.ndim)]
        strides = [field(strides_at, 8 * dimension, word) for dimension in range(kind.ndim)]
        count: Any = ir.Constant(word, 1)
        for size in shape:
            count = builder.mul(count, size)
        data = field(value, ARRAY_FIELDS, byte)
        size = ir.Constant(word, context.get_abi_sizeof(context.get_data_type(kind.dtype)))
        nothing = [ir.Constant(part, None) for part in parts[:2]]
        values += [*nothing, count, size, builder.bitcast(data, parts[4]), *shape, *strides]
    builder.ret(builder.call(kernel, values))
    return module
