"""Plain text and HTML of mails."""

import re
import time
import unicodedata
from collections.abc import Callable
from typing import Any

import pytest
from hypothesis import example, given
from hypothesis import strategies as st

from triage.text import clean, from_html, normalize_for_comparison, strip_quotes, to_html

# All of Unicode, including lone surrogates; characters with a meaning in text or markup are more frequent.
anything = st.text(st.characters() | st.sampled_from("\r\n\t \xa0\u200b\u200d\x00\ud800><&;:-/\"'"))
markup = st.lists(
    anything
    | st.sampled_from(
        ["<p>", "</p>", "<br>", "<ul>", "<ol>", "<li>", "</ul>", "<blockquote>", "</blockquote>", "<pre>"]
    )
    | st.sampled_from(
        ['<div class="yahoo_quoted">', "<div>", "</div>", "</pre>", "<td>", "<tr>", "<img>", "<!--", "-->"]
    )
    | st.sampled_from(['<a href="https://a.example/">', "</a>", "<script>", "</script", "<a b='", "<![", "&#", "&amp;"])
).map("".join)
mail = st.lists(
    anything
    | st.sampled_from(
        ["On 5 Jan 2026 at 10:00", "Jane <j@example.com> wrote:", "> quoted", "-- ", "Sent from my iPhone"]
    )
    | st.sampled_from(["-----Original Message-----", "From: a", "Sent: b", "Subject: c", "____", ""])
).map("\n".join)


def is_clean(text: str) -> bool:
    return not any(unicodedata.category(char) in ("Cc", "Cs") and char not in "\n\t" for char in text)


# clean


@pytest.mark.parametrize(
    ("text", "cleaned"),
    [
        ("a\r\nb\rc\u2028d", "a\nb\nc\nd"),
        ("a \t\nb\n\n\n\nc\n", "a\nb\n\nc"),
        ("1\xa0000\u202f€\u3000!", "1 000 € !"),
        ("a\x00b\x1b[0mc\x7f\x85d", "ab[0mc\nd"),
        ("\ud83dfine\udc00", "fine"),
        ("\ufeffin\u00advi\u200bsi\u202eble\u2066\U000e0041", "invisible"),
        ("\u200c \u200c\u200c", ""),
        ("می\u200cخواهم 👨\u200d👩\u200d👧 \u200c", "می\u200cخواهم 👨\u200d👩\u200d👧"),
        ("if x:\n\treturn", "if x:\n\treturn"),
    ],
)
def test_clean_keeps_the_words(text: str, cleaned: str) -> None:
    assert clean(text) == cleaned


@given(anything)
def test_clean_text_is_clean_and_stays_so(text: str) -> None:
    cleaned = clean(text)
    assert is_clean(cleaned)
    assert "\n\n\n" not in cleaned
    assert clean(cleaned) == cleaned
    cleaned.encode()


# from_html


@pytest.mark.parametrize(
    ("html", "text"),
    [
        (
            "<p>I was <b>charged</b> twice.</p><p>Refund?<br>Bye &amp; thanks</p>",
            "I was charged twice.\n\nRefund?\nBye & thanks",
        ),
        ("  no\n  markup &lt;b&gt; &euro;&#8364;&#x20AC;&nbsp;5 &unknown; ", "no markup <b> €€€ 5 &unknown;"),
        ("<div>a</div><div><br></div><div>b</div><div>c</div>", "a\n\nb\nc"),
        ("<h1>Title</h1>text<hr>more", "Title\n\ntext\n\nmore"),
        ("<ul><li>a<ul><li>b</li></ul></li><li><p>c</p></li></ul>d", "- a\n  - b\n\n- c\n\nd"),
        ("<ol><li>a<br>b<li>c</ol>", "1. a\n  b\n2. c"),
        ("<li>stray</li></ul></ol>", "- stray"),
        ("<table><tr><th>Plan</th> <th>€</th></tr><tr><td>A</td><td></td><td>5</td></tr></table>", "Plan | €\nA | 5"),
        ("<p>See:</p><pre>\nif x:\n    pass\n</pre></pre>ok", "See:\n\nif x:\n    pass\n\nok"),
        ("a<pre>b</pre><pre></pre>c", "a\n\nb\n\nc"),
        ("<head><title>T</title><style>p {}</style></head><body>a<SCRIPT>if (1<2) b()</Script >c</body>", "ac"),
        ("a<!-- b > c -->d<!---->e<!-->f<!--[if mso]>g<![endif]-->h<![if !mso]>i<?xml j?>k", "adefhik"),
        ("1 < 2, I <3 it, </3, a<", "1 < 2, I <3 it, </3, a<"),
        ("""<p title="a > b" class='>'>x</p><p don't>y""", "x\n\ny"),
        ("before<a href='x", "before"),
        ("&#9999999999999999999; &#0;&#xD800;x", "\ufffd \ufffd\ufffdx"),
    ],
)
def test_html_is_converted_to_text(html: str, text: str) -> None:
    assert from_html(html) == (text, 0)


@pytest.mark.parametrize(
    ("html", "text"),
    [
        (
            'the <a href="https://example.com/a?b=1&amp;c=2">order <b>page</b></a>.',
            "the order page (https://example.com/a?b=1&c=2).",
        ),
        ('<a href="https://www.example.com/">example.com</a>', "example.com"),
        ("<A HREF=mailto:jane@example.com>jane@example.com</A>", "jane@example.com"),
        ("<a href=' https://example.com/\n a'><img src=logo.png></a>", "https://example.com/a"),
        ('<a href="#top">up</a> <a>none</a> <a href="javascript:x()">run</a>', "up none run"),
        (
            "<a href=https://a.example>one<a href=https://b.example>two",
            "one (https://a.example)two (https://b.example)",
        ),
    ],
)
def test_a_link_keeps_its_address_unless_it_is_the_label(html: str, text: str) -> None:
    assert from_html(html).text == text


def test_tracking_pixels_are_not_counted_as_images() -> None:
    html = '<p><img src="cid:1"><IMG SRC=x /><img width="1" height="1" src="https://t.example/open.gif"></p>'
    assert from_html(html) == ("", 2)


def test_an_embedded_image_does_not_use_up_the_length_limit() -> None:
    html = f'<img src="data:image/png;base64,{"A" * 2_000_000}"><p>It looks like this.</p>'
    assert from_html(html) == ("It looks like this.", 1)


# By mail program: the HTML, its plain text, and the part that its author wrote.
GMAIL = (
    """<div dir="ltr">It still fails, see below.<br clear="all"><div><br></div><span class="gmail_signature_prefix">-- \
</span><br><div dir="ltr" class="gmail_signature">Jane Doe<br>Example Inc.</div></div><br><div class="gmail_quote">
<div dir="ltr" class="gmail_attr">pon., 5 sty 2026 Support &lt;<a href="mailto:h@example.com">h@example.com</a>&gt;
 napisał(a):<br></div><blockquote class="gmail_quote"><div>Did you restart?</div></blockquote></div>
""",
    """It still fails, see below.

--
Jane Doe
Example Inc.

> pon., 5 sty 2026 Support <h@example.com> napisał(a):
>
> Did you restart?""",
    "It still fails, see below.",
)
APPLE = (
    """<html><body>No, it does not.<br id="lineBreakAtBeginningOfSignature"><div dir="ltr">Sent from my iPhone</div>
<div dir="ltr"><br><blockquote type="cite">On 5 Jan 2026, at 10:00, Support &lt;help@example.com&gt; wrote:<br><br>
</blockquote></div><blockquote type="cite"><div>Does it work?<blockquote>It fails.</blockquote></div></blockquote>
</body></html>""",
    """No, it does not.
Sent from my iPhone

> On 5 Jan 2026, at 10:00, Support <help@example.com> wrote:
>
>
> Does it work?
>
> > It fails.""",
    "No, it does not.",
)
OUTLOOK = (
    """<html><head><title>x</title><style>p.MsoNormal {margin:0}</style></head><body>
<p class=MsoNormal>Please cancel our plan.<o:p></o:p></p><p class=MsoNormal><o:p>&nbsp;</o:p></p>
<div style='border-top:solid #E1E1E1 1.0pt'><p class=MsoNormal><b>Von:</b> Support &lt;help@example.com&gt;<br>
<b>Gesendet:</b> Montag, 5. Januar 2026 10:00<br><b>An:</b> Jane<br><b>Betreff:</b> Ihr Plan</p></div>
<p class=MsoNormal>How may we help?</p></body></html>""",
    """Please cancel our plan.

Von: Support <help@example.com>
Gesendet: Montag, 5. Januar 2026 10:00
An: Jane
Betreff: Ihr Plan

How may we help?""",
    "Please cancel our plan.",
)
YAHOO = (
    '<div>Thanks!</div><div class="yahoo_quoted"><div>On Monday, Support wrote:</div><div>Done.</div></div></div>ok',
    "Thanks!\n> On Monday, Support wrote:\n> Done.\nok",
    "Thanks!\nok",
)
INTERLEAVED = (
    """<div>Hello,</div><div class="gmail_quote">
<div class="gmail_attr">On Mon, Jan 5, 2026 at 10:00 AM Support wrote:</div>
<blockquote class="gmail_quote">Which plan?</blockquote><div>The large one.</div>
<blockquote class="gmail_quote">How many seats?</blockquote><div>Five.</div></div>""",
    """Hello,
> On Mon, Jan 5, 2026 at 10:00 AM Support wrote:
>
> Which plan?

The large one.

> How many seats?

Five.""",
    "Hello,\n\nThe large one.\n\nFive.",
)


@pytest.mark.parametrize(
    ("html", "text", "own"),
    [GMAIL, APPLE, OUTLOOK, YAHOO, INTERLEAVED],
    ids=["gmail", "apple", "outlook", "yahoo", "interleaved"],
)
def test_the_html_of_mail_programs(html: str, text: str, own: str) -> None:
    plain = from_html(html).text
    assert plain == text
    assert strip_quotes(plain) == own


def test_deep_nesting_neither_raises_nor_inflates_the_text() -> None:
    tags = ("<div>", "<blockquote>", "<ul><li>", "<table><tr><td>", "<b>", "<a href=x>")
    for html in (tag * 50_000 + "deep" for tag in tags):
        plain = from_html(html)
        assert "deep" in plain.text
        assert len(plain.text) <= len(html)


def test_markup_after_the_first_million_characters_is_ignored() -> None:
    assert len(from_html("a" * 3_000_000).text) == 1_000_000


@given(markup)
@example("<")
@example("<pre>")
def test_no_markup_raises(html: str) -> None:
    plain = from_html(html)
    assert is_clean(plain.text)
    assert plain.images >= 0


# to_html


@pytest.mark.parametrize(
    ("text", "html"),
    [
        ("Hi Jane,\n\nwe are on it.\nBye", "<p>Hi Jane,</p><p>we are on it.<br>Bye</p>"),
        ("<b>\"R&D\"</b> 'x'", "<p>&lt;b&gt;&quot;R&amp;D&quot;&lt;/b&gt; &#x27;x&#x27;</p>"),
        (" \n ", ""),
    ],
)
def test_text_is_converted_to_html(text: str, html: str) -> None:
    assert to_html(text) == html


@given(anything)
@example("&#99999999999;")
@example("<!--")
def test_html_has_the_same_words_and_none_of_them_is_markup(text: str) -> None:
    html = to_html(text)
    assert from_html(html).text.split() == clean(text).split()
    assert not set("<>&\"'") & set(re.sub("</?p>|<br>|&(?:lt|gt|amp|quot|#x27);", "", html))


# strip_quotes


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
    assert strip_quotes(f"It fails again.\n\n{attribution}\n\nDid you restart?\nBye") == "It fails again."
    assert strip_quotes(f"It fails again.\n\n{attribution}\n> Restart?\n\nI did.") == "It fails again.\n\nI did."
    assert strip_quotes(f"On it since 2026.\n{attribution}\n> Restart?") == "On it since 2026."


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
    assert strip_quotes(f"Please cancel.\n\n{history}") == "Please cancel."


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
    assert strip_quotes(f"Where is my order?\n\n{signature}") == "Where is my order?"
    assert strip_quotes(f"Where is my order?\n\n{signature}\n\n> quoted") == "Where is my order?"


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
    assert strip_quotes(text) == text.strip()


def test_interleaved_answers_are_kept() -> None:
    text = (
        "Hello,\n\nOn 5 Jan 2026, Jane wrote:\n> Which plan?\nThe large one.\n\n> How many?\n>> Five?\n\nSix.\n-- \nJoe"
    )
    assert strip_quotes(text) == "Hello,\n\nThe large one.\n\nSix."


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
    assert strip_quotes(text) == left


@given(mail)
def test_the_result_is_empty_only_if_the_text_is(text: str) -> None:
    left = strip_quotes(text)
    assert is_clean(left)
    assert bool(left) == bool(clean(text))


# Time


def measure_seconds(function: Callable[[str], object], text: str) -> float:
    def measure() -> float:
        start = time.process_time()
        function(text)
        return time.process_time() - start

    return min(measure() for _ in range(3))


def hostile(function: Callable[[str], object], *units: str) -> list[Any]:
    return [pytest.param(function, unit, id=f"{function.__name__} {unit[:20]!r}") for unit in units]


@pytest.mark.parametrize(
    ("function", "unit"),
    [
        *hostile(from_html, "<!--", "<!", "<![", "<", "<a ", "<a b='", "<a = ", "<a><a href=", '"', "&#9", "data:"),
        *hostile(
            from_html, "<b>", "</p>", "<div>", "<ul><li>x", "<blockquote>x", "<pre>\n", "<script>", "<title></titl"
        ),
        *hostile(strip_quotes, "> ", "> \n", "x\n", "From: \n", "From: Sent: ", "--\n", "____\n", "sent from my "),
        *hostile(strip_quotes, "On \n", "On at 10:00 wrote:\n", "Am schrieb ", "Am schrieb" * 40 + ":\n", "<@"),
        *hostile(clean, " ", " \n", "\n", "\u200c", "a \u200c"),
        *hostile(to_html, "<\n"),
    ],
)
def test_four_times_the_text_takes_about_four_times_the_time(function: Callable[[str], object], unit: str) -> None:
    text = unit * (8_000 // len(unit))
    # A quadratic algorithm takes 16 times the time. It is measured repeatedly, because another process may interfere.
    assert any(measure_seconds(function, text * 4) < 8 * measure_seconds(function, text) for _ in range(5))


def test_a_comparison_ignores_spaces_and_line_breaks() -> None:
    assert (
        normalize_for_comparison("Hi  Mira,\n\nfine") == normalize_for_comparison("Hi Mira,\u00a0fine") == "HiMira,fine"
    )
