"""Trackers that come with zoo, one a file; the packages that they write with are extras."""
