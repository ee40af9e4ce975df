"""How figures reach the page: colours that everybody can tell apart, and pictures with alt text.

Lessons use `plots` and `explorers`; this is behind them.
"""
