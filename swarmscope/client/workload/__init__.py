"""Who sends requests, how, and when: users, wait times, open workloads."""
