"""What hypothesis makes of bytes and of JSON: something like them, and wrong."""

import json

from hypothesis import strategies as st

JSON = st.recursive(
    st.none()
    | st.booleans()
    | st.integers()
    | st.floats()
    | st.text()
    | st.sampled_from(["3", "../../etc/evil", "\ud800", "2026-01-01", "pickle", "=", ""]),
    lambda children: st.lists(children) | st.dictionaries(st.text(), children),
    max_leaves=8,
)


@st.composite
def mutated(draw, original):
    """The original with parts changed, removed, doubled or from elsewhere."""
    content = bytearray(original)
    for _ in range(draw(st.integers(1, 4))):
        at = draw(st.integers(0, len(content)))
        length = draw(st.integers(0, 16) | st.integers(0, len(content)))
        piece = draw(
            st.binary(max_size=16)
            | st.sampled_from([b"\0", b"\n", b"\xff" * 8, b"-----", bytes(512), b"7" * 11])
            | st.just(bytes(content[:length]))
        )
        content[at : at + length] = piece
    return bytes(content)


def places(value, path=()):
    """The paths of everything in a JSON value."""
    pairs = value.items() if isinstance(value, dict) else enumerate(value)
    yield path
    for key, inner in pairs:
        if isinstance(inner, (dict, list)):
            yield from places(inner, (*path, key))
        else:
            yield (*path, key)


@st.composite
def replaced(draw, original):
    """The JSON of the original with something in it replaced."""
    value = {"all": json.loads(original)}
    for _ in range(draw(st.integers(1, 2))):
        *way, last = draw(st.sampled_from([path for path in places(value) if path]))
        inner = value
        for key in way:
            inner = inner[key]
        if draw(st.booleans()) and isinstance(inner, dict) and way:
            del inner[last]
        else:
            inner[last] = draw(JSON)
    return json.dumps(value["all"]).encode()
