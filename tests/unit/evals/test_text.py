"""A report in a terminal is aligned, plain, and free of control characters."""

import textwrap
from typing import Any

from hypothesis import given

from tests.unit.evals.reports import MIXED, build, hostile_texts, names_with_surrogates, predict, repeat
from triage.evals.compare import compare
from triage.evals.text import render_comparison, render_report

REPORT = build(
    [*repeat(8, "urgent"), predict("urgent", "spam", text="My card was stolen", reason="Mentions a card.")],
    classifier="Rules",
    dataset="support.csv",
    paid_usd=0.0,
)


def test_a_report_is_printed_in_aligned_columns() -> None:
    assert render_report(REPORT) == textwrap.dedent(
        """\
        Rules chooses the right bucket for 88.9% of 9 messages (95% interval: 56.5–98.0%).

        bucket   messages         precision              recall                  F1
        urgent          9  100% (67.6–100%)  88.9% (56.5–98.0%)  94.1% (72.2–99.0%)
        billing         0                 –                   –                   –
        general         0                 –                   –                   –
        spam            0      0% (0–79.3%)                   –        0% (0–88.5%)
        macro-F1 47.1%. In parentheses: 95% intervals.

        expected \\ actual   urgent  billing  general     spam
        urgent             8 (89%)        –        –  1 (11%)
        billing                  –        –        –        –
        general                  –        –        –        –
        spam                     –        –        –        –

        1 mistake, the worst first:
        - urgent, not spam (90%), m1
          My card was stolen
          Reason: Mentions a card.

        cost        unknown, because not every verdict reports its cost; paid for this evaluation: $0
        latency     not measured by the classifier
        fallbacks   none
        confidence  expected calibration error 0.011, Brier score 0.099 (0 is perfect)"""
    )


def test_all_other_facts_are_named_if_they_are_known() -> None:
    part = predict("urgent").verdict
    verdicts: dict[str, Any] = {"cost_usd": 0.002, "latency": 0.5}
    predictions = [
        predict("urgent", "urgent", "spam", parts=(part, part), **verdicts),
        predict("billing", "billing", "billing", parts=(part,), **verdicts),
        predict("urgent", "general", fallback_reason="refused", **verdicts),
    ]
    assert render_report(build(predictions, paid_usd=0.001)).split("\n\n")[-1] == textwrap.dedent(
        """\
        cost        $2.00 per 1,000 messages, $0.0060 for these; paid for this evaluation: $0.0010
        latency     median 500 ms, 95th percentile 500 ms
        fallbacks   33.3% (6.1–79.2%) of messages have no usable verdict: refused 1
        flip rate   50.0% (9.5–90.5%) of messages have samples that differ
        escalated   33.3% (6.1–79.2%) of messages need several verdicts
        confidence  expected calibration error 0.100, Brier score 0.010 (0 is perfect)"""
    )


def test_a_long_message_is_wrapped() -> None:
    text = render_report(build([predict("urgent", "spam", text="word " * 50)]))
    assert "  word" in text
    assert max(map(len, text.splitlines())) <= 100


def test_at_most_20_mistakes_are_shown() -> None:
    text = render_report(build(repeat(23, "urgent", "spam")))
    assert text.count("- urgent, not spam") == 20
    assert "… and 3 more; report.to_pandas() has them all" in text


def test_a_perfect_report_has_no_mistakes() -> None:
    assert "\n\nNo mistakes.\n\n" in render_report(build(repeat(3, "urgent")))


def test_an_empty_report_is_a_sentence() -> None:
    assert render_report(build([], classifier="Rules", dataset="empty.csv")) == "Rules has no verdicts on empty.csv."


def test_a_report_warns_of_messages_without_a_verdict() -> None:
    assert "1 message got no verdict, because the budget was spent" in render_report(build(MIXED, unanswered=1))


@given(hostile_texts(), names_with_surrogates())
def test_no_text_can_control_the_terminal(text: str, name: str) -> None:
    a = build([predict("urgent", "spam", text=text, reason=text)], classifier=name, dataset=name, description=name)
    b = build([predict("urgent", text=text)], classifier=name, description=f"{name} ")
    printed = f"{render_report(a)}\n{render_comparison(compare(a, b))}"
    printed.encode()
    assert not any(
        ord(char) < 32 or 0x7F <= ord(char) < 0xA0 or 0x202A <= ord(char) <= 0x202E for char in printed if char != "\n"
    )


def test_a_comparison_is_printed_in_aligned_columns() -> None:
    verdict: dict[str, Any] = {"text": "My card was stolen", "latency": 0.4}
    a = build([predict("urgent", cost_usd=0.001, **verdict)], classifier="small", description="Be quick:\n  now")
    b = build(
        [predict("urgent", "spam", cost_usd=0.002, **verdict)], classifier="large", description="Be exact:\n  now"
    )
    assert render_comparison(compare(a, b)) == textwrap.dedent(
        """\
        There is no evidence of a difference: B fixes 0 messages and breaks 1, which may well be luck (p =
        1.00). With 1 message, no difference can be found.

        A: small
        B: large
        1 message in both reports.

                                         A             B  change
        accuracy          100% (20.7–100%)  0% (0–79.3%)  −100.0 points (95% interval: −100.0 to +51.0)
        recall of urgent  100% (20.7–100%)  0% (0–79.3%)  −100.0 points
        cost per 1,000               $1.00         $2.00  +100%
        median latency              400 ms        400 ms  0%
        95th percentile             400 ms        400 ms  0%

        Broken by B: 1 message
        - urgent: A urgent (90%), B spam (90%), m1
          My card was stolen

        Fixed by B: 0 messages

        Changes to the description:
          --- A
          +++ B
          @@ -1,2 +1,2 @@
          -Be quick:
          +Be exact:
             now"""
    )


def test_a_comparison_shows_at_most_20_messages_of_each_kind() -> None:
    a = [predict("urgent", text=str(number), number=number) for number in range(23)]
    b = [predict("urgent", "spam", text=str(number), number=number) for number in range(23)]
    text = render_comparison(compare(build(a), build(b)))
    assert text.count("B spam") == 20
    assert "… and 3 more" in text


def test_a_comparison_without_costs_and_latencies_shows_none() -> None:
    text = render_comparison(compare(build(MIXED), build(MIXED)))
    assert "cost per 1,000                      –                   –  –" in text
    assert "latency" not in text
