"""DeeperThings' two integer programs: from which layer on weights are split instead of maps, and how each layer after it is split."""
