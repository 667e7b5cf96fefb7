"""The door for WSGI servers: `gunicorn --chdir examples/django_app --threads 8 helpdesk.wsgi`."""

import os

from django.core.wsgi import get_wsgi_application

os.environ.setdefault("DJANGO_SETTINGS_MODULE", "helpdesk.settings")
application = get_wsgi_application()
