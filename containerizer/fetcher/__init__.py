"""The fetcher: what URIs name is brought into a container's sandbox before its task runs.

    uri.py      what is asked for, and how
    http.py     one URI to one open file, whatever the network does
    cache.py    files that were fetched before, shared by all processes of a root directory
    unpack.py   archives of any of the usual kinds, as entries
    place.py    entries into the sandbox, and never out of it
    fetch.py    the way from the one to the other

Who fetches: `containerizer.fetching`. A URI and what it gives are trusted in nothing.
"""
