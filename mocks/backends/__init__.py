"""Other libraries of galactic dynamics: what of them becomes a mock, a potential or an orbit here, and back."""
