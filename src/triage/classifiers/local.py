"""A classifier that learns from labeled messages, runs on this machine and costs nothing. Needs the extra `local`."""

from collections import Counter
from collections.abc import Iterable, Mapping, Sequence
from os import PathLike
from pathlib import Path
from types import MappingProxyType
from typing import Self

from triage.classifiers.extras import require_scikit_learn
from triage.classifiers.free import FreeClassifier
from triage.classifiers.labeled import LabeledLike, LabeledText, read_examples
from triage.classifiers.local_file import LocalModel, read_model, write_model
from triage.errors import ConfigurationError, DatasetError
from triage.models import Conversation, Verdict
from triage.policy import Buckets

MIN_EXAMPLES = 10  # different messages of a bucket; the calibration needs two in each of its five parts
_MIN_DOCUMENTS = 2  # in which a term must occur; this leaves out most names, numbers and addresses


class Local(FreeClassifier):
    """Classifies by the words that earlier messages of each bucket contain, on this machine and at no cost.

    The model is a logistic regression over words, pairs of words and groups of letters. The confidence is a calibrated
    probability for messages like those that it was trained on. It is too high for others, such as those of another
    company or in another language.

    No verdict of this classifier alone closes or hides a conversation: it takes some messages of customers for spam
    because they resemble nothing that it was trained on.

    Create it with `Local.train` or `Local.load`.

    Args:
        model: What the classifier has learned.

    Attributes:
        trained_on: How many different messages of each bucket it has learned from.

    Raises:
        ConfigurationError: scikit-learn is not installed.
    """

    def __init__(self, model: LocalModel) -> None:
        with require_scikit_learn("Local"):
            from triage.classifiers.logistic import LogisticModel
            from triage.classifiers.tfidf import Vectorizer
        self._model = model
        self._vectorizer = Vectorizer(model.words, model.letters)
        self._regression = LogisticModel(model.weights, model.intercepts)
        self._hash = model.hash()[:12]
        self.trained_on: Mapping[str, int] = MappingProxyType(model.trained_on)

    @classmethod
    def train(cls, examples: Iterable[LabeledLike], buckets: Buckets | None = None, *, seed: int = 0) -> Self:
        """Learn from labeled messages. A thousand of them take a few seconds.

        Args:
            examples: A `triage.evals.Dataset`, or any objects with `text` and `bucket`, or pairs of the two. Each
                bucket needs at least ten different messages; a few hundred are better.
            buckets: The buckets for which there must be examples, and no others. By default, those of the examples.
            seed: Decides how the examples are divided for the calibration.

        Raises:
            ConfigurationError: `examples` are not labeled messages, or scikit-learn is not installed.
            DatasetError: There are too few examples, or one of them is empty or has an unknown bucket.
        """
        labeled = read_examples(examples, buckets)
        trained_on = _count_examples(labeled, buckets)
        with require_scikit_learn("Local"):
            from triage.classifiers.logistic import LogisticModel
            from triage.classifiers.tfidf import Vectorizer
        texts = [example.text for example in labeled]
        vectorizer = Vectorizer.fit(texts, min_documents=_MIN_DOCUMENTS)
        labels = [example.bucket for example in labeled]
        regression = LogisticModel.fit(vectorizer.transform(texts), labels, seed=seed)
        return cls(
            LocalModel(
                trained_on=trained_on,
                words=dict(vectorizer.words),
                letters=dict(vectorizer.letters),
                weights={bucket: tuple(weights) for bucket, weights in regression.weights.items()},
                intercepts=dict(regression.intercepts),
            )
        )

    @classmethod
    def load(cls, path: str | PathLike[str]) -> Self:
        """Load a classifier from a file. This runs no code of the file.

        Args:
            path: A file that `save` wrote.

        Raises:
            ConfigurationError: The file cannot be read, is damaged, or was not written by `save`; or scikit-learn is
                not installed.
        """
        return cls(read_model(Path(path)))

    def save(self, path: str | PathLike[str]) -> None:
        """Save the classifier to a JSON file.

        The file contains no message, but the words, pairs of words and groups of up to five letters that occur in at
        least two messages. Protect it like the messages themselves if customers write confidential words.

        Args:
            path: The file, which is replaced if it exists.

        Raises:
            OSError: The file cannot be written.
        """
        write_model(Path(path), self._model)

    def __repr__(self) -> str:
        return f"Local({', '.join(self.trained_on)}, hash={self._hash!r})"

    def check(self, buckets: Buckets) -> None:
        """Check that every bucket in which the classifier was trained exists.

        Args:
            buckets: The buckets of the Router.

        Raises:
            ConfigurationError: A bucket does not exist.
        """
        unknown = [name for name in self.trained_on if buckets.get(name) is None]
        if unknown:
            raise ConfigurationError(
                f"Local was trained with messages of {unknown[0]!r}, which is not a bucket. The buckets are: "
                f"{', '.join(buckets.names)}. Train it again with Local.train(examples, buckets)."
            )

    def classify(self, conversation: Conversation, buckets: Buckets) -> Verdict:
        """Choose the bucket of a conversation. If it contains no known term, choose the fallback with confidence 0.

        Args:
            conversation: The conversation, with the customer's messages to classify.
            buckets: The buckets to choose from.
        """
        vector = self._vectorizer.transform([conversation.text])
        if not vector.nnz:
            return self._build_verdict(buckets.fallback.name, 0.0, "Similar to no earlier message.")
        probabilities = self._regression.predict(vector)
        best = max(probabilities, key=lambda bucket: probabilities[bucket])
        return self._build_verdict(best, probabilities[best], "Similar to earlier messages in this bucket.")

    def _build_verdict(self, bucket: str, confidence: float, reason: str) -> Verdict:
        return Verdict(
            bucket=bucket,
            confidence=confidence,
            reason=reason,
            model="local",
            cost_usd=0.0,
            prompt_version=self._hash,
            allow_close=False,
        )

    def describe(self, buckets: Buckets) -> str:
        """List the number of training messages of each bucket, and a hash of the model.

        Args:
            buckets: The buckets to choose from.
        """
        lines = [f"{bucket}: trained on {number} messages" for bucket, number in self.trained_on.items()]
        return "\n".join([f"Local {self._hash}", *lines, f"fallback: {buckets.fallback.name}"])


def _count_examples(examples: Sequence[LabeledText], buckets: Buckets | None) -> dict[str, int]:
    """Return the number of examples of each bucket, which must be sufficient."""
    counts = Counter(example.bucket for example in examples)
    names = buckets.names if buckets is not None else sorted(counts)
    if len(names) < 2:
        raise DatasetError(
            f"Local needs messages of at least two buckets, but there are {len(names)}. Add messages of another bucket."
        )
    for name in names:
        if counts[name] < MIN_EXAMPLES:
            raise DatasetError(
                f"Local needs at least {MIN_EXAMPLES} different messages of each bucket, but there are "
                f"{counts[name]} of {name!r}. Add some, or leave the bucket out."
            )
    return {name: counts[name] for name in names}
