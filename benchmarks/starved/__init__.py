"""Services that are short of one known thing: does a run say which, and what it caps?"""
