"""Work on the stored bars in the background: fetching from a source, and looking at every file."""
