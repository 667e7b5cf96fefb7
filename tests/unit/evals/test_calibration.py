"""How a calibration is printed."""

import re
from dataclasses import replace
from html.parser import HTMLParser

from triage import Bucket, Buckets
from triage.evals.calibration import Calibration, Threshold, format_share

URGENT_BUCKET = Bucket("urgent", "Outages", min_confidence=0.85)
BUCKETS = Buckets([URGENT_BUCKET, Bucket("spam", "Advertising"), Bucket("general", "Anything else")])
URGENT = Threshold("urgent", 0.95, 0.85, 206, 204, 0.95999, 0.884)
SPAM = Threshold("spam", 0.995, None, 120, 118, 0.947, 0.0, "needs at least 736 verdicts 'spam'.")
CALIBRATION = Calibration(BUCKETS, {"urgent": URGENT, "spam": SPAM}, 0.95, 0.1234)

TEXT = """\
1 of 2 buckets may act alone: urgent from a confidence of 0.85. The others only suggest: spam.

bucket  promise  mode     min_confidence  right       lower bound  kept
urgent  95%      auto     0.85            204 of 206  95.99%       88%
spam    99.5%    suggest                  118 of 120  94.7%        0%

With 95% confidence, the promise holds for future messages of the same kind.
12% of the messages are left to people.
spam: needs at least 736 verdicts 'spam'."""


def test_it_prints_as_a_table_and_sentences() -> None:
    assert str(CALIBRATION) == TEXT


def test_several_promises_hold_together() -> None:
    both = replace(CALIBRATION, thresholds={"urgent": URGENT, "general": replace(URGENT, bucket="general")})
    assert "With 95% confidence, all promises hold for future messages" in str(both)


def test_it_says_if_no_promise_can_be_made() -> None:
    refused = str(replace(CALIBRATION, thresholds={"spam": SPAM}))
    assert refused.startswith("No bucket may act alone. These only suggest: spam.\n")
    assert "\n\nNo promise can be made.\n" in refused


def test_it_says_if_all_promises_can_be_made() -> None:
    summary = replace(CALIBRATION, thresholds={"urgent": URGENT}).summary
    assert summary == "1 of 1 bucket may act alone: urgent from a confidence of 0.85."


def test_a_threshold_is_never_rounded() -> None:
    exact = replace(URGENT, min_confidence=0.8765432109876543)
    assert " 0.8765432109876543 " in str(replace(CALIBRATION, thresholds={"urgent": exact}))


def test_it_reminds_of_the_review_actions_that_the_router_needs() -> None:
    buckets = Buckets(BUCKETS, fallback="urgent")
    assert "'urgent' is the fallback bucket" in str(replace(CALIBRATION, buckets=buckets))
    assert "Router(…, review=[…])" in str(replace(CALIBRATION, buckets=buckets))


def test_it_warns_of_messages_that_are_not_independent() -> None:
    assert "1,200 messages belong to a group with others" in str(replace(CALIBRATION, grouped=1200))


class Parser(HTMLParser):
    def __init__(self) -> None:
        super().__init__()
        self.tags: list[str] = []
        self.texts: list[str] = []

    def handle_starttag(self, tag: str, attrs: object) -> None:
        self.tags.append(tag)

    def handle_data(self, data: str) -> None:
        self.texts.append(data)


def test_a_notebook_shows_the_same_cells_and_sentences() -> None:
    parser = Parser()
    parser.feed(CALIBRATION._repr_html_())
    assert re.split(r" {2,}|\n+", TEXT) == [text.strip() for text in parser.texts if text.strip()]
    assert set(parser.tags) == {"div", "table", "thead", "tbody", "tr", "th", "td", "p"}


def test_html_is_escaped() -> None:
    hostile = replace(SPAM, bucket="<script>", reason="<img src=x> & 'quotes'")
    parser = Parser()
    parser.feed(replace(CALIBRATION, thresholds={"spam": hostile})._repr_html_())
    assert "script" not in parser.tags
    assert "img" not in parser.tags
    assert "<script>: <img src=x> & 'quotes'" in parser.texts


def test_shares_are_percentages() -> None:
    assert [format_share(0.995), format_share(0.5), format_share(0.0), format_share(1.0)] == [
        "99.5%",
        "50%",
        "0%",
        "100%",
    ]
    assert format_share(0.126, digits=0) == "13%"
