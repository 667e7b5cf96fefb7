"""The labeled messages that resemble a conversation most, as examples for a prompt. Needs the extra `local`."""

from collections import Counter
from collections.abc import Iterable, Iterator

from triage.classifiers.base import hash_texts
from triage.classifiers.extras import require_scikit_learn
from triage.classifiers.labeled import LabeledLike, LabeledText, normalize_text, normalize_texts, read_examples
from triage.errors import ConfigurationError
from triage.models import Conversation
from triage.policy import Buckets


class NearestExamples:
    """Finds the labeled messages that resemble a conversation most, for `Claude(examples=…)`.

    Similarity is that of the words, pairs of words and groups of letters (TF-IDF, cosine). The messages are part of the
    prompt, so remove personal data from them first.

    Args:
        examples: A `triage.evals.Dataset`, or any objects with `text` and `bucket`, or pairs of the two.
        per_bucket: How many examples of each bucket to find.
        limit: How many examples to find in total.

    Raises:
        ConfigurationError: An argument is out of range, `examples` are not labeled messages, or scikit-learn is not
            installed.
        DatasetError: An example is empty, or none contains a word.
    """

    def __init__(self, examples: Iterable[LabeledLike], *, per_bucket: int = 1, limit: int = 8) -> None:
        for name, value in (("per_bucket", per_bucket), ("limit", limit)):
            if value < 1:
                raise ConfigurationError(f"NearestExamples: {name} must be at least 1, not {value}.")
        with require_scikit_learn("NearestExamples"):
            from triage.classifiers.tfidf import Vectorizer
        self._examples = read_examples(examples)
        self._normalized = [normalize_text(example.text) for example in self._examples]
        self._vectorizer = Vectorizer.fit([example.text for example in self._examples], min_documents=1)
        # A row for each term, so that only the terms of the conversation are looked at.
        self._index = self._vectorizer.transform([example.text for example in self._examples]).T.tocsr()
        self._hash = hash_texts(*(part for example in self._examples for part in (example.text, example.bucket)))[:12]
        self._per_bucket = per_bucket
        self._limit = limit

    def __repr__(self) -> str:
        return f"NearestExamples({self.describe()})"

    def describe(self) -> str:
        """Describe the examples, without their text. The description changes whenever the examples do."""
        return (
            f"{len(self._examples)} messages, per_bucket={self._per_bucket}, limit={self._limit}, hash={self._hash!r}"
        )

    def find(self, conversation: Conversation, buckets: Buckets) -> list[LabeledText]:
        """Return the examples that resemble a conversation most, the nearest first.

        The conversation itself is never an example, so that an evaluation on the same messages is honest.

        Args:
            conversation: The conversation.
            buckets: The buckets whose examples may be returned.
        """
        found: list[LabeledText] = []
        counts: Counter[str] = Counter()
        own = normalize_texts(conversation)
        for number in self._rank(conversation.text):
            example = self._examples[number]
            is_useful = example.bucket in buckets.names and counts[example.bucket] < self._per_bucket
            if not is_useful or self._normalized[number] in own:
                continue
            found.append(example)
            counts[example.bucket] += 1
            if len(found) == self._limit:
                break
        return found

    def _rank(self, text: str) -> Iterator[int]:
        """Yield the numbers of the examples that have something in common with a text, the most similar first."""
        similarities = (self._vectorizer.transform([text]) @ self._index).toarray()[0]
        for number in (-similarities).argsort(kind="stable").tolist():
            if similarities[number] <= 0:
                break
            yield number
