"""The application that gunicorn serves, whose answers name the worker. With `--preload` it is set up in the master."""

import os
from collections.abc import Iterable
from typing import Any

from django.core.wsgi import get_wsgi_application

site: Any = get_wsgi_application()


def application(environ: dict[str, Any], start_response: Any) -> Iterable[bytes]:
    def start(status: str, headers: list[tuple[str, str]], *rest: Any) -> Any:
        return start_response(status, [*headers, ("X-Pid", str(os.getpid()))], *rest)

    answer: Iterable[bytes] = site(environ, start)
    return answer
