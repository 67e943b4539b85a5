"""What functions weigh and how soon they run: cases, and one module for each table of `benchmarks.packaging`."""
