"""The clear-signed line, in which GnuPG finds one signature and nothing else to interpret."""

import base64
import binascii
import re

from pressbox.errors import NotTrusted, Reason
from pressbox.sealing.metadata import SIGNED

# GnuPG cuts a clear-signed line off at 19,993 bytes, and what follows is not signed.
MAX_LINE_BYTES = 19_000
MAX_SIGNED_BYTES = MAX_LINE_BYTES + 6_000
CLEAR_SIGNED = re.compile(
    rb"-----BEGIN PGP SIGNED MESSAGE-----\nHash: (?P<hash>SHA[0-9]+)\n\n"
    rb"(?P<line>\{[ -~]*\})\n"
    rb"-----BEGIN PGP SIGNATURE-----\n\n"
    rb"(?P<body>(?:[A-Za-z0-9+/=]{1,64}\n)+?)"
    rb"(?:=(?P<crc>[A-Za-z0-9+/]{4})\n)?"
    rb"-----END PGP SIGNATURE-----\n"
)


def signed_line(signed: bytes) -> bytes:
    """The one line that is signed, according to ``signed``, the content of ``meta.json.asc``.

    Raises NotTrusted (``metadata``) unless its shape is exact, which leaves GnuPG nothing to
    interpret: no text around the armour, no other kind of message, no second signature, no blank
    at the end of a line (which no signature covers).
    """
    match = CLEAR_SIGNED.fullmatch(signed)
    if not match or len(match["line"]) > MAX_LINE_BYTES:
        raise NotTrusted(Reason.METADATA, f"{SIGNED} is not one clear-signed line")
    body = match["body"].replace(b"\n", b"")
    try:
        packet = base64.b64decode(body, validate=True)
    except binascii.Error as error:
        raise NotTrusted(Reason.METADATA, "the signature is not base64") from error
    lines = base64.b64encode(packet)
    wrapped = b"".join(lines[i : i + 64] + b"\n" for i in range(0, len(lines), 64))
    if wrapped != match["body"] or match["crc"] not in (None, base64.b64encode(_crc24(packet))):
        raise NotTrusted(Reason.METADATA, "the signature's armour is not as GnuPG writes it")
    if not _one_signature(packet):
        raise NotTrusted(Reason.METADATA, "the signature is not one OpenPGP signature")
    return match["line"]


def _one_signature(packet: bytes) -> bool:
    """Whether this is exactly one signature packet (RFC 9580, 4.2), of type 2 and this length."""
    if len(packet) < 3:
        return False
    if packet[0] == 0x88:  # one octet of length
        return packet[1] == len(packet) - 2
    if packet[0] == 0x89:  # two octets
        return int.from_bytes(packet[1:3]) == len(packet) - 3
    return False


def _crc24(content: bytes) -> bytes:
    """The checksum of OpenPGP's armour (RFC 4880, 6.1)."""
    crc = 0xB704CE
    for octet in content:
        crc ^= octet << 16
        for _ in range(8):
            crc <<= 1
            if crc & 0x1000000:
                crc ^= 0x1864CFB
    return crc.to_bytes(3)
