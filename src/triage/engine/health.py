"""Health checks of a Router: is its inbox writable, and do workers keep up?"""

from triage.engine.engine import Engine
from triage.engine.storage import call_inbox
from triage.errors import InboxError
from triage.io.ports import IO
from triage.log import get_logger
from triage.models import HealthResponse

logger = get_logger(__name__)


async def check_readiness(engine: Engine, io: IO, max_lag: float | None) -> HealthResponse:
    """Return 200 if deliveries can be stored and are processed in time, otherwise 503. Log the reason.

    Args:
        engine: The Router's engine.
        io: The port.
        max_lag: For how many seconds an event that is due may wait for a worker; None for any time.
    """
    if not engine.is_durable:
        return HealthResponse("ready")
    status, reason = await _find_problem(engine, io, max_lag)
    if reason:
        logger.warning("%s is not ready: %s", engine.owner, reason)
    return HealthResponse(status, reason)


async def _find_problem(engine: Engine, io: IO, max_lag: float | None) -> tuple[str, str]:
    """Return the status for the body of the response, and the reason for the log."""
    inbox = engine.inbox
    try:
        await probe_inbox(engine, io)
        if max_lag is None:
            return "ready", ""
        lag = await call_inbox(inbox, io, inbox.get_lag, engine.owner)
    except InboxError as err:
        return "inbox not writable", str(err)
    if lag <= max_lag:
        return "ready", ""
    return "behind", f"an event has waited {lag:.0f} s for a worker, more than {max_lag:g} s: is a worker running?"


async def probe_inbox(engine: Engine, io: IO) -> None:
    """Write to the inbox, without an effect.

    Args:
        engine: The Router's engine.
        io: The port.

    Raises:
        InboxError: The inbox cannot be written.
    """
    await call_inbox(engine.inbox, io, engine.inbox.set_pause, f"a health check of {engine.owner}", 0.0)
