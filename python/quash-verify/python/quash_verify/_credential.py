"""The credential of the environment, which each process reads when it starts to follow the issuer."""

import os

from ._errors import StartFailed


def find() -> str:
    """Returns ``$QUASH_CREDENTIAL``, or the content of the file that ``$QUASH_CREDENTIAL_FILE`` names."""
    credential = os.environ.get("QUASH_CREDENTIAL", "")
    path = os.environ.get("QUASH_CREDENTIAL_FILE")
    if credential or not path:
        # The native module says what to do where there is none.
        return credential
    try:
        with open(path, encoding="utf-8") as file:
            return file.read().strip()
    except (OSError, UnicodeDecodeError) as error:
        raise StartFailed(
            f"the credential's file can't be read ({error})",
            "make $QUASH_CREDENTIAL_FILE name a text file that this process may read",
        ) from error
