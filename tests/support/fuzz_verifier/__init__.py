"""Random programs near the border of what Linux's verifier accepts: grammar, mutation, shrinking."""
