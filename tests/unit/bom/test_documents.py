"""The bills of materials of an environment and of a model."""

import contextlib
import copy
import json

import pytest
from cyclonedx.schema import SchemaVersion
from cyclonedx.validation.json import JsonStrictValidator
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st
from packageurl import PackageURL
from support import ROOT
from support.models import stated, with_byproducts
from support.strategies import replaced

from pressbox.bom import documents, installed, locks
from pressbox.errors import NotTrusted, UsageError
from pressbox.provenance.code import Code
from pressbox.provenance.statement import Statement

KIND = ("pressbox.classifier", "SportClassifier")
COMMIT = "c" * 40
DIGEST = "sha256:" + "e" * 64


def wrong(bill):
    """What the schema of the standard finds wrong with the bill; None if it is right."""
    return JsonStrictValidator(SchemaVersion.V1_6).validate_str(json.dumps(bill))


def by_ref(bill):
    listed = {each["bom-ref"]: each for each in bill["components"]}
    assert len(listed) == len(bill["components"])
    return {**listed, bill["metadata"]["component"]["bom-ref"]: bill["metadata"]["component"]}


def graph(bill):
    return {each["ref"]: each.get("dependsOn", []) for each in bill["dependencies"]}


def sha256(component):
    (found,) = component["hashes"]
    assert found["alg"] == "SHA-256"
    return f"sha256:{found['content']}"


def told(component):
    return {each["name"]: each["value"] for each in component.get("properties", [])}


@pytest.fixture(scope="module")
def environment(issued):
    code = Code({}, "train.py", COMMIT, False, "git+https://example.org/desk.git")
    return documents.of_environment(issued, DIGEST, code)


@pytest.fixture(scope="module")
def statement(model, corpus, details):
    metrics = {"accuracy": 0.9, "macro_f1": 0.8, "rows": 7}
    content = stated("small", model.digest, corpus, metrics)
    return with_byproducts(content, evaluation=details)


@pytest.fixture(scope="module")
def bill(facts, statement):
    return documents.of_model(facts, statement, KIND)


def test_both_bills_are_valid_by_the_schema(environment, bill):
    assert wrong(environment) is None
    assert wrong(bill) is None
    assert {environment["specVersion"], bill["specVersion"]} == {"1.6"}


@pytest.mark.parametrize(
    "spoil",
    [
        lambda bill: bill["metadata"]["component"].update(modelCard={"card": {}}),
        lambda bill: bill["metadata"]["component"]["hashes"][0].update(content="none"),
        lambda bill: bill["components"][0].pop("name"),
        lambda bill: bill.update(serialNumber="1"),
    ],
)
def test_the_schema_finds_what_is_wrong(spoil, bill):
    bill = copy.deepcopy(bill)
    spoil(bill)
    assert wrong(bill) is not None


def test_every_package_of_the_passport_is_there_and_its_purl_can_be_read(environment, bill, issued):
    expected = {("deb", "debian", *each) for each in issued["debian_packages"].items()}
    expected |= {
        ("pypi", None, name, said["version"]) for name, said in issued["python_packages"].items()
    }
    for listed in (environment["components"], bill["components"]):
        packages = [each for each in listed if "purl" in each]
        purls = [PackageURL.from_string(each["purl"]) for each in packages]
        assert {(each.type, each.namespace, each.name, each.version) for each in purls} == expected
        for each, purl in zip(packages, purls, strict=True):
            assert (each["name"], each["version"]) == (purl.name, purl.version)
            if purl.type == "deb":
                assert purl.qualifiers["distro"] == issued["base"].replace(" ", "-")
                assert purl.qualifiers["arch"] in (
                    "all",
                    locks.ARCHITECTURES[issued["architecture"]],
                )


def test_the_hashes_are_those_of_the_locks_and_of_the_passport(environment, issued):
    archives = {"deb": locks.debian(issued["architecture"]), "pypi": locks.python(issued)}
    without = set()
    for each in environment["components"]:
        kind = PackageURL.from_string(each["purl"]).type
        archive = archives[kind].get((each["name"], each["version"]))
        if archive and archive.sha256:
            assert sha256(each) == f"sha256:{archive.sha256}"
        else:
            assert "hashes" not in each
            without.add(each["name"])
        if kind == "pypi":
            files = issued["python_packages"][each["name"]]["files"]
            assert told(each)["pressbox:installed-files"] == files
    assert without == {"gpg", "special-k"}


def test_what_was_made_anew_names_what_it_was_made_of(environment):
    (special_k,) = (each for each in environment["components"] if each["name"] == "special-k")
    (upstream,) = special_k["pedigree"]["ancestors"]
    pin = (ROOT / "third_party" / "special_k" / "repackage.py").read_text()
    assert sha256(upstream).removeprefix("sha256:") in pin
    assert locks.special_k("0.1.2") == locks.Archive()


def test_an_environment_is_an_image_with_its_digest_and_the_commit(environment, issued):
    component = environment["metadata"]["component"]
    assert (component["type"], component["version"], sha256(component)) == (
        "container", DIGEST, DIGEST
    )  # fmt: skip
    (reference,) = component["externalReferences"]
    assert (reference["type"], reference["url"]) == (
        "vcs", f"git+https://example.org/desk.git@{COMMIT}"
    )  # fmt: skip
    assert "purl" not in component
    assert graph(environment)["environment"] == sorted(
        each["bom-ref"] for each in environment["components"]
    )


def test_who_needs_whom_is_said_where_it_is_known(environment, issued):
    refs = {each["name"]: each["bom-ref"] for each in environment["components"] if "purl" in each}
    needs = graph(environment)
    pypi = {ref.split("@")[0].removeprefix("pkg:pypi/"): ref for ref in needs if "pypi" in ref}
    assert pypi["numpy"] in needs[pypi["pandas"]]
    assert refs["libssl3t64"] in needs[refs["openssl"]]
    assert needs[pypi["numpy"]] == []
    # Nobody says what Debian's Python package of this name needs.
    assert "pkg:pypi/gpg@" + issued["python_packages"]["gpg"]["version"] not in needs


@pytest.mark.parametrize("changed", [{"dirty": True}, {"uri": None}, {"commit": "unknown"}])
def test_a_commit_is_named_only_if_the_checkout_is_that_commit(changed, issued):
    known = {"commit": COMMIT, "dirty": False, "uri": "git+https://example.org/desk.git"}
    code = Code({}, "train.py", **{**known, **changed})
    bill = documents.of_environment(issued, DIGEST, code)
    assert "externalReferences" not in bill["metadata"]["component"]


def test_a_published_image_has_the_purl_of_its_registry(issued):
    image = f"registry.example:5000/desk/pressbox@{DIGEST}"
    bill = documents.of_environment(issued, DIGEST, Code({}, "train.py"), image)
    purl = PackageURL.from_string(bill["metadata"]["component"]["purl"])
    assert (purl.type, purl.name, purl.version) == ("oci", "pressbox", DIGEST)
    assert purl.qualifiers == {
        "repository_url": "registry.example:5000/desk/pressbox",
        "arch": locks.ARCHITECTURES[issued["architecture"]],
    }
    assert wrong(bill) is None


@pytest.mark.parametrize(
    "image", ["pressbox", f"pressbox@{DIGEST}", "a/b:latest", "a/b@sha256:12", f"a/b@{DIGEST}\n"]
)
def test_what_names_no_published_image_is_wrong_usage(image, issued):
    with pytest.raises(UsageError, match="REGISTRY/NAME@sha256:DIGEST"):
        documents.of_environment(issued, DIGEST, Code({}, "train.py"), image)


def test_the_same_bill_has_the_same_bytes_and_another_one_another_serial(
    environment, bill, issued, facts, statement
):
    code = Code({}, "train.py", COMMIT, False, "git+https://example.org/desk.git")
    assert json.dumps(documents.of_environment(issued, DIGEST, code)) == json.dumps(environment)
    assert json.dumps(documents.of_model(facts, statement, KIND)) == json.dumps(bill)
    other = documents.of_environment(issued, "sha256:" + "f" * 64, code)
    assert len({each["serialNumber"] for each in (environment, other, bill)}) == 3


def test_a_bill_is_as_old_as_what_it_describes(environment, bill, facts):
    epoch = environment["metadata"]["timestamp"]
    assert epoch == "2025-11-24T16:00:00+00:00"
    assert bill["metadata"]["timestamp"] == facts.sealed_at.replace("Z", "+00:00")


def test_a_models_bill_has_the_digests_of_its_statement(bill, facts, statement):
    parts = by_ref(bill)
    assert parts["model"]["type"] == "machine-learning-model"
    assert sha256(parts["model"]) == statement.model_digest
    assert sha256(parts["data"]) == statement.data_digest
    assert sha256(parts["environment"]) == statement.environment_digest
    files = {each["name"]: sha256(each) for each in parts["code"]["components"]}
    assert files == statement.annotations("code")["files"]
    assert graph(bill)["model"] == ["code", "data", "environment"]
    assert told(parts["model"])["pressbox:signer"] == facts.signer.fingerprint


def test_a_models_bill_lists_the_packages_of_its_own_passport(facts, statement):
    content = copy.deepcopy(statement.content)
    definition = content["predicate"]["buildDefinition"]
    (used,) = (each for each in definition["resolvedDependencies"] if each["name"] == "environment")
    issued = used["annotations"]["passport"]
    issued["debian_packages"] = {"git": "1:1.0-1"}
    issued["python_packages"] = {"numpy": {"version": "1.0", "files": DIGEST}}
    bill = documents.of_model(facts, Statement(content), KIND)
    packages = [each for each in bill["components"] if "purl" in each]
    assert [each["purl"] for each in packages] == [
        "pkg:deb/debian/git@1:1.0-1?distro=debian-13", "pkg:pypi/numpy@1.0"
    ]  # fmt: skip
    # Of other versions nothing is known, and nothing is guessed from those that are installed here.
    assert not any("hashes" in each or "licenses" in each for each in packages)
    assert wrong(bill) is None
    assert graph(bill).keys() == {"model", "environment"}


def test_the_card_says_what_the_model_is_and_how_good(bill, details):
    card = bill["metadata"]["component"]["modelCard"]
    parameters = card["modelParameters"]
    assert parameters["approach"] == {"type": "supervised"}
    assert parameters["datasets"] == [{"ref": "data"}]
    assert parameters["architectureFamily"] == "logistic regression over tf-idf"
    metrics = card["quantitativeAnalysis"]["performanceMetrics"]
    low, high = details["intervals"]["accuracy"]
    assert metrics[:2] == [
        {"type": "accuracy", "value": "0.9",
         "confidenceInterval": {"lowerBound": str(low), "upperBound": str(high)}},
        {**metrics[1], "type": "macro F1", "value": "0.8"},
    ]  # fmt: skip
    sliced = {(each["slice"], each["type"]): each["value"] for each in metrics if "slice" in each}
    assert sliced == {
        (label, called): str(scores[name])
        for label, scores in details["labels"].items()
        for called, name in (("precision", "precision"), ("recall", "recall"), ("F1", "f1"))
    }
    limits = card["considerations"]["technicalLimitations"]
    assert limits == ["It answers every text with one of these labels: cricket, golf, tennis."]
    risks = [each["name"] for each in card["considerations"]["ethicalConsiderations"]]
    assert f"It holds the beginnings of {len(details['mistakes'])} texts" in risks[1]


def test_the_data_are_a_dataset_for_training_and_one_for_evaluation(bill, corpus):
    sets = by_ref(bill)["data"]["data"]
    assert [(each["type"], each["name"]) for each in sets] == [
        ("dataset", "train"), ("dataset", "test")
    ]  # fmt: skip
    assert sets[0]["description"].startswith(f"{len(corpus.train)} texts for training: cricket ")


def test_of_a_class_of_ones_own_the_card_says_its_name_alone(facts, statement):
    bill = documents.of_model(facts, statement, ("pressbox.own.mine", "Mine"))
    parameters = bill["metadata"]["component"]["modelCard"]["modelParameters"]
    assert parameters["modelArchitecture"] == "pressbox.own.mine.Mine"
    assert "architectureFamily" not in parameters


def test_a_model_that_says_little_has_a_bill_that_says_little(facts, model, corpus):
    content = stated("small", model.digest, corpus)
    for each in content["predicate"]["buildDefinition"]["resolvedDependencies"]:
        if each["name"] == "environment":
            each.pop("digest")
            each["annotations"].pop("passport")
        if each["name"] == "data":
            each.pop("annotations")
    bill = documents.of_model(facts, Statement(content), KIND)
    assert wrong(bill) is None
    assert by_ref(bill).keys() == {"model", "code", "data", "environment"}
    assert bill["metadata"]["component"]["modelCard"]["quantitativeAnalysis"] == {
        "performanceMetrics": []
    }


@pytest.fixture(scope="module")
def known(issued):
    """What is known of packages, looked up once."""
    with pytest.MonkeyPatch.context() as patch:
        for module, name, argument in (
            (locks, "debian", (issued["architecture"],)),
            (locks, "python", (issued,)),
            (installed, "debian", ()),
            (installed, "python", ()),
        ):
            found = getattr(module, name)(*argument)
            patch.setattr(module, name, lambda *_, found=found: found)
        yield


@pytest.mark.usefixtures("known")
@settings(
    database=None,
    deadline=None,
    derandomize=True,
    max_examples=50,
    suppress_health_check=list(HealthCheck),
)
@given(data=st.data())
def test_whatever_a_signer_says_there_is_a_bill_or_a_refusal(facts, statement, data):
    small = copy.deepcopy(statement.content)
    for each in small["predicate"]["buildDefinition"]["resolvedDependencies"]:
        if each["name"] == "environment":
            said = each["annotations"]["passport"]
            said["debian_packages"] = {"libc6": said["debian_packages"]["libc6"]}
            said["python_packages"] = {"numpy": said["python_packages"]["numpy"]}
    changed = data.draw(replaced(json.dumps(small).encode()))
    try:
        said = Statement(json.loads(changed))
    except (KeyError, IndexError, TypeError, ValueError, AttributeError):
        return
    with contextlib.suppress(NotTrusted):
        json.dumps(documents.of_model(facts, said, KIND))
