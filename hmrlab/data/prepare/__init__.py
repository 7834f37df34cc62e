"""From the official downloads of real data sets to records."""
