"""Images as files: read as an engine saves them, written in the layout of the OCI.

The layout (image-spec 1.1, image-layout.md) is a folder; as one file, it is a tar of that folder.
It also has a ``manifest.json`` as ``docker save`` writes it, so that each engine can load it:
Docker before 25 knows nothing else.

The same image gives the same bytes: the configuration is what the engine saved, untouched, and
the layers are compressed with nothing but their content in the header. What zlib makes of that
content may change with its version and its make; whoever runs this in the image has the zlib that
is in it.
"""

import gzip
import hashlib
import io
import json
import struct
import tarfile
import zlib
from collections import deque
from collections.abc import Iterable, Mapping
from concurrent.futures import Future, ThreadPoolExecutor
from dataclasses import dataclass, field
from pathlib import Path
from typing import IO

from pressbox.errors import PressboxError

INDEX_TYPE = "application/vnd.oci.image.index.v1+json"
MANIFEST_TYPE = "application/vnd.oci.image.manifest.v1+json"
CONFIG_TYPE = "application/vnd.oci.image.config.v1+json"
LAYER_TYPE = "application/vnd.oci.image.layer.v1.tar+gzip"
# How an image is called: to the OCI, and to containerd and Docker since 25.
REF_NAME, IMAGE_NAME = "org.opencontainers.image.ref.name", "io.containerd.image.name"
LAYOUT_VERSION = b'{"imageLayoutVersion":"1.0.0"}'
# Where BuildKit's inline cache is, in the configuration of an image that was built with it.
INLINE_CACHE = "moby.buildkit.cache.v0"
# zlib's default. The higher ones take two to four times as long for one part in a hundred.
LEVEL = 6
BLOCK_BYTES, WINDOW_BYTES, BLOCKS_AHEAD = 1 << 20, 32 << 10, 16
# Of a configuration or a manifest; registries take no larger ones.
MAX_DOCUMENT_BYTES = 4 << 20
GZIP, ZSTD = b"\x1f\x8b", b"\x28\xb5\x2f\xfd"
# Without a name, a time, or the system that it was made on; and an empty block, the last one.
GZIP_HEAD, LAST_BLOCK = b"\x1f\x8b\x08" + bytes(6) + b"\xff", b"\x03\x00"
TAR_BLOCK_BYTES, TAR_MAGIC_AT, TAR_MAGIC = 512, 257, b"ustar"


@dataclass(frozen=True)
class Blob:
    """A file of a layout. digest: ``sha256:<hex>`` of what is in it; size: in bytes."""

    media_type: str
    digest: str
    size: int

    def descriptor(self, **more: object) -> dict:
        """How the OCI refers to it; more: such as ``annotations`` or ``platform``."""
        return {"mediaType": self.media_type, "digest": self.digest, "size": self.size, **more}


@dataclass(frozen=True)
class Layout:
    """An image in a folder, in the layout of the OCI.

    config, layers: what a registry is to have before it takes the manifest. diff_ids: the digest of
    each layer before it is compressed, as the configuration has them. platform: ``architecture``,
    ``os`` and, where there is one, ``variant``. cache: the configuration of the same image with
    BuildKit's inline cache in it, or None if there is none.
    """

    folder: Path
    manifest: Blob
    config: Blob
    layers: tuple[Blob, ...]
    diff_ids: tuple[str, ...]
    platform: Mapping[str, str] = field(hash=False)
    cache: bytes | None = None

    def path(self, blob: Blob) -> Path:
        """Where the blob lies."""
        return self.folder / _place(blob.digest)


def write_layout(
    saved: IO[bytes],
    folder: Path,
    *,
    annotations: Mapping[str, str] | None = None,
    name: str | None = None,
) -> Layout:
    """Write the one image of an archive that an engine saved to ``folder``, which is empty.

    saved: what ``docker save`` or ``podman save`` prints; it is read once, from the beginning to
    the end. annotations: of the manifest. name: what engines call the image once it is loaded, such
    as ``pressbox:1.0``. The archive may also have the same image with BuildKit's inline cache,
    which is not written. Raises PressboxError for an archive that is cut off, has any other image,
    or lacks something that its configuration names, and OSError where there is no room; the folder
    is then of no use.
    """
    (folder / "blobs" / "sha256").mkdir(parents=True)
    try:
        documents, layers = _take_apart(saved, folder)
        config, diff_ids, platform, cache = _read_config(documents)
    except KeyError as error:
        raise _unusable(f"{error.args[0]} is not in it") from error
    except (
        tarfile.TarError,
        gzip.BadGzipFile,
        zlib.error,
        EOFError,
        ValueError,
        TypeError,
    ) as error:
        raise _unusable(str(error) or type(error).__name__) from error
    missing = [diff_id for diff_id in diff_ids if diff_id not in layers]
    if missing:
        raise _unusable(f"the layer {missing[0]} is not in it")
    # An engine may have saved more than the image: what it calls attestations.
    for diff_id in layers.keys() - set(diff_ids):
        (folder / _place(layers[diff_id].digest)).unlink(missing_ok=True)
    config_blob = _write(folder, CONFIG_TYPE, config)
    layer_blobs = tuple(layers[diff_id] for diff_id in diff_ids)
    manifest = {
        "schemaVersion": 2,
        "mediaType": MANIFEST_TYPE,
        "config": config_blob.descriptor(),
        "layers": [layer.descriptor() for layer in layer_blobs],
    }
    if annotations:
        manifest["annotations"] = dict(sorted(annotations.items()))
    manifest_blob = _write(folder, MANIFEST_TYPE, _json(manifest))
    called = {"annotations": {IMAGE_NAME: _full_name(name), REF_NAME: name}} if name else {}
    entry = manifest_blob.descriptor(**called, platform=platform)
    (folder / "index.json").write_bytes(index([entry]))
    (folder / "oci-layout").write_bytes(LAYOUT_VERSION)
    for_docker = {
        "Config": _place(config_blob.digest),
        "RepoTags": [name] if name else None,
        "Layers": [_place(layer.digest) for layer in layer_blobs],
    }
    (folder / "manifest.json").write_bytes(_json([for_docker]))
    return Layout(folder, manifest_blob, config_blob, layer_blobs, tuple(diff_ids), platform, cache)


def index(
    manifests: Iterable[Mapping[str, object]], annotations: Mapping[str, str] | None = None
) -> bytes:
    """An index of images, such as one for each platform; manifests: their descriptors."""
    content = {"schemaVersion": 2, "mediaType": INDEX_TYPE, "manifests": list(manifests)}
    if annotations:
        content["annotations"] = dict(sorted(annotations.items()))
    return _json(content)


def pack(layout: Layout, out: IO[bytes]) -> None:
    """Write the layout as one file, which each engine loads; of a layout always the same bytes."""
    blobs = dict.fromkeys((layout.config, layout.manifest, *layout.layers))
    names = ["oci-layout", "index.json", "manifest.json", *(_place(blob.digest) for blob in blobs)]
    with tarfile.open(fileobj=out, mode="w|", format=tarfile.USTAR_FORMAT) as archive:
        for folder in ("blobs", "blobs/sha256"):
            entry = tarfile.TarInfo(folder)
            entry.type, entry.mode = tarfile.DIRTYPE, 0o755
            archive.addfile(entry)
        for name in names:
            path = layout.folder / name
            entry = tarfile.TarInfo(name)
            entry.size = path.stat().st_size
            with path.open("rb") as content:
                archive.addfile(entry, content)


def _take_apart(saved: IO[bytes], folder: Path) -> tuple[dict[str, bytes], dict[str, Blob]]:
    """The JSON documents of the archive by name, and its layers by diff ID, compressed."""
    documents, layers = {}, {}
    with tarfile.open(fileobj=saved, mode="r|") as archive:
        for entry in archive:
            content = archive.extractfile(entry) if entry.isreg() else None
            if not isinstance(content, io.BufferedReader):
                # A folder, or another name for a layer, which is found by its digest.
                continue
            head = content.peek(TAR_BLOCK_BYTES)[:TAR_BLOCK_BYTES]
            if head.startswith(ZSTD):
                raise ValueError(f"{entry.name} is compressed with zstd")
            if head.startswith(GZIP) or _is_tar(head):
                unpacked = gzip.GzipFile(fileobj=content) if head.startswith(GZIP) else content
                diff_id, layer = _compress(unpacked, folder)
                layers[diff_id] = layer
            elif entry.size <= MAX_DOCUMENT_BYTES:
                documents[entry.name.removeprefix("./")] = content.read()
            else:
                raise ValueError(f"{entry.name} is neither a layer nor a document")
    return documents, layers


def _is_tar(head: bytes) -> bool:
    """Whether a tar begins so; one without any entry is all zeros."""
    return head[TAR_MAGIC_AT:].startswith(TAR_MAGIC) or head == bytes(TAR_BLOCK_BYTES)


def _compress(unpacked: io.BufferedReader | gzip.GzipFile, folder: Path) -> tuple[str, Blob]:
    """The diff ID of a layer, and the layer in the layout."""
    part = folder / "layer.part"
    with part.open("w+b") as file:
        diff_id = _gzip(unpacked, file)
        file.seek(0)
        digest = hashlib.file_digest(file, "sha256").hexdigest()
    blob = Blob(LAYER_TYPE, f"sha256:{digest}", part.stat().st_size)
    part.rename(folder / _place(blob.digest))
    return f"sha256:{diff_id}", blob


def _gzip(unpacked: io.BufferedReader | gzip.GzipFile, file: IO[bytes]) -> str:
    """Write one gzip member (RFC 1952); the SHA-256 of what is in it.

    Several threads compress blocks of one size, as pigz does, so that the bytes are the same
    however many threads there are.
    """
    sha256, checksum, size, before = hashlib.sha256(), 0, 0, b""
    waiting: deque[Future[bytes]] = deque()
    file.write(GZIP_HEAD)
    with ThreadPoolExecutor() as threads:
        while block := unpacked.read(BLOCK_BYTES):
            sha256.update(block)
            checksum, size = zlib.crc32(block, checksum), size + len(block)
            waiting.append(threads.submit(_deflate, block, before))
            before = block[-WINDOW_BYTES:]
            if len(waiting) == BLOCKS_AHEAD:
                file.write(waiting.popleft().result())
        for compressed in waiting:
            file.write(compressed.result())
    file.write(LAST_BLOCK + struct.pack("<LL", checksum, size % (1 << 32)))
    return sha256.hexdigest()


def _deflate(block: bytes, before: bytes) -> bytes:
    """The block, ending with a byte; it may refer to what comes before it."""
    compressor = zlib.compressobj(LEVEL, zlib.DEFLATED, -zlib.MAX_WBITS, zdict=before)
    return compressor.compress(block) + compressor.flush(zlib.Z_SYNC_FLUSH)


def _read_config(
    documents: Mapping[str, bytes],
) -> tuple[bytes, list[str], dict[str, str], bytes | None]:
    """The configuration of the image, its diff IDs, its platform, and the one with the cache."""
    named = [image["Config"] for image in json.loads(documents["manifest.json"])]
    caches = [name for name in named if INLINE_CACHE in json.loads(documents.get(name, b"{}"))]
    # Where an editor has built the image, the cache may be in the image itself.
    plain = [name for name in named if name not in caches] or caches
    if len(plain) != 1 or len(caches) > 1:
        raise ValueError(f"there are {len(named)} images in it, not one")
    config, cache = documents[plain[0]], documents[caches[0]] if caches else None
    content = json.loads(config)
    if cache and json.loads(cache)["rootfs"] != content["rootfs"]:
        raise PressboxError(
            "the image was built elsewhere: what the builder here remembers has other layers",
            "build it here: --build",
        )
    platform = {
        name: content[name] for name in ("architecture", "os", "variant") if content.get(name)
    }
    return config, list(content["rootfs"]["diff_ids"]), platform, cache


def _write(folder: Path, media_type: str, content: bytes) -> Blob:
    blob = Blob(media_type, f"sha256:{hashlib.sha256(content).hexdigest()}", len(content))
    (folder / _place(blob.digest)).write_bytes(content)
    return blob


def _place(digest: str) -> str:
    """Where a layout has the blob with this digest."""
    return f"blobs/{digest.replace(':', '/')}"


def _full_name(name: str) -> str:
    """The name with the host that Docker adds to one without."""
    host, slash, _ = name.partition("/")
    if slash and (host == "localhost" or "." in host or ":" in host):
        return name
    return f"docker.io/{name}" if slash else f"docker.io/library/{name}"


def _json(content: object) -> bytes:
    return json.dumps(content, separators=(",", ":")).encode()


def _unusable(why: str) -> PressboxError:
    return PressboxError(f"the image that the engine saved cannot be used: {why}", "save it again")
