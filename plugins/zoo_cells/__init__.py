"""The cells that ship with zoo, one file each, in folders by family."""
