"""PEP 517 backend: the upstream wheel of special_k 0.1.1 with truthful requirements.

Upstream declares the versions of 2020 (numpy<2, pandas<0.26, gpg==1.10.0), which no Python of
today can install, though its code runs unchanged on current ones. This backend downloads the
upstream wheel, pinned by its SHA-256, and replaces nothing but the requirement lines in METADATA.
``gpg`` is left out of them: the binding has to match the system's libgpgme, and comes with it.
"""

import base64
import hashlib
import io
import subprocess
import sys
import tempfile
import tomllib
import zipfile
from pathlib import Path

WHEEL = "special_k-0.1.1-py3-none-any.whl"
WHEEL_SHA256 = "a927334457320138d0ca6599c9320d33e3118a169a297e07ba8d8f0f10862c10"
DIST_INFO = "special_k-0.1.1.dist-info"
REPLACED = ("Requires-Dist:", "Requires-Python:", "Provides-Extra:")


def _download(folder: Path) -> bytes:
    pin = folder / "pin.txt"
    pin.write_text(f"special-k==0.1.1 --hash=sha256:{WHEEL_SHA256}\n")
    pip = [sys.executable, "-m", "pip", "download", "--quiet", "--no-deps", "--require-hashes"]
    subprocess.run([*pip, "--dest", folder, "--requirement", pin], check=True)
    content = (folder / WHEEL).read_bytes()
    if hashlib.sha256(content).hexdigest() != WHEEL_SHA256:
        raise RuntimeError(f"{WHEEL} is not the one that was reviewed")
    return content


def _metadata(upstream: str) -> str:
    project = tomllib.loads((Path(__file__).parent / "pyproject.toml").read_text())["project"]
    headers, _, body = upstream.partition("\n\n")
    lines = [line for line in headers.splitlines() if not line.startswith(REPLACED)]
    lines.append(f"Requires-Python: {project['requires-python']}")
    lines += [f"Requires-Dist: {requirement}" for requirement in project["dependencies"]]
    return "\n".join(lines) + "\n\n" + body


def _record_line(name: str, content: bytes) -> str:
    digest = base64.urlsafe_b64encode(hashlib.sha256(content).digest()).rstrip(b"=").decode()
    return f"{name},sha256={digest},{len(content)}"


def build_wheel(wheel_directory, config_settings=None, metadata_directory=None):
    """Write the repackaged wheel, the same bytes each time, and return its file name."""
    with tempfile.TemporaryDirectory() as folder:
        upstream = zipfile.ZipFile(io.BytesIO(_download(Path(folder))))
    files = {info.filename: upstream.read(info) for info in upstream.infolist()}
    name = f"{DIST_INFO}/METADATA"
    files[name] = _metadata(files[name].decode()).encode()
    record = f"{DIST_INFO}/RECORD"
    del files[record]
    lines = [_record_line(name, content) for name, content in files.items()]
    files[record] = "\n".join([*lines, f"{record},,", ""]).encode()
    with zipfile.ZipFile(Path(wheel_directory, WHEEL), "w", zipfile.ZIP_DEFLATED) as wheel:
        for name, content in files.items():
            info = zipfile.ZipInfo(name)
            info.external_attr = 0o644 << 16
            wheel.writestr(info, content, zipfile.ZIP_DEFLATED)
    return WHEEL


def build_sdist(sdist_directory, config_settings=None):
    """Refuse: this folder exists to be installed from, not to be published."""
    raise RuntimeError("special_k is published by Kensho; this only repackages its wheel")
