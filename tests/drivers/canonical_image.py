"""Rewrite an image's archive so that its layers and its ID depend on nothing but what is in it.

Engines write the same files into a layer in different ways: Docker 20.10 adds the file type to each
mode and the names that its own host has for the owners, 26.1 does not, so the same build has other
layer digests there.

Run: canonical_image.py IMAGE.tar CANONICAL.tar, with archives of ``docker save``.
"""

import hashlib
import io
import json
import sys
import tarfile
import tempfile
from datetime import UTC, datetime
from pathlib import Path
from typing import IO

XATTR = "SCHILY.xattr."


def canonical_layer(layer: IO[bytes], out: IO[bytes]) -> None:
    """Write the layer's entries, in their order, with what an engine has to restore and no more."""
    with (
        tarfile.open(fileobj=layer) as entries,
        tarfile.open(fileobj=out, mode="w", format=tarfile.PAX_FORMAT) as rewritten,
    ):
        for entry in entries:
            entry.mode &= 0o7777
            entry.uname = entry.gname = ""
            entry.mtime = int(entry.mtime)
            entry.pax_headers = {
                name: value
                for name, value in sorted(entry.pax_headers.items())
                if name.startswith(XATTR)
            }
            rewritten.addfile(entry, entries.extractfile(entry) if entry.isreg() else None)


def canonical_config(config: dict, diff_ids: list[str]) -> bytes:
    """What a container of the image starts with, and which layers it has; no history."""
    settings = {name: value for name, value in sorted(config["config"].items()) if value}
    variables = dict(line.split("=", 1) for line in settings["Env"])
    made = datetime.fromtimestamp(int(variables["SOURCE_DATE_EPOCH"]), UTC)
    return json.dumps(
        {
            "architecture": config["architecture"],
            "os": config["os"],
            "created": made.strftime("%Y-%m-%dT%H:%M:%SZ"),
            "config": settings,
            "rootfs": {"type": "layers", "diff_ids": diff_ids},
        }
    ).encode()


def add(archive: tarfile.TarFile, name: str, content: IO[bytes], size: int) -> None:
    entry = tarfile.TarInfo(name)
    entry.size = size
    archive.addfile(entry, content)


def main(source: Path, target: Path) -> None:
    with tarfile.open(source) as image, tarfile.open(target, "w") as canonical:
        (manifest,) = json.load(image.extractfile("manifest.json"))
        names, diff_ids = [], []
        for name in manifest["Layers"]:
            with tempfile.TemporaryFile(dir=target.parent) as layer:
                canonical_layer(image.extractfile(name), layer)
                size = layer.tell()
                layer.seek(0)
                digest = hashlib.file_digest(layer, "sha256").hexdigest()
                layer.seek(0)
                diff_ids.append(f"sha256:{digest}")
                names.append(f"{digest}.tar")
                if names.count(names[-1]) == 1:
                    add(canonical, names[-1], layer, size)
        config = canonical_config(json.load(image.extractfile(manifest["Config"])), diff_ids)
        add(canonical, "config.json", io.BytesIO(config), len(config))
        manifest = [{"Config": "config.json", "RepoTags": manifest["RepoTags"], "Layers": names}]
        content = json.dumps(manifest).encode()
        add(canonical, "manifest.json", io.BytesIO(content), len(content))


if __name__ == "__main__":
    main(Path(sys.argv[1]), Path(sys.argv[2]))
