"""What people can do: one verb per function, one transaction each.

The API and the command line parse, call one of these, and answer. Each takes the :class:`Site` and
the :class:`Actor` who asks, and raises the errors of :mod:`muru.errors`.
"""
