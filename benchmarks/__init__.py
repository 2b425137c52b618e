"""What gusto_pipeline costs beside named peers: `python -m benchmarks [name …] [--quick]`, or `make bench`."""
