"""What surrounds each training: checks before it; evaluation, sealing and the page after it.

``begin`` comes before anything slow, ``Edition.publish`` comes last, in train.py and in notebooks
alike.
"""

from collections.abc import Callable, Iterator
from contextlib import contextmanager, nullcontext, suppress
from dataclasses import dataclass, replace
from datetime import UTC, datetime
from pathlib import Path
from threading import Thread

from pressbox.atomic import beside, try_replacing
from pressbox.console import doing, note, watched
from pressbox.data.corpus import Corpus
from pressbox.environment import drift, lock
from pressbox.environment.drift import RELEASE_DOORS, UNKNOWN, Environment, shortened
from pressbox.errors import Drifted, FromLater, NotTrusted, PressboxError, UsageError
from pressbox.provenance import code, statement
from pressbox.provenance.code import Code
from pressbox.sealing import tarball
from pressbox.sealing.tarball import SUFFIX, Verified
from pressbox.trust import signing_key
from pressbox.trust.gnupg import SigningKey, gpgme, try_signing


@dataclass(frozen=True)
class Edition:
    """A training that has begun: where its model goes, and what its statement will say.

    path: of the model, name: without folder and suffix. key: signs it. here, code: the environment
    and the code as the training began. parameters: what the person chose, by name. started: aware.
    replaced: what is remembered of the model at ``path``, for the page. with_page: write one.
    """

    path: Path
    name: str
    key: SigningKey
    here: Environment
    code: Code
    parameters: dict
    started: datetime
    replaced: dict | None
    with_page: bool

    def publish(self, model, data: Corpus) -> None:
        """Evaluate the model, seal it at ``path``, and write its page beside it.

        model: a Classifier. data: the corpus on whose ``train`` it was fitted. Raises Drifted if
        the code or the environment changed since the training began, or if any other code was
        executed, unless drift is allowed: then the model names it. Raises PressboxError if the
        model was fitted on other rows than those of ``data``, or cannot be signed or written.
        """
        _demand_rows(model, data)
        metrics, details = self._evaluated(model, data)
        changes = self._changes()
        for change in changes:
            note(f"drift: {change}")
        if changes and (self.parameters["release"] or not self.parameters["allow_drift"]):
            raise Drifted(
                "the model would not be what its statement says:"
                f" {shortened(changes, 'named above')}",
                "train again, changing nothing meanwhile and importing nothing else, or with"
                " --allow-drift, which is then recorded in the model",
            )
        here = replace(self.here, drift=(*self.here.drift, *changes))
        byproducts = {"metrics": metrics, "evaluation": details}
        if certificate := getattr(model, "certificate", None):
            byproducts["certificate"] = certificate
        if self.replaced:
            byproducts["replaced"] = self.replaced
        model.statement = statement.statement(
            self.name,
            model.digest,
            data,
            self.code,
            here,
            self.parameters,
            byproducts,
            self.started,
        )
        with _meanwhile(_import_pictures) if self.with_page else nullcontext():
            sealed = tarball.seal(model, self.path, self.key)
        note(f"model digest {sealed.facts.model_digest}")
        path = page_path(self.path)
        if self.with_page:
            with doing("drawing the page"):
                write_page(sealed, path)
            if watched():
                note(f"page {path}")
        else:
            # The page that may be there is that of an earlier model.
            path.unlink(missing_ok=True)

    def _evaluated(self, model, data: Corpus) -> tuple[dict, dict]:
        from pressbox.learning.evaluation import evaluate

        metrics, details = evaluate(model, data.test)
        if not self.with_page:
            # Their texts are for the page alone, and would leave the house with the model.
            details["mistakes"] = []
        note(f"accuracy {metrics['accuracy']}, macro F1 {metrics['macro_f1']}")
        return metrics, details

    def _changes(self) -> list[str]:
        """What has changed since the training began, in words."""
        changes = list(code.changes(self.code, code.current()))
        if self.here.passport:
            executed = code.executed()
            changes += code.unexplained(executed, self.code, self.here.files)
            changes += drift.changes(self.here, executed)
        return changes


def _demand_rows(model, data: Corpus) -> None:
    # Classes in pressbox/own need not say what they were fitted on.
    fitted = getattr(model, "fitted", None)
    if fitted and fitted != statement.rows_digest(data.train):
        raise PressboxError(
            f"the model was not fitted on the training rows of {data.source}",
            "publish it with the corpus that it was fitted on",
        )


def begin(
    path: Path | str,
    key: SigningKey | None = None,
    *,
    release: bool = False,
    allow_drift: bool = False,
    replace_newer: bool = False,
    with_page: bool = True,
) -> Edition:
    """Check what can be checked before a training: the path, the key and the environment.

    path: where the model goes, NAME.tar.gz. key: what signs it; by default the key in the
    environment's variables, or else the demo key. release: refuse the demo key, an environment in
    which any file is not as it was accepted, code that is not that of a commit, and any door but
    that of a fresh container. allow_drift: train even in an environment that is not as it was
    built. replace_newer: replace even a model that says it was sealed later than now. with_page:
    write the page, and let the model hold the texts of its worst mistakes for it.

    Raises UsageError for a path that is not one, Drifted for an environment that is not as it was
    built or not an accepted one, and PressboxError for a key that cannot sign, for code that cannot
    be released, and for a folder that cannot be written to.
    """
    path = Path(path)
    name = tarball.model_name(path)
    _demand_page(page_path(path))
    with _meanwhile(_import_training):
        replaced = _replaced(path, replace_newer)
        key = key or signing_key.default_key(release)
        try_signing(key)
        here = drift.checked(allow_drift, deep=release)
        trains = code.current()
        if release:
            lock.demand(here)
            _demand_release(trains)
    for difference in here.differences:
        note(f"drift: {difference}")
    if trains.commit == UNKNOWN:
        note(f"the model will not name its commit ({trains.why})")
    parameters = {"release": release, "allow_drift": allow_drift}
    return Edition(
        path, name, key, here, trains, parameters, datetime.now(UTC), replaced, with_page
    )


def _demand_release(trains: Code) -> None:
    if trains.commit == UNKNOWN:
        raise PressboxError(
            f"a release names its commit, which is unknown here ({trains.why})",
            "train in a clone, through the docker door",
        )
    if trains.dirty:
        raise PressboxError(
            "a release is trained from a commit, but this checkout has other changes or code in it",
            "commit or remove what git status --ignored lists",
        )
    if (door := drift.door()) not in RELEASE_DOORS:
        raise PressboxError(
            f"a release is trained in a fresh container, not through the door {door!r}",
            "on the host: scripts/train.sh --release --door docker",
        )


@contextmanager
def _meanwhile(work: Callable[[], None]) -> Iterator[None]:
    """Import what takes long while the block waits for GnuPG and other processes."""

    def quietly():
        # An import that fails is reported where it is needed, or by the check of the environment.
        with suppress(Exception):
            work()

    thread = Thread(target=quietly)
    thread.start()
    try:
        yield
    finally:
        thread.join()


def _import_training() -> None:
    # gpgme forks this process to look for GnuPG, which is fast while the process is small.
    gpgme()
    import pressbox.learning.training  # noqa: F401


def _import_pictures() -> None:
    from pressbox.page import charts

    charts.prepare()


def _replaced(path: Path, replace_newer: bool) -> dict | None:
    """What is remembered of the trusted model at ``path``, if there is one.

    Raises PressboxError if it says that it was sealed later than now: with a clock that is slow, an
    older sealing time would get the same name.
    """
    try:
        model = tarball.verify(path)
        from pressbox.page import report

        remembered = report.remember(model)
    except FromLater as later:
        _demand_older(path, later.what, replace_newer)
        return None
    except (NotTrusted, UsageError):
        return None
    sealed_at = model.facts.sealed_at
    if datetime.fromisoformat(sealed_at) > datetime.now(UTC):
        _demand_older(path, f"it was sealed at {sealed_at}", replace_newer)
    return remembered


def _demand_older(path: Path, newer: str, replace_newer: bool) -> None:
    if not replace_newer:
        raise PressboxError(
            f"the model at {path} is from later than now: {newer}",
            "set this machine's clock, or replace the model anyway with --replace-newer",
        )


def _demand_page(path: Path) -> None:
    """PressboxError unless the page of the model, or its absence, can be had at the path."""
    try:
        try_replacing(path)
    except OSError as error:
        raise PressboxError(
            f"the page cannot be written to {path} ({error.strerror})",
            "remove what is there, or name another model",
        ) from error


def page_path(path: Path) -> Path:
    """Where the page of the model at ``path`` goes: the same name, with .html."""
    return path.with_name(path.name.removesuffix(SUFFIX) + ".html")


def write_page(model: Verified, path: Path) -> None:
    """Write the page of a model: a view of what its tarball holds.

    Raises PressboxError if ``path`` cannot be written, NotTrusted if the model has no page.
    """
    from pressbox.page import report

    content = report.render(model)
    try:
        with beside(path) as file:
            file.write(content.encode())
    except OSError as error:
        raise PressboxError(
            f"the page could not be written to {path} ({error.strerror})",
            "the model is intact; write its page with pressbox show MODEL --html FILE",
        ) from error
