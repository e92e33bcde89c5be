"""The pages, a folder each with its own help text.

The folder is not called `pages`: beside a main script Streamlit takes that name for its own, older way of finding pages, and
then answers the first visit to any page but the start page with "Page not found".
"""
