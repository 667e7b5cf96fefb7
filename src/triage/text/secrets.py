"""Removal of API keys and other secrets from text that is written to a file."""

import re

_PLACEHOLDER = "[secret]"

# Nothing else looks like this. The lookbehinds and possessive quantifiers let no text take more than linear time.
_CERTAIN = re.compile(
    r"""
    # PEM; an unfinished block reaches to the end of the text.
    -----BEGIN\ [A-Z0-9\ ]{0,40}PRIVATE\ KEY(?:\ BLOCK)?-----
      .*? (?:-----END\ [A-Z0-9\ ]{0,40}PRIVATE\ KEY(?:\ BLOCK)?-----|\Z)
    # Anthropic
    | (?<![A-Za-z0-9])sk-ant-[A-Za-z0-9_-]{8,}
    # AWS, https://docs.aws.amazon.com/IAM/latest/UserGuide/reference_identifiers.html
    | (?<![A-Za-z0-9])(?:AKIA|ASIA)[A-Z0-9]{16}(?![A-Za-z0-9])
    # GitHub, https://github.blog/engineering/behind-githubs-new-authentication-token-formats/
    | (?<![A-Za-z0-9])gh[oprsu]_[A-Za-z0-9]{20,}
    | (?<![A-Za-z0-9])github_pat_[A-Za-z0-9_]{20,}
    # GitLab, Google, Slack and Stripe
    | (?<![A-Za-z0-9])glpat-[A-Za-z0-9_-]{20,}
    | (?<![A-Za-z0-9])AIza[A-Za-z0-9_-]{35}
    | (?<![A-Za-z0-9])xox[a-z]-[A-Za-z0-9-]{10,}
    | (?<![A-Za-z0-9])[rs]k_(?:live|test)_[A-Za-z0-9]{10,}
    # JSON Web Tokens, whose header is an object: `{"` in base64
    | (?<![\w-])eyJ[A-Za-z0-9_-]{8,}+(?:\.[A-Za-z0-9_-]*+){2,4}
    """,
    re.VERBOSE | re.DOTALL,
)
# Words may look like this as well ("a bearer responsible-for-it"), but words have no digits.
_LIKELY = re.compile(r"(?<![A-Za-z0-9])(sk-|[Bb]earer\s{1,8}+|BEARER\s{1,8}+)([A-Za-z0-9._~+/=-]{16,}+)")
_DIGIT = re.compile("[0-9]")


def scrub_secrets(text: str) -> str:
    """Replace everything that looks like an API key, an access token or a private key by `[secret]`.

    Args:
        text: The text.
    """
    return _LIKELY.sub(_replace_likely, _CERTAIN.sub(_PLACEHOLDER, text))


def _replace_likely(match: re.Match[str]) -> str:
    prefix, token = match.groups()
    if not _DIGIT.search(token):
        return match[0]
    return _PLACEHOLDER if prefix == "sk-" else prefix + _PLACEHOLDER
