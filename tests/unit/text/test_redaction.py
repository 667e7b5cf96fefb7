"""Personal data is replaced by placeholders, and other numbers are kept."""

from collections.abc import Callable

import pytest
from hypothesis import given
from hypothesis import strategies as st

from tests.unit.text.common import anything, hostile, takes_linear_time
from triage.text.redaction import KINDS, Kind, redact, replace_spans

# Cards

SEPARATORS = st.sampled_from(["", "", " ", "-", "\u00a0"])


def add_luhn_digit(digits: str) -> str:
    """Append the check digit of a card number, computed independently of the code under test."""
    total = 0
    for number, digit in enumerate(reversed(digits)):
        doubled = int(digit) * 2 if number % 2 == 0 else int(digit)
        total += doubled // 10 + doubled % 10
    return digits + str(-total % 10)


CARDS = st.text("0123456789", min_size=12, max_size=18).map(add_luhn_digit)


@st.composite
def separate(draw: st.DrawFn, numbers: st.SearchStrategy[str]) -> str:
    """Return a number with separators at any place."""
    number = draw(numbers)
    return number[0] + "".join(draw(SEPARATORS) + character for character in number[1:])


@pytest.mark.parametrize(
    "card",
    [
        "4111111111111111",
        "4111 1111 1111 1111",
        "4111-1111-1111-1111",
        "4111\u00a01111\u20111111\u20131111",
        "3782 822463 10005",
        "4222222222222",
        "6304 0000 0000 0000 000",
        "４１１１ １１１１ １１１１ １１１１",
        "٤١١١١١١١١١١١١١١١",
    ],
)
def test_card_numbers_are_replaced(card: str) -> None:
    assert redact(f"My card {card}, expires 12/27") == "My card [card number], expires 12/27"
    assert redact(f"Visa{card}!") == "Visa[card number]!"


def test_a_card_number_is_found_next_to_other_numbers() -> None:
    assert redact("Order 1042 4111 1111 1111 1111 12", ["card"]) == "Order 1042 [card number] 12"


def test_several_card_numbers_are_replaced() -> None:
    assert redact("4111 1111 1111 1111, 5500 0000 0000 0004") == "[card number], [card number]"


@pytest.mark.parametrize(
    "text",
    [
        "4111 1111 1111 1112",
        "41111111111111111111",
        "4111  1111  1111  1111",
        "4111.1111.1111.1111",
        "4111\n1111\n1111\n1111",
        "Order 123456789012",
    ],
)
def test_other_long_numbers_are_kept(text: str) -> None:
    assert redact(text) == text


@given(st.from_regex(r"([^\d]{0,5}|1042 )", fullmatch=True), separate(CARDS), st.sampled_from(["", ".", " 12/27", "x"]))
def test_every_card_number_is_replaced(before: str, card: str, after: str) -> None:
    redacted = redact(before + card + after, ["card"])
    assert card not in redacted
    assert "[card number]" in redacted


# IBANs

COUNTRIES = {"DE": 22, "NO": 15, "GB": 22, "FR": 27, "MT": 31, "RU": 33}


@st.composite
def ibans(draw: st.DrawFn) -> str:
    country = draw(st.sampled_from(sorted(COUNTRIES)))
    size = COUNTRIES[country] - 4
    account = draw(st.text("0123456789ABCXYZ", min_size=size, max_size=size))
    number = "".join(str(int(character, 36)) for character in f"{account}{country}00")
    return f"{country}{98 - int(number) % 97:02}{account}"


@pytest.mark.parametrize(
    "iban",
    [
        "DE89370400440532013000",
        "DE89 3704 0044 0532 0130 00",
        "de89 3704 0044 0532 0130 00",
        "GB29-NWBK-6016-1331-9268-19",
        "NO93 8601 1117 947",
        "MT84MALT011000012345MTLCAST001S",
    ],
)
def test_ibans_are_replaced(iban: str) -> None:
    assert redact(f"Please use {iban} from now on.") == "Please use [IBAN] from now on."
    assert redact(f"IBAN:{iban}") == "IBAN:[IBAN]"


@pytest.mark.parametrize(
    "text",
    [
        "DE88 3704 0044 0532 0130 00",
        "DE89 3704 0044 0532 0130 001",
        "XX89 3704 0044 0532 0130 00",
        "DE89 3704 0044",
        "Ticket AB12",
    ],
)
def test_other_codes_are_kept(text: str) -> None:
    assert redact(text, ["iban"]) == text


@given(ibans().flatmap(lambda iban: separate(st.just(iban[1:])).map(lambda rest: iban[0] + rest)))
def test_every_iban_is_replaced(iban: str) -> None:
    assert redact(f"Konto {iban}, danke", ["iban"]) == "Konto [IBAN], danke"


# Keys


@pytest.mark.parametrize("key", ["sk-ant-api03-AbCdEfGh_IjKlMnOp", "ghp_abcdefghijklmnopqrstuvwxyz0123456789"])
def test_keys_are_replaced(key: str) -> None:
    assert redact(f"My key is {key}.") == "My key is [secret]."


# Email addresses


@pytest.mark.parametrize(
    "address",
    [
        "mira@example.com",
        "Mira.Doe+help@mail.example.co.uk",
        "mira_doe%x@my-company.example",
        "müller@bücher.example",
        "1042@example.com",
        "4111111111111111@example.com",
        "mira@example.com@example.org",
        "mira@example.com.2026",
        "mira@example.com-0301234567",
    ],
)
def test_email_addresses_are_replaced(address: str) -> None:
    assert redact(f"Write to {address}, please") == "Write to [email], please"
    assert redact(f"<{address}>.") == "<[email]>."
    assert redact(f"https://example.com/?email={address}") == "https://example.com/?email=[email]"


@pytest.mark.parametrize(
    "text", ["meet @ noon", "@mira", "mira@", "mira@example", "react@18.2.0", "3 @ 4.50", "a@@b.example", "x@.example"]
)
def test_other_uses_of_the_at_sign_are_kept(text: str) -> None:
    assert redact(text) == text


# Phone numbers


@pytest.mark.parametrize(
    "number",
    [
        "+49 30 1234567",
        "+49 (0)30 123 45-67",
        "+49.30.1234567",
        "+491711234567",
        "+1 (415) 555-2671",
        "+1-415-555-2671",
        "+44\u00a020\u00a07946\u00a00958",
        "+4930/1234567",
        "0049 30 1234567",
        "00 49 30 1234567",
        "004915112345679",
        "(415) 555-2671",
        "(415)555-2671",
        "415-555-2671",
        "415.555.2671",
        "415 555 2671",
        "1-800-555-0199",
        "030 1234567",
        "030/1234567",
        "030 / 123 45 67",
        "0171-1234567",
        "0172 12 34 567",
        "(030) 123 456-78",
        "(030)12345678",
        "020 7946 0958",
        "07700 900123",
        "07700900123",
        "0612345678",
        "01 23 45 67 89",
        "01.23.45.67.89",
        "02 9374 4000",
    ],
)
def test_phone_numbers_are_replaced(number: str) -> None:
    assert redact(f"Call me: {number}.") == "Call me: [phone number]."
    assert redact(f"tel:{number}, please") == "tel:[phone number], please"
    assert redact(f"{number} and {number}") == "[phone number] and [phone number]"


@pytest.mark.parametrize(
    "text",
    [
        "order 1042",
        "order 4155552671",
        "order 12345678",
        "order 0012345678",
        "order #0612345678",
        "invoice INV-0104212345",
        "invoice 2026/0104212345",
        "2026-01-15",
        "15.01.2026",
        "01/15/2026",
        "01-02-2026 1500 EUR",
        "01.02.2026 10:30",
        "2026-01-15T10:30:00.0123456789Z",
        "2026-01-15T10:30:00+0100",
        "open 0900-1700",
        "192.168.100.200",
        "10.0.0.1:8080",
        "1,234.50 EUR",
        "1.234.567,89 EUR",
        "1 234 567 EUR",
        "0.0123456789",
        "+20 % in 2026",
        "+1200000",
        "version 2.10.3",
        "550e8400-e29b-41d4-a716-000000000000",
        "account 0123 4567 8901 2345 6",
        "account 3704 0044 0532 0130 00",
        "0123456789ab",
        "555-2671",
        "123-456-7890",
    ],
)
def test_other_numbers_are_kept(text: str) -> None:
    assert redact(text, ["phone"]) == text
    assert redact(f"My {text}, thanks", ["phone"]) == f"My {text}, thanks"


# All kinds

EVERYTHING = {
    "card": "4111 1111 1111 1111",
    "iban": "DE89 3704 0044 0532 0130 00",
    "key": "sk-ant-api03-AbCdEfGh",
    "email": "mira@example.com",
    "phone": "+49 30 1234567",
}
PLACEHOLDERS = {
    "card": "[card number]",
    "iban": "[IBAN]",
    "key": "[secret]",
    "email": "[email]",
    "phone": "[phone number]",
}


@pytest.mark.parametrize("kind", KINDS)
def test_only_the_chosen_kinds_are_replaced(kind: Kind) -> None:
    text = "; ".join(EVERYTHING.values())
    assert redact(text, [kind]) == "; ".join((EVERYTHING | {kind: PLACEHOLDERS[kind]}).values())
    assert redact(text) == "; ".join(PLACEHOLDERS.values())
    assert redact(text, []) == text


pieces = st.one_of(
    anything,
    separate(CARDS),
    ibans(),
    st.sampled_from([*EVERYTHING.values(), "415-555-2671", "030 1234567", "0612345678", "+", "(", "@", ".", "-", " "]),
    st.text("0123456789", max_size=8),
)


@given(st.lists(pieces, max_size=8).map("".join))
def test_redaction_is_idempotent(text: str) -> None:
    redacted = redact(text)
    assert redact(redacted) == redacted


@given(st.text("01249 +-./()@aDE#", max_size=60))
def test_redaction_of_dense_numbers_is_idempotent(text: str) -> None:
    redacted = redact(text)
    assert redact(redacted) == redacted


@pytest.mark.parametrize(
    ("text", "redacted"),
    [
        ("4111 1111 1111 1111sk-ant-abcdefgh", "[card number][secret]"),
        ("4111 1111 1111 1111+49 30 1234567", "[card number][phone number]"),
        ("mira@example.com+49 30 1234567", "[email][phone number]"),
        ("DE89 3704 0044 0532 0130 00mira@example.com", "DE89 3704 0044 0532 0130 [email]"),
    ],
)
def test_data_that_follows_without_a_space_is_replaced(text: str, redacted: str) -> None:
    assert redact(text) == redacted


def test_many_layers_take_linear_time() -> None:
    layer = f"AIza{'a' * 34}14111111111111111"  # the card number is seen without the key, and the next key without it
    assert redact(layer * 3) == "[secret][card number]" * 3
    assert takes_linear_time(redact, layer)


@given(anything)
def test_text_without_digits_and_at_signs_is_kept(text: str) -> None:
    kept = "".join(character for character in text if not character.isdecimal() and character != "@")
    assert redact(kept) == kept


HOSTILE = ["1", "1 ", "1-", "@", "a@", "a.", "+1 ", "(0", "0171 12 ", "415-555-", "DE12 ", "RU12 3 "]


@pytest.mark.parametrize(("function", "unit"), hostile(redact, *HOSTILE))
def test_redaction_takes_linear_time(function: Callable[[str], object], unit: str) -> None:
    assert takes_linear_time(function, unit)


# Spans


@pytest.mark.parametrize(
    ("spans", "replaced"),
    [
        ([], "0123456789"),
        ([(2, 4, "A")], "01A456789"),
        ([(0, 10, "A")], "A"),
        ([(2, 4, "A"), (4, 6, "B")], "01AB6789"),
        ([(2, 6, "A"), (4, 8, "B")], "01A89"),
        ([(2, 8, "A"), (4, 6, "B"), (7, 9, "C")], "01A9"),
    ],
)
def test_parts_that_overlap_become_one(spans: list[tuple[int, int, str]], replaced: str) -> None:
    assert replace_spans("0123456789", spans) == replaced
