"""Loops over the rows of a family's arrays, compiled to machine code (numba; docs/decisions/0011-compiled-loops.md).

What is done for each sample of each device is a plain loop here and no row of array expressions: a call costs a few
microseconds for one device as for a hundred.  Arguments are declared with the types below, so that everything is
compiled at import and no call ever waits for a compiler.  Machine code is kept on disk, beside the source or in
``NUMBA_CACHE_DIR``; where no folder can be written it is compiled anew at each start.  What is kept is known by its
own source file alone, so a loop reads no constant and calls no loop of another module of the project.

Loops compute as numpy does: sums in the order written, and division by zero gives infinity.
"""

from __future__ import annotations

from collections.abc import Callable
from typing import Annotated, Any, TypeVar, cast, get_type_hints

import numpy as np
from numba import njit, types
from numpy.typing import NDArray

Loop = TypeVar("Loop", bound=Callable[..., Any])

# Arrays in one piece, by number of axes.
Floats1 = Annotated[NDArray[np.float64], types.float64[::1]]
Floats2 = Annotated[NDArray[np.float64], types.float64[:, ::1]]
Floats3 = Annotated[NDArray[np.float64], types.float64[:, :, ::1]]
Singles2 = Annotated[NDArray[np.float32], types.float32[:, ::1]]
Singles3 = Annotated[NDArray[np.float32], types.float32[:, :, ::1]]
Ints1 = Annotated[NDArray[np.int64], types.int64[::1]]
Ints2 = Annotated[NDArray[np.int64], types.int64[:, ::1]]
Signs2 = Annotated[NDArray[np.int8], types.int8[:, ::1]]
Bools1 = Annotated[NDArray[np.bool_], types.boolean[::1]]
Bools2 = Annotated[NDArray[np.bool_], types.boolean[:, ::1]]
# Views, and what is not ours to write.
Given1 = Annotated[NDArray[np.float64], types.Array(types.float64, 1, "A", readonly=True)]
Given2 = Annotated[NDArray[np.float64], types.Array(types.float64, 2, "A", readonly=True)]

PLAIN = {float: types.float64, int: types.int64, bool: types.boolean}


def compiled(loop: Loop) -> Loop:
    """Compile a function for the types of its arguments, or take what was compiled of it before."""
    hints = get_type_hints(loop, include_extras=True)
    del hints["return"]
    signature = tuple(PLAIN[hint] if hint in PLAIN else hint.__metadata__[0] for hint in hints.values())
    try:
        found: Any = njit(signature, cache=True, error_model="numpy")(loop)
    except RuntimeError:  # there is no folder to keep it in
        found = njit(signature, error_model="numpy")(loop)
    return cast(Loop, found)
