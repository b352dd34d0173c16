"""pytest style: test functions with Locust's fixtures."""


def test_the_list(session):
    response = session.get("/list")
    response.raise_for_status()


def test_the_item(fastsession):
    fastsession.get("/item")
