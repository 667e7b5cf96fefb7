"""The policy: buckets, and the actions for a verdict. A model chooses a label; only your code chooses actions."""

from triage.policy.buckets import Bucket, Buckets
from triage.policy.check import check_actions
from triage.policy.decide import SUGGESTION, Decision, check_fallbacks, check_review, decide
from triage.policy.teams import read_teams
from triage.policy.templates import PUBLIC_NAMES, check_templates, render

__all__ = [
    "PUBLIC_NAMES",
    "SUGGESTION",
    "Bucket",
    "Buckets",
    "Decision",
    "check_actions",
    "check_fallbacks",
    "check_review",
    "check_templates",
    "decide",
    "read_teams",
    "render",
]
