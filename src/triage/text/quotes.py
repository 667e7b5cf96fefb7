"""Remove quoted history and signatures from email replies."""

import re
from collections.abc import Sequence

from triage.text.html import clean

# Quoted history

# "On Mon, Jan 5, 2026 at 10:00 AM Jane Doe <jane@example.com> wrote:"
_DATED = re.compile(
    r"""(?: On\b .* \bwrote | Am\b .* \bschrieb\b .* | Le\b .* \ba\ écrit | El\b .* \bescribió | Il\b .* \bha\ scritto
        | (?: Em | A | No\ dia )\b .* \bescreveu | Op\b .* \b (?: schreef\b .* | geschreven ) ) \s? :""",
    re.VERBOSE,
)
# "Jane Doe <jane@example.com> schrieb am Mo., 5. Jan. 2026, 10:00:"
_NAMED = re.compile(
    r"""[^<]{1,100} <[^\s<>]+@[^<>]+> ,?
        \ (?: wrote | schrieb | a\ écrit | escribió | ha\ scritto | escreveu | schreef ) \b .{0,100} :""",
    re.VERBOSE,
)
_OPENING = re.compile(r"(?:On|Am|Le|El|Il|Em|A|No dia|Op) ")
_TIME_OR_ADDRESS = re.compile(r"@|\d[:.h]\s?\d\d")
_LONGEST_ATTRIBUTION = 400

_ORIGINAL = re.compile(
    r"""-{2,} \s? (?: original\ (?: message | appointment ) | ursprüngliche\ (?: nachricht | mail ) | message\ original
        | message\ d['\u2019]origine | mensaje\ original | messaggio\ originale | mensagem\ original
        | oorspronkelijk\ bericht ) \s? -{2,}""",
    re.IGNORECASE | re.VERBOSE,
)
_FROM = re.compile(r"\*{0,2}(?:From|Von|De|Da|Van)\s?:", re.IGNORECASE)
_SENT = re.compile(
    r"""(?: ^ | [\s*] ) (?: Sent | Date | Gesendet | Datum | Envoyé | Enviad[oa] (?: \ (?: el | em ) )? | Fecha
        | Inviato | Data | Verzonden ) \s? :""",
    re.IGNORECASE | re.VERBOSE,
)
_SUBJECT = re.compile(r"(?:^|[\s*])(?:Subject|Betreff|Objet|Asunto|Oggetto|Assunto|Onderwerp)\s?:", re.IGNORECASE)
_HEADER_LINES = 8

_SENT_FROM = re.compile(
    r"""
    (?: (?: sent | gesendet | envoyé | enviado | inviato | verzonden | verstuurd )
        \ (?: from | with | via | mit | von | de | depuis | à\ partir\ de | avec | desde | do | da | dal | con | vanaf
            | van | met )
        (?: \ (?: my | der | meinem | mon | mi | meu | mio | il\ mio | mijn ) )? \ _DEVICE
      | sent\ (?: from | via ) \ (?: my | the ) \ [\w\ ]{1,40} ,\ an\ [\w&-]+ \ [\w\ ]{0,10} (?: smartphone | phone )
      | von\ meinem \ _DEVICE \ gesendet
      | (?: get | télécharger | obtener | scarica | obter\ o ) \ outlook\ (?: for | pour | para | per ) \ \w+
      | outlook\ (?: für | voor ) \ \w+ \ (?: beziehen | downloaden ) )
    \s? [.!]? (?: \s? [(<\[] .* )?  # a link to the app
    """.replace(
        "_DEVICE",
        r"""
        (?: (?: [\w-]+ \  ){0,3}
            (?: iphone | ipad | android | galaxy | pixel | samsung | huawei | xiaomi | blackberry
              | phone | mobile | handy | smartphone | téléphone | teléfono | móvil | telefone | celular | telefono
              | telefoon | outlook | gmail | mail | gmx | web\.de | aol ) (?: -\w+ )?
            (?: \ (?: app | mobile | device | mail | phone | on | for | für | pour | para | per | voor )
                (?: \ \w+ ){0,2} )? )
        """,
    ),
    re.IGNORECASE | re.VERBOSE,
)
_RULE = re.compile("[-_*=]{3,}")
_LONGEST_SIGNATURE = 10  # lines; if more follow, the two hyphens do not introduce a signature


def strip_quotes(text: str) -> str:
    """Remove quoted history and the signature from an email reply.

    Answers between and below quoted lines are kept. If nothing would remain, the whole text is returned without its
    `>` marks.

    Args:
        text: Plain text, with quotations marked as `from_html` marks them.
    """
    text = clean(text)
    lines = text.split("\n")
    # Every mark of history or of a signature contains a colon or two hyphens. Most chat messages contain neither.
    has_marks = ":" in text or "--" in text
    own: list[str] = []
    at = 0
    while at < len(lines) and not (has_marks and _starts_history(lines, at)):
        if has_marks and (count := _count_attribution_lines(lines, at)):
            at += count
            # If the quoted lines are marked, answers may follow them. Otherwise, everything that follows is quoted.
            if not _is_quoted_next(lines, at):
                break
            continue
        line = lines[at].strip()
        if not line.startswith(">") and not _SENT_FROM.fullmatch(line):
            own.append(lines[at])
        at += 1
    if has_marks:
        own = _cut_signature(own)
    while own and (not own[-1] or _RULE.fullmatch(own[-1])):
        own.pop()
    return clean("\n".join(own)) or clean(re.sub("^(?: ?>)+", "", text, flags=re.MULTILINE)) or text


def _starts_history(lines: Sequence[str], at: int) -> bool:
    line = lines[at].strip()
    if _ORIGINAL.fullmatch(line):
        return True
    if not _FROM.match(line):
        return False
    # Require both, because travelers write "From: … To: … Date: …".
    headers = [header[:1000] for header in lines[at : at + _HEADER_LINES]]
    return any(map(_SENT.search, headers)) and any(map(_SUBJECT.search, headers))


def _count_attribution_lines(lines: Sequence[str], at: int) -> int:
    """Return how many lines the attribution ("On … Jane wrote:") at `at` spans. Mail programs wrap long ones."""
    if len(lines[at]) <= _LONGEST_ATTRIBUTION and _NAMED.fullmatch(lines[at]):
        return 1
    if not _OPENING.match(lines[at]):
        return 0
    for count in range(1, min(3, len(lines) - at) + 1):
        if not lines[at + count - 1]:
            return 0
        # The attribution may begin on a later line, if the customer's own text begins with "On".
        if any(_is_dated(lines[at + skip : at + count]) for skip in range(1, count)):
            return 0
        window = lines[at : at + count]
        if _is_dated(window) and (_TIME_OR_ADDRESS.search(" ".join(window)) or _is_quoted_next(lines, at + count)):
            return count
    return 0


def _is_dated(lines: Sequence[str]) -> bool:
    return (
        lines[-1].endswith(":")
        and sum(map(len, lines)) <= _LONGEST_ATTRIBUTION
        and _DATED.fullmatch(" ".join(line.strip() for line in lines)) is not None
    )


def _is_quoted_next(lines: Sequence[str], at: int) -> bool:
    following = next((line for line in lines[at : at + 2] if line), "")
    return following.lstrip().startswith(">")


def _cut_signature(lines: list[str]) -> list[str]:
    for at in range(max(0, len(lines) - _LONGEST_SIGNATURE - 1), len(lines)):
        if lines[at].strip() == "--" and any(lines[:at]):
            return lines[:at]
    return lines
