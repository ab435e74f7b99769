"""The files that make up a model: the digest over them, and the arrays among them.

Arrays are in NumPy's .npy format, exactly as NumPy writes them (version 1.0). NumPy reads more than
that: headers that are any Python literal, pickles, sizes that nobody has.
"""

import hashlib
import io
import math
import re
from collections.abc import Mapping
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    # To verify a model takes no NumPy.
    import numpy as np

# The files of a model that others than its class read.
PARAMETERS, PROBES, STATEMENT = "parameters.json", "probes.json", "statement.json"
COEFFICIENTS, VOCABULARY = "coefficients.npy", "vocabulary.json"

# Booleans, integers and floating point numbers, in the order of this machine's bytes.
HEADER = re.compile(
    rb"\x93NUMPY\x01\0(?P<length>..)\{'descr': '(?P<kind>[<|][biufc][0-9]{1,2})', "
    rb"'fortran_order': (?P<order>False|True), 'shape': \((?P<shape>[0-9, ]{0,200})\), \} *\n",
    re.DOTALL,
)


def payload_digest(files: Mapping[str, bytes | memoryview]) -> str:
    """``sha256:<hex>`` over the names, lengths and bytes of the files, in the order of names."""
    digest = hashlib.sha256()
    for name in sorted(files):
        digest.update(f"{name}\0{len(files[name])}\0".encode())
        digest.update(files[name])
    return f"sha256:{digest.hexdigest()}"


def read(content: bytes) -> "np.ndarray":
    """The array, which cannot be written to. ValueError for anything else, before it takes room."""
    import numpy as np

    header = HEADER.match(content)
    if not header or header.end() != 10 + int.from_bytes(header["length"], "little"):
        raise ValueError("it is not an array as NumPy writes it")
    kind = np.dtype(header["kind"].decode())
    shape = tuple(int(size) for size in header["shape"].split(b",") if size.strip())
    if math.prod(shape) * kind.itemsize != len(content) - header.end():
        raise ValueError("an array has another size than its shape")
    order = "F" if header["order"] == b"True" else "C"
    return np.frombuffer(content, kind, offset=header.end()).reshape(shape, order=order)


def written(array: "np.ndarray") -> bytes:
    """The content of the file; ValueError for an array that is not of numbers."""
    import numpy as np

    stream = io.BytesIO()
    np.lib.format.write_array(stream, array, version=(1, 0), allow_pickle=False)
    read(stream.getvalue())
    return stream.getvalue()
