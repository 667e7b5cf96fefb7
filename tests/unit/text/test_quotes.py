"""Quoted history, forwarded messages and signatures in plain text."""

from collections.abc import Callable

import pytest
from hypothesis import given
from hypothesis import strategies as st

from tests.unit.text.common import anything, hostile, is_clean, takes_linear_time
from triage.text import Split, clean, is_forward_subject, is_reply_subject, split_quotes

mail = st.lists(
    anything
    | st.sampled_from(
        ["On 5 Jan 2026 at 10:00", "Jane <j@example.com> wrote:", "> quoted", "-- ", "Sent from my iPhone"]
    )
    | st.sampled_from(["-----Original Message-----", "From: a", "Sent: b", "Subject: c", "____", ""])
).map("\n".join)


def cut(text: str) -> str:
    """Return what a reply says itself."""
    return split_quotes(text).text


@pytest.mark.parametrize(
    "attribution",
    [
        "On Mon, Jan 5, 2026 at 10:00 AM Support <help@example.com> wrote:",
        "On Mon, Jan 5, 2026 at 10:00 AM Support <\nhelp@example.com> wrote:",
        "On Monday, January 5th, 2026 at 10:00,\nThe Support of Example\n<help@example.com> wrote:",
        "On 05/01/2026 10:00, Support wrote:",
        "Support <help@example.com> wrote on Mon, Jan 5, 2026:",
        "Am Mo., 5. Jan. 2026 um 10:00 Uhr schrieb Support <help@example.com>:",
        "Am 05.01.2026 um 10:00 schrieb Support:",
        "Support <help@example.com> schrieb am Mo., 5. Jan. 2026, 10:00:",
        "Le lun. 5 janv. 2026 à 10:00, Support <help@example.com> a\xa0écrit\u202f:",
        "El lun, 5 ene 2026 a las 10:00, Support\n(<help@example.com>) escribió:",
        "Il giorno lun 5 gen 2026 alle ore 10:00 Support <help@example.com> ha scritto:",
        "Em seg., 5 de jan. de 2026 às 10:00, Support <help@example.com> escreveu:",
        "No dia 05/01/2026, às 10:00, Support escreveu:",
        "Op ma 5 jan 2026 om 10:00 schreef Support <help@example.com>:",
        "Op 5 jan. 2026, om 10:00 heeft Support <help@example.com> het volgende geschreven:",
    ],
)
def test_an_attribution_is_cut_with_its_quotation(attribution: str) -> None:
    assert cut(f"It fails again.\n\n{attribution}\n\nDid you restart?\nBye") == "It fails again."
    assert cut(f"It fails again.\n\n{attribution}\n> Restart?\n\nI did.") == "It fails again.\n\nI did."
    assert cut(f"On it since 2026.\n{attribution}\n> Restart?") == "On it since 2026."


@pytest.mark.parametrize(
    "history",
    [
        "-----Original Message-----\nFrom: Support\nhello",
        "-------- Ursprüngliche Nachricht --------\nhallo",
        "-----Message d'origine-----\nbonjour",
        "-----Mensaje original-----\nhola",
        "________________________________\nFrom: Support <h@example.com>\nSent: Monday\nTo: Jane\nSubject: It\n\nhi",
        "*From:* Support <help@example.com>\n*Date:* Monday, 5 January 2026\n*To:* Jane\n*Subject:* RE: It\n\nhi",
        "Von: Support\nGesendet: Montag, 5. Januar 2026 10:00\nAn: Jane\nCc: Joe\nBetreff: AW: Es\n\nhallo",
        "De : Support\nEnvoyé : lundi 5 janvier 2026 10:00\nÀ : Jane\nObjet : RE: Ça\n\nbonjour",
        "De: Support\nEnviado el: lunes, 5 de enero de 2026\nPara: Jane\nAsunto: RE: Esto\n\nhola",
        "Da: Support\nInviato: lunedì 5 gennaio 2026\nA: Jane\nOggetto: R: Esso\n\nciao",
        "Van: Support\nVerzonden: maandag 5 januari 2026\nAan: Jane\nOnderwerp: RE: Het\n\nhallo",
        "From: Support Sent: Monday To: Jane Subject: RE: It hi",
        "> a\n> b",
    ],
)
def test_quoted_history_is_cut(history: str) -> None:
    assert cut(f"Please cancel.\n\n{history}") == "Please cancel."


@pytest.mark.parametrize(
    "signature",
    [
        "-- \nJane Doe\nExample Inc.\n+1 555 0100",
        "Sent from my iPhone",
        "Sent from my Samsung Galaxy smartphone.",
        "Sent via the Samsung Galaxy S21 5G, an AT&T 5G smartphone",
        "Sent from Yahoo Mail on Android",
        "Von meinem iPhone gesendet",
        "Gesendet mit der GMX Mail App",
        "Envoyé de mon iPhone",
        "Enviado desde mi iPhone",
        "Enviado do meu iPhone",
        "Inviato da iPhone",
        "Verstuurd vanaf mijn iPhone",
        "Get Outlook for iOS",
        "Get Outlook for Android (https://aka.ms/AAb9ysg)",
        "Outlook für iOS beziehen",
    ],
)
def test_signatures_are_cut(signature: str) -> None:
    assert cut(f"Where is my order?\n\n{signature}") == "Where is my order?"
    assert cut(f"Where is my order?\n\n{signature}\n\n> quoted") == "Where is my order?"


@pytest.mark.parametrize(
    "text",
    [
        "On the invoice there is 2026.\n\nYour colleague wrote:\nit is an error",
        "On Monday your colleague wrote: it is an error.",
        "Am Montag schrieb Ihr Kollege:\nes ist ein Fehler",
        "On " + "and on " * 60 + "at 10:00 he wrote:\nno",
        "Jane " * 100 + "<jane@example.com> wrote:\nno",
        "From: Berlin\nTo: Paris\nDate: 5 May 2026\n\nPlease rebook.",
        "Sent from my account on Monday.",
        "Sent from my iPhone but never arrived.",
        "My list\n--\n" + "item\n" * 20 + "end",
        "--\nJane",
        "5 > 3",
    ],
)
def test_text_that_only_looks_like_a_quotation_is_kept(text: str) -> None:
    assert cut(text) == text.strip()


def test_interleaved_answers_are_kept() -> None:
    text = (
        "Hello,\n\nOn 5 Jan 2026, Jane wrote:\n> Which plan?\nThe large one.\n\n> How many?\n>> Five?\n\nSix.\n-- \nJoe"
    )
    assert cut(text) == "Hello,\n\nThe large one.\n\nSix."


@pytest.mark.parametrize(
    ("text", "left"),
    [
        ("> I was charged twice.\n> > Really?", "I was charged twice.\n Really?"),
        ("Sent from my iPhone", "Sent from my iPhone"),
        ("-----Original Message-----\nRefund me", "-----Original Message-----\nRefund me"),
        ("On 5 Jan 2026 at 10:00 Jane wrote:", "On 5 Jan 2026 at 10:00 Jane wrote:"),
        (">>>", ">>>"),
        ("", ""),
    ],
)
def test_text_that_is_nothing_but_quotation_is_kept(text: str, left: str) -> None:
    assert cut(text) == left


@pytest.mark.parametrize(
    "attribution",
    [
        "Den man. 5. jan. 2026 kl. 10.00 skrev Support <h@example.com>:",
        "man. 5. jan. 2026 kl. 10.00 skrev Support <h@example.com>:",
        "Den 05.01.2026 10:00, skrev Support:",
        "Mån 5 jan. 2026 kl. 10:00 skrev Support <h@example.com>:",
        "Den mån 5 jan. 2026 10:00Support <h@example.com> skrev:",
        "På 5. januar 2026 kl. 10:00:00, Support (h@example.com) skrev:",
        "W dniu 5.01.2026 o 10:00, Support <h@example.com> napisał(a):",
        "pon., 5 sty 2026 o 10:00 Support <h@example.com> napisał(a):",
        "W dniu 05.01.2026 o 10:00, Support pisze:",
        "ma 5. tammik. 2026 klo 10.00 Support <h@example.com> kirjoitti:",
        "пн, 5 янв. 2026 г. в 10:00, Support <h@example.com>:",
        "05.01.2026 10:00, Support пишет:",
        "10:00, 5 января 2026 г., Support <h@example.com>:",
        "Mon, 5 Jan 2026 10:00:00 +0300 от Support <h@example.com>:",
        "po 5. 1. 2026 v 10:00 odesílatel Support <h@example.com> napsal:",
        "Dne 5. 1. 2026 v 10:00 Support napsal(a):",
        "Support <h@example.com>, 5 Oca 2026 Pzt, 10:00 tarihinde şunu yazdı:",
        "5.01.2026 10:00 tarihinde Support yazdı:",
        "在 2026年1月5日，10:00，Support <h@example.com> 写道：",
        "Support <h@example.com> 於 2026年1月5日 週一 上午10:00寫道：",
        "2026年1月5日(月) 10:00 Support <h@example.com>:",
        "2026/01/05 10:00、Support <h@example.com>のメール:",
        "2026년 1월 5일 (월) 오전 10:00, Support <h@example.com>님이 작성:",
        "2026. 1. 5. 오전 10:00, Support <h@example.com> 작성:",
        "In data 5 gennaio 2026 10:00:00 Support <h@example.com> ha scritto:",
        "Em 5 de janeiro de 2026 às 10:00:32, Support (\nh@example.com) escreveu:",
        "tir. 6. jan. 2026 kl. 10:00 skrev Support <h@example.com\n>:",
        "On Mon, Jan 5, 2026 at 10:00 AM,\nSupport <h@example.com> wrote:",
        "---- On Mon, 05 Jan 2026 10:00:00 +0100 Support <h@example.com> wrote ----",
        "On Mon, 05 Jan 2026 10:00:00 +0100 Support <h@example.com> wrote",
        "Jane Doe/Example wrote on 01/05/2026 10:00:00 AM:",
        "    On Monday, January 5, 2026 at 10:00:00 AM GMT+1, Support <h@example.com> wrote:",
    ],
)
def test_attributions_of_other_languages_and_programs_are_cut(attribution: str) -> None:
    assert split_quotes(f"It fails again.\n\n{attribution}\n\nDid you restart?").text == "It fails again."
    assert split_quotes(f"It fails again.\n\n{attribution}\n\n> Restart?\n\nYes.").text == "It fails again.\n\nYes."


def test_an_attribution_with_unknown_words_is_cut_if_marked_lines_follow() -> None:
    assert cut("Yes.\n\n2026.01.05. 10:00 Support, qqq:\n> Restart?") == "Yes."
    assert cut("Yes.\n\nOn 2026-01-05 10:00 Support qqq:\n> Restart?") == "Yes."


@pytest.mark.parametrize(
    "history",
    [
        "Od: Support\nWysłano: poniedziałek, 5 stycznia 2026\nDo: Jane\nTemat: Plan",
        "Från: Support\nSkickat: den 5 januari 2026\nTill: Jane\nÄmne: Plan",
        "Fra: Support\nSendt: 5. januar 2026 10:00\nTil: Jane\nEmne: Plan",
        "Lähettäjä: Support\nLähetetty: maanantai 5. tammikuuta\nVastaanottaja: Jane\nAihe: Plan",
        "От: Support\nОтправлено: 5 января 2026 г.\nКому: Jane\nТема: Plan",
        "Od: Support\nOdesláno: pondělí 5. ledna 2026\nKomu: Jane\nPředmět: Plan",
        "Kimden: Support\nGönderildi: 5 Ocak 2026\nKime: Jane\nKonu: Plan",
        "发件人： Support\n发送时间： 2026年1月5日\n收件人： Jane\n主题： Plan",
        "寄件者: Support\n寄件日期: 2026年1月5日\n收件者: Jane\n主旨: Plan",
        "差出人: Support\n送信日時: 2026年1月5日\n宛先: Jane\n件名: Plan",
        "보낸 사람: Support\n보낸 날짜: 2026년 1월 5일\n받는 사람: Jane\n제목: Plan",
        "**From:** Support\n**Sent:** Monday\n**To:** Jane\n**Subject:** Plan",
        "Date: Mon, 5 Jan 2026\nSubject: Plan\nFrom: h@example.com\nTo: j@example.com",
        "Gesendet: Montag, 05. Januar 2026 um 10:00 Uhr\nVon: Support <h@example.com>\nAn: Jane\nBetreff: Plan",
        "From: Support <h@example.com>\nTo: Jane\nSubject: Plan",
        "From: Support <h@example.com>\nSent: 5 Jan 2026 10:00\nTo: Jane",
        "From: Support\n\nSent: Monday\n\nTo: Jane\n\nSubject: Plan",
        "From: Support\nSent: Monday\nTo: Jane;\nJoe; Jim\nSubject: Plan",
        "Original Message\nFrom: Support\nSent: Monday\nTo: Jane\nSubject: Plan",
        "‐‐‐‐‐‐‐ Original Message ‐‐‐‐‐‐‐\nOn Monday, Support wrote:",
        "-------- Oprindelig besked --------",
        "-----Исходное сообщение-----",
        "------------------ 原始邮件 ------------------",
    ],
)
def test_headers_and_dividers_of_other_languages_are_cut(history: str) -> None:
    text, quoted = split_quotes(f"New words\n\n________________\n{history}\n\nOld words")
    assert text == "New words"
    assert quoted.startswith("____")
    assert quoted.endswith("Old words")


@pytest.mark.parametrize(
    "text",
    [
        "From: Jane\nEmail: j@example.com\nDate: 5 May 2026\nSubject: Plan\nMessage: Refund",
        "Subject: maths\nDate: Monday\nFrom: Berlin\nTo: Paris",
        "From: a\n\nNo header, but a sentence.\nDate: b\nSubject: c",
        "From: a\none\ntwo\nthree\nfour\nDate: b\nSubject: c",
        "From: Berlin\nDate: today\nPrice: 5",
        "From: Berlin <x@example.com>\nDate: 5 May\nTo: Paris",
        "I called on 5 Jan 2026 at 10:00 and you said:\nno",
        "On 5 Jan 2026 at 10:00 you said:\nno",
        "On 5 Jan 2026:\nYou said:\nno",
        "The text was as I rewrote:\nno",
        "Jane (jane@example.com) wrote on 5 Jan 2026:\nno",
        "You wrote on 5 Jan 2026:\nno",
        "Hello Jane,\n\nthe answer is " + "no " * 200 + ":\n\nno",
    ],
)
def test_details_that_a_customer_lists_are_kept(text: str) -> None:
    assert split_quotes(text) == Split(text, "")


def test_a_line_above_an_attribution_is_kept_if_it_is_a_sentence() -> None:
    history = "Support <h@example.com> wrote:\n> Restart?"
    assert cut(f"On 5 Jan 2026 10:00 it failed.\n{history}") == "On 5 Jan 2026 10:00 it failed."
    assert cut(f"On it\n{history}") == "On it"


def test_history_below_ten_thousand_labels_is_not_searched_for() -> None:
    text = "a: b\n" * 10_000 + "-----Original Message-----\nhello"
    assert split_quotes(text).quoted == ""


@pytest.mark.parametrize(
    "line",
    [
        "Sendt fra min iPhone",
        "Skickat från min iPhone",
        "Wysłane z iPhone'a",
        "Wysłane z mojego iPhone'a",
        "Lähetetty iPhonesta",
        "Отправлено с iPhone",
        "Odesláno z iPhonu",
        "iPhone'umdan gönderildi",
        "发自我的iPhone",
        "從我的 iPhone 傳送".replace(" ", ""),
        "iPhoneから送信",
        "나의 iPhone에서 보냄",
        "*Sent from my iPhone*",
        "Sent from Mail for Windows",
        "Sent with Proton Mail secure email.",
        "Sent from TypeApp<http://typeapp.example>",
    ],
)
def test_lines_that_phones_add_are_cut_in_every_language(line: str) -> None:
    assert split_quotes(f"New words\n\n{line}") == Split("New words", line)
    assert split_quotes(f"New words\n\n{line}", is_reply=False) == Split("New words", line)


# Forwarded messages


@pytest.mark.parametrize(
    "divider",
    [
        "---------- Forwarded message ---------",
        "Begin forwarded message:",
        "-------- Forwarded Message --------",
        "----- Forwarded Message -----",
        "============ Forwarded message ============",
        "----- Forwarded by Jane Doe/Example on 01/05/2026 10:00 AM -----",
        "---------- Weitergeleitete Nachricht ---------",
        "Anfang der weitergeleiteten Nachricht:",
        "---------- Message transféré ---------",
        "Début du message transféré :",
        "---------- Mensaje reenviado ---------",
        "---------- Messaggio inoltrato ---------",
        "---------- Mensagem encaminhada ---------",
        "---------- Doorgestuurd bericht ---------",
        "---------- Videresendt meddelelse ---------",
        "---------- Vidarebefordrat meddelande ---------",
        "---------- Videresendt melding ---------",
        "---------- Wiadomość przekazana ---------",
        "---------- Edelleenlähetetty viesti ---------",
        "-------- Пересылаемое сообщение --------",
        "---------- Přeposlaná zpráva ---------",
        "---------- İletilen mesaj ---------",
        "---------- 转发的邮件 ---------",
        "---------- 転送メッセージ ---------",
        "---------- 전달된 메시지 ---------",
        "> Begin forwarded message:",
    ],
)
def test_forwarded_messages_are_content_in_replies(divider: str) -> None:
    text = f"My words\n\n{divider}\n\nFrom: Bob\nDate: Monday\nSubject: It\nTo: Jane\n\nOld words\n> Older words"
    assert split_quotes(text) == Split(text, "")


def test_a_forwarded_message_in_the_history_is_history() -> None:
    text = "New words\n\nOn 5 Jan 2026 at 10:00, Jane wrote:\n> Begin forwarded message:\n> Old words"
    assert cut(text) == "New words"


@pytest.mark.parametrize(
    "own",
    [
        "Please see below.",
        "FYI",
        "Please handle",
        "Can you help with this?",
        "Hi Jane,\n\nplease see below.\n\nKind regards\nBen",
        "Jane,\nsee below\nBen Lee",
        "Siehe unten, bitte kümmern Sie sich darum.",
        "Pour info, voir ci-dessous.",
        "Ver abajo, gracias",
        "Vedi sotto",
        "Veja abaixo, por favor",
        "Zie hieronder",
        "Se nedenfor",
        "Se nedan",
        "Patrz poniżej",
        "Katso alta",
        "См. ниже",
        "Viz níže",
        "Lütfen aşağıya bakınız",
        "请看下面的邮件",
        "以下をご確認ください。",
        "아래 내용 확인 부탁드립니다",
    ],
)
def test_a_header_is_content_if_the_text_above_only_points_to_it(own: str) -> None:
    text = f"{own}\n\nFrom: Bob\nSent: Monday\nTo: Jane\nSubject: It\n\nOld words"
    assert split_quotes(text) == Split(text, "")
    quoted = f"{own}\n\n> From: Bob\n> Sent: Monday\n> To: Jane\n> Subject: It\n>\n> Old words"
    assert split_quotes(quoted).text.endswith("Old words")


@pytest.mark.parametrize(
    "own",
    [
        "I want a refund, see below.",
        "Thanks!",
        "No",
        "The amount below is wrong.",
        "See below. " + "It has many words. " * 20,
        "See below. " + "Word" * 200,
    ],
)
def test_a_header_is_history_if_the_text_above_says_more(own: str) -> None:
    text = f"{own}\n\nFrom: Bob\nSent: Monday\nTo: Jane\nSubject: It\n\nOld words"
    assert cut(text) == own.strip()


@pytest.mark.parametrize(
    "own",
    [
        "Best regards\nBen",
        "Hi Jane,\n\nBest regards,\nBen",
        "Ben Lee\nExample Ltd | +1 555 0100",
        "-- \nBen Lee",
        "Sent from my iPhone",
    ],
)
def test_nothing_is_cut_if_only_a_signature_would_remain(own: str) -> None:
    text, quoted = split_quotes(f"{own}\n\nFrom: Bob\nSent: Monday\nTo: Jane\nSubject: It\n\nOld words")
    assert text.endswith("Old words")
    assert quoted == ""


@pytest.mark.parametrize(
    "own",
    [
        "Jane Doe",
        "my number is\n+1 555 0100",
        "Jane Doe\nplease call +1 555 0100.",
        "Jane Doe:\nTel. +1 555 0100",
        "Jane Doe\n+1 555 0100",
        "Yes\n\nBest regards\nBen",
        "1\n2\n3\n4\n5\n6\n7\n8\n9",
    ],
)
def test_a_short_answer_is_not_mistaken_for_a_signature(own: str) -> None:
    assert cut(f"{own}\n\nOn 5 Jan 2026 at 10:00, Jane wrote:\n> Old words") == own


# First messages


@pytest.mark.parametrize(
    "text",
    [
        "From: Jane\nDate: Monday\nSubject: It\nTo: Shop\n\nRefund",
        "On 5 Jan 2026 at 10:00, Jane wrote:\n> Refund\n\nIs this right?",
        "-----Original Message-----\nRefund",
        "> Refund",
        "ALERT\n--\nFrom: monitor",
        "Form\n--\nMessage: Refund",
        "Hello\n--\nJane\n\nRefund",
        "Hello\n--\nWill you refund me?",
        "Hello\n--\n> Refund",
        "Hello\n--\nJane\n---------- Forwarded message ---------",
        "Hello\n--\n" + "item\n" * 20 + "end",
        "Hello\n--\n" + "long" * 30,
        "Sent from my iPhone",
        "-- \nJane",
    ],
)
def test_what_looks_like_history_is_kept_in_a_first_message(text: str) -> None:
    assert split_quotes(text, is_reply=False) == Split(clean(text), "")


def test_only_a_signature_at_the_end_is_cut_from_a_first_message() -> None:
    text = "Refund\n\nSent from my iPhone\n\n-- \nJane Doe\nExample Inc.\n\nSent from my iPad"
    assert split_quotes(text, is_reply=False).text == "Refund"


# Subjects


@pytest.mark.parametrize(
    "subject",
    [
        *("Re: It", "RE[2]: It", "Re (2): It", "Re^2: It", "Re-2: It", " re : It", "Re: Fwd: It", "Re\uff1aIt"),
        *("[Ticket 5] Re: It", "[A] [B] AW: It", "(spam) AW: It", "***SPAM*** Re: It", "#5 Re: It"),
        *("AW: It", "Antw: It", "RÉ: It", "RES: It", "R: It", "SV: It", "VS: It", "Odp: It", "Отв: It", "YNT: It"),
        *("回复：It", "回覆: It", "返信: It", "회신: It", "답장: It"),
    ],
)
def test_the_subject_of_a_reply_is_recognized(subject: str) -> None:
    assert is_reply_subject(subject)


@pytest.mark.parametrize(
    "subject",
    [
        *("Fwd: It", "FW: It", "Fwd: Re: It", "[Ticket 5] WG: It", "WG: It", "TR : It", "RV: It", "I: It", "ENC: It"),
        *(
            "Doorst: It",
            "VS: It",
            "VB: It",
            "PD: It",
            "VL: It",
            "Пер: It",
            "İLT: It",
            "转发：It",
            "轉寄: It",
            "転送: It",
            "전달: It",
        ),
    ],
)
def test_the_subject_of_a_forwarded_message_is_recognized(subject: str) -> None:
    assert is_forward_subject(subject)


@pytest.mark.parametrize("subject", ["", "Hello", "Refund: order 5", "About Re: It", "[Re] It", "Re", "[Re: It"])
def test_other_subjects_are_neither(subject: str) -> None:
    assert not is_reply_subject(subject)
    assert not is_forward_subject(subject)


def test_the_first_prefix_decides() -> None:
    assert not is_forward_subject("Re: Fwd: It")
    assert not is_reply_subject("Fwd: Re: It")


# Any text


@given(anything)
def test_any_subject_can_be_examined(subject: str) -> None:
    assert is_reply_subject(subject) in (True, False)
    assert is_forward_subject(subject) in (True, False)


@given(mail, st.booleans())
def test_no_line_is_lost(text: str, is_reply: bool) -> None:
    own, quoted = split_quotes(text, is_reply=is_reply)
    words = clean(text).replace(">", " ").split()
    assert sorted(words) == sorted(f"{own}\n{quoted}".replace(">", " ").split())


@given(anything)
def test_a_first_message_never_becomes_empty(text: str) -> None:
    assert bool(split_quotes(text, is_reply=False).text) == bool(clean(text))


@given(mail)
def test_the_result_is_empty_only_if_the_text_is(text: str) -> None:
    left = cut(text)
    assert is_clean(left)
    assert bool(left) == bool(clean(text))


# Time


@pytest.mark.parametrize(
    ("function", "unit"),
    [
        *hostile(cut, "> ", "> \n", "x\n", "From: \n", "From: Sent: ", "--\n", "____\n", "sent from my "),
        *hostile(cut, "On \n", "On at 10:00 wrote:\n", "Am schrieb ", "Am schrieb" * 40 + ":\n", "<@"),
        *hostile(cut, "a:\n", ":", "-", "Date: \n", "> From: \n\n", "5.1.2026 10:00 <a@b>\n", "J <a@b>\n", "<\n>:\n"),
        *hostile(cut, "a iphone から送信\n", "Sent from a a a iphone\n", "see below ", "Best\n", "[a] "),
        *hostile(is_reply_subject, "[", "[]", "*", "Re", " ", "(a)"),
    ],
)
def test_four_times_the_text_takes_about_four_times_the_time(function: Callable[[str], object], unit: str) -> None:
    assert takes_linear_time(function, unit)


# First messages that may be replies


@pytest.mark.parametrize(
    ("text", "own"),
    [
        ("Thank you.\n\nOn Mon, Jan 5, 2026 at 10:00 AM Acme <a@b.example> wrote:\n\n> It is down.", "Thank you."),
        (
            "Thank you.\n\nFrom: Acme <a@b.example>\nSent: 5.1.2026 10:00\nTo: Ana\nSubject: Hi\n\nIt is down.",
            "Thank you.",
        ),
        (
            "Thank you.\n____\nFrom: Acme <a@b.example>\nSent: 5.1.2026 10:00\nTo: Ana\nSubject: Hi\n\nDown.",
            "Thank you.",
        ),
    ],
)
def test_a_first_message_that_answers_an_email_from_elsewhere_loses_its_history(text: str, own: str) -> None:
    assert split_quotes(text, is_reply=None).text == own


@pytest.mark.parametrize(
    "text",
    [
        "Ticket 88\nFrom: a@b.example\nDate: 2026-01-05 10:00\nSubject: Order\n\nPlease refund it.",
        "New ticket\n\nFrom: a@b.example\nDate: 2026-01-05 10:00\nSubject: Order\n\nPlease refund it.",
        "From: a@b.example\nDate: 2026-01-05 10:00\nTo: us@c.example\nSubject: Order\n\nPlease refund it.",
    ],
)
def test_a_first_message_with_an_incomplete_header_or_nothing_above_it_is_content(text: str) -> None:
    assert split_quotes(text, is_reply=None) == (text, "")
