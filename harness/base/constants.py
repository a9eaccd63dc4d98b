"""Units and constants: kpc, km/s, Msun, radians inside; astropy units at the boundary."""

from typing import Final

#: Newton's constant [kpc (km/s)^2 / Msun], the value of astropy 6 to 8 (CODATA 2018, IAU 2015 solar mass).
G: Final = 4.300917270036279e-06

#: Velocity of one mas/yr at one kpc [km/s], from the IAU's astronomical unit and the Julian year.
KMS_PER_MASYR_KPC: Final = 4.740470463533349

#: One kpc/(km/s) in Gyr.
GYR_PER_KPC_KMS: Final = 0.9777922216807891
