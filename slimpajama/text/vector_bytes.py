"""Instructions for kernels that look at 32 bytes at once: where the special ones of a JSON string are, and a copy.

LLVM turns them into one or two vector instructions on whatever machine it compiles for. numba's own loops cannot do
this: a loop that may end early is not vectorised. Nothing is checked: the caller sees to it that 32 bytes are there.
Rejected: 8 bytes at a time in ordinary arithmetic (a third of the speed), and regular expressions over the buffer (a
Python object for each match).
"""

from __future__ import annotations

from typing import Any

from slimpajama.engine.kernels import instruction

__all__ = ["WIDTH", "copy_bytes", "escape_mask", "quote_mask", "special_mask", "trailing_zeros"]

WIDTH = 32
"""Bytes that an instruction takes."""


@instruction
def special_mask(typing: Any, data: Any, at: Any) -> Any:
    """``special_mask(data, at) -> uint32``: bit i is set where ``data[at + i]`` is a quote, a backslash, a control
    character or not ASCII."""
    from llvmlite import ir
    from numba import types

    def generate(context: Any, builder: Any, signature: Any, arguments: Any) -> Any:
        block = builder.load(_block(context, builder, signature.args[0], *arguments), align=1)
        found = builder.icmp_unsigned("==", block, _all(ord('"')))
        found = builder.or_(found, builder.icmp_unsigned("==", block, _all(ord("\\"))))
        found = builder.or_(found, builder.icmp_signed("<", block, _all(0x20)))  # from 0x80 on bytes are negative
        return builder.bitcast(found, ir.IntType(WIDTH))

    return types.uint32(data, at), generate


@instruction
def escape_mask(typing: Any, data: Any, at: Any) -> Any:
    """``escape_mask(data, at) -> uint32``: bit i is set where ``data[at + i]`` is a backslash."""
    from llvmlite import ir
    from numba import types

    def generate(context: Any, builder: Any, signature: Any, arguments: Any) -> Any:
        block = builder.load(_block(context, builder, signature.args[0], *arguments), align=1)
        return builder.bitcast(builder.icmp_unsigned("==", block, _all(ord("\\"))), ir.IntType(WIDTH))

    return types.uint32(data, at), generate


@instruction
def quote_mask(typing: Any, data: Any, at: Any) -> Any:
    """``quote_mask(data, at) -> uint32``: bit i is set where ``data[at + i]`` is a quote or a backslash."""
    from llvmlite import ir
    from numba import types

    def generate(context: Any, builder: Any, signature: Any, arguments: Any) -> Any:
        block = builder.load(_block(context, builder, signature.args[0], *arguments), align=1)
        found = builder.icmp_unsigned("==", block, _all(ord('"')))
        found = builder.or_(found, builder.icmp_unsigned("==", block, _all(ord("\\"))))
        return builder.bitcast(found, ir.IntType(WIDTH))

    return types.uint32(data, at), generate


@instruction
def copy_bytes(typing: Any, data: Any, at: Any, target: Any, place: Any) -> Any:
    """``copy_bytes(data, at, target, place)``: copy 32 bytes from ``data[at]`` on to ``target[place]`` on."""
    from numba import types

    def generate(context: Any, builder: Any, signature: Any, arguments: Any) -> Any:
        source = _block(context, builder, signature.args[0], arguments[0], arguments[1])
        goal = _block(context, builder, signature.args[2], arguments[2], arguments[3])
        builder.store(builder.load(source, align=1), goal, align=1)
        return context.get_dummy_value()

    return types.void(data, at, target, place), generate


@instruction
def trailing_zeros(typing: Any, mask: Any) -> Any:
    """``trailing_zeros(mask) -> uint64``: the number of the lowest bit that is set in a ``uint32`` that is not 0."""
    from llvmlite import ir
    from numba import types

    def generate(context: Any, builder: Any, signature: Any, arguments: Any) -> Any:
        count = builder.cttz(arguments[0], ir.IntType(1)(1))
        return builder.zext(count, ir.IntType(64))

    return types.uint64(types.uint32), generate


def _block(context: Any, builder: Any, kind: Any, array: Any, at: Any) -> Any:
    """A pointer to the vector of bytes that begins at ``array[at]``."""
    from llvmlite import ir

    begin = context.make_array(kind)(context, builder, value=array).data
    return builder.bitcast(builder.gep(begin, [at]), ir.VectorType(ir.IntType(8), WIDTH).as_pointer())


def _all(byte: int) -> Any:
    from llvmlite import ir

    vector = ir.VectorType(ir.IntType(8), WIDTH)
    return ir.Constant(vector, [byte] * WIDTH)
