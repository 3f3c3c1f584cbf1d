"""The engine that says how unusual a datapoint is; pure, incremental and without a look ahead."""
