"""Say which entries of the layers of two images differ, and in what.

Run: compare_images.py OURS.tar THEIRS.tar, with archives of ``docker save``.
"""

import hashlib
import json
import sys
import tarfile
from collections.abc import Iterator
from itertools import zip_longest

SHOWN = 40  # entries of each layer


def layers(image: tarfile.TarFile) -> list[str]:
    (manifest,) = json.load(image.extractfile("manifest.json"))
    return manifest["Layers"]


def entries(image: tarfile.TarFile, layer: str | None) -> dict[str, str]:
    """Each name in the layer, with everything else an engine restores, in words."""
    if layer is None:
        return {}
    with tarfile.open(fileobj=image.extractfile(layer)) as archive:
        return {entry.name: describe(archive, entry) for entry in archive}


def describe(archive: tarfile.TarFile, entry: tarfile.TarInfo) -> str:
    words = [
        f"type {entry.type.decode()}",
        f"mode {entry.mode:o}",
        f"owner {entry.uid}:{entry.gid} {entry.uname}:{entry.gname}",
        f"modified {entry.mtime}",
        f"size {entry.size}",
    ]
    if entry.linkname:
        words.append(f"link to {entry.linkname}")
    if entry.isreg():
        content = archive.extractfile(entry)
        words.append(f"sha256 {hashlib.file_digest(content, 'sha256').hexdigest()}")
    words += [f"{name} {value!r}" for name, value in sorted(entry.pax_headers.items())]
    return ", ".join(words)


def differences(ours: dict[str, str], theirs: dict[str, str]) -> Iterator[str]:
    for name in sorted(ours.keys() | theirs.keys()):
        if ours.get(name) != theirs.get(name):
            yield f"  {name}\n    ours   {ours.get(name)}\n    theirs {theirs.get(name)}"
    if list(ours) != list(theirs) and ours.keys() == theirs.keys():
        yield "  the order of the entries"


def main(ours: str, theirs: str) -> None:
    with tarfile.open(ours) as our_image, tarfile.open(theirs) as their_image:
        pairs = zip_longest(layers(our_image), layers(their_image))
        for number, (our_layer, their_layer) in enumerate(pairs, 1):
            found = list(
                differences(entries(our_image, our_layer), entries(their_image, their_layer))
            )
            print(f"layer {number}: {len(found)} differences")
            print(*found[:SHOWN], sep="\n", end="\n" if found else "")


if __name__ == "__main__":
    main(*sys.argv[1:])
