"""Parts that several pages use: forms, tables, cards, the line that an error gets."""
