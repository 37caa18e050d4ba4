"""The session, the token and the user of a request, for the public classes that authenticate it."""
