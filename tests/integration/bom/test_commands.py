"""python -m pressbox show --sbom, and what it is not."""

import json
import subprocess
import sys

import pytest
from cyclonedx.schema import SchemaVersion
from cyclonedx.validation.json import JsonStrictValidator
from support.hostile import stated_anew
from support.processes import assert_refused, python

from pressbox.environment import drift
from pressbox.sealing import tarball

IMAGE = "registry.example/desk/pressbox@sha256:" + "a" * 64


def show(*arguments, **options):
    return python("-m", "pressbox", "show", *arguments, **options)


def bill(done):
    assert (done.returncode, done.stderr) == (0, "")
    assert JsonStrictValidator(SchemaVersion.V1_6).validate_str(done.stdout) is None
    return json.loads(done.stdout)


def test_the_environment_that_runs_has_a_bill_the_same_each_time():
    first, again = show("--sbom"), show("--sbom", "--json")
    component = bill(first)["metadata"]["component"]
    assert component["version"] == drift.current().digest
    assert first.stdout == again.stdout


def test_the_bill_names_where_the_environment_was_published():
    component = bill(show("--sbom", "--image", IMAGE))["metadata"]["component"]
    assert component["purl"].startswith("pkg:oci/pressbox@sha256:")


def test_a_model_has_a_bill_of_what_it_was_made_of(earlier):
    component = bill(show(earlier, "--sbom"))["metadata"]["component"]
    digest = tarball.verify(earlier).facts.model_digest
    assert component["type"] == "machine-learning-model"
    assert f"sha256:{component['hashes'][0]['content']}" == digest


def test_a_model_that_is_not_trusted_has_no_bill(earlier):
    content = bytearray(earlier.read_bytes())
    content[len(content) // 2] ^= 1
    earlier.write_bytes(content)
    done = show(earlier, "--sbom")
    assert_refused(done, 3, "not trusted")
    assert done.stdout == ""


def test_a_model_that_was_not_asked_for_has_no_bill(earlier):
    assert_refused(show(earlier, "--sbom", "--name", "other"), 3, "not trusted (policy)")


def test_a_passport_that_is_none_makes_no_bill_and_one_line(earlier):
    def edit(statement):
        for each in statement["predicate"]["buildDefinition"]["resolvedDependencies"]:
            if each["name"] == "environment":
                each["annotations"]["passport"] = {"debian_packages": 7}

    earlier.write_bytes(stated_anew(earlier, edit))
    done = show(earlier, "--sbom")
    assert_refused(done, 3, "it has no bill of materials")
    assert done.stdout == ""


def test_an_environment_that_has_drifted_has_no_bill():
    done = show("--sbom", env={"OMP_NUM_THREADS": "2"})
    assert_refused(done, 4, "variable OMP_NUM_THREADS is 2, not 1")
    assert done.stdout == ""


@pytest.mark.parametrize(
    ("arguments", "saying"),
    [
        ([], "no model was named"),
        (["--json"], "no model was named"),
        (["--image", IMAGE], "--image is for the bill of an environment"),
        (["model.tar.gz", "--sbom", "--image", IMAGE], "--image is for the bill of an environment"),
        (["--sbom", "--image", "pressbox:latest"], "give REGISTRY/NAME@sha256:DIGEST"),
        (["model.tar.gz", "--sbom", "--statement"], "not allowed with argument"),
    ],
)
def test_wrong_usage_is_said_in_one_line(arguments, saying):
    done = show(*arguments)
    assert_refused(done, 2, saying)
    assert done.stdout == ""


def test_no_other_command_waits_for_the_library(earlier):
    program = (
        "import sys; from pressbox.cli.main import main; import pressbox.runs.publishing\n"
        f"for command in ('verify', 'show', 'predict'): main([command, {str(earlier)!r}])\n"
        "print(*sys.modules)"
    )
    done = subprocess.run(
        [sys.executable, "-c", program], input="a wicket\n", capture_output=True, text=True
    )
    assert done.returncode == 0, done.stderr
    loaded = done.stdout.splitlines()[-1].split()
    assert "pressbox.sealing.tarball" in loaded
    assert not {"cyclonedx", "packageurl", "pressbox.bom"} & set(loaded)
