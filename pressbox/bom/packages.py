"""The packages of a passport as components: what they are, what they were installed from, and who
needs whom."""

# The library's decorators keep from pyright what its classes take and have.
# pyright: reportArgumentType=false, reportAttributeAccessIssue=false, reportCallIssue=false

import json
from collections.abc import Iterable, Mapping

from cyclonedx.model import HashAlgorithm, HashType, Property
from cyclonedx.model.bom import Bom
from cyclonedx.model.component import Component, ComponentType, Pedigree
from cyclonedx.model.contact import OrganizationalEntity
from cyclonedx.model.dependency import Dependency
from packageurl import PackageURL

from pressbox.bom import installed, locks
from pressbox.bom.installed import Installed
from pressbox.bom.locks import Archive

# What third_party/special_k makes anew, of the wheel of its authors.
REPACKAGED = "special-k"


def sha256(value: str) -> HashType:
    """A hash of CycloneDX. value: ``<hex>`` or ``sha256:<hex>``."""
    return HashType(alg=HashAlgorithm.SHA_256, content=value.removeprefix("sha256:"))


def properties(facts: Mapping[str, object]) -> list[Property]:
    """Facts that CycloneDX has no word for, those that are not known left out."""
    return [
        Property(
            name=f"pressbox:{name}", value=value if isinstance(value, str) else json.dumps(value)
        )
        for name, value in facts.items()
        if value is not None
    ]


Found = dict[str, tuple[Component, tuple[str, ...] | None]]


class Packages:
    """The packages of a passport.

    components: one for each. needs: of each whose needs are known, the ones that it needs.
    """

    def __init__(self, issued: dict):
        self.components: list[Component] = []
        self.needs: list[tuple[Component, list[Component]]] = []
        self._add(_debian(issued))
        self._add(_python(issued))

    def _add(self, found: Found) -> None:
        for component, needs in found.values():
            self.components.append(component)
            if needs is not None:
                there = [found[name][0] for name in needs if name in found]
                self.needs.append((component, there))

    def enter(self, bom: Bom, environment: Component) -> None:
        """Add the components to the bill, who needs whom, and that the environment has them all."""
        bom.components.update(self.components)
        bom.dependencies.add(needing(environment, self.components))
        bom.dependencies.update(needing(*each) for each in self.needs)


def needing(component: Component, others: Iterable[Component]) -> Dependency:
    """That a component needs the others: an entry of a bill's graph."""
    # Bom.register_dependency takes time that grows with the square of their number.
    return Dependency(component.bom_ref, [Dependency(each.bom_ref) for each in others])


def _debian(issued: dict) -> Found:
    archives, here = locks.debian(issued["architecture"]), installed.debian()
    distribution = issued["base"].replace(" ", "-")
    found: Found = {}
    for name, version in issued["debian_packages"].items():
        archive = archives.get((name, version), Archive())
        known = here.get((name, version), Installed())
        qualifiers = {
            "arch": archive.architecture,
            "distro": distribution,
            "upstream": known.source,
        }
        told = {key: value for key, value in qualifiers.items() if value}
        purl = PackageURL("deb", "debian", name, version, told)
        component = _component(purl, archive, known.licences)
        component.supplier = OrganizationalEntity(name="Debian")
        found[name] = component, known.needs
    return found


def _python(issued: dict) -> Found:
    archives, here = locks.python(issued), installed.python()
    found: Found = {}
    for name, said in issued["python_packages"].items():
        version = said["version"]
        archive = archives.get((name, version), Archive())
        known = here.get((name, version), Installed())
        purl = PackageURL("pypi", None, name, version)
        component = _component(purl, archive, known.licences)
        facts = {"archive": archive.file, "installed-files": said["files"]}
        component.properties.update(properties(facts))
        if name == REPACKAGED:
            upstream = _component(purl, locks.special_k(version), known.licences)
            upstream.bom_ref.value = f"{purl}#upstream"
            component.pedigree = Pedigree(
                ancestors=[upstream],
                notes="Its code is unchanged. Its requirements are those it runs on today.",
            )
        found[name] = component, archive.needs
    return found


def _component(purl: PackageURL, archive: Archive, licences: Iterable) -> Component:
    return Component(
        type=ComponentType.LIBRARY,
        name=purl.name,
        version=purl.version,
        bom_ref=purl.to_string(),
        purl=purl,
        hashes=[sha256(archive.sha256)] if archive.sha256 else [],
        licenses=licences,
    )
