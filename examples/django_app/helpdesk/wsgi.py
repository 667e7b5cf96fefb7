"""The door for WSGI servers: `gunicorn --chdir examples/django_app --threads 8 helpdesk.wsgi`."""

import os
from importlib import import_module

from django.core.wsgi import get_wsgi_application

os.environ.setdefault("DJANGO_SETTINGS_MODULE", "helpdesk.settings")
application = get_wsgi_application()

# Django imports the views at the first request; a wrong setting shall stop the server, not surprise a customer.
import_module("helpdesk.urls")
