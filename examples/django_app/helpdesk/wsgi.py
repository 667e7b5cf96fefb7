"""The WSGI application: `gunicorn --chdir examples/django_app --threads 8 helpdesk.wsgi`."""

import os
from importlib import import_module

from django.core.wsgi import get_wsgi_application

os.environ.setdefault("DJANGO_SETTINGS_MODULE", "helpdesk.settings")
application = get_wsgi_application()

# Django imports the views with the first request. Import them now, so that a wrong setting stops the server.
import_module("helpdesk.urls")
