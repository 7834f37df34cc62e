"""Records of people in pictures: reading, checking, cropping, augmenting, batching."""
