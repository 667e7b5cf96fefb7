"""Senders that must never receive an automatic reply."""

import re
import sys
import time
import tomllib
from importlib.resources import files
from subprocess import run

import pytest
from hypothesis import given
from hypothesis import strategies as st

from triage.text import describe_automatic

anything = st.text(st.characters() | st.sampled_from("\r\n\t \x00\ud800@<>[]()*#:.,?!-+=_"))


def test_a_message_of_a_human_has_no_reason() -> None:
    reason = describe_automatic(
        address="jane@example.com",
        name="Jane Doe",
        subject="Re: Invoice",
        text="I paid twice.",
        headers={"From": "Jane"},
    )
    assert reason is None


def test_a_message_without_any_sign_has_no_reason() -> None:
    assert describe_automatic() is None


# Headers


@pytest.mark.parametrize(
    ("header", "value"),
    [
        ("Auto-Submitted", "auto-replied"),
        ("AUTO-SUBMITTED", "Auto-Generated; owner=jane"),
        ("X-Auto-Response-Suppress", "All"),
        ("x-auto-response-suppress", "DR, RN, OOF"),
        ("X-Auto-Response-Suppress", "AutoReply"),
        ("Precedence", "bulk"),
        ("precedence", "Junk"),
        ("Precedence", "list"),
        ("Precedence", "auto_reply"),
        ("Precedence", "auto-reply"),
        ("X-Autoreply", "yes"),
        ("X-Autorespond", "Re: Invoice"),
        ("X-AutoResponder", "1"),
        ("X-Loop", "support@acme.example"),
    ],
)
def test_headers_that_mark_an_automatic_message(header: str, value: str) -> None:
    reason = describe_automatic(headers={header: value})
    assert reason is not None
    assert reason.startswith("the header ")
    assert reason.endswith(" marks an automatic message")


@pytest.mark.parametrize("header", ["List-Id", "LIST-ID", "List-Unsubscribe"])
def test_headers_that_mark_a_mailing_list(header: str) -> None:
    reason = describe_automatic(headers={header: "<news.acme.example>"})
    assert reason is not None
    assert reason.endswith(" marks a mailing list")


@pytest.mark.parametrize("value", ["<>", " < > ", "<MAILER-DAEMON>", "MAILER-DAEMON@mx.example"])
def test_a_return_path_without_an_address(value: str) -> None:
    assert describe_automatic(headers={"Return-path": value}) == "the header Return-Path names no sender"


@pytest.mark.parametrize(
    ("header", "value"),
    [
        ("Content-Type", "multipart/report; report-type=delivery-status"),
        ("content-type", "Message/Delivery-Status"),
        ("X-Failed-Recipients", "jane@example.com"),
    ],
)
def test_headers_that_mark_a_delivery_report(header: str, value: str) -> None:
    reason = describe_automatic(headers={header: value})
    assert reason is not None
    assert reason.endswith(" marks a delivery report")


@pytest.mark.parametrize(
    ("header", "value"),
    [
        ("Auto-Submitted", "no"),
        ("Auto-Submitted", "No (a human)"),
        ("Auto-Submitted", ""),
        ("X-Auto-Response-Suppress", "DR, RN, NRN"),
        ("Precedence", "first-class"),
        ("Precedence", "bulky"),
        ("X-Autoreply", "no"),
        ("List-Id", " "),
        ("Return-Path", "<jane@example.com>"),
        ("Return-Path", ""),
        ("Content-Type", "multipart/mixed"),
        ("X-Failed-Recipients", ""),
        ("X-Custom", "auto-replied"),
    ],
)
def test_headers_of_humans(header: str, value: str) -> None:
    assert describe_automatic(headers={header: value}) is None


def test_a_header_that_is_not_a_string_does_no_harm() -> None:
    headers: dict[str, str] = {"List-Id": None, "Precedence": ["bulk"]}  # type: ignore[dict-item]
    assert describe_automatic(headers=headers) == "the header Precedence marks an automatic message"


# Addresses


@pytest.mark.parametrize(
    "address",
    [
        "MAILER-DAEMON",
        "MAILER-DAEMON@mx.example.com",
        "Postmaster@example.com",
        "bounce+123=jane=example.com@mx.example",
        "bounces-12@mx.example",
        "bounces@mx.example",
        "info@bounces.mail.example",
        "microsoftexchange329e71ec88ae4615bbc36ab6ce41109e@example.com",
        "users-bounces@lists.example",
    ],
)
def test_bounce_addresses(address: str) -> None:
    assert describe_automatic(address=address) == "the sender is a bounce address"


def test_the_null_address() -> None:
    assert describe_automatic(address="<>") == "the sender is the null address of bounces"


@pytest.mark.parametrize(
    "address",
    [
        "1234+jane@users.noreply.git.example",
        "Acme <no-reply@acme.example>",
        "NO.REPLY@acme.example",
        "acmenoreply@acme.example",
        "autoreply@acme.example",
        "cevaplamayin@acme.example",
        "do-not-reply@acme.example",
        "donotreply@acme.example",
        "ei-vastata@acme.example",
        "ikke-svar@acme.example",
        "nao-responda@acme.example",
        "ne-pas-repondre@acme.example",
        "nepasrepondre@acme.example",
        "neodpovidat@acme.example",
        "nicht-antworten@acme.example",
        "nie-odpowiadaj@acme.example",
        "niet-beantwoorden@acme.example",
        "no-reply2@acme.example",
        "no-responder@acme.example",
        "no_reply@acme.example",
        "non-rispondere@acme.example",
        "noreply+abc@acme.example",
        "noreply-dmarc-support@acme.example",
        "noreply@acme.example",
        "notifications+noreply@acme.example",
        "prvs=12=noreply@acme.example",
        "svara-ej@acme.example",
    ],
)
def test_no_reply_addresses(address: str) -> None:
    assert describe_automatic(address=address) == "the sender is a no-reply address"


@pytest.mark.parametrize("address", ["owner-users@x.example", "users-owner@x.example", "users-request@x.example"])
def test_addresses_of_mailing_lists(address: str) -> None:
    assert describe_automatic(address=address) == "the sender is a mailing list's own address"


@pytest.mark.parametrize("address", ["alerts@x.example", "dmarc-reports@x.example", "notifications@x.example"])
def test_addresses_of_machines(address: str) -> None:
    assert describe_automatic(address=address) == "the sender is a notification address"


@pytest.mark.parametrize(
    "address",
    [
        "",
        " ",
        "alerta@example.com",
        "bounce.house@party.example",
        "bouncer@club.example",
        "casino@reply.example",
        "eno.replyson@example.com",
        "info@bounce.example",
        "info@noreplying.example.com",
        "jane",
        "jane@example.com",
        "norepley-fan@example.com",
        "noreen@example.com",
        "owner@hotel.example",
        "postmasters.choice@example.com",
        "request@example.com",
        "support@acme.example",
    ],
)
def test_addresses_of_humans(address: str) -> None:
    assert describe_automatic(address=address) is None


# Names


@pytest.mark.parametrize("name", ["MAILER-DAEMON", "Mail Delivery Subsystem", "Mail Delivery System", "postmaster"])
def test_names_of_mail_servers(name: str) -> None:
    assert describe_automatic(name=name) == "the sender's name is that of a mail server"


@pytest.mark.parametrize("name", ["Acme (no-reply)", "Do not reply", "No Reply", "noreply"])
def test_names_of_no_reply_addresses(name: str) -> None:
    assert describe_automatic(name=name) == "the sender's name is that of a no-reply address"


def test_a_name_that_is_an_address() -> None:
    assert describe_automatic(name="noreply@acme.example") == "the sender is a no-reply address"


@pytest.mark.parametrize("name", ["Jane Postmaster", "Noreen Reply", "Reply Ltd"])
def test_names_of_humans(name: str) -> None:
    assert describe_automatic(name=name) is None


# Subjects


@pytest.mark.parametrize(
    "subject",
    [
        "Delivery Status Notification (Failure)",
        "Ei voida toimittaa: x",
        "Kan ikke leveres: x",
        "Mail delivery failed: returning message to sender",
        "Nedoručitelné: x",
        "Niedostarczone: x",
        "Non recapitabile: x",
        "Non remis : x",
        "No se puede entregar: x",
        "Não entregue: x",
        "Onbestelbaar: x",
        "Re: Undeliverable: x",
        "Report domain: example.org Submitter: example.com",
        "Returned mail: see transcript for details",
        "Teslim Edilemedi: x",
        "Undeliverable: Re: Invoice",
        "Undelivered Mail Returned to Sender",
        "Unzustellbar: x",
        "failure notice",
        "Не удается доставить: x",
        "无法送达: x",
        "配信不能: x",
        "배달되지 않음: x",
    ],
)
def test_subjects_of_delivery_reports(subject: str) -> None:
    assert describe_automatic(subject=subject) == "the subject is that of a delivery report"


@pytest.mark.parametrize(
    "subject",
    [
        "AUTO: Jane Doe is out of the office (returning 05/01)",
        "Abwesend: Ihre Anfrage",
        "Abwesenheitsnotiz",
        "Abwesenheitsnotiz: Ihre Anfrage",
        "Afwezig: x",
        "Frånvaro: x",
        "Fora do escritório",
        "Fuera de la oficina: x",
        "Fuori sede",
        "Ikke på kontoret: x",
        "I'm out of the office until 5 January Re: x",
        "Message d'absence",
        "Mimo kancelář",
        "OOO: x",
        "Ofis Dışında",
        "Out of Office",
        "Out of Office - Jane",
        "Out of office until 5 January",
        "Poissa toimistosta",
        "Poza biurem",
        "Re: Invoice - Out of Office",
        "[EXTERNAL] Out of Office: x",
        "Нет на месте: x",
        "不在通知",
        "外出: x",
        "부재중",
    ],
)
def test_subjects_of_absence_notices(subject: str) -> None:
    assert describe_automatic(subject=subject) == "the subject is that of an absence notice"


@pytest.mark.parametrize(
    "subject",
    [
        "***SPAM*** Automatic reply: x",
        "[Auto-Reply] Invoice",
        "\u3010自動返信\u3011x",
        "Auto-Reply",
        "Automaattinen vastaus: x",
        "Automated Response: Re: Re: x",
        "Automatic Reply - Re: x",
        "Automatic reply: Your invoice",
        "Automatická odpověď: x",
        "Automatisch antwoord: x",
        "Automatische Antwort: x",
        "Automatisk svar: x",
        "Automatiskt svar: x",
        "Autoreply: x",
        "Autosvar: x",
        "Invoice (Automatic reply)",
        "OTOMATİK YANIT: x",
        "Odpowiedź automatyczna: x",
        "Re: Re: AW: Automatic reply: x",
        "Re[2]: Automatic reply: x",
        "Reponse automatique: x",
        "Resposta automática: x",
        "Respuesta automática: x",
        "Risposta automatica: x",
        "Réponse automatique\xa0: x",
        "Автоответ: x",
        "自动回复: x",
        "自動回覆\uff1ax",
        "自動返信: x",
        "자동 회신: x",
    ],
)
def test_subjects_of_automatic_answers(subject: str) -> None:
    assert describe_automatic(subject=subject) == "the subject is that of an automatic answer"


@pytest.mark.parametrize(
    "subject",
    [
        "Accusé de réception",
        "Eingangsbestätigung",
        "Ticket Received - help me",
        "Your request (123) has been received",
        "[#1] Request received",
    ],
)
def test_subjects_of_acknowledgements(subject: str) -> None:
    assert describe_automatic(subject=subject) == "the subject is that of an acknowledgement of receipt"


@pytest.mark.parametrize("subject", ["Re: Request received", "[#1] Re: Request received"])
def test_answers_to_our_own_acknowledgement(subject: str) -> None:
    assert describe_automatic(subject=subject) is None


@pytest.mark.parametrize(
    "subject",
    [
        "Absence of documentation",
        "Abwesenheitsnotiz einrichten",
        "Automatic reply does not work",
        "Autosvar virker ikke",
        "Delivery failed for my parcel",
        "Delivery status notification missing",
        "Fwd: Undelivered Mail Returned to Sender",
        "How do I set up an automatic reply?",
        "I did not receive a delivery status notification",
        "Out of office - how do I configure it?",
        "Question about out-of-office replies",
        "Re: Order 123",
        "Request for refund",
        "Réponse automatique ne marche pas",
        "Ticket 123 is still open",
        "Undeliverable emails",
        "Автоответ не работает",
        "自动回复怎么设置",
        "自動返信が届きません",
    ],
)
def test_subjects_of_humans(subject: str) -> None:
    assert describe_automatic(subject=subject) is None


# Texts


@pytest.mark.parametrize(
    "text",
    [
        "Delivery has failed to these recipients or groups.",
        "This is a DMARC aggregate report.",
        "This is the mail system. Your message could not be delivered to jane@example.com: user unknown.",
    ],
)
def test_texts_of_delivery_reports(text: str) -> None:
    assert describe_automatic(text=text) == "the text is a delivery report"


@pytest.mark.parametrize(
    "text",
    [
        "Estoy fuera de la oficina hasta el lunes.",
        "Estou de férias até segunda.",
        "Hallo,\nvielen Dank für Ihre Nachricht. Ich bin derzeit nicht im Büro.",
        "Hello Jane,\n\nThank you for your email. I am currently out of the office with limited access to email.",
        "I am out of the\noffice until 5 January and have no access to e-mail.",
        "Ich bin bis Montag nicht im Büro.",
        "Ik ben tot maandag niet op kantoor.",
        "I\u2019m away from the office",
        "Je suis absent du bureau",
        "Je suis absente du bureau jusqu'au 5 janvier.",
        "Jeg er på ferie til mandag.",
        "Jestem na urlopie do 5 stycznia.",
        "Jsem do pondělí mimo kancelář.",
        "Jag är på semester till måndag.",
        "Olen lomalla 5.1. asti.",
        "Sono fuori ufficio fino al 5 gennaio.",
        "Şu anda ofis dışındayım.",
        "Меня нет в офисе до понедельника.",
        "ただいま不在にしております。",
        "我目前不在办公室",
        "현재 부재중입니다.",
    ],
)
def test_texts_of_absence_notices(text: str) -> None:
    assert describe_automatic(text=text) == "the text is an absence notice"


@pytest.mark.parametrize(
    "text",
    [
        "Bitte antworten Sie nicht auf diese E-Mail.",
        "Ceci est un message automatique, merci de ne pas y répondre.",
        "Dies ist eine automatisch generierte E-Mail.",
        "Do not reply to this email",
        "Este es un mensaje automático.",
        "Hi there, we are sorry, but we cannot handle your message because this is a no-reply e-mail address.",
        "Note: This is an automated message.",
        "This is an automated response from an unattended mailbox. Do you need more help?",
    ],
)
def test_texts_of_machines(text: str) -> None:
    assert describe_automatic(text=text) == "the text says that a machine sent it"


@pytest.mark.parametrize(
    "text",
    [
        "Nous avons bien reçu votre demande.",
        "We have received your request [#1].",
        "Your request (12345) has been received and is being reviewed by our support staff.",
    ],
)
def test_texts_of_acknowledgements(text: str) -> None:
    assert describe_automatic(text=text) == "the text is an acknowledgement of receipt"


@pytest.mark.parametrize(
    "text",
    [
        "How do I set up an automatic reply?",
        "I am on holiday and cannot log in",
        "I am out of the office next week, can you ship to my home address?",
        "I am writing because I got an out of office reply from your sales team",
        "I did not receive a delivery status notification",
        "I got an out of office reply from your sales team",
        'I received "This is an automated message" from you.',
        "Ich habe eine Abwesenheitsnotiz bekommen",
        "We have received your request for payment, but the amount is wrong",
        "Your email says do not reply to this email, but I need help",
        "Your message was received, but it makes no sense",
        "my account was out of office hours",
        "please contact the postmaster",
        "自动回复在哪里设置",
        "自動返信メールが届きません",
    ],
)
def test_texts_of_humans(text: str) -> None:
    assert describe_automatic(text=text) is None


def test_a_long_text_is_not_a_notice() -> None:
    assert describe_automatic(text="This is an automated message. " + "I need help. " * 1000) is None


def test_a_phrase_in_the_middle_of_a_text_does_not_make_it_a_notice() -> None:
    assert describe_automatic(text="I need help. " * 100 + "This is an automated message.") is None


def test_a_quoted_notice_does_not_make_a_text_a_notice() -> None:
    text = "Still broken.\n\n> This is an automated message. We have received your request [#1].\n> Do not reply to it."
    assert describe_automatic(text=text) is None


# Robustness


@given(
    address=anything | st.none(),
    name=anything | st.none(),
    subject=anything,
    text=anything,
    headers=st.dictionaries(anything | st.sampled_from(["Return-Path", "Precedence", "Auto-Submitted"]), anything),
)
def test_no_message_raises(
    address: str | None, name: str | None, subject: str, text: str, headers: dict[str, str]
) -> None:
    describe_automatic(address=address, name=name, subject=subject, text=text, headers=headers)


@given(anything)
def test_the_reason_contains_no_customer_text(text: str) -> None:
    expected = describe_automatic(subject="Automatic reply: x")
    assert describe_automatic(subject=f"Automatic reply: {text}") == expected


@pytest.mark.parametrize(
    "part", ["I am ", "a, ", ". ", "\u0300\u0327", "Re: ", "[x] ", "(", "* ", "自", "我", "ofis ", "no-", "12 ", "\n"]
)
def test_a_long_message_takes_little_time(part: str) -> None:
    describe_automatic(subject=part, text=part)  # compiles the phrases
    long = part * (200_000 // len(part))
    began = time.perf_counter()
    describe_automatic(address=long, name=long, subject=long, text=long, headers={"X-Loop": "", "Precedence": long})
    describe_automatic(text=long[:3000])
    assert time.perf_counter() - began < 1


# Phrases

KEYS = {
    *("no_reply", "machines", "until", "bounce_subjects", "absence_subjects", "automatic_subjects"),
    *("receipt_subjects", "bounce_texts", "absence_texts", "automatic_texts", "receipt_texts"),
}


def read_languages() -> dict[str, dict[str, list[str]]]:
    return tomllib.loads(files("triage.text").joinpath("phrases", "senders.toml").read_text(encoding="utf-8"))


@pytest.mark.parametrize("language", read_languages())
def test_the_phrases_of_a_language_are_well_formed(language: str) -> None:
    table = read_languages()[language]
    assert table.keys() <= KEYS
    for phrase in (phrase for phrases in table.values() for phrase in phrases):
        assert phrase.strip() == phrase
        assert not set(re.sub(r"\([^(){}*]+\)|\{[^(){}*]+\}", "", phrase)) & set("(){}|"), phrase


@pytest.mark.parametrize("language", read_languages())
@pytest.mark.parametrize("key", ["bounce_subjects", "absence_subjects", "automatic_subjects", "receipt_subjects"])
def test_each_plain_phrase_is_recognized_as_a_subject(language: str, key: str) -> None:
    for phrase in read_languages()[language].get(key, []):
        if not set(phrase) & set("(){}*"):
            assert describe_automatic(subject=f"{phrase.capitalize()}: x"), phrase


def test_importing_the_package_does_not_read_the_phrases() -> None:
    script = "import sys, triage; sys.exit('tomllib' in sys.modules)"
    assert run([sys.executable, "-c", script], check=False).returncode == 0
