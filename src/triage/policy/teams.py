"""The variables that name a help desk's teams."""

from collections.abc import Callable, Mapping

from triage.errors import ConfigurationError

TEAM_VARIABLES: Mapping[str, str] = {"urgent": "ONCALL", "billing": "BILLING", "general": "SUPPORT"}
"""The suffix of the variable that contains the team's id, by bucket."""


def read_teams(read: Callable[[str], str], prefix: str) -> dict[str, str]:
    """Return the teams for `Buckets.default` from `{prefix}_TEAM_ONCALL`, `_TEAM_BILLING` and `_TEAM_SUPPORT`.

    Args:
        read: Returns the value of an environment variable; empty if it is not set.
        prefix: The vendor's name in capitals, `"INTERCOM"`.

    Raises:
        ConfigurationError: A variable is missing or empty; the message names all of them.
    """
    names = {bucket: f"{prefix}_TEAM_{end}" for bucket, end in TEAM_VARIABLES.items()}
    teams = {bucket: read(name) for bucket, name in names.items()}
    missing = [names[bucket] for bucket, team in teams.items() if not team]
    if missing:
        raise ConfigurationError(f"Set {', '.join(missing)} to the ids of your teams.")
    return teams
