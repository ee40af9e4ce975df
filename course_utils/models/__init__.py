"""Models that one lesson builds and proves, and later ones use; each names its lesson."""
