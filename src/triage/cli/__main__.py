"""`python -m triage.cli`: the same where the command is not on the path."""

from triage.cli import main

main()
