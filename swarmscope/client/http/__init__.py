"""How `FastHttpUser` sends a request with little CPU time; what is rare is left to Locust's own."""
