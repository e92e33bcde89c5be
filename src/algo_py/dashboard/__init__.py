"""What a person sees in the browser: three pages over the same library as the command line."""
