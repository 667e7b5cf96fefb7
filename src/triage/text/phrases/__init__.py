"""The phrases of many languages, by which the other modules recognize quoted history and automatic senders."""

from importlib import resources


def read_phrases(name: str) -> list[dict[str, list[str]]]:
    """Read a file of phrases: the lists of phrases of each language.

    Args:
        name: The name of the file without its ending, such as `"quotes"`.
    """
    import tomllib  # imported late, because importing the package must stay cheap

    source = resources.files(__name__).joinpath(f"{name}.toml").read_text("utf-8")
    return list(tomllib.loads(source).values())
