"""An image goes to a registry, with what is known about it; and is compared with one built anew.

Whoever pulls it believes the digest that environment.lock has, and the signature, not the registry.
"""

import json
from collections.abc import Mapping
from dataclasses import dataclass
from datetime import UTC, datetime
from pathlib import Path
from typing import IO

from pressbox import ROOT, __version__
from pressbox.bom import documents
from pressbox.console import note
from pressbox.environment import drift, lock, oci, passport
from pressbox.environment.lock import Image, Published
from pressbox.environment.registry import Registry
from pressbox.errors import Drifted, NotTrusted, PressboxError, Reason
from pressbox.provenance import code
from pressbox.provenance.statement import PREDICATE_TYPE, STATEMENT_TYPE
from pressbox.sealing.armour import signed_line
from pressbox.trust import gnupg
from pressbox.trust.gnupg import SigningKey
from pressbox.trust.signers import DEMO, trusted_signers

BUILD_TYPE = "https://pressbox.example/image/v1"
BUILDER = "https://pressbox.example/scripts/publish.sh"
# What is attached to an image: the kind of document, and how it is written.
STATEMENT_ARTIFACT = "application/vnd.in-toto+json"
BILL_ARTIFACT = "application/vnd.cyclonedx+json"
CLEAR_SIGNED = "application/vnd.pressbox.clearsigned.v1"
ANNOTATION = "org.opencontainers.image"
# As the OCI calls what ``uname -m`` says.
ARCHITECTURES = {"x86_64": "amd64", "aarch64": "arm64"}
LICENCE = "Apache-2.0"


@dataclass(frozen=True)
class Contents:
    """What is in an image's /opt/pressbox, read from a copy of that folder."""

    issued: dict
    files: dict[str, str]
    inputs: dict[str, str]

    @classmethod
    def read(cls, folder: Path) -> "Contents":
        """Raises PressboxError if the folder is not that of an image."""
        try:
            issued, files = (
                json.loads((folder / name).read_bytes())
                for name in (passport.PASSPORT, passport.FILES)
            )
            inputs = passport.parsed_sums((folder / passport.INPUTS).read_bytes())
        except (OSError, ValueError) as error:
            raise PressboxError(f"the image has no passport ({error})", "build it anew") from error
        return cls(issued, files, inputs)

    @property
    def digest(self) -> str:
        """Of the environment."""
        return passport.digest(passport.canonical(self.issued))

    @property
    def architecture(self) -> str:
        return self.issued["architecture"]


@dataclass(frozen=True)
class Origin:
    """What an image was made of. inputs: ``sha256:<hex>``, as scripts/lib/image.sh counts it.

    base: name and digest of the image below it. commit, uri: of the checkout.
    """

    inputs: str
    base: tuple[str, str]
    commit: str
    uri: str | None

    def annotations(self) -> dict[str, str]:
        """In the OCI's own words (image-spec 1.1, annotations.md)."""
        told = {
            "title": "pressbox",
            "version": __version__,
            "revision": self.commit,
            "licenses": LICENCE,
            "base.name": self.base[0],
            "base.digest": self.base[1],
        }
        if self.uri:
            told["source"] = self.uri.removeprefix("git+")
        return {f"{ANNOTATION}.{name}": value for name, value in told.items()}


def origin(inputs: str, base: str) -> Origin:
    """What the image of this checkout is made of. base: ``name@sha256:<hex>``.

    Raises PressboxError unless the inputs are those of a commit.
    """
    contents = Contents.read(passport.FOLDER)
    sources = {path: (ROOT / path).read_bytes() for path in contents.inputs}
    commit, uri = code.commit_of(sources)
    name, _, digest = base.rpartition("@")
    return Origin(inputs, (name, digest), commit, uri)


def publish(
    saved: IO[bytes],
    contents: Contents,
    made: Origin,
    registry: Registry,
    key: SigningKey,
    folder: Path,
) -> tuple[Published, str]:
    """Send an image and what is said about it to the registry, and write that into the lock.

    saved: what an engine saved. contents: of that image. key: signs the statement. folder: an empty
    one, with room for the image. Also returns where builders find the cache of it, or nothing if
    none was saved: ``name:tag@digest``. The index has the images of the same inputs that the lock
    has for other architectures. Raises PressboxError, and Drifted unless the environment is
    accepted.
    """
    architecture = contents.architecture
    if contents.digest not in lock.digests(lock.read()):
        raise Drifted(
            f"the environment of the image for {architecture} is not an accepted one",
            "look at what has changed, then run scripts/doctor.sh --accept",
        )
    note(f"compressing the image for {architecture}")
    layout = oci.write_layout(saved, folder, annotations=made.annotations())
    if layout.platform.get("architecture") != ARCHITECTURES.get(architecture):
        raise PressboxError("the image is not one of its passport's architecture", "build it anew")
    note(f"sending it to {registry.name}")
    for blob in (*layout.layers, layout.config):
        registry.push_blob(layout.path(blob), blob)
    registry.push_manifest(layout.path(layout.manifest).read_bytes(), oci.MANIFEST_TYPE)
    subject = layout.manifest.descriptor()
    signed = gnupg.clear_sign(
        key, _line(_statement(registry.name, layout.manifest.digest, contents, made)) + b"\n"
    )
    bill = _bill(f"{registry.name}@{layout.manifest.digest}", contents)
    registry.attach(subject, BILL_ARTIFACT, bill, BILL_ARTIFACT)
    registry.attach(subject, STATEMENT_ARTIFACT, signed, CLEAR_SIGNED)
    images = {
        **_others(registry.name, made),
        architecture: Image(layout.manifest.digest, contents.digest),
    }
    index = _index(registry, images, made)
    registry.push_manifest(index, oci.INDEX_TYPE)
    registry.push_manifest(index, oci.INDEX_TYPE, _number(made))
    published = Published(registry.name, made.inputs, passport.digest(index), images)
    lock.publish(published)
    return published, _push_cache(registry, layout, made)


def _push_cache(registry: Registry, layout: oci.Layout, made: Origin) -> str:
    """Push the image's layers under the configuration that has BuildKit's cache; where it is.

    It is not in the image itself, whose configuration depends on nothing but the inputs.
    """
    if layout.cache is None:
        return ""
    manifest = json.loads(layout.path(layout.manifest).read_bytes())
    manifest["config"] = registry.push_content(layout.cache, oci.CONFIG_TYPE)
    packed = json.dumps(manifest).encode()
    tag = f"cache-{layout.platform['architecture']}-{_number(made)}"
    registry.push_manifest(packed, oci.MANIFEST_TYPE, tag)
    return f"{registry.name}:{tag}@{passport.digest(packed)}"


def _number(made: Origin) -> str:
    """The number of the inputs, as tags have it."""
    return made.inputs.removeprefix("sha256:")[:12]


def _bill(image: str, contents: Contents) -> bytes:
    """The bill of materials of the image. image: ``name@sha256:<hex>``."""
    bill = documents.of_environment(contents.issued, contents.digest, code.current(), image)
    return json.dumps(bill, indent=1).encode()


def _others(name: str, made: Origin) -> dict[str, Image]:
    """What the lock has already of the same inputs, in the same place."""
    before = lock.read_published()
    if not before or (before.name, before.inputs) != (name, made.inputs):
        return {}
    return dict(before.images)


def _index(registry: Registry, images: Mapping[str, Image], made: Origin) -> bytes:
    """The index of the images, of which the registry has each."""
    entries = []
    for architecture, image in sorted(images.items()):
        manifest = registry.manifest(image.digest)
        if manifest is None:
            raise PressboxError(
                f"the registry no longer has the image for {architecture} that the lock names",
                "take it out of the lock (git checkout), and publish for each architecture again",
            )
        blob = oci.Blob(oci.MANIFEST_TYPE, image.digest, len(manifest))
        platform = {"architecture": ARCHITECTURES[architecture], "os": "linux"}
        entries.append(blob.descriptor(platform=platform))
    return oci.index(entries, made.annotations())


def _statement(name: str, digest: str, contents: Contents, made: Origin) -> dict:
    """An in-toto statement about the image, with SLSA's predicate of how it was built."""
    repository: dict = {"name": "code", "digest": {"gitCommit": made.commit}}
    if made.uri:
        repository["uri"] = made.uri
    return {
        "_type": STATEMENT_TYPE,
        "subject": [{"name": name, "digest": _sha256(digest)}],
        "predicateType": PREDICATE_TYPE,
        "predicate": {
            "buildDefinition": {
                "buildType": BUILD_TYPE,
                "externalParameters": {"inputs": made.inputs},
                "internalParameters": {"architecture": contents.architecture},
                "resolvedDependencies": [
                    repository,
                    {"name": "base", "uri": made.base[0], "digest": _sha256(made.base[1])},
                    *(
                        {"name": path, "digest": {"sha256": sha256}}
                        for path, sha256 in sorted(contents.inputs.items())
                    ),
                ],
            },
            "runDetails": {
                "builder": {"id": BUILDER, "version": {"pressbox": __version__}},
                "metadata": {"finishedOn": datetime.now(UTC).strftime("%Y-%m-%dT%H:%M:%SZ")},
                "byproducts": [{"name": "environment", "digest": _sha256(contents.digest)}],
            },
        },
    }


def _line(statement: dict) -> bytes:
    return json.dumps(statement, separators=(",", ":")).encode()


def _sha256(digest: str) -> dict[str, str]:
    return {"sha256": digest.removeprefix("sha256:")}


def verify(registry: Registry, digest: str, contents: Contents) -> str:
    """Check that a trusted signer says of the image what it says of itself; who that is, in words.

    digest: of its manifest. Raises NotTrusted if there is no such statement.
    """
    refusal = NotTrusted(Reason.METADATA, "nobody has signed a statement about this image")
    for signed in registry.attached(digest, STATEMENT_ARTIFACT):
        try:
            return _verified(signed, digest, contents)
        except NotTrusted as error:
            refusal = error
    raise refusal


def _verified(signed: bytes, digest: str, contents: Contents) -> str:
    line = signed_line(signed)
    signers = trusted_signers()
    armoured = {fingerprint: signer.armoured for fingerprint, signer in signers.items()}
    signature = gnupg.verify(signed, line, armoured)
    signer = signers[signature.key.fingerprint]
    if signer.retired:
        raise NotTrusted(Reason.EXPIRED, f"its signer retired on {signer.until}")
    try:
        stated = json.loads(line)
        subjects = [subject["digest"] for subject in stated["subject"]]
        predicate = stated["predicate"]
        environments = [entry["digest"] for entry in predicate["runDetails"]["byproducts"]]
        named = {
            entry["name"]: entry["digest"].get("sha256")
            for entry in predicate["buildDefinition"]["resolvedDependencies"]
        }
    except (AttributeError, LookupError, TypeError, ValueError) as error:
        raise NotTrusted(Reason.STATEMENT, "what was signed is no statement") from error
    if subjects != [_sha256(digest)] or environments != [_sha256(contents.digest)]:
        raise NotTrusted(Reason.STATEMENT, "the statement is about another image")
    if any(named.get(path) != sha256 for path, sha256 in contents.inputs.items()):
        raise NotTrusted(Reason.STATEMENT, "the statement names other inputs")
    if signature.key.fingerprint == DEMO:
        return "the published demo key: anybody could have signed it"
    return signature.key.user_id


def differences(published: Contents, built: Contents) -> list[str]:
    """How an image that was built anew differs from the published one, in words."""
    found = drift.differences(published.issued, built.issued, (published.files, built.files))
    if not found and published != built:
        found = ["their passports are the same, but not their lists of files or inputs"]
    return found
