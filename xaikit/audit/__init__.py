"""Audit: one explained prediction on record, in a chain of hashes that shows every later change, and its replay."""
