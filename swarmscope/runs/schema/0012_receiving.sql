-- From the first byte of a response to its last: a stream's body, a large download.
ALTER TABLE request ADD COLUMN receiving_ms double precision;
ALTER TABLE histogram_closed
    DROP CONSTRAINT histogram_closed_part_check,
    ADD CONSTRAINT histogram_closed_part_check
        CHECK (part IN ('total', 'queue', 'app', 'receiving', 'outside', 'raw')) NOT VALID;
ALTER TABLE histogram_open
    DROP CONSTRAINT histogram_open_part_check,
    ADD CONSTRAINT histogram_open_part_check
        CHECK (part IN ('total', 'queue', 'app', 'receiving', 'outside', 'raw')) NOT VALID;
