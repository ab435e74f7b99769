from pathlib import Path

from pressbox.classifier import Classifier as Classifier
from pressbox.classifier import SportClassifier as SportClassifier
from pressbox.data.corpus import Corpus as Corpus
from pressbox.data.corpus import load_corpus as load_corpus
from pressbox.data.tables import Layout as Layout
from pressbox.errors import NotTrusted as NotTrusted
from pressbox.errors import PressboxError as PressboxError
from pressbox.errors import Reason as Reason
from pressbox.errors import UsageError as UsageError
from pressbox.learning.evaluation import evaluate as evaluate
from pressbox.learning.training import fit as fit
from pressbox.runs.publishing import begin as begin
from pressbox.sealing.policy import Policy as Policy
from pressbox.sealing.tarball import Verified as Verified
from pressbox.sealing.tarball import open_model as open_model
from pressbox.sealing.tarball import seal as seal
from pressbox.sealing.tarball import verify as verify

ROOT: Path
__version__: str
