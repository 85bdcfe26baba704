"""Results that are too large for the caches, written past them: for compiled functions.

An ordinary store first reads the line of memory that it is about to overwrite, and pushes out of the caches what the
next pass wants. Processors have stores that do neither, and compilers no way to ask for them but to spell them out.
"""

from __future__ import annotations

from typing import Any

from llvmlite import ir
from numba import types
from numba.extending import intrinsic

LANES = 16
"""Values that are written at once: 64 bytes, a line of the caches."""

LINE = 4 * LANES

_VECTOR = ir.VectorType(ir.FloatType(), LANES)
_INDEX = ir.IntType(32)


@intrinsic  # type: ignore[untyped-decorator]
def blend_line(typing: Any, first: Any, second: Any, share: Any, found: Any) -> Any:
    """``first + share * (second - first)`` of 16 float32 each, given their addresses, to that of a cache line."""

    def generate(context: Any, builder: Any, signature: Any, arguments: Any) -> Any:
        pointers = [builder.inttoptr(arguments[place], _VECTOR.as_pointer()) for place in (0, 1, 3)]
        one, other = (builder.load(pointer, align=4) for pointer in pointers[:2])
        unset = ir.Constant(_VECTOR, ir.Undefined)
        single = builder.insert_element(unset, arguments[2], ir.Constant(_INDEX, 0))
        shares = builder.shuffle_vector(single, unset, ir.Constant(ir.VectorType(_INDEX, LANES), [0] * LANES))
        # Not contracted to one rounding: as the same expression in a loop is not.
        blended = builder.fadd(one, builder.fmul(shares, builder.fsub(other, one)))
        store = builder.store(blended, pointers[2], align=LINE)
        store.set_metadata("nontemporal", builder.module.add_metadata([ir.Constant(_INDEX, 1)]))
        return context.get_dummy_value()

    return types.void(types.uintp, types.uintp, types.float32, types.uintp), generate


@intrinsic  # type: ignore[untyped-decorator]
def finish_lines(typing: Any) -> Any:
    """Makes what was written past the caches visible to other threads in the usual order."""

    def generate(context: Any, builder: Any, signature: Any, arguments: Any) -> Any:
        builder.fence("seq_cst")
        return context.get_dummy_value()

    return types.void(), generate
