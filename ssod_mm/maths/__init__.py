"""Pure functions, one per equation; torch only."""
