"""An instruction for kernels that change one array at the same time.

A parent is only ever lowered, and the parent of a root is replaced only if it still is one, in one step of the
processor; so whatever threads do in between, no link is lost (Anderson and Woll 1991). Rejected: locks (one for each
document, or threads that wait for each other), and plain writes with a second pass that looks for what was lost.
"""

from __future__ import annotations

from typing import Any

from slimpajama.engine.kernels import instruction

__all__ = ["replaced"]


@instruction
def replaced(typing: Any, array: Any, row: Any, column: Any, expected: Any, value: Any) -> Any:
    """``replaced(array, row, column, expected, value) -> bool``: put ``value`` at ``array[row, column]``, an array of
    ``uint32`` in two dimensions, unless something else than ``expected`` is there. Nothing is checked."""
    from numba import types
    from numba.core import cgutils

    def generate(context: Any, builder: Any, signature: Any, arguments: Any) -> Any:
        kind = signature.args[0]
        whole = context.make_array(kind)(context, builder, arguments[0])
        indices = [
            context.cast(builder, index, of, types.intp)
            for index, of in zip(arguments[1:3], signature.args[1:3], strict=True)
        ]
        pointer: Any = cgutils.get_item_pointer
        place = pointer(context, builder, kind, whole, indices, wraparound=False)
        outcome = builder.cmpxchg(place, arguments[3], arguments[4], "acq_rel", "monotonic")
        return builder.extract_value(outcome, 1)

    return types.boolean(array, row, column, types.uint32, types.uint32), generate
