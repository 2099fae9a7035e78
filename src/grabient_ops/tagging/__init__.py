"""The tagging domain: what is asked, how an answer becomes tags, what it cost in tokens."""
