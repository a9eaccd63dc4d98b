"""What methods assume of the Galaxy: baryons, halos, and the Jeans equation in them."""
