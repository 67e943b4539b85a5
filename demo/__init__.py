"""Four pipelines over real data, each on functions that are made for it. Run `python -m demo`."""
