"""A plugin package to start from: its names, its files, and how they get onto the disk."""

from zoo.cli.scaffold.files import Described, package_files
from zoo.cli.scaffold.names import Names, package_names
from zoo.cli.scaffold.writing import check_target, write_directory

__all__ = ["Described", "Names", "check_target", "package_files", "package_names", "write_directory"]
