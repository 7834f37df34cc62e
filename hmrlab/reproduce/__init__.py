"""Notebooks from source to report, and tables from the ledger."""
