"""Reflex motion of the SEGUE K giants beside the published fit (Yaaqib et al. 2024), and its bias."""
