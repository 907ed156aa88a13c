"""The blocks that ship with zoo, one file each."""
