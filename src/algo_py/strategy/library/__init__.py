"""The built-in strategies, one file each. They import only what a trader's own strategy would."""
