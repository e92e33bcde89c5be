"""Work beside the page: each piece in a process of its own, so that the page stays usable and cancel always ends it."""
