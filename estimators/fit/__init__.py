"""Statistics that methods share: likelihoods, and ways to draw from posteriors."""
