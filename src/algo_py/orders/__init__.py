"""An intent becomes exactly one order."""
