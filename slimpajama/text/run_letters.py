"""What kernels must know to find words: which code points are letters, and a block of bytes looked at as a whole.

A letter or digit stands in a word without its marks and in lower case, so that case, accents and the form of Unicode do
not count. The table is read off the running Python, once per process (about 60 ms). The instructions check nothing: the
caller sees to it that the bytes are there.
"""

from __future__ import annotations

import functools
import unicodedata
from typing import Any

import numpy as np
from numpy.typing import NDArray

from slimpajama.engine.kernels import instruction
from slimpajama.text.vector_bytes import WIDTH
from slimpajama.text.words import WORD_CLASSES

__all__ = ["ALONE_BIT", "LIMIT", "SKIPPED", "count_bits", "eight_bytes", "letter_mask", "letters", "lowest_bit"]

LIMIT = 0x20000
SKIPPED = 0xFFFFFFFF
ALONE_BIT = 1 << 31
_BY_ITSELF = 2  # in WORD_CLASSES


@functools.cache
def letters() -> NDArray[np.uint32]:
    """``uint32[0x20000]``: what each code point is in a word.

    0 parts words; all ones: it is left out; with the highest bit set it is a word by itself; else the letter or digit
    that stands for it, without its marks and in lower case.
    """
    table = np.zeros(LIMIT, dtype=np.uint32)
    for point in range(LIMIT):
        char = chr(point)
        if char.isalnum():
            table[point] = ord(_plain(char)) | (ALONE_BIT if WORD_CLASSES[point] == _BY_ITSELF else 0)
        elif unicodedata.category(char) in ("Mn", "Mc", "Me", "Cf"):
            table[point] = SKIPPED
    return table


def _plain(char: str) -> str:
    """A letter or digit without its marks, in lower case: ``e`` for ``É``."""
    if not unicodedata.decomposition(char) and char.casefold() == char:
        return char
    parts = unicodedata.normalize("NFD", char)
    if all(map(unicodedata.combining, parts[1:])):
        char = parts[0]
    folded = char.casefold()
    return folded if len(folded) == 1 else char.lower()[0]


@instruction
def letter_mask(typing: Any, data: Any, at: Any) -> Any:
    """``letter_mask(data, at) -> uint32``: bit i is set where ``data[at + i]`` is a letter or digit or not ASCII."""
    from llvmlite import ir
    from numba import types

    vector = ir.VectorType(ir.IntType(8), WIDTH)

    def every(byte: int) -> Any:
        return ir.Constant(vector, [byte] * WIDTH)

    def generate(context: Any, builder: Any, signature: Any, arguments: Any) -> Any:
        array, place = arguments
        begin = context.make_array(signature.args[0])(context, builder, value=array).data
        block = builder.load(builder.bitcast(builder.gep(begin, [place]), vector.as_pointer()), align=1)
        lower = builder.sub(builder.or_(block, every(0x20)), every(ord("a")))
        found = builder.icmp_unsigned("<", lower, every(26))
        found = builder.or_(found, builder.icmp_unsigned("<", builder.sub(block, every(ord("0"))), every(10)))
        found = builder.or_(found, builder.icmp_signed("<", block, every(0)))
        return builder.bitcast(found, ir.IntType(WIDTH))

    return types.uint32(data, at), generate


@instruction
def eight_bytes(typing: Any, data: Any, at: Any) -> Any:
    """``eight_bytes(data, at) -> uint64``: of ``data[at:at + 8]``, the first in the lowest byte."""
    from llvmlite import ir
    from numba import types

    def generate(context: Any, builder: Any, signature: Any, arguments: Any) -> Any:
        array, place = arguments
        begin = context.make_array(signature.args[0])(context, builder, value=array).data
        return builder.load(builder.bitcast(builder.gep(begin, [place]), ir.IntType(64).as_pointer()), align=1)

    return types.uint64(data, at), generate


@instruction
def lowest_bit(typing: Any, mask: Any) -> Any:
    """``lowest_bit(mask) -> uint64``: the number of the lowest bit that is set; 64 where none is."""
    from llvmlite import ir
    from numba import types

    def generate(context: Any, builder: Any, signature: Any, arguments: Any) -> Any:
        return builder.cttz(arguments[0], ir.IntType(1)(0))

    return types.uint64(types.uint64), generate


@instruction
def count_bits(typing: Any, mask: Any) -> Any:
    """``count_bits(mask) -> uint64``: how many bits are set."""
    from numba import types

    def generate(context: Any, builder: Any, signature: Any, arguments: Any) -> Any:
        return builder.ctpop(arguments[0])

    return types.uint64(types.uint64), generate
