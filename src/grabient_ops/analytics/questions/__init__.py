"""Every question over all answers: one SQL file and one typed function each."""
