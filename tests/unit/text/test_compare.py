import pytest

from tests.unit.text.common import takes_linear_time
from triage.text import compile_filled_in, normalize_for_comparison


def test_a_comparison_ignores_spaces_and_line_breaks() -> None:
    assert (
        normalize_for_comparison("Hi  Mira,\n\nfine") == normalize_for_comparison("Hi Mira,\u00a0fine") == "HiMira,fine"
    )


@pytest.mark.parametrize(
    ("literals", "text", "is_match"),
    [
        (["Hi"], "Hi", True),
        (["Hi"], "HiMira", False),
        (["Hi", ""], "HiMira", True),
        (["Hi", "!"], "HiMira!", True),
        (["Hi", "!"], "HiMira", False),
        (["Hi", "!"], "HiMira!!", True),
        (["", ",", ""], "Mira,Ada", True),
        (["", "", ","], "MiraAda,", True),  # two placeholders without anything between them
        (["Hi", ",", "."], "HiMira,O'Neill,Ada.", True),
        (["Hi", ",", "."], "HiMira.", False),
        (["(", "*)"], "(Mira*)", True),
        (["Hi", "!"], "Hi" + "\n" * 20 + "!", True),
        (["Hi", "!"], "Hi" + "x" * 21 + "!", False),
        (["", "", "!"], "x" * 40 + "!", True),
    ],
)
def test_a_filled_in_template_is_recognized(literals: list[str], text: str, is_match: bool) -> None:
    assert (compile_filled_in(literals, 20).fullmatch(text) is not None) is is_match


def test_a_text_with_many_places_for_each_literal_takes_linear_time() -> None:
    assert takes_linear_time(lambda text: compile_filled_in(["", *",,,,", "!"], 100_000).fullmatch(text), ",")
