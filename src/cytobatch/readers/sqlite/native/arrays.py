"""The array types of the page reader, and values at any byte of a buffer."""

import numpy as np
import numpy.typing as npt

ByteArray = npt.NDArray[np.uint8]
Int64Array = npt.NDArray[np.int64]
BoolArray = npt.NDArray[np.bool_]


def sliding_values(buffer: ByteArray, dtype: str) -> npt.NDArray[np.void]:
    """View the value that begins at each byte of a buffer, without a copy.

    Parameters
    ----------
    buffer
        uint8, (size,).
    dtype
        Type of the values, as `>u4`, or `V100` for segments of 100 bytes.

    Returns
    -------
    The given dtype, (size - itemsize + 1,): element `i` has the bytes from `buffer[i]` on. Neighbours overlap.
    """
    size = np.dtype(dtype).itemsize
    return np.ndarray((max(0, len(buffer) - size + 1),), dtype, buffer, strides=(1,))
