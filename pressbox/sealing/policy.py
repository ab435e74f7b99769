"""What a verifier demands of a model that is authentic, a release among it."""

from dataclasses import dataclass
from datetime import datetime

from pressbox.environment.drift import RELEASE_DOORS, UNKNOWN
from pressbox.errors import NotTrusted, Reason
from pressbox.provenance.statement import Facts
from pressbox.trust.signers import plain


@dataclass(frozen=True)
class Policy:
    """What a verifier demands beyond a good signature. Empty means: nothing.

    name: the model's. not_before: the earliest sealing time, aware. signers: fingerprints,
    in any case and with blanks.
    environments: of a release, the accepted digests; it then has to be one in every other respect.
    """

    name: str = ""
    not_before: datetime | None = None
    signers: tuple[str, ...] = ()
    environments: tuple[str, ...] | None = None


NOTHING = Policy()


def demand(policy: Policy, facts: Facts) -> None:
    """Raise NotTrusted (``policy``) unless the model is what was asked for."""
    if policy.name and policy.name != facts.name:
        raise NotTrusted(Reason.POLICY, f"it is {facts.name!r}, not {policy.name!r}")
    sealed_at = datetime.fromisoformat(facts.sealed_at)
    if policy.not_before and sealed_at < policy.not_before:
        raise NotTrusted(Reason.POLICY, f"it was sealed at {sealed_at}, before {policy.not_before}")
    if policy.signers and facts.signer.fingerprint not in map(plain, policy.signers):
        raise NotTrusted(
            Reason.POLICY, f"{facts.signer.fingerprint} is not one of the signers asked for"
        )
    if policy.environments is not None:
        _demand_release(policy.environments, facts)


def _demand_release(environments: tuple[str, ...], facts: Facts) -> None:
    if facts.signer.demo:
        raise NotTrusted(Reason.POLICY, "it is signed with the demo key, which everybody has")
    if facts.signer.experiments_only:
        raise NotTrusted(Reason.POLICY, "its signer is trusted for experiments only")
    if not facts.release:
        raise NotTrusted(
            Reason.POLICY,
            "it was not trained with --release, or by a version that demanded less of a release",
            "train it again with scripts/train.sh --release",
        )
    if facts.door not in RELEASE_DOORS:
        raise NotTrusted(Reason.POLICY, f"it was trained through the door {facts.door!r}")
    if facts.code.commit == UNKNOWN or facts.code.dirty is not False:
        raise NotTrusted(Reason.POLICY, "its code is not that of a commit")
    if facts.drift is None or facts.drift:
        raise NotTrusted(
            Reason.POLICY,
            f"its environment had drifted: {', '.join(facts.drift or ['it was not checked'])}",
        )
    if facts.environment_digest not in environments:
        raise NotTrusted(
            Reason.POLICY,
            f"its environment {facts.environment_digest} is not an accepted one",
            "accept it with scripts/doctor.sh --accept, or ask for a model made in an accepted one",
        )
