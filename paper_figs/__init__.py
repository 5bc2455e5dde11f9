"""Tables and figures that compare with the published ones, one script each; run from a checkout, for example ``python -m paper_figs.table_latency``.

``results/`` contains the output of the scripts as it was last renewed with ``--update``. Everything is priced in the one setting of
:mod:`paper_figs.setting`.
"""
