"""The benchmark: our training and decoding beside what people use now, on the same work, in one run.

A *work* (``works``) has two *sides*. Each measurement of a side is a process of its own (``child``), so that its peak
of memory is its own and no side warms the other; sides alternate. ``campaign`` runs them and keeps what is done,
``summary`` and ``page`` say what came out. ``scaling`` measures our side alone over sizes.
"""
