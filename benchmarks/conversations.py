"""Measure the processor time of an event in long conversations and with many buckets.

A customer has written each message of a conversation, and nobody has answered. The event of the last message is
processed with an inbox in memory. A fake help desk answers from a recording, so nearly all of the time is that of this
library. Processor time depends much less than real time on what else the machine is doing.

Run it with `python benchmarks/conversations.py`. `python benchmarks/drain.py --processes 1` measures several processes.
"""

import argparse
import statistics
import sys
import time
from collections.abc import Mapping

import httpx

from triage import Assign, Bucket, Buckets, Event, Router
from triage.testing import FakeIntercom

LENGTHS = (1, 10, 100, 500)
BUCKETS = (3, 100)
TOPICS = ("conversation.user.created", "conversation.user.replied")
TEXT = "How do I export my contacts as a CSV file? I have tried the menu, but the button is gone. Message {}."


class Recording:
    """A help desk that repeats its first response to each request."""

    def __init__(self, transport: httpx.BaseTransport) -> None:
        self._transport = transport
        self._responses: dict[tuple[str, str, bytes], tuple[int, Mapping[str, str], bytes]] = {}

    def handle(self, request: httpx.Request) -> httpx.Response:
        """Answer a request."""
        key = (request.method, str(request.url), request.content)
        if key not in self._responses:
            response = self._transport.handle_request(request)
            self._responses[key] = response.status_code, {"Content-Type": "application/json"}, response.read()
        status, headers, body = self._responses[key]
        return httpx.Response(status, headers=headers, content=body)


def write_conversation(fake: FakeIntercom, messages: int) -> tuple[bytes, Mapping[str, str]]:
    """Let a customer write a number of messages, and return the webhook of the last one."""
    webhook = fake.customer_writes(TEXT.format(0), email="mira@example.com")
    for number in range(1, messages):
        webhook = fake.customer_writes(TEXT.format(number), conversation=webhook.conversation_id)
    return webhook.body, webhook.headers


def make_buckets(number: int, team: str) -> Buckets:
    """Create a policy that assigns each conversation to a team."""
    buckets = [
        Bucket(f"topic-{place}", f"About topic {place}.", actions=[Assign(team=team)]) for place in range(number)
    ]
    return Buckets(buckets, fallback="topic-0")


def measure(messages: int, buckets: int, samples: int) -> float:
    """Return the median of the processor time of an event, in milliseconds."""
    fake = FakeIntercom()
    body, headers = write_conversation(fake, messages)
    policy = make_buckets(buckets, next(iter(fake.teams)))
    recording = Recording(fake.transport)
    durations: list[float] = []
    with httpx.Client(transport=httpx.MockTransport(recording.handle)) as client:
        for _ in range(samples + 1):
            router = Router(fake.adapter(topics=TOPICS), buckets=policy, classifier=classify, http=client)
            before = time.process_time()
            event = router.receive(body, headers).event
            check(router, event)
            durations.append((time.process_time() - before) * 1000)
    return statistics.median(durations[1:])  # the first one made the recording


def check(router: Router, event: Event | None) -> None:
    """Process an event, which must be routed."""
    outcome = None if event is None else router.process(event)
    if outcome is None or outcome.status != "routed":
        sys.exit(f"the event was not routed: {outcome}")


def classify(_text: str) -> str:
    """Classify every message alike."""
    return "topic-1"


def main() -> None:
    """Print a table."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--samples", type=int, default=20)
    options = parser.parse_args()
    print("Milliseconds of processor time for receiving and processing an event (median)\n")
    print("| messages in the conversation | " + " | ".join(f"{number} buckets" for number in BUCKETS) + " |")
    print("| --- |" + " --- |" * len(BUCKETS))
    for messages in LENGTHS:
        figures = [f"{measure(messages, buckets, options.samples):.1f}" for buckets in BUCKETS]
        print(f"| {messages} | " + " | ".join(figures) + " |")


if __name__ == "__main__":
    main()
