"""Images out of the store: into archives that others read, and new ones of what containers have written."""
