"""Verifying, showing, comparing and replaying models."""

import sys
from argparse import Namespace
from pathlib import Path

from pressbox.cli import options, output
from pressbox.errors import Drifted, NotTrusted, PressboxError, UsageError


def add_commands(commands: options.Commands) -> None:
    options.add_model_command(commands, verify)
    sub = options.add_model_command(commands, show, needed=False)
    forms = sub.add_mutually_exclusive_group()
    forms.add_argument(
        "--statement", action="store_true", help="the in-toto statement itself, as JSON"
    )
    forms.add_argument(
        "--sbom",
        action="store_true",
        help="its bill of materials, CycloneDX as JSON; without a model, that of this environment",
    )
    forms.add_argument(
        "--html", metavar="FILE", type=Path, help="write its page there (default: nowhere)"
    )
    sub.add_argument(
        "--image",
        metavar="REGISTRY/NAME@DIGEST",
        default="",
        help="with --sbom and no model: where this environment is published (default: nowhere)",
    )
    sub = options.add_command(commands, compare)
    sub.add_argument("before", metavar="A", type=Path, help="e.g. models/sports.tar.gz")
    sub.add_argument("after", metavar="B", type=Path, help="another model")
    options.json_option(sub)
    options.trusted_option(sub)
    sub = options.add_model_command(commands, replay)
    sub.add_argument(
        "--data", metavar="PATH", help="where its source is now (default: where it was)"
    )
    sub.add_argument(
        "--test", metavar="PATH", help="where its test source is now (default: where it was)"
    )
    sub.add_argument(
        "--demo", action="store_true", help="even a model of the demo key, which everybody has"
    )


def verify(arguments: Namespace) -> None:
    """Say who signed a model, and whether every byte of it holds."""
    from pressbox.sealing import tarball

    try:
        facts = tarball.describe(arguments.model, arguments.trusted, options.policy(arguments))
    except NotTrusted as refusal:
        if arguments.json:
            verdict = f"NOT TRUSTED: {refusal.what}"
            said = {"trusted": False, "reason": refusal.reason, "detail": str(refusal)}
            output.say_json({"verdict": verdict, **said})
        raise
    verdict = {"verdict": facts.pop("verdict")}
    output.say_facts({**verdict, "trusted": True, "reason": "ok", **facts}, arguments.json)


def show(arguments: Namespace) -> None:
    """Say what a model is, how good, and what it was made of."""
    from pressbox.sealing import tarball

    if arguments.image and (arguments.model or not arguments.sbom):
        raise UsageError(
            "--image is for the bill of an environment", "give --sbom with it, and no model"
        )
    if not arguments.model:
        if not arguments.sbom:
            raise UsageError("no model was named", "name one, e.g. models/sports.tar.gz")
        output.say_json(_environment_bill(arguments.image))
        return
    model = tarball.verify(arguments.model, arguments.trusted, options.policy(arguments))
    if arguments.html:
        from pressbox.runs.publishing import write_page

        write_page(model, arguments.html)
    elif arguments.statement:
        output.say_json(model.statement.content)
    elif arguments.sbom:
        from pressbox.bom import documents

        output.say_json(documents.of_model(model.facts, model.statement, model.kind))
    else:
        output.say_facts(model.facts.as_json(), arguments.json)


def _environment_bill(image: str) -> dict:
    """The bill of the environment that is running, which has to be the one that was built."""
    from pressbox.bom import documents
    from pressbox.environment import drift
    from pressbox.provenance import code

    here = drift.current()
    if here.passport is None or here.differences:
        raise Drifted(
            "the bill of materials would not be that of what runs here:"
            f" {drift.shortened(here.differences)}",
            "rebuild the container, or run scripts/pressbox.sh show --sbom on the host",
        )
    return documents.of_environment(here.passport, here.digest, code.current(), image)


def compare(arguments: Namespace) -> None:
    """Say how two models differ, in words; exit 1 if their numbers do."""
    from pressbox.runs import comparison
    from pressbox.sealing import tarball

    paths = (arguments.before, arguments.after)
    one, other = (tarball.verify(path, arguments.trusted) for path in paths)
    digest = other.facts.model_digest
    identical = digest == one.facts.model_digest
    _print_differences(identical, digest, comparison.compare(one, other), arguments.json)


def replay(arguments: Namespace) -> None:
    """Train a model again from what it says it was made of; exit 1 unless it is the same."""
    from pressbox.runs.replay import replay

    given = {"source": arguments.data, "test": arguments.test}
    sources = {purpose: path for purpose, path in given.items() if path}
    policy = options.policy(arguments)
    result = replay(arguments.model, arguments.trusted, policy, sources, demo=arguments.demo)
    _print_differences(result.identical, result.digest, result.differences, arguments.json)


def _print_differences(identical: bool, digest: str, differences: dict, as_json: bool) -> None:
    if as_json:
        facts = {"identical": identical, "model_digest": digest, "differences": differences}
        output.say_json(facts)
    else:
        output.say(f"identical {digest}" if identical else "different")
        if not identical and not differences["metrics"]:
            output.say(f"{'metrics':13}unchanged")
        for subject, lines in differences.items():
            for line in lines:
                output.say(f"{subject:13}{line}", indent=13)
    if not identical:
        sys.exit(PressboxError.exit_status)
