"""The files that make up a model: the digest over them, and the arrays among them.

Arrays are in NumPy's .npy format, exactly as NumPy writes them (version 1.0). NumPy itself reads
more: headers that are any Python literal, pickles, sizes that no memory holds.
"""

import hashlib
import io
import math
import re
from collections.abc import Mapping
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    # Verifying a model does not need NumPy.
    import numpy as np

# The files of a model that are read by more than its class.
PARAMETERS, PROBES, STATEMENT = "parameters.json", "probes.json", "statement.json"
COEFFICIENTS, VOCABULARY = "coefficients.npy", "vocabulary.json"

# Bytes that a model may have at most, before compression: enough for a vocabulary of two million
# terms and twenty labels.
MAX_INFLATED_BYTES = 512 << 20
FEWER_TERMS = "keep fewer terms in train.py: raise min_df, or set max_features"

# Booleans, integers, floating-point and complex numbers, in this machine's byte order.
NPY_HEADER = re.compile(
    rb"\x93NUMPY\x01\0(?P<length>..)\{'descr': '(?P<kind>[<|][biufc][0-9]{1,2})', "
    rb"'fortran_order': (?P<order>False|True), 'shape': \((?P<shape>[0-9, ]{0,200})\), \} *\n",
    re.DOTALL,
)


def payload_digest(files: Mapping[str, bytes | memoryview]) -> str:
    """``sha256:<hex>`` over the names, lengths (in bytes) and contents of the files, by name."""
    digest = hashlib.sha256()
    for name in sorted(files):
        digest.update(f"{name}\0{len(files[name])}\0".encode())
        digest.update(files[name])
    return f"sha256:{digest.hexdigest()}"


def read(content: bytes) -> "np.ndarray":
    """The read-only array that the bytes of a .npy file hold, of whatever shape it has.

    Raises ValueError for anything else, before memory is taken for it.
    """
    import numpy as np

    header = NPY_HEADER.match(content)
    if not header or header.end() != 10 + int.from_bytes(header["length"], "little"):
        raise ValueError("it is not an array as NumPy writes it")
    kind = np.dtype(header["kind"].decode())
    shape = tuple(int(size) for size in header["shape"].split(b",") if size.strip())
    if math.prod(shape) * kind.itemsize != len(content) - header.end():
        raise ValueError("the size of an array does not match its shape")
    order = "F" if header["order"] == b"True" else "C"
    return np.frombuffer(content, kind, offset=header.end()).reshape(shape, order=order)


def written(array: "np.ndarray") -> bytes:
    """The bytes of a .npy file with this array. Raises ValueError if it does not hold numbers."""
    import numpy as np

    stream = io.BytesIO()
    np.lib.format.write_array(stream, array, version=(1, 0), allow_pickle=False)
    read(stream.getvalue())
    return stream.getvalue()
