"""Pictures to look at: figures say how near, eyes say whether it is better."""
