"""What a training needs besides its step: sets, first fits, scores, other objectives, results."""
