"""An independent reader of the format, version 1, written from `src/seal/FORMAT.md` alone."""
