"""`triage check`: check the set-up of a Router."""

import asyncio
import logging
import sys
from collections.abc import Sequence
from typing import BinaryIO

import click

from triage.check import check_router
from triage.cli.arguments import parse_router
from triage.io.ports import AsyncIO
from triage.models import Finding
from triage.router import Router
from triage.text import clean


@click.command()
@click.argument("router", callback=parse_router)
@click.option("--webhook", type=click.File("rb"), help="A captured delivery, or - for standard input.")
@click.option("--no-classifier", is_flag=True, help="Do not call the classifier, which may cost money.")
def check(router: Router, webhook: BinaryIO | None, no_classifier: bool) -> None:
    """Check the set-up of ROUTER, and say for each problem what to do.

    ROUTER is module:attribute. The credentials, the users, teams, tags and fields that the policy names, the
    classifier, the webhook secret, the clock, the inbox and the workers are checked. Nothing is changed at the help
    desk. The exit status is 1 if a check failed.

    A captured delivery consists of the headers, an empty line and the body, exactly as they arrived.
    """
    logging.getLogger("triage").addHandler(logging.NullHandler())  # the findings say the same
    sample = webhook.read() if webhook else None
    findings = asyncio.run(_check(router, sample, with_classifier=not no_classifier))
    for finding in findings:
        color = {"ok": "green", "failed": "red", "skipped": "yellow"}[finding.status]
        click.echo(f"{click.style(f'{finding.status:<8}', fg=color)}{finding.name:<15} {clean(finding.detail)}")
    sys.exit(any(finding.status == "failed" for finding in findings))


async def _check(router: Router, sample: bytes | None, *, with_classifier: bool) -> Sequence[Finding]:
    async with router:
        findings = await check_router(router, AsyncIO(), sample=sample, with_classifier=with_classifier)
        await router.classifier.leave_loop()
    return findings
