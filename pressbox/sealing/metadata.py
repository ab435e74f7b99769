"""What the signed line says, as strict JSON: the members that there are, and an HMAC for each."""

import base64
import hmac
import json

from pressbox.errors import NotTrusted, Reason

# JSON that is nested no deeper can also be printed and compared.
MAX_JSON_LEVELS = 32
VERSION, SIGNED = "meta.version", "meta.json.asc"
# How special_k is told to store attributes, and how it stores the model without them.
SERIALIZERS = {"json", "npy"}
NAKED = "THEMODEL.pickle"
NAKED_MODEL = ("pickle", NAKED)


def parse_json(content: bytes, reason: Reason):
    """The value of a JSON text in UTF-8, without a name twice, NaN or deep nesting.

    Raises NotTrusted, with the reason, for anything else.
    """

    def unique(pairs):
        if len(dict(pairs)) != len(pairs):
            raise ValueError("it has a name twice")
        return dict(pairs)

    def constant(name):
        raise ValueError(f"{name} is not a number")

    try:
        value = json.loads(content.decode(), object_pairs_hook=unique, parse_constant=constant)
        _require_shallow(value)
        return value
    except (ValueError, RecursionError) as error:
        raise NotTrusted(reason, f"it is not JSON ({error})") from error


def _require_shallow(value, levels: int = MAX_JSON_LEVELS) -> None:
    if not levels:
        raise ValueError("it is nested too deep")
    if isinstance(value, (dict, list)):
        for inner in value.values() if isinstance(value, dict) else value:
            _require_shallow(inner, levels - 1)


def parse_metadata(line: bytes) -> dict:
    """The object in the signed line. Raises NotTrusted unless it is exactly what format 3 has."""
    metadata = parse_json(line, Reason.METADATA)
    expected = {
        "version": int,
        "model": dict,
        "attributes": dict,
        "written_on_date": str,
        "serializing_package_version": str,
        "installed_packages": list,
    }
    if (
        not isinstance(metadata, dict)
        or metadata.keys() != expected.keys()
        or any(type(metadata[key]) is not kind for key, kind in expected.items())
        or metadata["version"] != 3
        or not all(isinstance(package, str) for package in metadata["installed_packages"])
        or not all(map(_is_stream, [metadata["model"], *metadata["attributes"].values()]))
        or (metadata["model"]["serializer"], metadata["model"]["filename"]) != NAKED_MODEL
        or not {stream["serializer"] for stream in metadata["attributes"].values()} <= SERIALIZERS
    ):
        raise NotTrusted(Reason.METADATA, "the signed line is not metadata of format 3")
    return metadata


def _is_stream(stream) -> bool:
    return (
        isinstance(stream, dict)
        and stream.keys() == {"filename", "nonce", "hmac_code", "serializer"}
        and all(isinstance(value, str) for value in stream.values())
    )


def check_integrity(metadata: dict, members: dict[str, memoryview]) -> dict[str, memoryview]:
    """The content of each signed member by name, every HMAC checked.

    metadata: from ``parse_metadata``. members: all of them, signed or not, in the order of the tar.
    Raises NotTrusted (``integrity``) if the members are others, or if one was changed.
    """
    streams = [*metadata["attributes"].values(), metadata["model"]]
    names = [stream["filename"] for stream in streams]
    if [VERSION, *names, SIGNED] != list(members):
        raise NotTrusted(Reason.INTEGRITY, "its members are not those that were signed")
    contents = {}
    for stream in streams:
        content = members[stream["filename"]]
        nonce, code = _base64(stream["nonce"], 16), _base64(stream["hmac_code"], 32)
        if not hmac.compare_digest(hmac.digest(nonce, content, "sha256"), code):
            raise NotTrusted(
                Reason.INTEGRITY, f"{stream['filename']} is not the one that was signed"
            )
        contents[stream["filename"]] = content
    return contents


def _base64(text: str, size: int) -> bytes:
    """``size`` bytes in base64, exactly as special_k writes them."""
    try:
        content = base64.b64decode(text, validate=True)
    except ValueError as error:
        raise NotTrusted(Reason.METADATA, "a nonce or an HMAC is not base64") from error
    if len(content) != size or base64.b64encode(content).decode() != text:
        raise NotTrusted(Reason.METADATA, "a nonce or an HMAC is not as special_k writes it")
    return content
