"""A sealed model in which any one byte, member or length is another does not open.

Where a change carries nothing, the test names the bytes: those, and no others, open anyway.
GnuPG is asked once for each signed member that differs: the answer depends on nothing else.
"""

import functools
import os
import zlib
from concurrent.futures import ThreadPoolExecutor

import pytest
from support.hostile import (
    FOLDER,
    armoured,
    genuine,
    gzipped,
    inflate,
    member,
    members,
    packed,
    signed_line,
    tarred,
    unarmoured,
)

from pressbox.classifier import SportClassifier
from pressbox.errors import NotTrusted
from pressbox.sealing import armour, policy, tarball
from pressbox.sealing.metadata import NAKED, SIGNED, VERSION
from pressbox.trust import gnupg
from pressbox.trust.gnupg import GNUPG

FLIPS = {"a bit": 0x01, "every bit": 0xFF}


@pytest.fixture(autouse=True)
def ask_once(monkeypatch):
    """Remember GnuPG's good verdicts, and the keys; what it refuses differs each time."""
    trusted = tarball.trusted_signers()
    verify = gnupg.verify

    @functools.cache
    def remembered(signed, line):
        return verify(signed, line, {name: key.armoured for name, key in trusted.items()})

    monkeypatch.setattr(gnupg, "verify", lambda signed, line, armoured: remembered(signed, line))
    monkeypatch.setattr(tarball, "trusted_signers", lambda folder: trusted)


def is_trusted(content):
    try:
        tarball._verified(content, GNUPG, policy.Policy())
    except NotTrusted:
        return False
    return True


def those_that_open(variants):
    """The names of the (name, content) pairs that open; GnuPG runs beside us, hence the threads."""
    with ThreadPoolExecutor(2 * (os.cpu_count() or 1)) as pool:
        pairs = pool.map(lambda pair: (pair[0], is_trusted(pair[1])), variants)
        return {name for name, trusted in pairs if trusted}


def flipped(content, mask, start=0, end=None):
    """Position and content, for each byte of a part of the content."""
    for position in range(start, len(content) if end is None else end):
        changed = bytearray(content)
        changed[position] ^= mask
        yield position, bytes(changed)


def test_the_untouched_file_opens():
    assert is_trusted(genuine())
    assert is_trusted(gzipped(inflate(genuine())))


@pytest.mark.parametrize("mask", FLIPS.values(), ids=FLIPS)
def test_no_flipped_byte_of_the_file_opens_but_its_time_and_what_inflates_to_the_same(mask):
    content = genuine()
    modified = set(range(4, 8))

    def inflates_to_the_same(changed):
        inflater = zlib.decompressobj(wbits=31)
        try:
            same = inflater.decompress(changed) == inflate(content)
        except zlib.error:
            return False
        return same and inflater.eof and not inflater.unused_data

    # Deflate can say the same in many ways; what is checked is what comes out.
    otherwise_said = {
        position
        for position, changed in flipped(content, mask, 10, len(content) - 8)
        if inflates_to_the_same(changed)
    }
    assert those_that_open(flipped(content, mask)) == modified | otherwise_said


def test_no_truncated_file_opens():
    content = genuine()
    assert not those_that_open((size, content[:size]) for size in range(len(content)))


@pytest.mark.parametrize("mask", FLIPS.values(), ids=FLIPS)
def test_no_flipped_byte_of_the_archive_opens(mask):
    tar = inflate(genuine())
    assert not those_that_open((at, gzipped(changed)) for at, changed in flipped(tar, mask))


def test_no_truncated_archive_opens():
    tar = inflate(genuine())
    assert not those_that_open((size, gzipped(tar[:size])) for size in range(0, len(tar), 7))


@pytest.mark.parametrize("mask", FLIPS.values(), ids=FLIPS)
def test_no_flipped_byte_of_the_signature_opens_though_its_armour_is_made_to_fit(mask):
    parts = members(genuine())
    packet = unarmoured(parts[SIGNED])
    text = parts[SIGNED].partition(b"-----BEGIN PGP SIGNATURE")[0]
    variants = (
        (position, packed({**parts, SIGNED: text + armoured(changed)}))
        for position, changed in flipped(packet, mask)
    )
    assert those_that_open(variants) == carries_nothing(packet, mask)


def carries_nothing(packet, mask):
    """The bytes of a signature packet (RFC 9580, 5.2.3) that no signature covers or needs."""
    unhashed = 8 + int.from_bytes(packet[6:8])
    # One subpacket, and it says who signed. The hashed part says so too, and is believed first.
    assert packet[unhashed : unhashed + 4] == b"\0\x0a\x09\x10"
    kind, issuer = unhashed + 3, range(unhashed + 4, unhashed + 12)
    # The first two octets of the hash, there for a quick answer.
    hint = range(unhashed + 12, unhashed + 14)
    # How many bits each of the two numbers has, as long as that takes as many bytes.
    bits = {unhashed + 15, unhashed + 15 + 34} if len(packet) == unhashed + 14 + 68 else set()
    bits = {
        at
        for at in bits
        if _bytes(packet[at - 1 : at + 1]) == _bytes(bytes([packet[at - 1], packet[at] ^ mask]))
    }
    # Another kind is unknown and passed over, unless its first bit says that it must not be.
    kinds = {kind} if mask < 0x80 else set()
    return {*kinds, *issuer, *hint, *bits}


def _bytes(bits):
    return (int.from_bytes(bits) + 7) // 8


ATTRIBUTES = [name for _, name in SportClassifier([], [], [], [], {}).custom_serialization.values()]
MEMBERS = [VERSION, *ATTRIBUTES, NAKED, SIGNED]


@pytest.mark.parametrize("name", MEMBERS)
def test_no_model_opens_with_the_member_changed_as_a_whole(name):
    parts, others = members(genuine()), members(genuine("other", 2.0))
    assert list(parts) == MEMBERS
    pairs, place = list(parts.items()), MEMBERS.index(name)
    rest = {key: value for key, value in parts.items() if key != name}
    variants = {
        "removed": packed(rest),
        "emptied": packed({**parts, name: b""}),
        "doubled": packed([*pairs[:place], pairs[place], *pairs[place:]]),
        "doubled at the end": packed([*pairs, pairs[place]]),
        "renamed": packed([(f"x{key}" if key == name else key, value) for key, value in pairs]),
        "in capitals": packed([(key.swapcase() if key == name else key, v) for key, v in pairs]),
        "moved to the end": packed([*rest.items(), pairs[place]]),
        "moved to the beginning": packed([pairs[place], *rest.items()]),
        "another's": packed({**parts, name: others[name]}),
        "a byte longer": packed({**parts, name: parts[name] + b"\0"}),
        "a byte shorter": packed({**parts, name: parts[name][:-1]}),
        "out of the folder": packed(
            [member(key, value) if key == name else (key, value) for key, value in pairs]
        ),
    }
    same = {"moved to the end"} if name == SIGNED else set()
    same |= {"moved to the beginning"} if name == VERSION else set()
    same |= {"another's"} if others[name] == parts[name] else set()
    assert those_that_open(variants.items()) == same


def test_no_two_members_can_change_places():
    pairs = list(members(genuine()).items())
    variants = {}
    for first in range(len(pairs)):
        for second in range(first):
            swapped = list(pairs)
            swapped[first], swapped[second] = pairs[second], pairs[first]
            variants[pairs[first][0], pairs[second][0]] = packed(swapped)
    assert not those_that_open(variants.items())


def test_the_folders_name_is_carried_by_no_signature_and_has_to_be_one():
    parts = members(genuine())
    names = ["model_" + "0" * 32, "model_" + "0" * 31, "model_" + "G" * 32, "sports", ""]
    assert those_that_open((name, packed(parts, folder=name)) for name in names) == set(names[:1])
    mixed = tarred(parts).replace(FOLDER.encode(), b"model_" + b"0" * 32, 1)
    assert not is_trusted(gzipped(mixed))
    assert signed_line(parts) == armour.signed_line(parts[SIGNED])
