"""HTML of emails."""

import re
from collections.abc import Callable

import pytest
from hypothesis import example, given
from hypothesis import strategies as st

from tests.unit.text.common import anything, hostile, is_clean, takes_linear_time
from triage.text import clean, from_html, is_blank, looks_like_html, split_quotes, to_html

markup = st.lists(
    anything
    | st.sampled_from(
        ["<p>", "</p>", "<br>", "<ul>", "<ol>", "<li>", "</ul>", "<blockquote>", "</blockquote>", "<pre>"]
    )
    | st.sampled_from(
        [
            '<div class="yahoo_quoted">',
            "<div class=gmail_quote>",
            "<div class=gmail_attr>",
            "<p id=divRplyFwdMsg>",
            "<div>",
            "</div>",
            "</pre>",
            "<td>",
            "<tr>",
            "<img>",
            "<!--",
            "-->",
            "-----",
            "a:<br>",
        ]
    )
    | st.sampled_from(['<a href="https://a.example/">', "</a>", "<script>", "</script", "<a b='", "<![", "&#", "&amp;"])
).map("".join)

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


@pytest.mark.parametrize("markup", [None, "", " \n", "<p> </p>", "<div><br/>&nbsp;</div>", '<p class="x"></p>'])
def test_a_text_without_words_is_blank(markup: str | None) -> None:
    assert is_blank(markup)


@pytest.mark.parametrize("markup", ["a", "<p>a</p>", "<img src='a.png'>", "<pre></pre>", "<p", "<" * 50_000])
def test_a_text_that_may_have_words_or_images_is_not_blank(markup: str) -> None:
    assert not is_blank(markup)


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
    assert split_quotes(plain).text == own


# By mail program: markup that it leaves around history, without words of any known language.
HEADER = "<b>Xx:</b> Support &lt;h@example.com&gt;<br><b>Yy:</b> 5.1.2026 10:00<br><b>Zz:</b> Jane<br><b>Qq:</b> It"
WINDOWS_MAIL = "border-top-color: rgb(229, 229, 229); border-top-width: 1px; border-top-style: solid"
ATTRIBUTION = "qqq 5.1.2026 Support &lt;h@example.com&gt; zzz:"


@pytest.mark.parametrize(
    "history",
    [
        f'<div id="appendonsend"></div><hr><div id="divRplyFwdMsg" dir="ltr">{HEADER}</div><div>Old words</div>',
        f'<div id="appendonsend">{HEADER}</div><div>Old words</div>',
        f'<div style="border:none;border-top:solid #E1E1E1 1.0pt;padding:3.0pt 0in">{HEADER}</div><p>Old words</p>',
        f"<div style='border:none;border-top:solid #B5C4DF 1.0pt'><p>{HEADER}</p></div><p>Old words</p>",
        f'<div style="{WINDOWS_MAIL}">{HEADER}</div><p>Old words</p>',
        f'<hr id="stopSpelling">{HEADER}<br>Old words',
        f'<span id="OLK_SRC_BODY_SECTION"><div>{HEADER}</div><div>Old words</div></span>',
        f'<span>New words<span id="OLK_SRC_BODY_SECTION">{HEADER}<br>Old words</span></span>',
        f'<div id="mail-editor-reference-message-container"><div>{HEADER}</div><div>Old words</div></div>',
        f'<div name="quote" style="margin:10px"><div>{HEADER}</div><div name="quoted-content">Old words</div></div>',
        f'<div class="yahoo_quoted"><div>{ATTRIBUTION}</div><div>Old words</div></div>',
        f'<div class="AppleMailQuote">{ATTRIBUTION}<br>Old words</div>',
        f'<div class="moz-cite-prefix">{ATTRIBUTION}</div><blockquote type="cite">Old words</blockquote>',
        f'<div class="gmail_quote"><div class="gmail_attr">{ATTRIBUTION}</div><blockquote>Old words</blockquote></div>',
        f'<div class="gmail_quote">{ATTRIBUTION}<br><blockquote class="gmail_quote">Old words</blockquote></div>',
        f'<div class="protonmail_quote">{ATTRIBUTION}<br><blockquote type="cite">Old words</blockquote></div>',
        '<div class="zmail_extra"><div>---- qqq Support zzz ----</div><br><blockquote>Old words</blockquote></div>',
        f'<p id="reply-intro">{ATTRIBUTION}</p><blockquote>Old words</blockquote>',
    ],
)
def test_marks_of_mail_programs_show_what_is_history(history: str) -> None:
    text, quoted = split_quotes(from_html(f"<div>New words</div>{history}").text)
    assert set(text.split("\n")) == {"New words"}
    assert "Old words" in quoted


@pytest.mark.parametrize(
    "html",
    [
        # A line above a signature, or an empty mark
        '<p>Words</p><div style="border:none;border-top:solid #E1E1E1 1.0pt"><p>Jane Doe</p><p>Tel.: 555</p></div>',
        '<p>Words</p><div id="appendonsend"></div>',
        '<p>Words</p><div id="divRplyFwdMsg"></div><p>One: 1</p>',
        # An element of a website that happens to be called "quote"
        '<p>Words</p><div class="quote">Wise words</div>',
        # The lines above a quotation are the user's, unless they end like an attribution and are few.
        '<div class="gmail_quote">Mine<br><blockquote>Old</blockquote></div>',
        '<div class="gmail_quote"><div>1</div><div>2</div><div>3</div><div>4</div>5:<blockquote>Old</blockquote></div>',
        '<div class="gmail_quote">x</div><div class="gmail_quote"></div></div>Mine:<blockquote>Old</blockquote>',
        '<div><div class="gmail_quote">x</div>Mine:</div><blockquote>Old</blockquote>',
    ],
)
def test_a_mark_alone_makes_no_history(html: str) -> None:
    lines = from_html(html).text.split("\n")
    assert all(line in (">", "> Old") for line in lines if line.startswith(">"))


def test_marks_within_a_quotation_belong_to_it() -> None:
    html = f'<blockquote>Hi<div id="divRplyFwdMsg">{HEADER}</div></blockquote><p>My answer</p>'
    assert split_quotes(from_html(html).text).text == "My answer"


@pytest.mark.parametrize(
    "html",
    [
        '<div class="gmail_quote"><div class="gmail_attr">---------- Qq ---------<br>Xx: Bob</div>{}</div>',
        '<div class="moz-forward-container">-------- Qq --------<table><tr><th>Xx:<td>Bob</table>{}</div>',
        '<blockquote type="cite"><div>Begin forwarded message:</div><br><div>From: Bob</div>{}</blockquote>',
        '<div class="yahoo_quoted"><div>----- Forwarded message -----</div><div>From: Bob</div>{}</div>',
        '<div class="zmail_extra">============ Forwarded message ============<br>From: Bob<br>{}</div>',
        '<div class="protonmail_quote">------- Forwarded Message -------<br>From: Bob<blockquote>{}</blockquote></div>',
    ],
    ids=["gmail", "thunderbird", "apple", "yahoo", "zoho", "proton"],
)
def test_a_forwarded_message_is_content(html: str) -> None:
    assert (
        "Old words" in split_quotes(from_html("<div>New words</div>" + html.format("<div>Old words</div>")).text).text
    )


def test_a_message_that_outlook_forwards_is_content() -> None:
    header = "From: B<br>Sent: Monday<br>To: J<br>Subject: It"
    html = f'<p>FYI</p><div id="divRplyFwdMsg">{header}</div><p>Old words</p>'
    assert "Old words" in split_quotes(from_html(html).text).text


def test_a_container_with_an_answer_but_no_divider_is_no_forward() -> None:
    assert from_html('<div class="moz-forward-container"><div>Words</div></div>').text == "Words"


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


# looks_like_html


@pytest.mark.parametrize(
    "text",
    [
        "<p>Hi</p>",
        "Hi<br>there",
        "Hi<BR/>there",
        'Hi&nbsp;there <a href="https://example.com">shop</a>',
        "Hi <a href=…>",
        "<!DOCTYPE html>Hi",
        " <div>Hi",
        "I <b>need</b> it",
        "Map<K, V> in <span class=x>code</span>",
        "<html>",
    ],
)
def test_html_is_recognized(text: str) -> None:
    assert looks_like_html(text)


@pytest.mark.parametrize(
    "text",
    [
        "",
        "if a<b and c>d",
        "<jane@example.com>",
        "<https://example.com>",
        "List<String>",
        "I <3 you",
        "use the <div> element",
        "what does </p> mean",
        "<p",
        "1 < 2 > 0",
        "Tom &amp; Jerry",
        "<unknown x=1>y</unknown>",
    ],
)
def test_plain_text_with_angle_brackets_is_not_html(text: str) -> None:
    assert not looks_like_html(text)


@given(markup | anything)
def test_any_text_can_be_examined_for_html(text: str) -> None:
    assert looks_like_html(text) in (True, False)


# Time


@pytest.mark.parametrize(
    ("function", "unit"),
    [
        *hostile(from_html, "<!--", "<!", "<![", "<", "<a ", "<a b='", "<a = ", "<a><a href=", '"', "&#9", "data:"),
        *hostile(
            from_html, "<b>", "</p>", "<div>", "<ul><li>x", "<blockquote>x", "<pre>\n", "<script>", "<title></titl"
        ),
        *hostile(
            from_html,
            "<div class=gmail_quote>x:",
            "<div class=gmail_quote>x:<blockquote>y</blockquote>",
            "<p id=divRplyFwdMsg>",
            "<p id=divRplyFwdMsg>x",
            "<div class=gmail_attr>-----",
            "<p style='border-top: ",
        ),
        *hostile(looks_like_html, "<", "<b ", "<b", "<i> ", "</b>", "<b x", " ", "<b \t"),
        *hostile(clean, " ", " \n", "\n", "\u200c", "a \u200c"),
        *hostile(to_html, "<\n"),
    ],
)
def test_four_times_the_text_takes_about_four_times_the_time(function: Callable[[str], object], unit: str) -> None:
    assert takes_linear_time(function, unit)
