"""Log records carry the trace id of their request."""

import logging

from flask import current_app

from swarmscope.server import current_trace_id, instrument

TRACE = "0af7651916cd43dd8448eb211c80319c"

TRACEPARENT = f"00-{TRACE}-b7ad6b7169203331-01"


def test_log_records_carry_the_trace_id(app, caplog):
    """In a request that came with one; records from elsewhere have an empty one."""
    instrument(app)

    @app.get("/")
    def index():
        current_app.logger.warning("inside")
        logging.getLogger("some.library").warning("inside too")
        return current_trace_id()

    response = app.test_client().get("/", headers={"traceparent": TRACEPARENT})
    app.test_client().get("/", headers={"traceparent": "nonsense"})
    logging.getLogger("some.library").warning("outside")

    assert response.text == TRACE
    assert [record.trace_id for record in caplog.records] == [TRACE, TRACE, "", "", ""]


def test_a_log_record_may_bring_a_trace_id_of_its_own(app, caplog):
    """The app's own stays: a logger refuses names that a record has already."""
    instrument(app)

    @app.get("/")
    def index():
        current_app.logger.warning("mine", extra={"trace_id": "mine", "other": 1})
        return ""

    assert app.test_client().get("/", headers={"traceparent": TRACEPARENT}).status_code == 200
    assert [(record.trace_id, record.other) for record in caplog.records] == [("mine", 1)]
