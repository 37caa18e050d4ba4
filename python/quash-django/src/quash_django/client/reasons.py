"""Why quash can't be used now, for the people who run the site's commands: with the address, the cause and the remedy."""

from quash_verify import QuashError, StartFailed, Unavailable

from ..conf import command, credential_fault, quash_settings
from .http import FAILURES, addresses, send

PATIENCE = 2.0
"""How long each address may take, in seconds."""


def explained(error: QuashError) -> tuple[str, str]:
    """Returns the cause of an error of the verifier, and the remedy."""
    if isinstance(error, StartFailed):
        return _of_start(error)
    return _unreachable() if isinstance(error, Unavailable) else (str(error), "update quash-verify and quash")


def _of_start(error: StartFailed) -> tuple[str, str]:
    found, what = quash_settings(), str(error.args[0])
    if "credential" not in what or " may not " in what:
        return what, error.remedy
    if "missing or malformed" in what:
        fault = credential_fault(found)
        what = "the credential is malformed" if fault is None else fault[0]
        remedy = f"set QUASH['CREDENTIAL_FILE'] to a file with the line that `{command(found)}` prints"
    else:
        what = f"quash at {found.issuer} doesn't know the credential: it was removed, or is another quash's"
        remedy = f"create another with `{command(found)}`"
    return what, remedy


def _unreachable() -> tuple[str, str]:
    causes = []
    for address in addresses():
        try:
            answer = send(address, "GET", "/livez", None, {}, PATIENCE)
        except (*FAILURES, ValueError) as error:
            causes.append(f"{address} can't be reached ({error or type(error).__name__})")
            continue
        if answer.status == 200 and answer.body == {"status": "ok"}:
            return (
                f"quash answers at {address}, but the verifier couldn't follow it in time",
                "raise QUASH['START_WITHIN'], and see the log of `quash_verify` for the cause",
            )
        causes.append(f"{address} answers {answer.status} at /livez, as quash doesn't")
    return "; ".join(causes), "start quash, or correct QUASH['ISSUER'] and the proxies and firewalls before it"
