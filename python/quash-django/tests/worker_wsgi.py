"""The application that gunicorn serves. With `--preload` it is set up in the master."""

from django.core.wsgi import get_wsgi_application

application = get_wsgi_application()
