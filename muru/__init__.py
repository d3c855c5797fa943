"""µURU: the people of an event register the phones that they bring.

An asyncio controller beside Asterisk. Flavor authors import from :mod:`muru.flavor`.
"""

__version__ = "0.1.0"
