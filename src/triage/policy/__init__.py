"""The policy: buckets, and what a verdict leads to. A model chooses a label; only code chooses actions."""

from triage.policy.buckets import Bucket, Buckets
from triage.policy.decide import SUGGESTION, Decision, decide
from triage.policy.defaults import default_buckets
from triage.policy.templates import PUBLIC_NAMES, check_templates, render

__all__ = [
    "PUBLIC_NAMES",
    "SUGGESTION",
    "Bucket",
    "Buckets",
    "Decision",
    "check_templates",
    "decide",
    "default_buckets",
    "render",
]
