"""Ten graphs of real work beside Dask's schedulers: `python -m benchmarks.workloads [workloads …] [--peers …]`."""

from benchmarks.racing.race import main

if __name__ == "__main__":
    main()
