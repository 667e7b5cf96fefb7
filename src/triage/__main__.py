"""`python -m triage`: the `triage` command, where it is not on the path."""

from triage.cli import main

main()
