"""Four batch APIs behind one promise (`base.py`); one file per provider."""
