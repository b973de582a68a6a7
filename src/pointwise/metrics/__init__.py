"""The mathematics: every metric is a pure function of one summary, one equation each."""
