"""SMPLify: bodies from keypoints, by SPIN's objective."""
