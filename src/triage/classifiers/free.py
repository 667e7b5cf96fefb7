"""The base class of classifiers that cost nothing and judge only the text."""

from triage.classifiers.base import Classifier, hash_texts
from triage.models import Conversation
from triage.policy import Buckets


class FreeClassifier(Classifier):
    """A classifier that costs nothing. Its verdicts depend on its description and the text alone."""

    priced = True

    def fingerprint(self, conversation: Conversation, buckets: Buckets) -> str:
        """Return a hash of the description and the text.

        Args:
            conversation: The conversation.
            buckets: The buckets to choose from.
        """
        return hash_texts(self.describe(buckets), conversation.text)

    def estimate_cost(self, conversation: Conversation, buckets: Buckets) -> float:
        """Return 0.

        Args:
            conversation: The conversation.
            buckets: The buckets to choose from.
        """
        return 0.0
