"""The Large Magellanic Cloud: its orbit, what it does to the halo, and the dipole that this makes."""
