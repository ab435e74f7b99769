"""The bills of materials themselves: CycloneDX 1.6, the same bytes each time.

https://cyclonedx.org/docs/1.6/json/
"""

# The library's decorators keep from pyright what its classes take and have.
# pyright: reportArgumentType=false, reportAttributeAccessIssue=false, reportCallIssue=false

import json
import re
from collections.abc import Iterable
from datetime import UTC, datetime
from uuid import NAMESPACE_URL, uuid5

from cyclonedx.model import ExternalReference, ExternalReferenceType, XsUri
from cyclonedx.model.bom import Bom, BomMetaData
from cyclonedx.model.component import Component, ComponentType
from cyclonedx.model.tool import ToolRepository
from cyclonedx.output.json import JsonV1Dot6
from packageurl import PackageURL

from pressbox import __version__
from pressbox.bom import card
from pressbox.bom.locks import ARCHITECTURES
from pressbox.bom.packages import Packages, needing, properties, sha256
from pressbox.environment.drift import UNKNOWN
from pressbox.errors import UsageError, reading_model
from pressbox.provenance.code import Code
from pressbox.provenance.statement import Facts, Statement

NAMESPACE = uuid5(NAMESPACE_URL, "https://pressbox.example/bom")
# Where an image has been published.
IMAGE = re.compile(r"([a-z0-9][\w.:/-]*/[a-z0-9._-]+)@(sha256:[0-9a-f]{64})", re.ASCII)


def of_environment(issued: dict, digest: str, code: Code, image: str = "") -> dict:
    """The bill of an environment, a JSON object.

    issued, digest: its passport, and ``sha256:<hex>`` of it. code: of this checkout. image: where
    it has been published, ``REGISTRY/NAME@sha256:<hex>``. Raises UsageError if that is none.
    """
    moment = datetime.fromtimestamp(int(issued["variables"]["SOURCE_DATE_EPOCH"]), UTC)
    environment = _environment(issued, digest)
    if image:
        environment.purl = _published(image, issued["architecture"])
    if code.uri and code.commit != UNKNOWN and not code.dirty:
        environment.external_references.add(_repository(code.uri, code.commit))
    packages = Packages(issued)
    bom = _bom(environment, moment)
    packages.enter(bom, environment)
    return _identified(_content(bom, packages))


@reading_model("has no bill of materials")
def of_model(facts: Facts, statement: Statement, kind: tuple[str, str]) -> dict:
    """The bill of a verified model, a JSON object: what it says itself, and what is known of that.

    kind: module and name of its class. Raises NotTrusted if it holds what no bill can be made of.
    """
    issued = statement.annotations("environment").get("passport")
    packages = Packages(issued) if issued else None
    model = Component(
        type=ComponentType.MACHINE_LEARNING_MODEL,
        name=facts.name,
        bom_ref="model",
        hashes=[sha256(facts.model_digest)],
        external_references=[_attestation(facts.name)],
        properties=properties({"signer": facts.signer.fingerprint, "release": facts.release}),
    )
    environment = _environment(issued, statement.environment_digest, statement.drift)
    parts = [environment, _data(statement), _code(statement)]
    bom = _bom(model, datetime.fromisoformat(facts.sealed_at))
    bom.components.update(parts)
    bom.dependencies.add(needing(model, parts))
    if packages:
        packages.enter(bom, environment)
    content = card.completed(_content(bom, packages), facts, statement, kind)
    return _identified(content)


def _bom(component: Component, moment: datetime) -> Bom:
    tool = Component(type=ComponentType.APPLICATION, name="pressbox", version=__version__)
    tools = ToolRepository(components=[tool])
    return Bom(metadata=BomMetaData(timestamp=moment, tools=tools, component=component))


def _environment(issued: dict | None, digest: str, drift: Iterable[str] | None = None) -> Component:
    return Component(
        type=ComponentType.CONTAINER,
        name="pressbox",
        bom_ref="environment",
        version=digest,
        hashes=[sha256(digest)] if digest != UNKNOWN else [],
        properties=properties(
            {
                "architecture": issued and issued["architecture"],
                "base": issued and issued["base"],
                "drift": "; ".join(drift) if drift else None,
            }
        ),
    )


def _published(image: str, architecture: str) -> PackageURL:
    """https://github.com/package-url/purl-spec/blob/main/types/oci-definition.json"""
    parts = IMAGE.fullmatch(image)
    if not parts:
        raise UsageError(
            f"{image!r} does not say where an image has been published",
            "give REGISTRY/NAME@sha256:DIGEST",
        )
    repository, digest = parts.groups()
    qualifiers = {"repository_url": repository, "arch": ARCHITECTURES.get(architecture, "")}
    return PackageURL("oci", None, repository.rpartition("/")[2], digest, qualifiers)


def _repository(uri: str, commit: str) -> ExternalReference:
    return ExternalReference(type=ExternalReferenceType.VCS, url=XsUri(f"{uri}@{commit}"))


def _attestation(name: str) -> ExternalReference:
    return ExternalReference(
        type=ExternalReferenceType.ATTESTATION,
        url=XsUri(f"{name}.tar.gz"),
        comment="in-toto Statement v1 with SLSA Provenance v1, signed: pressbox show --statement",
    )


def _data(statement: Statement) -> Component:
    return Component(
        type=ComponentType.DATA,
        name=statement.source,
        bom_ref="data",
        hashes=[sha256(statement.data_digest)],
        properties=properties({"test-source": statement.parameters.get("test") or None}),
    )


def _code(statement: Statement) -> Component:
    said, revision = statement.annotations("code"), statement.code
    files = [
        Component(
            type=ComponentType.FILE, name=path, bom_ref=f"code/{path}", hashes=[sha256(digest)]
        )
        for path, digest in said.get("files", {}).items()
    ]
    known = revision.commit != UNKNOWN
    component = Component(
        type=ComponentType.APPLICATION,
        name=said.get("script") or "code",
        bom_ref="code",
        version=revision.commit if known else None,
        components=files,
        properties=properties({"dirty": revision.dirty}),
    )
    uri = statement.dependency("code").get("uri")
    if uri and known:
        component.external_references.add(_repository(uri, revision.commit))
    return component


def _content(bom: Bom, packages: Packages | None) -> dict:
    """What the library writes, as far as it is known."""
    content = json.loads(JsonV1Dot6(bom).output_as_string())
    # An entry without dependsOn means: it needs nothing. The library writes one for whatever has no
    # entry, even if nothing is known of it.
    known = {component.bom_ref.value for component, _ in packages.needs} if packages else set()
    content["dependencies"] = [
        each for each in content["dependencies"] if "dependsOn" in each or each["ref"] in known
    ]
    return content


def _identified(content: dict) -> dict:
    """The bill with a serial number that is a function of the rest."""
    rest = {name: value for name, value in content.items() if name != "serialNumber"}
    serial = uuid5(NAMESPACE, json.dumps(rest, sort_keys=True))
    return {**content, "serialNumber": serial.urn}
