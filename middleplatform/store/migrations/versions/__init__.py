"""One module for each form of the store; a form that was shipped is never edited."""
