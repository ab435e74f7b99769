"""What this environment is: its passport, and the digest of it.

The passport lists what can steer a training and nothing else: not the door, the user, the host or
the time. The same image therefore has the same passport through every door.
"""

import hashlib
import importlib.metadata
import json
import os
import platform
from pathlib import Path

# Variables that the image sets because they steer a training.
STEERING = (
    "LANG",
    "LC_ALL",
    "OMP_NUM_THREADS",
    "OPENBLAS_NUM_THREADS",
    "PYTHONHASHSEED",
    "PYTHONNOUSERSITE",
    "SOURCE_DATE_EPOCH",
    "TZ",
)
DPKG_STATUS = Path("/var/lib/dpkg/status")


def passport() -> dict:
    """Describe the running environment as a JSON object."""
    release = platform.freedesktop_os_release()
    return {
        "architecture": platform.machine(),
        "base": f"{release['ID']} {release.get('VERSION_ID', 'rolling')}",
        "debian_packages": _debian_packages(),
        "python": platform.python_version(),
        "python_packages": _python_packages(),
        "variables": {name: os.environ.get(name) for name in STEERING},
    }


def environment_digest() -> str:
    """``sha256:<hex>`` over the canonical JSON of the passport."""
    canonical = json.dumps(passport(), sort_keys=True, separators=(",", ":")).encode()
    return f"sha256:{hashlib.sha256(canonical).hexdigest()}"


def _debian_packages() -> dict[str, str]:
    """Name and version of each installed package; empty on a system without dpkg."""
    if not DPKG_STATUS.exists():
        return {}
    packages = {}
    for stanza in DPKG_STATUS.read_text().split("\n\n"):
        fields = dict(
            line.split(": ", 1)
            for line in stanza.splitlines()
            if line.startswith(("Package: ", "Version: ", "Status: "))
        )
        if fields.get("Status", "").endswith(" installed"):
            packages[fields["Package"]] = fields["Version"]
    return packages


def _python_packages() -> dict[str, dict]:
    """Version of each installed distribution, and the SHA-256 of its list of files (RECORD)."""
    packages = {}
    for distribution in importlib.metadata.distributions():
        record = distribution.read_text("RECORD")
        # Of two with one name, the first is the one that is imported.
        packages.setdefault(
            distribution.name,
            {
                "version": distribution.version,
                "record": record and hashlib.sha256(record.encode()).hexdigest(),
            },
        )
    return packages
