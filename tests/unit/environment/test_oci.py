"""Images as files: whatever an engine saved becomes the same layout, or an error that says why."""

import gzip
import hashlib
import io
import json
import tarfile

import pytest

from pressbox.environment import oci
from pressbox.errors import PressboxError

# What compresses neither at once nor to nothing, and is several blocks.
FILES = {"etc/motd": b"welcome\n", "opt/numbers": b"".join(b"%d," % (n * n) for n in range(30_000))}
BLOCK_BYTES = 64 << 10


@pytest.fixture(autouse=True)
def _small_blocks(monkeypatch):
    monkeypatch.setattr(oci, "BLOCK_BYTES", BLOCK_BYTES)


def tar(files: dict[str, bytes], links: dict[str, str] | None = None) -> bytes:
    out = io.BytesIO()
    with tarfile.open(fileobj=out, mode="w") as archive:
        for name, content in files.items():
            entry = tarfile.TarInfo(name)
            entry.size = len(content)
            archive.addfile(entry, io.BytesIO(content))
        for name, target in (links or {}).items():
            entry = tarfile.TarInfo(name)
            entry.type, entry.linkname = tarfile.SYMTYPE, target
            archive.addfile(entry)
    return out.getvalue()


def sha256(content: bytes) -> str:
    return hashlib.sha256(content).hexdigest()


ONE, NOTHING = tar(FILES), bytes(1024)
LAYERS = [ONE, NOTHING, ONE]
# The blanks and the unknown field are the engine's own; nobody writes them anew.
CONFIG = json.dumps(
    {
        "architecture": "amd64",
        "os": "linux",
        "docker_version": "20.10",
        "rootfs": {"type": "layers", "diff_ids": [f"sha256:{sha256(layer)}" for layer in LAYERS]},
    },
    indent=1,
).encode()


def manifest(config: str, layers: list[str]) -> bytes:
    return json.dumps([{"Config": config, "RepoTags": ["x:1"], "Layers": layers}]).encode()


def docker_20() -> bytes:
    """A folder for each layer; what stands twice is a link to the first."""
    config = f"{sha256(CONFIG)}.json"
    return tar(
        {
            "a/VERSION": b"1.0",
            "a/json": b"{}",
            "a/layer.tar": ONE,
            config: CONFIG,
            "b/layer.tar": NOTHING,
            "manifest.json": manifest(config, ["a/layer.tar", "b/layer.tar", "c/layer.tar"]),
            "repositories": b"{}",
        },
        {"c/layer.tar": "../a/layer.tar"},
    )


def podman() -> bytes:
    names = [f"{sha256(layer)}.tar" for layer in LAYERS]
    config = f"{sha256(CONFIG)}.json"
    files = dict(zip(names, LAYERS, strict=True))
    return tar({**files, config: CONFIG, "manifest.json": manifest(config, names)})


def docker_25(pack=bytes) -> bytes:
    """Blobs by their digests; in containerd's store the layers are compressed."""
    packed = [pack(layer) for layer in LAYERS]
    places = [f"blobs/sha256/{sha256(layer)}" for layer in packed]
    config = f"blobs/sha256/{sha256(CONFIG)}"
    return tar(
        {
            **dict(zip(places, packed, strict=True)),
            "blobs/sha256/attestation": tar({"said": b"by a builder"}),
            config: CONFIG,
            "index.json": b'{"manifests":[]}',
            "manifest.json": manifest(config, places),
            "oci-layout": oci.LAYOUT_VERSION,
        }
    )


SAVED = {
    "docker 20.10": docker_20(),
    "podman": podman(),
    "docker 25": docker_25(),
    "containerd": docker_25(gzip.compress),
}


@pytest.fixture
def folder(tmp_path):
    folder = tmp_path / "layout"
    folder.mkdir()
    return folder


def packed(saved: bytes, folder, **options) -> bytes:
    out = io.BytesIO()
    oci.pack(oci.write_layout(io.BytesIO(saved), folder, **options), out)
    return out.getvalue()


@pytest.mark.parametrize("engine", SAVED)
def test_what_any_engine_saved_becomes_the_same_bytes(engine, folder, tmp_path):
    other = tmp_path / "other"
    other.mkdir()
    assert packed(SAVED[engine], folder) == packed(SAVED["docker 20.10"], other)
    blobs = {blob.name for blob in (folder / "blobs" / "sha256").iterdir()}
    # Two layers, of which one stands there twice, the configuration, the manifest.
    assert len(blobs) == 4
    assert all(sha256((folder / "blobs/sha256" / name).read_bytes()) == name for name in blobs)


def test_a_registry_gets_what_the_layout_says_it_has(folder):
    said = {"org.opencontainers.image.version": "1", "org.opencontainers.image.source": "here"}
    layout = oci.write_layout(io.BytesIO(docker_20()), folder, annotations=said, name="x:1")
    for blob in (layout.manifest, layout.config, *layout.layers):
        content = layout.path(blob).read_bytes()
        assert blob.digest == f"sha256:{sha256(content)}"
        assert blob.size == len(content)
    assert layout.path(layout.config).read_bytes() == CONFIG
    content = json.loads(layout.path(layout.manifest).read_bytes())
    assert content["config"] == layout.config.descriptor()
    assert content["layers"] == [layer.descriptor() for layer in layout.layers]
    assert content["annotations"] == said
    assert [gzip.decompress(layout.path(layer).read_bytes()) for layer in layout.layers] == LAYERS
    assert layout.platform == {"architecture": "amd64", "os": "linux"}
    (entry,) = json.loads((folder / "index.json").read_bytes())["manifests"]
    assert entry == layout.manifest.descriptor(
        annotations={oci.IMAGE_NAME: "docker.io/library/x:1", oci.REF_NAME: "x:1"},
        platform=layout.platform,
    )


def with_cache(*configurations: bytes) -> bytes:
    """Several images in one archive, of which Docker saves a layer that they share but once."""
    places = {f"{sha256(config)}.json": config for config in configurations}
    layers = [f"{n}/layer.tar" for n in range(len(LAYERS))]
    images = [{"Config": place, "Layers": layers} for place in places]
    files = dict(zip(layers, LAYERS, strict=True))
    return tar({**files, **places, "manifest.json": json.dumps(images).encode()})


def cached(config: bytes, **more) -> bytes:
    return json.dumps({**json.loads(config), oci.INLINE_CACHE: "records", **more}).encode()


@pytest.mark.parametrize("turned", [False, True])
def test_a_configuration_with_the_builders_cache_stays_out_of_the_image(turned, folder, tmp_path):
    other = tmp_path / "other"
    other.mkdir()
    both = (cached(CONFIG), CONFIG) if turned else (CONFIG, cached(CONFIG))
    assert packed(with_cache(*both), folder) == packed(docker_20(), other)
    layout = oci.write_layout(io.BytesIO(with_cache(*both)), tmp_path / "third")
    assert layout.cache == cached(CONFIG)
    assert oci.write_layout(io.BytesIO(docker_20()), tmp_path / "fourth").cache is None


def test_an_image_that_has_the_cache_in_it_is_its_own(folder):
    layout = oci.write_layout(io.BytesIO(with_cache(cached(CONFIG))), folder)
    assert layout.cache == layout.path(layout.config).read_bytes() == cached(CONFIG)


@pytest.mark.parametrize(
    ("images", "said"),
    [
        ((CONFIG, CONFIG + b" "), "2 images"),
        ((cached(CONFIG), cached(CONFIG, os="other")), "2 images"),
        ((CONFIG, cached(CONFIG, rootfs={"type": "layers", "diff_ids": []})), "built elsewhere"),
    ],
)
def test_another_image_in_the_archive_is_an_error(images, said, folder):
    with pytest.raises(PressboxError, match=said):
        oci.write_layout(io.BytesIO(with_cache(*images)), folder)


def test_annotations_change_the_manifest_and_nothing_else(folder, tmp_path):
    other = tmp_path / "other"
    other.mkdir()
    plain = oci.write_layout(io.BytesIO(podman()), folder)
    annotated = oci.write_layout(io.BytesIO(podman()), other, annotations={"a": "b"})
    assert plain.manifest != annotated.manifest
    assert (plain.config, plain.layers) == (annotated.config, annotated.layers)


def test_a_layer_is_the_same_however_many_processors_compress_it(folder, tmp_path, monkeypatch):
    other = tmp_path / "other"
    other.mkdir()
    monkeypatch.setattr("os.process_cpu_count", lambda: 1)
    layers = oci.write_layout(io.BytesIO(podman()), folder).layers
    monkeypatch.setattr("os.process_cpu_count", lambda: 9)
    assert oci.write_layout(io.BytesIO(podman()), other).layers == layers


def test_a_layer_in_blocks_is_hardly_larger_than_one_in_a_piece(folder):
    layers = oci.write_layout(io.BytesIO(podman()), folder).layers
    assert len(ONE) > 3 * BLOCK_BYTES
    assert layers[0].size < 1.01 * len(gzip.compress(ONE, oci.LEVEL))


def test_a_compressed_layer_has_no_name_and_no_time(folder):
    layout = oci.write_layout(io.BytesIO(podman()), folder)
    for layer in layout.layers:
        # RFC 1952, 2.3: no flags, no time, no operating system.
        assert layout.path(layer).read_bytes()[:10] == b"\x1f\x8b\x08" + bytes(6) + b"\xff"


@pytest.mark.parametrize(
    ("name", "full"),
    [
        ("pressbox", "docker.io/library/pressbox"),
        ("desk/pressbox:1", "docker.io/desk/pressbox:1"),
        ("localhost/pressbox:1", "localhost/pressbox:1"),
        ("localhost:5000/pressbox:1", "localhost:5000/pressbox:1"),
        ("registry.example.org/pressbox", "registry.example.org/pressbox"),
    ],
)
def test_a_name_without_a_host_gets_dockers(name, full, folder):
    oci.write_layout(io.BytesIO(podman()), folder, name=name)
    (entry,) = json.loads((folder / "index.json").read_bytes())["manifests"]
    assert entry["annotations"] == {oci.IMAGE_NAME: full, oci.REF_NAME: name}
    (for_docker,) = json.loads((folder / "manifest.json").read_bytes())
    assert for_docker["RepoTags"] == [name]


def without(saved: bytes, name: str, **instead: bytes) -> bytes:
    """The archive without the files that end so, or with something else in their place."""
    files = {}
    with tarfile.open(fileobj=io.BytesIO(saved)) as archive:
        for entry in archive:
            if not entry.name.endswith(name):
                files[entry.name] = archive.extractfile(entry).read()
            elif "content" in instead:
                files[entry.name] = instead["content"]
    return tar(files)


SPOILED = {
    "it is cut off in a layer": (podman()[:150_000], "unexpected end of data"),
    "it is cut off between two files": (
        without(podman(), "manifest.json"),
        "manifest.json is not in it",
    ),
    "it is empty": (b"", "empty file"),
    "it is no archive": (b"Error response from daemon\n" * 99, "invalid header"),
    "the configuration is missing": (
        without(podman(), f"{sha256(CONFIG)}.json"),
        f"{sha256(CONFIG)}.json is not in it",
    ),
    "the configuration is none": (
        without(podman(), f"{sha256(CONFIG)}.json", content=b"{"),
        "Expecting property name",
    ),
    "the configuration has no layers": (
        without(podman(), f"{sha256(CONFIG)}.json", content=b"{}"),
        "rootfs is not in it",
    ),
    "a layer is missing": (
        without(podman(), f"{sha256(NOTHING)}.tar"),
        f"the layer sha256:{sha256(NOTHING)} is not in it",
    ),
    "a layer is another one": (
        without(podman(), f"{sha256(ONE)}.tar", content=tar({**FILES, "etc/motd": b"Welcome\n"})),
        f"the layer sha256:{sha256(ONE)} is not in it",
    ),
    "a compressed layer is cut off": (docker_25(lambda layer: gzip.compress(layer)[:-9]), "end"),
    "a layer is compressed with zstd": (docker_25(lambda _: oci.ZSTD + bytes(99)), "zstd"),
    "two images are in it": (
        without(podman(), "manifest.json", content=b'[{"Config": "a"}, {"Config": "b"}]'),
        "there are 2 images in it, not one",
    ),
    "a document is too large": (
        without(podman(), "manifest.json", content=b"[" + b" " * oci.MAX_DOCUMENT_BYTES),
        "manifest.json is neither a layer nor a document",
    ),
}


@pytest.mark.parametrize("how", SPOILED)
def test_an_archive_that_cannot_be_used_says_why(how, folder):
    saved, why = SPOILED[how]
    with pytest.raises(PressboxError, match="cannot be used") as refused:
        oci.write_layout(io.BytesIO(saved), folder)
    assert why in str(refused.value)


def test_an_index_names_an_image_for_each_platform(folder):
    layout = oci.write_layout(io.BytesIO(podman()), folder)
    entry = layout.manifest.descriptor(platform=layout.platform)
    content = json.loads(oci.index([entry, entry], {"b": "2", "a": "1"}))
    assert content["mediaType"] == oci.INDEX_TYPE
    assert content["manifests"] == [entry, entry]
    assert list(content["annotations"].items()) == [("a", "1"), ("b", "2")]
