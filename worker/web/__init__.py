"""The page: its shell and its files, below the API's own address. A client of the API, which this does not know."""
