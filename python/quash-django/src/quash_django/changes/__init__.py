"""The site's changes on their way to quash: ended sessions and tokens, and changed users."""
