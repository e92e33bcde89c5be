"""The history of the database schema. A migration is never changed once it has been released."""
