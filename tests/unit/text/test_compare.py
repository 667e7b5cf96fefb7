from triage.text import normalize_for_comparison


def test_a_comparison_ignores_spaces_and_line_breaks() -> None:
    assert (
        normalize_for_comparison("Hi  Mira,\n\nfine") == normalize_for_comparison("Hi Mira,\u00a0fine") == "HiMira,fine"
    )
