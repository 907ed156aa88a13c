"""The modifiers that ship with zoo, one file each."""
