"""A classifier whose verdicts are recorded in a file, so that no question is asked twice."""

import asyncio
import os
import re
from pathlib import Path
from typing import Literal, TypeAlias, cast, get_args

from triage.classifiers.base import Classifier, ClassifierLike, describe_buckets, hash_texts, render_conversation
from triage.classifiers.cassette import AnswerId, create_file_lock, open_cassette
from triage.classifiers.composite import Composite
from triage.classifiers.recorded_answer import create_answer
from triage.classifiers.sampling import get_sample
from triage.errors import ConfigurationError, RecordingMissing
from triage.io.ports import IO
from triage.models import Conversation, Message, Verdict
from triage.policy import Buckets

RecordingMode: TypeAlias = Literal["replay", "auto", "record"]

_VARIABLE = "TRIAGE_CASSETTES"
_ADDRESS = re.compile(r" at 0x[0-9a-fA-F]+")
_PROBE = Conversation(id="1", messages=(Message(id="1", role="customer", text="Hello"),))


class Recorded(Composite):
    """Records the verdicts of a classifier in a file, and replays them: for tests without an API key, and experiments.

    A verdict is found by its question. For `Claude`, that is the model, the prompt, the parameters and the message:
    after an edit of the prompt, all questions are asked again. Each sample is recorded on its own. A replayed verdict
    is equal to the recorded one, except that it has `replayed=True`. Fallback verdicts are recorded as well, unless
    their reason is `unavailable` or `over_budget`.

    The file has one line of JSON for each verdict. It contains the first 200 characters of the customer text, the
    verdict with the classifier's reason, and hashes of the customer's id and email address. API keys and other secrets
    are replaced by `[secret]`. New lines are appended; `close` and `triage.evals.evaluate` sort the file. Several
    objects, threads and processes may use the same file at the same time. Its lock file, `….lock`, need not be kept.

    Args:
        classifier: The classifier: anything that `as_classifier` accepts.
        path: The path of the file. It and its directory are created when the first verdict is recorded.
        mode: `"auto"` asks for the verdicts that are missing. `"replay"` never asks: a missing verdict raises
            `RecordingMissing`. `"record"` asks for all verdicts, once per process, and replaces the recorded ones.
            Default: the environment variable `TRIAGE_CASSETTES` if it is set, otherwise `"replay"` if the environment
            variable `CI` is set, and `"auto"` if not.
        version: A version of your own, such as `"1"`. A classifier without a fingerprint, such as a function, needs
            one. Change it whenever you change the classifier, because nothing else reveals that verdicts may differ.

    Attributes:
        classifier: The classifier, complete.

    Raises:
        ConfigurationError: The classifier needs a version, or already records in this file; the mode is unknown; the
            path is that of a directory; or filelock is not installed, which only the mode `"replay"` does without.
    """

    def __init__(
        self,
        classifier: ClassifierLike,
        path: str | os.PathLike[str],
        *,
        mode: RecordingMode | None = None,
        version: str | None = None,
    ) -> None:
        super().__init__([classifier])
        self.classifier: Classifier = self.classifiers[0]
        self.path = path
        self.mode: RecordingMode = _choose_mode(mode)
        self._version = _check_version(version)
        self._cassette = open_cassette(path)
        if records_in(self.classifier, path):
            raise ConfigurationError(
                f"Recorded: {self.classifier!r} already records in this file. Remove one of the two, or choose another "
                f"file."
            )
        self._created = self._cassette.uses
        if self.mode != "replay":
            create_file_lock(self._cassette.path)  # raise now if filelock is missing, not after the first verdict
        if version is None:
            self.fingerprint(_PROBE, Buckets.default())  # raise now if the classifier has none

    def __repr__(self) -> str:
        return f"Recorded({self.classifier!r}, {os.fspath(self.path)!r})"

    async def decide(self, conversation: Conversation, buckets: Buckets, io: IO) -> Verdict:
        """Return the recorded verdict. If it is missing, ask the classifier and record it, unless the mode forbids it.

        Args:
            conversation: The conversation.
            buckets: The buckets to choose from.
            io: The port.

        Raises:
            RecordingMissing: The verdict is missing, and the mode is `"replay"`.
            ConfigurationError: The file cannot be read or written.
        """
        answer_id, verdict = await io.run_blocking(self._look_up, conversation, buckets)
        if verdict is not None:
            return verdict
        if self.mode == "replay":
            raise self._build_missing(answer_id)
        async with io.exclusive(self._cassette.get_mutex(answer_id)):
            verdict = await io.run_blocking(self._replay, answer_id)
            if verdict is None:
                verdict = await self.ask(self.classifier, conversation, buckets, io)
                await io.run_blocking(self._record, answer_id, verdict, conversation)
            return verdict

    def describe(self, buckets: Buckets) -> str:
        """Return the description of the classifier.

        Args:
            buckets: The buckets to choose from.
        """
        return self.classifier.describe(buckets)

    def fingerprint(self, conversation: Conversation, buckets: Buckets) -> str:
        """Return the classifier's fingerprint. With a version, return a hash of the version and the question.

        Args:
            conversation: The conversation.
            buckets: The buckets to choose from.

        Raises:
            ConfigurationError: The classifier has no fingerprint, and there is no version.
        """
        fingerprint = self.classifier.fingerprint(conversation, buckets)
        if self._version is None:
            if fingerprint is None:
                raise ConfigurationError(
                    f"Recorded cannot know when {_get_name(self.classifier)} changes: pass version='1' to Recorded, "
                    f"and another version whenever you change the classifier. Or let it define fingerprint()."
                )
            return fingerprint
        if fingerprint is not None:
            return hash_texts(self._version, fingerprint)
        texts = (_get_name(self.classifier), describe_buckets(buckets), render_conversation(conversation))
        return hash_texts(self._version, *texts)

    def estimate_cost(self, conversation: Conversation, buckets: Buckets) -> float | None:
        """Return 0 if the verdict would be replayed, otherwise the classifier's estimate.

        Args:
            conversation: The conversation.
            buckets: The buckets to choose from.
        """
        if self._find(self._get_id(conversation, buckets)) is not None:
            return 0.0
        return self.classifier.estimate_cost(conversation, buckets)

    def find(self, conversation: Conversation, buckets: Buckets) -> Verdict | None:
        """Return the verdict that would be replayed, or None.

        Args:
            conversation: The conversation.
            buckets: The buckets to choose from.

        Raises:
            ConfigurationError: The file cannot be read.
        """
        return self._find(self._get_id(conversation, buckets))

    def store(self, conversation: Conversation, buckets: Buckets, verdict: Verdict) -> None:
        """Record a verdict that was requested in another way, such as in a batch.

        Args:
            conversation: The conversation that it is about.
            buckets: The buckets that it was chosen from.
            verdict: The verdict.

        Raises:
            ConfigurationError: The file cannot be written.
        """
        self._record(self._get_id(conversation, buckets), verdict, conversation)

    def warm_up(self) -> None:
        """Read the file, and warm up the classifier unless the mode is `"replay"`, which never asks it.

        Raises:
            ConfigurationError: The file cannot be read, or the classifier cannot work.
        """
        self._cassette.load()
        if self.mode != "replay":
            super().warm_up()

    def prune(self) -> int:
        """Remove the verdicts that were not used since this object was created, such as those of an earlier prompt.

        Call it after a run that uses every verdict to keep. Only uses in this process count.

        Returns:
            The number of removed verdicts.

        Raises:
            ConfigurationError: The file cannot be read or written.
        """
        return self._cassette.prune(self._created)

    def forget(self, customer: str) -> int:
        """Remove the verdicts about a customer's messages, and those that mention the customer's email address.

        The history of a version control system keeps earlier commits.

        Args:
            customer: The customer's id or email address. The case of an address does not matter.

        Returns:
            The number of removed verdicts.

        Raises:
            ConfigurationError: The file cannot be read or written.
        """
        return self._cassette.forget(customer)

    def close(self) -> None:
        """Sort the file if verdicts were added, and close the classifier."""
        try:
            self._cassette.sort()
        finally:
            super().close()

    async def leave_loop(self) -> None:
        """Sort the file if verdicts were added, and close the classifier's connections on the running event loop."""
        try:
            await asyncio.to_thread(self._cassette.sort)
        finally:
            await super().leave_loop()

    async def aclose(self) -> None:
        """Sort the file if verdicts were added, and close the classifier, also on the running event loop."""
        try:
            await asyncio.to_thread(self._cassette.sort)
        finally:
            await super().aclose()

    def _get_id(self, conversation: Conversation, buckets: Buckets) -> AnswerId:
        return self.fingerprint(conversation, buckets), get_sample()

    def _find(self, answer_id: AnswerId) -> Verdict | None:
        return self._cassette.find(answer_id, added_here=self.mode == "record")

    def _look_up(self, conversation: Conversation, buckets: Buckets) -> tuple[AnswerId, Verdict | None]:
        answer_id = self._get_id(conversation, buckets)
        return answer_id, self._replay(answer_id)

    def _replay(self, answer_id: AnswerId) -> Verdict | None:
        verdict = self._find(answer_id)
        if verdict is None:
            return None
        self._cassette.use(answer_id)
        return verdict.model_copy(update={"replayed": True})

    def _record(self, answer_id: AnswerId, verdict: Verdict, conversation: Conversation) -> None:
        if verdict.fallback_reason in ("unavailable", "over_budget"):
            return
        self._cassette.add(create_answer(*answer_id, verdict, conversation))
        self._cassette.use(answer_id)

    def _build_missing(self, answer_id: AnswerId) -> RecordingMissing:
        key, sample = answer_id
        reason = "the question is new, or the model, the prompt or the message has changed"
        problem = f"has no verdict: {reason}" if self._cassette.path.exists() else "does not exist"
        return RecordingMissing(
            f"The recording {os.fspath(self.path)} {problem}. Record the verdict with `pytest --triage-record`, with "
            f"the environment variable {_VARIABLE}=auto, or with Recorded(…, mode='auto'), and commit the file. "
            f"(key {key}, sample {sample})"
        )


def records_in(classifier: Classifier, path: str | os.PathLike[str]) -> bool:
    """Return whether a classifier, or one of those that it asks, is a `Recorded` with a certain file.

    Args:
        classifier: The classifier.
        path: The path of the file.
    """
    if isinstance(classifier, Recorded) and Path(classifier.path).resolve() == Path(path).resolve():
        return True
    return isinstance(classifier, Composite) and any(records_in(part, path) for part in classifier.classifiers)


def _choose_mode(mode: str | None) -> RecordingMode:
    variable = os.environ.get(_VARIABLE)
    if mode is None and not variable:
        return "replay" if os.environ.get("CI", "").lower() not in ("", "0", "false") else "auto"
    source, value = (f"the environment variable {_VARIABLE}", variable) if mode is None else ("mode", mode)
    if value not in get_args(RecordingMode):
        raise ConfigurationError(f"Recorded: {source} must be 'replay', 'auto' or 'record', not {value!r}.")
    return cast("RecordingMode", value)


def _check_version(version: object) -> str | None:
    if version is None or (isinstance(version, str) and version):
        return version
    raise ConfigurationError(f"Recorded: version must be a text such as '1', not {version!r}.")


def _get_name(classifier: Classifier) -> str:
    """Return a classifier's name without addresses in memory, which differ from one process to the next."""
    return _ADDRESS.sub("", repr(classifier))
