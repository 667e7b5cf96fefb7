"""The WSGI application: `gunicorn --chdir examples/django_app --threads 8 helpdesk.wsgi`."""

import io
import os
from collections.abc import Iterable
from importlib import import_module
from typing import Any

from django.core.wsgi import get_wsgi_application

os.environ.setdefault("DJANGO_SETTINGS_MODULE", "helpdesk.settings")
django_application = get_wsgi_application()

LARGEST_CHUNKED_BODY = 1024 * 1024  # bytes


def application(environ: dict[str, Any], start_response: Any) -> Iterable[bytes]:
    """Read the body of a chunked request, as some proxies send it: without a Content-Length, Django reads none."""
    # Only a server that marks the end of the body can be read without knowing its length.
    if "CONTENT_LENGTH" not in environ and environ.get("wsgi.input_terminated"):
        body = environ["wsgi.input"].read(LARGEST_CHUNKED_BODY + 1)
        environ |= {"wsgi.input": io.BytesIO(body), "CONTENT_LENGTH": str(len(body))}
    return django_application(environ, start_response)


# Django imports the views with the first request. Import them now, so that a wrong setting stops the server.
import_module("helpdesk.urls")
