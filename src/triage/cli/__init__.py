"""The `triage` command. Needs the extra `cli`."""

import sys


def main() -> None:
    """Run the command, or exit with an error that names the missing extra."""
    try:
        from triage.cli.app import triage
    except ModuleNotFoundError as err:
        if err.name != "click":
            raise
        sys.exit("The triage command needs click: pip install 'chat-triage[cli]'")
    triage()
