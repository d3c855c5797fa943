"""Everything that muru says to Asterisk and hears from it."""
