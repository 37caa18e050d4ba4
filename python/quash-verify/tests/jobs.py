"""The tasks of the Celery worker under test: each notes which process ran it, and whether it accepted the token."""

import json
import os
import time

from celery import Celery
from quash_verify import Refused, Unavailable, Verifier

ROOM = os.environ["JOBS_ROOM"]
app = Celery("jobs", broker="filesystem://")
app.conf.broker_transport_options = {
    "data_folder_in": f"{ROOM}/queue",
    "data_folder_out": f"{ROOM}/queue",
    "control_folder": f"{ROOM}/control",
    "polling_interval": 0.01,
}
app.conf.worker_prefetch_multiplier = 1
verifier = Verifier(os.environ["QUASH_URL"])
if os.environ.get("WARM"):
    # As an application that doesn't know the rules: the master of the workers follows the issuer.
    verifier.warm()


@app.task(ignore_result=True)
def check(token: str) -> None:
    try:
        verifier.check(token)
        status = 200
    except Refused:
        status = 401
    except Unavailable:
        status = 503
    instance = verifier.metrics().instance
    line = json.dumps({"pid": os.getpid(), "instance": instance, "status": status, "at": time.monotonic()})
    # A short line is appended at once.
    with open(f"{ROOM}/answers", "a") as answers:
        answers.write(line + "\n")
    # A task that takes time leaves the next one to another process of the pool.
    time.sleep(0.05)
