from js_modules import node  # noqa: F401 - a fixture of all tests of JavaScript
